//! The core, family by family, against clients that speak the wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]

mod bounds;
mod control;
mod expiry;
mod frames;
mod garbage;
mod group;
mod group_rules;
mod login;
mod restart;
mod send;
mod simulation;
mod status;
mod team;
mod world;
