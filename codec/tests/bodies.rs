//! Bodies as data: what decodes, what does not, and how each refusal reads.

#![allow(clippy::unwrap_used, reason = "test input is known to be right")]

use bytes::Bytes;
use tidewire_codec::{
    Code, DecodeErrorKind, Fault, Feature, Flags, Frame, FrameType, PeerError, RawFrame, Violation,
    limits, proto,
};

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The body, or the text of the error.
#[track_caller]
fn check(frame_type: FrameType, body: &str, expected: Result<Frame, &str>) {
    let decoded = Frame::decode(frame_type, &Bytes::from(unhex(body)));
    assert_eq!(
        decoded.map_err(|error| error.to_string()),
        expected.map_err(str::to_owned)
    );
}

#[track_caller]
fn refused(frame_type: FrameType, body: &str, error: &str) {
    check(frame_type, body, Err(error));
}

//= spec/01-framing.md#header
//= type=test
//# [FRM-015] A body of length 0 MUST be taken as a message with every field absent.
#[test]
fn every_type_takes_an_empty_body() {
    for frame_type in FrameType::ALL {
        let frame = Frame::decode(*frame_type, &Bytes::new()).unwrap();
        assert_eq!(frame.frame_type(), *frame_type);
        assert_eq!(frame.encode_body(), Bytes::new(), "every field is absent");
    }
}

#[test]
fn fields_in_any_order_and_the_last_one_counts() {
    let ack = |pos| Ok(Frame::from(proto::Ack { pos }));
    check(FrameType::ACK, "08 07", ack(7));
    check(FrameType::ACK, "08 07 08 09", ack(9));
    check(FrameType::ACK, "08 80 00", ack(0));
    check(FrameType::ACK, "08 FFFFFFFFFFFFFFFFFF01", ack(u64::MAX));
    let content = proto::Content {
        pos: 1,
        offset: 2,
        content_len: 0,
        content: Bytes::from_static(b"hi"),
    };
    check(
        FrameType::CONTENT,
        "A20602 6869 10 02 08 01",
        Ok(content.into()),
    );
}

//= spec/01-framing.md#bodies
//= type=test
//# [FRM-030] A receiver MUST ignore unknown fields of a body.
#[test]
fn unknown_fields_are_skipped() {
    let ack = || Ok(Frame::from(proto::Ack { pos: 7 }));
    check(FrameType::ACK, "10 01 08 07", ack());
    check(FrameType::ACK, "08 07 1A 03 FFFFFF", ack());
    check(
        FrameType::ACK,
        "08 07 25 01020304 29 0102030405060708",
        ack(),
    );
    check(FrameType::ACK, "08 07 F8FFFFFF0F 01", ack());
}

//= spec/01-framing.md#bodies
//= type=test
//# [FRM-037] A decoder MUST give each field of a body the value that its bytes hold, over the whole range of its type.
#[test]
fn values_of_every_size() {
    let ack = |pos| Ok(Frame::from(proto::Ack { pos }));
    check(FrameType::ACK, "08 FF01", ack(255));
    check(FrameType::ACK, "08 8180808080808010", ack((1 << 53) + 1));
    check(FrameType::ACK, "08 FFFFFFFFFFFFFFFFFF01", ack(u64::MAX));
}

//= spec/01-framing.md#bodies
//= type=test
//# [FRM-032] A receiver MUST treat an unknown enum value as the UNSPECIFIED value of that enum.
#[test]
fn unknown_enum_values_are_unspecified() {
    let body = Bytes::from(unhex("30 63"));
    let Ok(Frame::GroupEvent(event)) = Frame::decode(FrameType::GROUP_EVENT, &body) else {
        unreachable!()
    };
    assert_eq!(event.change(), proto::GroupChange::Unspecified);
}

