//! The Tidewire conformance runner.
fn main() {}
