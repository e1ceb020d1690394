//! A stream, however it is split. The body is `tidewire_codec::fuzzing::decoder_split`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidewire_codec::fuzzing::decoder_split(data));
