//! Decoding and encoding of MESSAGE against prost and against a copy of the same bytes.
//!
//! `cargo bench -p tidewire-codec` prints the numbers of `BENCHMARKS.md`, "Codec". Ratios within one run count, not
//! nanoseconds: they hold on another machine.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot make its input fails"
)]

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prost::Message as _;
use tidewire_codec::view::{MessageView, TargetView};
use tidewire_codec::{Frame, FrameType, MessagePrefix, MessageTail, proto};

/// Bytes of content: a short text, a long one, a small document.
const SIZES: [usize; 3] = [32, 200, 1024];

fn parts(content: &[u8]) -> (MessagePrefix, MessageTail<'_>) {
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
        content,
        ..MessageTail::default()
    };
    (prefix, tail)
}

fn codec(c: &mut Criterion) {
    for size in SIZES {
        let content = vec![b'x'; size];
        let (prefix, tail) = parts(&content);
        let mut body = BytesMut::new();
        prefix.encode(&mut body);
        tail.encode(&mut body);
        let body: Bytes = body.freeze();
        let owned = proto::Message::decode(body.clone()).unwrap();
        assert_eq!(MessageView::decode(&body).unwrap().to_proto(), owned);
        let mut dst = BytesMut::with_capacity(2 * body.len());

        let mut group = c.benchmark_group("message");
        group.throughput(Throughput::Bytes(u64::try_from(body.len()).unwrap()));
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| {
                dst.clear();
                dst.put_slice(black_box(&body));
                dst.len()
            });
        });
        group.bench_function(BenchmarkId::new("decode_prost_owned", size), |b| {
            b.iter(|| proto::Message::decode(black_box(&body).clone()));
        });
        group.bench_function(BenchmarkId::new("decode_frame", size), |b| {
            b.iter(|| Frame::decode(FrameType::MESSAGE, black_box(&body)));
        });
        group.bench_function(BenchmarkId::new("decode_view", size), |b| {
            b.iter(|| {
                MessageView::decode(black_box(&body)).map(|view| black_box(view).content.len())
            });
        });
        group.bench_function(BenchmarkId::new("encode_prost_raw", size), |b| {
            b.iter(|| {
                dst.clear();
                black_box(&owned).encode_raw(&mut dst);
                dst.len()
            });
        });
        group.bench_function(BenchmarkId::new("encode_prefix_and_tail", size), |b| {
            b.iter(|| {
                dst.clear();
                black_box(&prefix).encode(&mut dst);
                black_box(&tail).encode(&mut dst);
                dst.len()
            });
        });
        group.bench_function(BenchmarkId::new("encode_head_only", size), |b| {
            b.iter(|| {
                dst.clear();
                black_box(&prefix).encode_head(black_box(size), &mut dst)
            });
        });
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
