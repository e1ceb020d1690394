//! Any bytes as a body. The body is `tidewire_codec::fuzzing::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidewire_codec::fuzzing::decode(data));