//= spec/01-framing.md#bodies
//= type=test
//# [FRM-035] A decoder MUST refuse a body with a truncated field, a varint of more than 10 bytes or 64 bits, a wire
//# type other than 0, 1, 2 and 5, a known field in a wire type that is not its own, or a string that is not UTF-8.
#[test]
fn malformed_bodies() {
    refused(
        FrameType::ACK,
        "08",
        "field cut off at byte 0 in pos of ACK",
    );
    refused(FrameType::ACK, "88", "field cut off at byte 0 in ACK");
    refused(
        FrameType::ACK,
        "08 01 08 80",
        "field cut off at byte 2 in pos of ACK",
    );
    refused(
        FrameType::PONG,
        "0A 02 00",
        "field cut off at byte 0 in data of PONG",
    );
    refused(
        FrameType::PONG,
        "0A FFFFFFFFFFFFFFFFFF01",
        "field cut off at byte 0 in data of PONG",
    );
    refused(
        FrameType::ACK,
        "08 FFFFFFFFFFFFFFFFFF02",
        "varint too long at byte 0 in pos of ACK",
    );
    refused(
        FrameType::ACK,
        "08 8080808080808080808000",
        "varint too long at byte 0 in pos of ACK",
    );
    refused(
        FrameType::ACK,
        "00 01",
        "invalid field number at byte 0 in ACK",
    );
    refused(
        FrameType::ACK,
        "8080808010 01",
        "invalid field number at byte 0 in ACK",
    );
    refused(
        FrameType::ACK,
        "0A 01 00",
        "invalid wire type 2 at byte 0 in pos of ACK",
    );
    refused(
        FrameType::ACK,
        "0D 01000000",
        "invalid wire type 5 at byte 0 in pos of ACK",
    );
    refused(
        FrameType::ACK,
        "13 14",
        "invalid wire type 3 at byte 0 in ACK",
    );
    refused(
        FrameType::ACK,
        "08 01 14",
        "invalid wire type 4 at byte 2 in ACK",
    );
    refused(FrameType::ACK, "16", "invalid wire type 6 at byte 0 in ACK");
    refused(
        FrameType::NOTICE,
        "12 01 FF",
        "string is not utf-8 at byte 0 in text of NOTICE",
    );
    refused(
        FrameType::LOGIN,
        "08 01 32 02 10 80",
        "field cut off at byte 4 in resume.pos of LOGIN",
    );
    refused(
        FrameType::GROUP_OP,
        "22 04 22 02 0A 01",
        "field cut off at byte 4 in create.members.user of GROUP_OP",
    );
    refused(
        FrameType::PING,
        "7A 02 01 80",
        "field cut off at byte 0 in requires of PING",
    );
    refused(
        FrameType(0x0A0A),
        "",
        "unknown frame type in FrameType(0x0a0a)",
    );
}

/// A body with `count` items in the repeated field of bytes whose key is given, each item empty.
fn items(key: u8, count: usize) -> Vec<u8> {
    [key, 0].repeat(count)
}

#[track_caller]
fn check_items(frame_type: FrameType, body: Vec<u8>, expected: Option<(&str, usize, usize)>) {
    let decoded = Frame::decode(frame_type, &Bytes::from(body));
    match (decoded, expected) {
        (Ok(_), None) => {}
        (Err(error), Some((field, limit, actual))) => {
            assert_eq!(
                error.kind(),
                DecodeErrorKind::TooManyItems { limit, actual }
            );
            assert_eq!((error.limit(), error.actual()), (Some(limit), Some(actual)));
            assert_eq!(error.field().to_string(), field);
        }
        (decoded, expected) => assert_eq!((decoded.is_ok(), expected), (true, None)),
    }
}

//= spec/01-framing.md#bodies
//= type=test
//# [FRM-034] A decoder MUST refuse a body in which a repeated field has more items than its bound, before it allocates
//# room for them.
#[test]
fn items_at_their_bounds() {
    let (max, few) = (limits::MAX_ITEMS, limits::MAX_FEATURES);
    check_items(FrameType::DEVICE_LIST, items(0x0A, max), None);
    check_items(
        FrameType::DEVICE_LIST,
        items(0x0A, max + 1),
        Some(("devices", max, max + 1)),
    );
    check_items(
        FrameType::DEVICE_LIST,
        items(0x0A, 500_000),
        Some(("devices", max, 500_000)),
    );
    check_items(FrameType::PING, [0x78, 1].repeat(few), None);
    check_items(
        FrameType::PING,
        [0x78, 1].repeat(few + 1),
        Some(("requires", few, few + 1)),
    );
    let packed = |count: u8| [&[0x7A, count][..], &vec![1; count.into()]].concat();
    check_items(FrameType::PING, packed(64), None);
    check_items(FrameType::PING, packed(65), Some(("requires", few, 65)));
    check_items(
        FrameType::PING,
        [packed(60), packed(60), vec![0x78, 1]].concat(),
        Some(("requires", few, 121)),
    );
    check_items(
        FrameType::LOGIN,
        [0x18, 1].repeat(65),
        Some(("features", few, 65)),
    );
}

#[test]
fn items_of_merged_messages_count_together() {
    let nested = |key: u8, count: u8| [vec![key, 2 * count], items(0x0A, count.into())].concat();
    // Twenty times sixty members in one `add`, which decoders merge.
    check_items(
        FrameType::GROUP_OP,
        nested(0x3A, 60).repeat(20),
        Some(("add.members", 1000, 1200)),
    );
    check_items(FrameType::GROUP_OP, nested(0x3A, 50).repeat(20), None);
    // Groups of a page are items of their own: each may have as many members.
    let group = |count: u8| {
        let members: Vec<u8> = [0x42, 0].repeat(count.into());
        [vec![0x0A, 2 * count], members].concat()
    };
    check_items(FrameType::GROUP_PAGE, group(60).repeat(900), None);
}

