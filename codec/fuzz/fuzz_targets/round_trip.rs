//! What decodes survives encoding. The body is `tidewire_codec::fuzzing::round_trip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidewire_codec::fuzzing::round_trip(data));
