//! MESSAGE for many recipients: the tail is encoded once and shared, the prefix is written for each.
//!
//! What differs between the recipients of one message is where it stands in their logs and how long it still lives.
//! Fields may come in any order, so these four go first and everything else, content last, is one run of bytes that
//! every recipient's frame ends with.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use tidewire_codec::view::{MessageView, TargetView};
//! use tidewire_codec::{MessagePrefix, MessageTail};
//!
//! let tail = MessageTail {
//!     msg_id: 7,
//!     from: "ada",
//!     target: Some(TargetView::User("bob")),
//!     content_len: 2,
//!     content: b"hi",
//!     ..MessageTail::default()
//! };
//! let shared: Bytes = tail.to_bytes();
//! let prefix = MessagePrefix { pos: 12, prev_pos: 11, age_ms: 0, ttl_ms: 60_000 };
//! let mut body = BytesMut::new();
//! prefix.encode(&mut body);
//! body.extend_from_slice(&shared);
//! assert_eq!(MessageView::decode(&body)?.content, b"hi");
//! # Ok::<(), tidewire_codec::DecodeError>(())
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::LocalError;
use crate::header::{Flags, Header};
use crate::proto;
use crate::registry::FrameType;
use crate::registry::limits::{HEADER_LEN, MAX_FRAME_HARD};
use crate::view::TargetView;
use crate::wire::{len_key, put_varint, varint_key, varint_len};

/// What of a MESSAGE is the recipient's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessagePrefix {
    /// Position in the recipient's log; 0 for ONLINE_ONLY, which no log holds.
    pub pos: u64,
    /// Position of the entry before that the recipient's device sees.
    pub prev_pos: u64,
    /// Milliseconds since acceptance.
    pub age_ms: u64,
    /// Milliseconds left.
    pub ttl_ms: u64,
}

/// What of a MESSAGE is the same for all recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageTail<'a> {
    /// Rises strictly inside the conversation.
    pub msg_id: u64,
    /// The sender.
    pub from: &'a str,
    /// The addressee.
    pub target: Option<TargetView<'a>>,
    /// Meaning belongs to the app.
    pub app_type: u32,
    /// Media type of the content; empty: unsaid.
    pub content_type: &'a str,
    /// Which statuses the sender wants to learn.
    pub receipts: Option<proto::Receipts>,
    /// The message that this one answers.
    pub reply_to: Option<u64>,
    /// The message that opens the thread.
    pub thread: Option<u64>,
    /// The message that this one replaces.
    pub replaces: Option<u64>,
    /// 0 normal, 1 high, 2 low.
    pub priority: u32,
    /// True: the content was larger than the device receives, and `content` is empty.
    pub content_omitted: bool,
    /// Length of the content in bytes, also where it is omitted.
    pub content_len: u64,
    /// Opaque.
    pub content: &'a [u8],
}

impl MessagePrefix {
    /// The number of bytes that [`encode`](MessagePrefix::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut len = Length(0);
        self.write(&mut len);
        len.0
    }

    /// Appends the prefix. Prefix and tail together are a MESSAGE body.
    pub fn encode(&self, dst: &mut impl BufMut) {
        self.write(&mut Bytewise(dst));
    }

    /// Appends header and prefix of the frame that ends with a tail of `tail_len` bytes. LOGGED is set unless `pos` is 0.
    ///
    /// # Errors
    /// [`LocalError::BodyTooLarge`] if the body is longer than [`MAX_FRAME_HARD`]; then nothing was written.
    pub fn encode_head(&self, tail_len: usize, dst: &mut BytesMut) -> Result<(), LocalError> {
        let frame_type = FrameType::MESSAGE;
        let actual = self.encoded_len().saturating_add(tail_len);
        let len = match u32::try_from(actual) {
            Ok(len) if len <= MAX_FRAME_HARD => len,
            _ => {
                return Err(LocalError::BodyTooLarge {
                    frame_type,
                    limit: MAX_FRAME_HARD,
                    actual,
                });
            }
        };
        let flags = if self.pos == 0 {
            Flags::NONE
        } else {
            Flags::LOGGED
        };
        dst.reserve(HEADER_LEN.saturating_add(self.encoded_len()));
        dst.put_slice(
            &Header {
                len,
                flags,
                frame_type,
                reference: 0,
            }
            .encode(),
        );
        self.encode(dst);
        Ok(())
    }

    fn write(&self, out: &mut impl Sink) {
        out.number(varint_key(1), self.pos);
        out.number(varint_key(2), self.prev_pos);
        out.number(varint_key(3), self.age_ms);
        out.number(varint_key(10), self.ttl_ms);
    }
}

