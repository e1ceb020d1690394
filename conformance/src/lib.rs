//! The Tidewire conformance runner: plays session files against an implementation and says which requirements it keeps.
//!
//! It knows nothing of how a testee works inside: bytes on connections, and the back door that a testee offers, are all
//! that it sees.

mod adapter;
pub mod baseline;
mod body;
pub mod cli;
pub mod diff;
mod embedded;
mod json;
mod ladder;
mod matcher;
mod mutant;
mod names;
pub mod null;
mod pcap;
mod player;
mod record;
pub mod report;
mod run;
mod sdk;
mod selftest;
mod session;
mod spec;
mod tap;
mod testee;
mod transport;
mod tree;
mod value;
mod vectors;
mod verdict;

pub use mutant::{Judgement, Kill, Mutant, Mutants};
pub use pcap::Pcap;
pub use run::{Pause, RunOptions, Testees, fresh_seed, run};
pub use sdk::Sdk;
pub use session::{FixtureError, Need, Session, Sessions, Transport};
pub use spec::{Requirement, Requirements, SpecError};
pub use testee::{AdminError, StartError, Starter, Testee};
pub use verdict::{Failure, FailureClass, Verdict};
