//! The optional features: tokio-util's traits, and serde.

#![cfg(all(feature = "tokio-util", feature = "serde"))]
#![allow(clippy::unwrap_used, reason = "test input is known to be right")]

use bytes::{Bytes, BytesMut};
use tidewire_codec::tokio_codec::TidewireCodec;
use tidewire_codec::{Flags, Frame, FrameType, Item, PREFACE, RawFrame, limits, proto};
use tokio_util::codec::{Decoder as _, Encoder as _};

fn ack() -> RawFrame {
    Frame::from(proto::Ack { pos: 300 }).to_event()
}

//= spec/01-framing.md#transports
//= type=test
//# [FRM-001] On a byte stream a client MUST send the 8 preface bytes F7 54 49 44 45 0D 0A 00 before anything else.
//= spec/01-framing.md#transports
//= type=test
//# [FRM-002] On a byte stream the server MUST send the same 8 preface bytes before its first frame.
#[test]
fn preface_goes_once_and_first() {
    let mut codec = TidewireCodec::byte_stream();
    let mut wire = BytesMut::new();
    let too_long = Bytes::from(vec![
        0;
        usize::try_from(limits::MAX_FRAME_HARD).unwrap() + 1
    ]);
    let error = codec
        .encode(
            RawFrame {
                body: too_long,
                ..ack()
            },
            &mut wire,
        )
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(wire.is_empty(), "nothing was written");
    codec.encode(ack(), &mut wire).unwrap();
    codec.encode(ack(), &mut wire).unwrap();
    assert_eq!(wire.len(), PREFACE.len() + 2 * ack().encoded_len());
    let mut peer = TidewireCodec::byte_stream();
    let items: Vec<_> = std::iter::from_fn(|| peer.decode(&mut wire).unwrap()).collect();
    assert_eq!(
        items,
        [Item::Preface, Item::Frame(ack()), Item::Frame(ack())]
    );
    assert_eq!(peer.decode_eof(&mut wire).unwrap(), None);
}

#[test]
fn violations_are_items_and_a_cut_frame_is_an_error() {
    let mut codec = TidewireCodec::without_preface();
    codec.decoder_mut().set_max_frame(2);
    let mut wire = BytesMut::new();
    TidewireCodec::without_preface()
        .encode(ack(), &mut wire)
        .unwrap();
    assert!(matches!(
        codec.decode(&mut wire).unwrap(),
        Some(Item::Violation(_))
    ));
    assert_eq!(codec.decode(&mut wire).unwrap(), None);
    assert!(wire.is_empty(), "nothing is kept that nobody reads");
    let mut cut = BytesMut::from(&ack().to_bytes().unwrap()[..12]);
    let error = TidewireCodec::without_preface()
        .decode_eof(&mut cut)
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn serde_keeps_frames() {
    let frame = Frame::from(proto::Ping {
        data: Bytes::from_static(b"abc"),
        requires: vec![1],
    });
    let text = serde_json::to_string(&frame).unwrap();
    assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
    let raw = frame.to_raw(Flags::GREASE, 7);
    let text = serde_json::to_string(&raw).unwrap();
    assert_eq!(serde_json::from_str::<RawFrame>(&text).unwrap(), raw);
    assert_eq!(serde_json::to_string(&FrameType::PING).unwrap(), "4");
    assert_eq!(
        serde_json::from_str::<proto::Ack>("{}").unwrap(),
        proto::Ack::default(),
        "absent is default"
    );
}
