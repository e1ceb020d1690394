//! The decoder and the header: every split, every prefix, every flipped bit, lengths at their limits.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test input is known to be right"
)]

use bytes::{Bytes, BytesMut};
use tidewire_codec::{
    Code, DecodeErrorKind, Decoder, Fault, Flags, Frame, FrameType, Header, Item, LocalError,
    MAX_LEN, PREFACE, PeerError, RawFrame, Violation, limits, proto,
};

fn ack() -> RawFrame {
    Frame::from(proto::Ack { pos: 300 }).to_event()
}

fn wire(frames: &[RawFrame]) -> Vec<u8> {
    let mut dst = BytesMut::new();
    frames
        .iter()
        .for_each(|frame| frame.encode_into(&mut dst).unwrap());
    dst.to_vec()
}

fn poll_all(decoder: &mut Decoder, src: &mut BytesMut) -> Vec<Item> {
    std::iter::from_fn(|| decoder.poll(src)).collect()
}

//= spec/01-framing.md#header
//= type=test
//# [FRM-010] A decoder MUST read len, type and ref as unsigned big-endian numbers of 24, 16 and 32 bits.
#[test]
fn header_is_big_endian() {
    let header = Header {
        len: 0x0001_0203,
        flags: Flags(0x84),
        frame_type: FrameType(0x0506),
        reference: 0x0708_090A,
    };
    let bytes = [1, 2, 3, 0x84, 5, 6, 7, 8, 9, 10];
    assert_eq!(header.encode(), bytes);
    assert_eq!(Header::decode(bytes), header);
    assert_eq!(Header::decode([0xFF; 10]).len, MAX_LEN);
}

//= spec/01-framing.md#header
//= type=test
//# [FRM-011] A decoder MUST yield the same frames however the byte stream is split.
//= spec/01-framing.md#header
//= type=test
//# [FRM-012] A decoder MUST treat an incomplete frame as not yet there and not as an error.
#[test]
fn every_split_yields_the_same() {
    let frames = [ack(), Frame::from(proto::Ok {}).to_reply(9), ack()];
    let mut stream = PREFACE.to_vec();
    stream.extend(wire(&frames));
    let mut expected = vec![Item::Preface];
    expected.extend(frames.map(Item::Frame));
    for cut in 0..=stream.len() {
        let mut decoder = Decoder::new(true);
        let mut src = BytesMut::from(&stream[..cut]);
        let mut items = poll_all(&mut decoder, &mut src);
        assert_eq!(
            items,
            expected[..items.len()],
            "only whole items come before byte {cut}"
        );
        assert!(decoder.missing(&src) > 0, "what is not yielded lacks bytes");
        src.extend_from_slice(&stream[cut..]);
        items.extend(poll_all(&mut decoder, &mut src));
        assert_eq!(items, expected);
        assert!(src.is_empty());
    }
}

//= spec/01-framing.md#header
//= type=test
//# [FRM-013] A receiver MUST ignore flag bits that are undefined or that mean nothing for the frame.
#[test]
fn every_header_bit_may_flip() {
    let stream = wire(&[ack()]);
    for bit in 0..8 * limits::HEADER_LEN {
        let mut flipped = stream.clone();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        let header = Header::decode(flipped[..10].try_into().unwrap());
        let mut decoder = Decoder::new(false);
        let item = decoder.poll(&mut BytesMut::from(&flipped[..]));
        match item {
            Some(Item::Frame(frame)) => {
                assert!(header.len <= 3);
                assert_eq!(
                    (frame.flags, frame.frame_type),
                    (header.flags, header.frame_type)
                );
                if (24..32).contains(&bit) {
                    assert_eq!(
                        frame.decode(),
                        Ok(Frame::from(proto::Ack { pos: 300 })),
                        "flags change no body"
                    );
                }
            }
            Some(Item::Violation(violation)) => {
                assert_eq!(violation.code(), Code::FRAME_TOO_LARGE);
                assert!(header.len > limits::MAX_FRAME_BEFORE_LOGIN);
            }
            Some(Item::Preface) => unreachable!("none is expected"),
            None => assert!(header.len > 3 && header.len <= limits::MAX_FRAME_BEFORE_LOGIN),
        }
    }
}

#[test]
fn preface_is_refused_at_the_first_wrong_byte() {
    for at in 0..PREFACE.len() {
        for wrong in [PREFACE[at] ^ 1, PREFACE[at] ^ 0x80] {
            let mut bytes = PREFACE[..at].to_vec();
            bytes.push(wrong);
            let mut decoder = Decoder::new(true);
            let mut src = BytesMut::from(&bytes[..at]);
            assert_eq!(decoder.poll(&mut src), None);
            src.extend_from_slice(&bytes[at..]);
            let violation = Violation::BadPreface { at, found: wrong };
            assert_eq!(decoder.poll(&mut src), Some(Item::Violation(violation)));
            assert_eq!(violation.code(), Code::BAD_PREFACE);
            src.extend_from_slice(&PREFACE);
            assert_eq!(decoder.poll(&mut src), None, "nothing follows a violation");
            assert!(decoder.is_broken());
        }
    }
}

