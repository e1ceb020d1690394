//! The sans-I/O core of the Tidewire reference server.
pub mod api;
pub mod store;
