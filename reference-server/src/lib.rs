//! wip
mod clock;
mod store;
