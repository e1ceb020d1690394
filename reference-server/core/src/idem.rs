//! Idempotency: what a SEND or a GROUP_OP is compared by.

use prost::Message;
use tidewire_codec::proto;
use tidewire_codec::view::{SendView, TargetView};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::bin::Put;

//# [SND-029]
/// A digest of the decoded fields of a SEND, in a fixed order and with lengths, so that only their values count.
///
/// It tells a client's mistake from a repeat. Whoever forges a collision has to do it under its own device and key, and
/// harms nobody else.
pub(crate) fn send_digest(send: &SendView<'_>) -> u128 {
    let mut fields = Vec::with_capacity(256);
    match send.target {
        Some(TargetView::User(user)) => {
            fields.push(1);
            fields.put_blob(user.as_bytes());
        }
        Some(TargetView::Group(group)) => {
            fields.push(2);
            fields.put_num(group);
        }
        None => fields.push(0),
    }
    fields.push(send.delivery() as u8);
    fields.put_num(u64::from(send.app_type));
    fields.put_blob(send.content_type.as_bytes());
    let receipts = send
        .receipts
        .map(|receipts| u8::from(receipts.delivered) | u8::from(receipts.read) << 1);
    fields.push(receipts.map_or(0xFF, |bits| bits));
    for field in [send.ttl_ms, send.reply_to, send.thread, send.replaces] {
        fields.push(u8::from(field.is_some()));
        fields.put_num(field.unwrap_or(0));
    }
    fields.put_num(u64::from(send.priority));
    fields.put_num(send.content.len() as u64);
    let head = xxh3_128(&fields);
    // The content is hashed where it lies, under a seed made of the fields.
    xxh3_128_with_seed(send.content, head as u64) ^ (head >> 64)
}

/// A digest of the decoded fields of a GROUP_OP. Encoding it again leaves unknown fields out.
pub(crate) fn op_digest(op: &proto::GroupOp) -> u128 {
    let mut fields = op.clone();
    fields.requires.clear();
    xxh3_128(&fields.encode_to_vec())
}
