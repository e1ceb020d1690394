//! The bodies of the fuzz targets, and the generator of frames that they share with the tests.
//!
//! Each target is a function of bytes that panics where a property does not hold. `codec/fuzz` hands them to
//! cargo-fuzz; `tests/fuzz_smoke.rs` runs them with seeds and `tests/corpus.rs` with every file of `fixtures/corpus`,
//! so a machine without cargo-fuzz checks the same properties.

mod generate;

use std::string::ToString;
use std::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::decoder::{Decoder, Item};
use crate::dump::Dump;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::frame::Frame;
use crate::header::{Flags, PREFACE};
use crate::registry::FrameType;
use crate::registry::limits::MAX_FRAME_HARD;
use crate::shapes::scan;
use crate::view::{AckView, MessageView, SendView, StatusView};
use crate::wire::wire_type;

pub use generate::{body, frame_type, mutate};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also the name of its folder in `fixtures/corpus`.
pub const TARGETS: [(&str, Target); 4] = [
    ("decode", decode),
    ("round_trip", round_trip),
    ("view_vs_prost", view_vs_prost),
    ("decoder_split", decoder_split),
];

/// Any bytes as a body: the scan and prost agree, nothing panics, and the dump shows the bytes.
///
/// The first byte chooses the frame type, the rest is the body.
pub fn decode(data: &[u8]) {
    let Some((frame_type, body)) = split_type(data, FrameType::ALL) else {
        return;
    };
    let by_prost = Frame::decode_unscanned(frame_type, &body);
    let whole = Frame::decode(frame_type, &body);
    match &whole {
        Ok(frame) => {
            assert_eq!(frame.frame_type(), frame_type);
            assert_eq!(
                Some(Ok(frame.clone())),
                by_prost,
                "the scan changes no value"
            );
        }
        Err(error) => {
            assert_ne!(
                error.kind(),
                DecodeErrorKind::Refused,
                "prost refuses what the scan lets pass"
            );
            assert!(
                stricter_than_prost(error) || matches!(by_prost, Some(Err(_))),
                "prost takes what is wrong: {error}"
            );
            assert!(error.offset() <= body.len());
        }
    }
    let shown = Dump::body(frame_type, &body).to_string();
    assert_eq!(
        whole.is_err() && !bound(&whole),
        shown.contains("error: "),
        "the dump says what is wrong:\n{shown}"
    );
}

/// A bound is broken by values that are right one by one, so the dump shows them all.
fn bound(decoded: &Result<Frame, DecodeError>) -> bool {
    matches!(decoded, Err(error) if matches!(error.kind(), DecodeErrorKind::TooManyItems { .. }))
}

/// prost knows no bounds and skips groups.
fn stricter_than_prost(error: &DecodeError) -> bool {
    match error.kind() {
        DecodeErrorKind::TooManyItems { .. } | DecodeErrorKind::TooDeep { .. } => true,
        DecodeErrorKind::WireType { found } => !matches!(
            found,
            wire_type::VARINT | wire_type::FIXED64 | wire_type::LEN | wire_type::FIXED32
        ),
        _ => false,
    }
}

/// A frame that decodes survives encoding, the header and a second decoding.
pub fn round_trip(data: &[u8]) {
    let Some((frame_type, body)) = split_type(data, FrameType::ALL) else {
        return;
    };
    let Ok(frame) = Frame::decode(frame_type, &body) else {
        return;
    };
    let raw = frame.to_raw(Flags::REPLY, 7);
    assert_eq!(raw.body.len(), frame.body_len());
    assert_eq!(
        scan_of(frame_type, &raw.body),
        Ok(()),
        "what we write, we take"
    );
    let mut wire = BytesMut::new();
    assert_eq!(raw.encode_into(&mut wire), Ok(()));
    assert_eq!(wire.len(), raw.encoded_len());
    let mut decoder = Decoder::new(false);
    decoder.set_max_frame(MAX_FRAME_HARD);
    assert_eq!(decoder.poll(&mut wire), Some(Item::Frame(raw.clone())));
    assert!(wire.is_empty());
    assert_eq!(raw.decode(), Ok(frame));
}

/// A view takes and refuses what [`Frame::decode`] does, with the same error and the same values.
pub fn view_vs_prost(data: &[u8]) {
    const VIEWED: [FrameType; 4] = [
        FrameType::SEND,
        FrameType::MESSAGE,
        FrameType::ACK,
        FrameType::STATUS,
    ];
    let Some((frame_type, body)) = split_type(data, &VIEWED) else {
        return;
    };
    let viewed = match frame_type {
        FrameType::SEND => SendView::decode(&body).map(|view| Frame::Send(view.to_proto())),
        FrameType::MESSAGE => {
            MessageView::decode(&body).map(|view| Frame::Message(view.to_proto()))
        }
        FrameType::ACK => AckView::decode(&body).map(|view| Frame::Ack(view.to_proto())),
        _ => StatusView::decode(&body).map(|view| Frame::Status(view.to_proto())),
    };
    assert_eq!(viewed, Frame::decode(frame_type, &body));
}

/// A stream yields the same items however it is split, and stays silent after a violation.
///
/// The first byte chooses the preface and the seed of the cuts, the rest is the stream.
pub fn decoder_split(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let preface = first & 1 == 1;
    let mut stream = stream.to_vec();
    // Nearly no random stream gets past the preface, so half of them are helped.
    if preface && first & 2 == 2 {
        stream.splice(..0, PREFACE);
    }
    let whole = items(preface, core::iter::once(&stream[..]));
    assert_eq!(whole, items(preface, stream.chunks(1)), "byte by byte");
    let step = usize::from(first >> 2).saturating_add(1);
    assert_eq!(
        whole,
        items(preface, stream.chunks(step)),
        "in chunks of {step}"
    );
    let violations = whole
        .iter()
        .filter(|item| matches!(item, Item::Violation(_)))
        .count();
    assert!(
        violations == 0 || (violations == 1 && matches!(whole.last(), Some(Item::Violation(_))))
    );
}

fn items<'a>(preface: bool, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Item> {
    let mut decoder = Decoder::new(preface);
    let mut src = BytesMut::new();
    let mut items = Vec::new();
    for chunk in chunks {
        src.extend_from_slice(chunk);
        while let Some(item) = decoder.poll(&mut src) {
            items.push(item);
        }
        assert!(
            decoder.is_broken() || decoder.missing(&src) > 0,
            "an incomplete frame lacks something"
        );
    }
    items
}

fn scan_of(frame_type: FrameType, body: &[u8]) -> Result<(), DecodeError> {
    frame_type.shape().map_or(Ok(()), |shape| scan(shape, body))
}

fn split_type(data: &[u8], among: &[FrameType]) -> Option<(FrameType, Bytes)> {
    let (first, body) = data.split_first()?;
    let frame_type = *among.get(usize::from(*first).checked_rem(among.len())?)?;
    Some((frame_type, Bytes::copy_from_slice(body)))
}
