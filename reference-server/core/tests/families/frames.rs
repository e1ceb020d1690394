//! Frames as tests want them, and what tests look for in frames.

#![allow(unreachable_pub, reason = "a test has no outside")]

use bytes::Bytes;
use tidewire_codec::{Frame, proto};

/// Every feature of the registry.
pub const FEATURES: [u32; 4] = [1, 2, 3, 4];

pub fn digest(token: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(token.as_bytes()).into()
}

pub fn login(user: &str, device: u8) -> proto::Login {
    proto::Login {
        version_min: 1,
        version_max: 1,
        features: FEATURES.to_vec(),
        token: Bytes::copy_from_slice(user.as_bytes()),
        device_id: vec![device; 16].into(),
        event_limit: 1_000_000,
        agent: "test".into(),
        ..proto::Login::default()
    }
}

/// 16 bytes of a number.
pub fn key(n: u64) -> Bytes {
    let mut key = [0u8; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key.to_vec().into()
}

/// A key that nobody used before.
pub fn new_key() -> Bytes {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
    key(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A message that asks for both receipts.
pub fn message(to: &str, text: &str) -> proto::Send {
    proto::Send {
        target: Some(proto::send::Target::ToUser(to.into())),
        idem: new_key(),
        delivery: proto::Delivery::Store.into(),
        receipts: Some(proto::Receipts {
            delivered: true,
            read: true,
        }),
        content: Bytes::copy_from_slice(text.as_bytes()),
        ..proto::Send::default()
    }
}

pub fn group_message(group: u64, text: &str) -> proto::Send {
    proto::Send {
        target: Some(proto::send::Target::ToGroup(group)),
        ..message("", text)
    }
}

pub fn op(group: u64, op: proto::group_op::Op) -> proto::GroupOp {
    proto::GroupOp {
        group,
        idem: new_key(),
        op: Some(op),
        ..proto::GroupOp::default()
    }
}

pub fn member(user: &str, permissions: Option<u32>) -> proto::GroupMember {
    proto::GroupMember {
        user: user.into(),
        permissions,
    }
}

pub fn create(name: &str, members: &[&str]) -> proto::GroupOp {
    let members = members.iter().map(|user| member(user, None)).collect();
    op(
        0,
        proto::group_op::Op::Create(proto::GroupCreate {
            name: name.into(),
            members,
            ..Default::default()
        }),
    )
}

pub fn mark(user: &str, msg_id: u64, scope: proto::MarkScope) -> proto::Mark {
    let conversation = Some(proto::mark::Conversation::User(user.into()));
    proto::Mark {
        conversation,
        msg_id,
        scope: scope.into(),
        ..proto::Mark::default()
    }
}

pub fn messages(frames: &[Frame]) -> Vec<proto::Message> {
    let message = |frame: &Frame| match frame {
        Frame::Message(message) => Some(message.clone()),
        _ => None,
    };
    frames.iter().filter_map(message).collect()
}

pub fn statuses(frames: &[Frame]) -> Vec<(u64, proto::MessageState, String)> {
    let status = |frame: &Frame| match frame {
        Frame::Status(status) => Some((status.msg_id, status.state(), status.by.clone())),
        _ => None,
    };
    frames.iter().filter_map(status).collect()
}

pub fn text(message: &proto::Message) -> String {
    String::from_utf8(message.content.to_vec()).unwrap()
}
