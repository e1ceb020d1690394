//! One operation on a MESSAGE, repeated, to count its instructions with callgrind where no clock can be trusted:
//!
//! ```text
//! cargo build --profile bench -p tidewire-codec --example instructions
//! valgrind --tool=callgrind target/release/examples/instructions view 200 1000
//! ```
//!
//! The operations are `none` (what the program itself costs), `copy` (of the body's bytes), `prost`, `frame`, `view`,
//! `encode` and `encode-prost`; then the bytes of content and the number of rounds follow.

#![allow(
    clippy::unwrap_used,
    reason = "a tool that cannot make its input stops"
)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use tidewire_codec::view::{MessageView, TargetView};
use tidewire_codec::{Frame, FrameType, MessagePrefix, MessageTail, proto};

fn main() {
    let mut args = std::env::args().skip(1);
    let operation = args.next().unwrap_or_default();
    let mut number = |default| args.next().map_or(default, |arg| arg.parse().unwrap());
    let content = vec![b'x'; number(200)];
    let rounds = number(1000);

    let prefix = MessagePrefix {
        pos: 184_223,
        prev_pos: 184_220,
        age_ms: 12,
        ttl_ms: 2_591_999_988,
    };
    let tail = MessageTail {
        msg_id: 90_017,
        from: "user-alice",
        target: Some(TargetView::User("user-bob")),
        app_type: 1,
        content_type: "text/plain",
        receipts: Some(proto::Receipts {
            delivered: true,
            read: true,
        }),
        content_len: u64::try_from(content.len()).unwrap(),
        content: &content,
        ..MessageTail::default()
    };
    let mut dst = BytesMut::with_capacity(content.len() + 256);
    prefix.encode(&mut dst);
    tail.encode(&mut dst);
    let body = Bytes::copy_from_slice(&dst);
    let owned = proto::Message::decode(body.clone()).unwrap();
    for _ in 0..rounds {
        dst.clear();
        match operation.as_str() {
            "prost" => drop(black_box(proto::Message::decode(black_box(&body).clone()))),
            "frame" => drop(black_box(Frame::decode(
                FrameType::MESSAGE,
                black_box(&body),
            ))),
            "view" => drop(black_box(MessageView::decode(black_box(&body)))),
            "encode" => {
                black_box(&prefix).encode(&mut dst);
                black_box(&tail).encode(&mut dst);
            }
            "copy" => dst.extend_from_slice(black_box(&body)),
            "encode-prost" => black_box(&owned).encode_raw(&mut dst),
            _ => {}
        }
        black_box(&dst);
    }
}
