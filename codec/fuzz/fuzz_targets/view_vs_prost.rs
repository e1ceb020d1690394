//! Views against prost. The body is `tidewire_codec::fuzzing::view_vs_prost`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidewire_codec::fuzzing::view_vs_prost(data));
