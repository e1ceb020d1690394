//! Idempotency: what a SEND or a GROUP_OP is compared by.

use prost::Message;
use tidewire_codec::proto;
use tidewire_codec::view::{SendView, TargetView};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::bin::Put;

//= spec/30-send.md#idempotency
//# [SND-029] Fields that only reach the server as unknown fields MUST NOT take part in the comparison.
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
    //= spec/30-send.md#idempotency
    //# [SND-032] ttl_ms and requires MUST NOT take part in the comparison, and the time to live of the first try
    //# stands.
    // Not ttl_ms: a repeat names what is left of it.
    for field in [send.reply_to, send.thread, send.replaces] {
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

#[cfg(test)]
mod tests {
    use tidewire_codec::proto::{self, Receipts};
    use tidewire_codec::view::{SendView, TargetView};

    use super::{op_digest, send_digest};

    fn send() -> SendView<'static> {
        SendView {
            target: Some(TargetView::User("bob")),
            delivery_number: 1,
            content: b"hi",
            ..SendView::default()
        }
    }

    #[test]
    fn every_field_that_says_what_is_sent_counts() {
        let others = [
            SendView {
                target: Some(TargetView::User("bo")),
                ..send()
            },
            SendView {
                target: Some(TargetView::Group(1)),
                ..send()
            },
            SendView {
                delivery_number: 2,
                ..send()
            },
            SendView {
                app_type: 1,
                ..send()
            },
            SendView {
                content_type: "b",
                ..send()
            },
            SendView {
                receipts: Some(Receipts {
                    delivered: false,
                    read: false,
                }),
                ..send()
            },
            SendView {
                receipts: Some(Receipts {
                    delivered: true,
                    read: false,
                }),
                ..send()
            },
            SendView {
                reply_to: Some(1),
                ..send()
            },
            SendView {
                thread: Some(1),
                ..send()
            },
            SendView {
                replaces: Some(1),
                ..send()
            },
            SendView {
                priority: 1,
                ..send()
            },
            SendView {
                content: b"h",
                ..send()
            },
            SendView {
                content: b"",
                ..send()
            },
            send(),
        ];
        let digests: std::collections::BTreeSet<u128> = others.iter().map(send_digest).collect();
        assert_eq!(digests.len(), others.len());
        // The key itself is no part of what is compared, and what is left of the time to live is less each time.
        let repeat = SendView {
            idem: b"x",
            ttl_ms: Some(1),
            ..send()
        };
        assert_eq!(send_digest(&repeat), send_digest(&send()));
    }

    #[test]
    fn requires_does_not_count() {
        let op = proto::GroupOp {
            group: 1,
            ..Default::default()
        };
        assert_eq!(
            op_digest(&proto::GroupOp {
                requires: vec![3],
                ..op.clone()
            }),
            op_digest(&op)
        );
        assert_ne!(
            op_digest(&proto::GroupOp {
                if_rev: Some(0),
                ..op.clone()
            }),
            op_digest(&op)
        );
    }
}