#[test]
fn malformed_wins_over_too_many() {
    let body = [items(0x0A, 2000), vec![0x0A]].concat();
    let error = Frame::decode(FrameType::DEVICE_LIST, &Bytes::from(body)).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Truncated);
    assert_eq!(error.offset(), 4000);
}

#[test]
fn trailing_bytes_and_prefixes_never_panic() {
    let frame = Frame::from(proto::Send {
        target: Some(proto::send::Target::ToUser("bob".into())),
        idem: Bytes::from_static(&[7; 16]),
        delivery: proto::Delivery::Store.into(),
        requires: vec![1, 300],
        receipts: Some(proto::Receipts {
            delivered: true,
            read: false,
        }),
        content: Bytes::from_static(b"content"),
        ..proto::Send::default()
    });
    let body = frame.encode_body();
    for cut in 0..body.len() {
        // A prefix is a shorter body or none; which of the two, the fuzz targets compare with prost.
        let _ = Frame::decode(FrameType::SEND, &body.slice(..cut));
    }
    for trailing in 0..=u8::MAX {
        let longer = [&body[..], &[trailing]].concat();
        assert!(
            Frame::decode(FrameType::SEND, &Bytes::from(longer)).is_err(),
            "a byte is no field"
        );
    }
}

#[track_caller]
fn check_blame(raw: (FrameType, u32, Flags), body: &str, code: Code, reply: &str) {
    let (frame_type, reference, flags) = raw;
    let frame = RawFrame {
        flags,
        frame_type,
        reference,
        body: Bytes::from(unhex(body)),
    };
    let fault = Fault::of_body(&frame, frame.decode().unwrap_err());
    assert_eq!(fault.code(), code);
    assert_eq!(code.class().ends_connection(), reply == "GOAWAY");
    match fault {
        Fault::Request(error) => {
            assert_eq!(reply, "ERROR");
            assert_eq!(error.to_error().code, u32::from(code.0));
        }
        Fault::Connection(violation) => {
            assert_eq!(reply, "GOAWAY");
            assert_eq!(violation.to_goaway().code, u32::from(code.0));
        }
    }
}

//= spec/02-errors-and-limits.md#what-is-answered-how
//= type=test
//# [ERR-020] To a request other than LOGIN whose body does not decode the server MUST answer ERROR MALFORMED_BODY.
//= spec/02-errors-and-limits.md#what-is-answered-how
//= type=test
//# [ERR-021] On an event whose body does not decode or breaks a bound of items the server MUST send GOAWAY
//# MALFORMED_FRAME and close.
#[test]
fn blame() {
    check_blame(
        (FrameType::SYNC, 1, Flags::NONE),
        "08",
        Code::MALFORMED_BODY,
        "ERROR",
    );
    check_blame(
        (FrameType::SYNC, 0, Flags::NONE),
        "08",
        Code::MALFORMED_FRAME,
        "GOAWAY",
    );
    check_blame(
        (FrameType::PONG, 1, Flags::REPLY),
        "08",
        Code::MALFORMED_FRAME,
        "GOAWAY",
    );
    check_blame(
        (FrameType::LOGIN, 1, Flags::NONE),
        "08",
        Code::INVALID_LOGIN,
        "GOAWAY",
    );
    check_blame(
        (FrameType(0x7F01), 1, Flags::NONE),
        "08",
        Code::UNSUPPORTED_FRAME,
        "ERROR",
    );
}

#[test]
fn error_texts() {
    let frame_type = FrameType::SEND;
    let decode =
        Frame::decode(FrameType::DEVICE_LIST, &Bytes::from(items(0x0A, 1001))).unwrap_err();
    let violations = [
        Violation::BadPreface { at: 0, found: b'G' },
        Violation::FrameTooLarge {
            frame_type,
            limit: 65_536,
            actual: 70_000,
        },
        Violation::MalformedFrame(decode),
        Violation::MalformedLogin(decode),
        Violation::UnknownCritical {
            frame_type: FrameType(0x3A7A),
        },
        Violation::WrongDirection { frame_type },
        Violation::UnexpectedReply { frame_type },
        Violation::BeforeLogin { frame_type },
        Violation::SecondLogin,
        Violation::SplitMessage { rest: 3 },
        Violation::TextMessage,
    ];
    let refusals = [
        PeerError::UnsupportedFrame { frame_type },
        PeerError::Body(decode),
        PeerError::FeatureRequired {
            missing: vec![Feature::GROUPS, Feature(9)],
        },
    ];
    let violations = violations.map(|violation| format!("{}: {violation}", violation.code()));
    let refusals = refusals.map(|refusal| {
        format!(
            "{}: {refusal}\n    {:?}",
            refusal.code(),
            refusal.to_error()
        )
    });
    insta::assert_snapshot!(
        "errors",
        [&violations[..], &refusals[..]].concat().join("\n")
    );
}
