//! Tidewire frames as bytes and types.
