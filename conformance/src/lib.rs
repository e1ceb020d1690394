//! The Tidewire conformance runner: plays session files against an implementation and says which requirements it keeps.
//!
//! It knows nothing of how a testee works inside: bytes on connections, and the back door that a testee offers, are all
//! that it sees.

mod body;
pub mod cli;
mod matcher;
mod names;
mod session;
mod spec;
mod tree;
mod value;

pub use session::{FixtureError, Need, Session, Sessions, Transport};
pub use spec::{Requirement, Requirements, SpecError};
