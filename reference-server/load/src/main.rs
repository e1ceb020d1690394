//! Load generator for Tidewire servers.
fn main() {}
