//! Every file of `fixtures/corpus` through its fuzz target, and the smoke inputs against what they are meant to reach.

#![cfg(feature = "arbitrary")]
#![allow(
    clippy::unwrap_used,
    reason = "a corpus that does not read fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use tidewire_codec::fuzzing::TARGETS;
use tidewire_codec::{DecodeErrorKind, Frame, FrameType};

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus")
}

#[test]
fn replay() {
    for (name, target) in TARGETS {
        let mut files = 0;
        for entry in fs::read_dir(corpus().join(name)).unwrap() {
            let path = entry.unwrap().path();
            // The name is printed for the reader of a failure, who needs the file.
            eprintln!("{}", path.display());
            target(&fs::read(&path).unwrap());
            files += 1;
        }
        assert!(files > 0, "{name} has no seeds");
    }
}

#[test]
fn folders_are_targets() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap());
    let folders = folders.filter(|entry| entry.file_type().unwrap().is_dir());
    let folders: BTreeSet<_> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, targets);
}

/// A corpus that only ever decodes, or never does, would prove little.
#[test]
fn seeds_reach_every_type_and_every_error() {
    let mut decoded = BTreeSet::new();
    let mut errors = BTreeSet::new();
    for entry in fs::read_dir(corpus().join("decode")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let Some((first, body)) = bytes.split_first() else {
            continue;
        };
        let frame_type = FrameType::ALL
            .get(usize::from(*first) % FrameType::ALL.len())
            .unwrap();
        match Frame::decode(*frame_type, &Bytes::copy_from_slice(body)) {
            Ok(_) => drop(decoded.insert(*frame_type)),
            Err(error) => drop(errors.insert(match error.kind() {
                DecodeErrorKind::Truncated => "truncated",
                DecodeErrorKind::VarintTooLong => "varint",
                DecodeErrorKind::FieldNumber => "field number",
                DecodeErrorKind::WireType { .. } => "wire type",
                DecodeErrorKind::NotUtf8 => "utf-8",
                DecodeErrorKind::TooManyItems { .. } => "items",
                _ => "other",
            })),
        }
    }
    assert_eq!(decoded.len(), FrameType::ALL.len());
    let all = [
        "field number",
        "items",
        "truncated",
        "utf-8",
        "varint",
        "wire type",
    ];
    assert_eq!(errors, BTreeSet::from(all));
}
