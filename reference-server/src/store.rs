//! Durable storage: the fjall store and the suite that every store has to pass.
//!
//! No decisions about messages are made here; positions, keys and values are the core's.

#[cfg(test)]
mod contract;
mod fjall_store;
mod layout;
mod reaper;

pub use fjall_store::FjallStore;
