//! The Tidewire reference server: the core, with sockets, a disk, a clock and an operator's door around it.
//!
//! It decides nothing about messages; `tidewire-core` does. It is one process: no clustering, no replication, no push
//! service, no file service, and what the core keeps in memory grows with users and undelivered messages.
//!
//! ```text
//!  sockets -> transport (a task each) --frames--> engine (one thread: core + store) --bytes--> conn --> sockets
//!                                                   ^
//!                                   admin (HTTP) ---+
//! ```
//!
//! - `transport`: TCP, TLS and WebSocket; cuts bytes into frames, hands them over in batches.
//! - `engine`: feeds the core, makes its batches durable, gives each connection its bytes. The group commit is here.
//! - `conn`: what the two share; bounds both directions.
//! - `store`: fjall behind the core's trait.
//! - `clock`, `disk`: time and room.
//! - `admin`: the operator's HTTP API and the hooks for tests.
//! - [`cli`]: flags, demo users, signals.

mod admin;
pub mod cli;
mod clock;
mod conn;
mod disk;
mod engine;
mod files;
mod server;
mod store;
mod token;
mod transport;
mod users_file;

pub use clock::Clock;
pub use store::FjallStore;
pub use token::Token;
