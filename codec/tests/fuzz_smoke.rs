//! The fuzz targets with seeded input: what CI runs. `codec/fuzz` runs the same bodies under cargo-fuzz.
//!
//! `TIDEWIRE_FUZZ_ITERATIONS` sets the number of inputs a target (5,000 by default), `TIDEWIRE_FUZZ_SEED` the first seed.
//! A failure names the seed; run it again with that seed and one iteration.

#![cfg(feature = "arbitrary")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot make its input fails"
)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use arbitrary::Unstructured;
use tidewire_codec::fuzzing::{TARGETS, Target, body, mutate};
use tidewire_codec::grease::Grease;
use tidewire_codec::{Flags, FrameType, PREFACE, RawFrame};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Random bytes for a seed, enough for a body of some hundred bytes.
fn noise(seed: u64) -> Vec<u8> {
    let mut source = Grease::new(seed);
    let words = 8 + usize::try_from(source.next_u64() % 120).unwrap();
    (0..words)
        .flat_map(|_| source.next_u64().to_be_bytes())
        .collect()
}

/// Input for the targets that take a frame type and a body. Two of three are spoiled.
fn typed_body(seed: u64, types: &[FrameType]) -> Vec<u8> {
    let noise = noise(seed);
    let mut u = Unstructured::new(&noise);
    let index = u.choose_index(types.len()).unwrap();
    let mut bytes = body(types[index].shape().unwrap(), &mut u).unwrap();
    if !seed.is_multiple_of(3) {
        mutate(&mut bytes, &mut u).unwrap();
    }
    bytes.insert(0, u8::try_from(index).unwrap());
    bytes
}

/// Input for the decoder: a switch and a stream of frames, some of them spoiled.
fn stream(seed: u64) -> Vec<u8> {
    let noise = noise(seed);
    let mut u = Unstructured::new(&noise);
    let first: u8 = u.arbitrary().unwrap();
    let mut bytes = if first & 3 == 1 {
        PREFACE.to_vec()
    } else {
        Vec::new()
    };
    for _ in 0..u.int_in_range(0..=5).unwrap() {
        let mut frame: RawFrame = u.arbitrary().unwrap();
        frame.flags = frame.flags.difference(Flags::RESERVED);
        bytes.extend_from_slice(&frame.to_bytes().unwrap());
    }
    if seed.is_multiple_of(2) {
        mutate(&mut bytes, &mut u).unwrap();
    }
    bytes.insert(0, first);
    bytes
}

fn input(target: &str, seed: u64) -> Vec<u8> {
    const VIEWED: [FrameType; 4] = [
        FrameType::SEND,
        FrameType::MESSAGE,
        FrameType::ACK,
        FrameType::STATUS,
    ];
    match target {
        "decoder_split" => stream(seed),
        "view_vs_prost" => typed_body(seed, &VIEWED),
        _ => typed_body(seed, FrameType::ALL),
    }
}

fn run(name: &str, target: Target) {
    let first = setting("TIDEWIRE_FUZZ_SEED", 1);
    for seed in first..first + setting("TIDEWIRE_FUZZ_ITERATIONS", 5_000) {
        let data = input(name, seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&data))) {
            eprintln!("{name} fails with TIDEWIRE_FUZZ_SEED={seed}: {data:02x?}");
            resume_unwind(panic);
        }
    }
}

#[test]
fn fuzz_smoke() {
    for (name, target) in TARGETS {
        run(name, target);
    }
}

#[test]
fn noise_alone() {
    for seed in 0..500 {
        TARGETS.iter().for_each(|(_, target)| target(&noise(seed)));
    }
}
