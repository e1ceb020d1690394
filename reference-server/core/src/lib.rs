//! The sans-I/O core of the Tidewire reference server.
