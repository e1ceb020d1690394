//! The sans-I/O core of the Tidewire reference server: sessions, user logs, groups, statuses and expiry.
//!
//! No sockets, no threads, no clock, no randomness, no storage: frames, time and a seed come in, bytes and batches go out.
//! The [`api`] module has the contract with the driver, [`store`] the one with the durable store.
//!
//! # How a burst goes
//!
//! The driver feeds inputs through [`Core::handle`] and drains [`Core::poll_output`]. If durable state changed, the first
//! output is a [`store::Batch`]; everything else waits for [`api::Input::Committed`]. So an answer is never ahead of the disk.
//!
//! # What is in memory
//!
//! Users, devices, groups, marks, idempotency keys and one small record per message that is undelivered or younger than
//! the idempotency window. Contents are not: they pass through to the store and come back by pages when a device that
//! was away reads its backlog.
//!
//! # What it does not do
//!
//! It is one process' worth of users: there is no clustering, and memory grows with users and live messages.

mod admin;
pub mod api;
mod backlog;
mod bin;
mod config;
mod conn;
mod control;
mod convs;
mod core;
mod devices;
mod dispatch;
mod entry;
mod expiry;
mod group;
mod group_events;
mod group_members;
mod group_ops;
mod groups;
mod idem;
mod ids;
mod inbox;
mod journal;
mod log;
mod login;
mod msgs;
mod persist;
mod pins;
mod rebuild;
mod refuse;
mod route;
mod send;
mod status;
pub mod store;
mod sweep;
pub mod testing;
mod users;

pub use crate::config::Config;
pub use crate::core::Core;
pub use crate::rebuild::committed_time;
