//! Views, the shared tail of MESSAGE and the grease that receivers have to bear.

#![allow(clippy::unwrap_used, reason = "test input is known to be right")]

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use tidewire_codec::grease::{FIRST_GREASE_FIELD, Grease};
use tidewire_codec::view::{AckView, MessageView, SendView, StatusView, TargetView};
use tidewire_codec::{
    Code, Decoder, Feature, Flags, Frame, FrameType, Item, LocalError, MessagePrefix, MessageTail,
    limits, proto,
};

fn tail<'a>(content: &'a [u8]) -> MessageTail<'a> {
    MessageTail {
        msg_id: 300,
        from: "alice",
        target: Some(TargetView::Group(0)),
        app_type: u32::MAX,
        content_type: "text/plain",
        receipts: Some(proto::Receipts {
            delivered: false,
            read: true,
        }),
        reply_to: Some(0),
        thread: None,
        replaces: Some(u64::MAX),
        priority: 2,
        content_omitted: true,
        content_len: 7,
        content,
    }
}

/// What prost writes for the same values, with the fields in another order.
fn owned(prefix: MessagePrefix, tail: MessageTail<'_>) -> proto::Message {
    proto::Message {
        pos: prefix.pos,
        prev_pos: prefix.prev_pos,
        age_ms: prefix.age_ms,
        msg_id: tail.msg_id,
        from: tail.from.into(),
        target: tail.target.map(|target| match target {
            TargetView::User(user) => proto::message::Target::ToUser(user.into()),
            TargetView::Group(group) => proto::message::Target::ToGroup(group),
        }),
        app_type: tail.app_type,
        content_type: tail.content_type.into(),
        ttl_ms: prefix.ttl_ms,
        receipts: tail.receipts,
        reply_to: tail.reply_to,
        thread: tail.thread,
        replaces: tail.replaces,
        priority: tail.priority,
        content_omitted: tail.content_omitted,
        content_len: tail.content_len,
        content: Bytes::copy_from_slice(tail.content),
    }
}

#[track_caller]
fn check(prefix: MessagePrefix, tail: MessageTail<'_>) {
    let shared = tail.to_bytes();
    assert_eq!(shared.len(), tail.encoded_len());
    let mut wire = BytesMut::new();
    prefix.encode_head(shared.len(), &mut wire).unwrap();
    wire.extend_from_slice(&shared);
    let mut decoder = Decoder::new(false);
    let Some(Item::Frame(raw)) = decoder.poll(&mut wire) else {
        unreachable!("head and tail are a frame")
    };
    assert!(wire.is_empty());
    assert_eq!(raw.frame_type, FrameType::MESSAGE);
    assert_eq!(
        raw.flags,
        if prefix.pos == 0 {
            Flags::NONE
        } else {
            Flags::LOGGED
        }
    );
    assert_eq!(raw.body.len(), prefix.encoded_len() + tail.encoded_len());
    let expected = owned(prefix, tail);
    assert_eq!(
        raw.body.len(),
        expected.encoded_len(),
        "no byte more than prost"
    );
    assert_eq!(MessageView::decode(&raw.body).unwrap().to_proto(), expected);
    assert_eq!(raw.decode(), Ok(Frame::from(expected)));
}

#[test]
fn prefix_and_tail_are_a_message() {
    let prefix = MessagePrefix {
        pos: 12,
        prev_pos: 11,
        age_ms: 1 << 40,
        ttl_ms: u64::MAX,
    };
    check(prefix, tail(b"content"));
    check(prefix, tail(b""));
    check(prefix, MessageTail::default());
    check(MessagePrefix::default(), MessageTail::default());
    check(MessagePrefix::default(), tail(&[b'x'; 5000]));
    for receipts in [(false, false), (true, false), (true, true)] {
        let receipts = Some(proto::Receipts {
            delivered: receipts.0,
            read: receipts.1,
        });
        check(
            prefix,
            MessageTail {
                receipts,
                target: Some(TargetView::User("")),
                ..tail(b"x")
            },
        );
    }
    // Every length of a varint, where the length of the length changes too.
    for bits in 0..64 {
        check(
            MessagePrefix {
                pos: 1 << bits,
                ..prefix
            },
            MessageTail {
                msg_id: (1 << bits) - 1,
                ..tail(b"x")
            },
        );
    }
}

#[test]
fn a_head_fails_before_its_first_byte() {
    let limit = limits::MAX_FRAME_HARD;
    let mut dst = BytesMut::new();
    let hard = usize::try_from(limit).unwrap();
    assert_eq!(MessagePrefix::default().encode_head(hard, &mut dst), Ok(()));
    dst.clear();
    let error = MessagePrefix {
        pos: 1,
        ..MessagePrefix::default()
    }
    .encode_head(hard, &mut dst);
    assert_eq!(
        error,
        Err(LocalError::BodyTooLarge {
            frame_type: FrameType::MESSAGE,
            limit,
            actual: hard + 2
        })
    );
    assert!(dst.is_empty());
}

#[test]
fn requires_of_send_in_every_spelling() {
    let body = [
        &[0x78, 1, 0x7A, 3, 0xAC, 0x02, 2][..],
        &[0xA2, 0x06, 1, b'x', 0x78, 3],
    ]
    .concat();
    let send = SendView::decode(&body).unwrap();
    let expected = [1, 300, 2, 3].map(Feature);
    assert_eq!(send.requires.iter().collect::<Vec<_>>(), expected);
    assert_eq!((send.requires.len(), send.requires.is_empty()), (4, false));
    assert_eq!(send.content, b"x");
    let error = SendView::decode(&[0x78, 1].repeat(65)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "item count 65 exceeds limit 64 in requires of SEND"
    );
}

#[test]
fn views_borrow() {
    let body = [0xA2, 0x06, 2, b'h', b'i'];
    let send = SendView::decode(&body).unwrap();
    assert!(std::ptr::eq(
        send.content.as_ptr(),
        body.as_ptr().wrapping_add(3)
    ));
    assert_eq!(send.delivery(), proto::Delivery::Unspecified);
}

#[test]
fn status_gives_numbers_a_meaning() {
    let status = StatusView::decode(&[0x38, 5, 0x48, 0x81, 0xC0, 0x01]).unwrap();
    assert_eq!(status.state(), proto::MessageState::Failed);
    assert_eq!(status.code(), Some(Code::RECIPIENT_OFFLINE));
    let unknown = StatusView::decode(&[0x38, 99, 0x48, 0x80, 0x80, 0x04]).unwrap();
    assert_eq!(unknown.state(), proto::MessageState::Unspecified);
    assert_eq!(unknown.code(), None, "65,536 is no code");
}

#[test]
fn grease_is_grease() {
    for seed in 0..1000 {
        let mut grease = Grease::new(seed);
        assert!(grease.frame_type().is_grease() && grease.frame_type().info().is_none());
        assert!(grease.code().is_grease() && grease.code().name().is_none());
        assert!(grease.feature().is_grease() && grease.feature().name().is_none());
        assert_eq!(grease.flags().difference(Flags::GREASE), Flags::NONE);
        let field = grease.unknown_field();
        assert!(field.len() <= 32);
        let body = [&field[..], &[0x08, 7], &field].concat();
        assert_eq!(
            AckView::decode(&body).map(|ack| ack.pos),
            Ok(7),
            "the field with {field:02x?}"
        );
        let mut key = &field[..];
        let key = prost::encoding::decode_varint(&mut key).unwrap() >> 3;
        assert!(key >= u64::from(FIRST_GREASE_FIELD));
    }
}
