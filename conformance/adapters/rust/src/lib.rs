//! What the adapters of the Rust crates share: lines of JSON, hex, and bodies as the fixtures write them.
//!
//! No rule of the protocol is kept here, and nothing is judged: that is the matter of the crates behind the adapters.

mod client;
mod events;
mod hex;
mod json;
mod judge;
mod lines;

pub use client::{Opened, ask, done, open};
pub use events::lines_of_event;
pub use hex::{hex, unhex};
pub use json::{
    BodyError, body_to_json, frame_from_json, frame_to_json, frame_type_from_json,
    frame_type_to_json,
};
pub use judge::{body_fault, fault_to_json, judge};
pub use lines::{Arguments, Done, Outcome, bad, serve};
