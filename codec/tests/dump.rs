//! How dumps look, as snapshots.

#![allow(clippy::unwrap_used, reason = "test input is known to be right")]

use bytes::{Bytes, BytesMut};
use tidewire_codec::dump::Dump;
use tidewire_codec::grease::Grease;
use tidewire_codec::{
    Code, Flags, Frame, FrameType, GroupFlags, PREFACE, Permissions, RawFrame, proto,
};

fn stream(frames: &[RawFrame]) -> Vec<u8> {
    let mut dst = BytesMut::from(&PREFACE[..]);
    frames
        .iter()
        .for_each(|frame| frame.encode_into(&mut dst).unwrap());
    dst.to_vec()
}

#[test]
fn a_login() {
    let login = Frame::from(proto::Login {
        version_min: 1,
        version_max: 1,
        features: vec![1, 3, 0x0A0A_0A0A],
        token: Bytes::from_static(b"t-alice"),
        device_id: Bytes::from_static(&[0xD1; 16]),
        resume: Some(proto::Resume {
            epoch: 3,
            pos: 184_223,
        }),
        limits: Some(proto::Limits {
            max_frame: Some(65_536),
            max_inflight: None,
        }),
        keepalive_ms: Some(60_000),
        event_limit: 1000,
        agent: "example 1.0".into(),
        requires: vec![],
    });
    insta::assert_snapshot!(
        "login",
        Dump::stream(&stream(&[login.to_raw(Flags::GREASE, 1)]))
    );
}

#[test]
fn events() {
    let message = Frame::from(proto::Message {
        pos: 9,
        prev_pos: 8,
        msg_id: 1,
        from: "alice".into(),
        target: Some(proto::message::Target::ToGroup(77)),
        receipts: Some(proto::Receipts {
            delivered: true,
            read: true,
        }),
        content_len: 300,
        content: Bytes::from(vec![b'x'; 300]),
        ..proto::Message::default()
    });
    let status = Frame::from(proto::Status {
        pos: 10,
        state: proto::MessageState::Failed.into(),
        code: u32::from(Code::RECIPIENT_DELETED.0),
        by:
            "a name with a \u{1F30A} and a quote \" that is so long that it has to be cut somewhere"
                .into(),
        ..proto::Status::default()
    });
    insta::assert_snapshot!(
        "events",
        Dump::stream(&stream(&[message.to_event(), status.to_event()]))
    );
}

#[test]
fn a_group() {
    let member = |user: &str, permissions| proto::GroupMember {
        user: user.into(),
        permissions,
    };
    let info = Frame::from(proto::GroupInfo {
        group: 7,
        rev: 2,
        name: "team".into(),
        flags: GroupFlags::PAUSED.0,
        default_permissions: Permissions::DEFAULT.0,
        my_permissions: Permissions::OWNER.0 | 1 << 30,
        member_count: 2,
        members: vec![
            member("alice", Some(Permissions::OWNER.0)),
            member("bob", None),
        ],
        info: Bytes::from_static(&[0, 1, 2]),
        duplicate: true,
    });
    insta::assert_snapshot!("group", Dump::frame(&info.to_reply(3)));
}

#[test]
fn what_is_wrong_or_unknown() {
    let event = Frame::from(proto::GroupEvent {
        change: 99,
        ..proto::GroupEvent::default()
    });
    let mut greased = event.encode_body().to_vec();
    (0..4).for_each(|seed| greased.extend(Grease::new(seed).unknown_field()));
    let bodies = [
        Dump::body(FrameType::GROUP_EVENT, &greased).to_string(),
        Dump::body(FrameType::ACK, &[0x08, 7, 0x08, 0x80]).to_string(),
        Dump::body(FrameType::LOGIN, &[0x32, 2, 0x12, 0x01]).to_string(),
        Dump::body(FrameType(0x3A7A), &[0x08, 7]).to_string(),
        Dump::body(FrameType(0x3A7A), b"no fields at all").to_string(),
        Dump::stream(&[0, 0, 9, 1, 2, 1, 0, 0, 0, 1, 0x0A]).to_string(),
        Dump::stream(&[0, 0, 9, 1]).to_string(),
        Dump::stream(&[]).to_string(),
    ];
    insta::assert_snapshot!("wrong", bodies.join("--\n"));
}