impl MessageTail<'_> {
    /// The number of bytes that [`encode`](MessageTail::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut len = Length(0);
        self.write(&mut len);
        len.0
    }

    /// Appends the tail, content last. Prefix and tail together are a MESSAGE body.
    pub fn encode(&self, dst: &mut impl BufMut) {
        self.write(&mut Bytewise(dst));
    }

    /// The tail as bytes that recipients can share.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut dst = BytesMut::with_capacity(self.encoded_len());
        self.encode(&mut dst);
        dst.freeze()
    }

    fn write(&self, out: &mut impl Sink) {
        out.number(varint_key(4), self.msg_id);
        out.bytes(len_key(5), self.from.as_bytes());
        match self.target {
            // A member of a oneof is there even where it is empty or 0.
            Some(TargetView::User(user)) => out.present_bytes(len_key(6), user.as_bytes()),
            Some(TargetView::Group(group)) => out.present(varint_key(7), group),
            None => {}
        }
        out.number(varint_key(8), u64::from(self.app_type));
        out.bytes(len_key(9), self.content_type.as_bytes());
        if let Some(receipts) = self.receipts {
            // Keys of one byte each: `delivered` is 1, `read` is 2.
            let inner: &[u8] = match (receipts.delivered, receipts.read) {
                (false, false) => &[],
                (true, false) => &[0x08, 1],
                (false, true) => &[0x10, 1],
                (true, true) => &[0x08, 1, 0x10, 1],
            };
            out.present_bytes(len_key(11), inner);
        }
        for (key, id) in [(12, self.reply_to), (13, self.thread), (14, self.replaces)] {
            if let Some(id) = id {
                out.present(varint_key(key), id);
            }
        }
        out.number(varint_key(15), u64::from(self.priority));
        out.number(varint_key(16), u64::from(self.content_omitted));
        out.number(varint_key(17), self.content_len);
        out.bytes(len_key(100), self.content);
    }
}

/// Where fields go: counted or written, by the same code.
trait Sink {
    /// A varint field.
    fn present(&mut self, key: u64, value: u64);

    /// A field with a length.
    fn present_bytes(&mut self, key: u64, value: &[u8]);

    /// A varint field that is left out if it is 0.
    #[inline]
    fn number(&mut self, key: u64, value: u64) {
        if value != 0 {
            self.present(key, value);
        }
    }

    /// A field with a length that is left out if it is empty.
    #[inline]
    fn bytes(&mut self, key: u64, value: &[u8]) {
        if !value.is_empty() {
            self.present_bytes(key, value);
        }
    }
}

/// Counts.
struct Length(usize);

impl Sink for Length {
    #[inline]
    fn present(&mut self, key: u64, value: u64) {
        self.0 = self
            .0
            .saturating_add(varint_len(key))
            .saturating_add(varint_len(value));
    }

    #[inline]
    fn present_bytes(&mut self, key: u64, value: &[u8]) {
        self.present(key, length(value));
        self.0 = self.0.saturating_add(value.len());
    }
}

/// Writes.
struct Bytewise<'a, B>(&'a mut B);

impl<B: BufMut> Sink for Bytewise<'_, B> {
    #[inline]
    fn present(&mut self, key: u64, value: u64) {
        put_varint(self.0, key);
        put_varint(self.0, value);
    }

    #[inline]
    fn present_bytes(&mut self, key: u64, value: &[u8]) {
        self.present(key, length(value));
        self.0.put_slice(value);
    }
}

/// A length as it is written. No slice is longer than 64 bits can say.
#[inline]
fn length(value: &[u8]) -> u64 {
    u64::try_from(value.len()).unwrap_or(u64::MAX)
}