#[track_caller]
fn check_len(limit: u32, len: u32, taken: bool) {
    let mut decoder = Decoder::new(false);
    decoder.set_max_frame(limit);
    let header = Header {
        len,
        flags: Flags::NONE,
        frame_type: FrameType::PONG,
        reference: 0,
    };
    let mut src = BytesMut::from(&header.encode()[..]);
    let first = decoder.poll(&mut src);
    if !taken {
        let violation = Violation::FrameTooLarge {
            frame_type: FrameType::PONG,
            limit,
            actual: len,
        };
        assert_eq!(
            first,
            Some(Item::Violation(violation)),
            "the header is enough"
        );
        let goaway = violation.to_goaway();
        assert_eq!(
            (goaway.limit, goaway.actual),
            (Some(limit.into()), Some(len.into()))
        );
        return;
    }
    let body = vec![0; usize::try_from(len).unwrap()];
    src.extend_from_slice(&body);
    let Some(Item::Frame(frame)) = first.or_else(|| decoder.poll(&mut src)) else {
        unreachable!("it is whole")
    };
    assert_eq!(frame.body, body);
    assert_eq!(wire(&[frame]).len(), body.len() + limits::HEADER_LEN);
}

#[test]
fn lengths_at_the_limit() {
    check_len(limits::MAX_FRAME_BEFORE_LOGIN, 0, true);
    check_len(0, 0, true);
    check_len(0, 1, false);
    check_len(
        limits::MAX_FRAME_BEFORE_LOGIN,
        limits::MAX_FRAME_BEFORE_LOGIN,
        true,
    );
    check_len(
        limits::MAX_FRAME_BEFORE_LOGIN,
        limits::MAX_FRAME_BEFORE_LOGIN + 1,
        false,
    );
    check_len(limits::MAX_FRAME_HARD, limits::MAX_FRAME_HARD, true);
    check_len(limits::MAX_FRAME_HARD, MAX_LEN, false);
    assert_eq!(
        Decoder::new(false).max_frame(),
        limits::MAX_FRAME_BEFORE_LOGIN
    );
}

//= spec/01-framing.md#header
//= type=test
//# [FRM-016] An encoder MUST write a frame in one piece whose len equals the number of body bytes that follow.
#[test]
fn encoding_fails_before_the_first_byte() {
    let len = usize::try_from(limits::MAX_FRAME_HARD).unwrap() + 1;
    let frame = RawFrame {
        flags: Flags::NONE,
        frame_type: FrameType::CONTENT,
        reference: 1,
        body: Bytes::from(vec![0; len]),
    };
    let mut dst = BytesMut::from(&b"before"[..]);
    let error = frame.encode_into(&mut dst).unwrap_err();
    assert_eq!(
        error,
        LocalError::BodyTooLarge {
            frame_type: FrameType::CONTENT,
            limit: limits::MAX_FRAME_HARD,
            actual: len
        }
    );
    assert_eq!(
        error.to_string(),
        "body length 1048577 exceeds limit 1048576 in CONTENT"
    );
    assert_eq!(error.code(), Code::INTERNAL);
    assert_eq!(&dst[..], b"before");
}

#[test]
fn unknown_types_and_flags_survive() {
    let frame = RawFrame {
        flags: Flags(0xF8),
        frame_type: FrameType(0x3A7A),
        reference: 5,
        body: Bytes::from_static(b"\xFF\xFF"),
    };
    let mut src = BytesMut::from(&wire(std::slice::from_ref(&frame))[..]);
    assert_eq!(
        Decoder::new(false).poll(&mut src),
        Some(Item::Frame(frame.clone()))
    );
    let error = frame.decode().unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::UnknownType);
    let fault = Fault::of_body(&frame, error);
    assert_eq!(fault.code(), Code::UNSUPPORTED_FRAME);
    assert!(matches!(fault, Fault::Request(PeerError::Body(_))));
}

#[test]
fn bodies_share_the_buffer() {
    let mut src = BytesMut::from(&wire(&[ack(), ack()])[..]);
    let base = src.as_ptr();
    let Some(Item::Frame(frame)) = Decoder::new(false).poll(&mut src) else {
        unreachable!("it is whole")
    };
    assert_eq!(
        frame.body.as_ptr(),
        base.wrapping_add(limits::HEADER_LEN),
        "a body is not copied"
    );
}
