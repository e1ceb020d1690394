//! The Tidewire reference server.
