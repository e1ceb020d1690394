//! Bodies of the frequent frames, borrowed: strings are `&str` and content is `&[u8]` of the body's own bytes.
//!
//! A view takes and refuses the same bodies as [`Frame::decode`](crate::Frame::decode), with the same error, and holds
//! the same values; tests and a fuzz target compare the two. It reads the body once and allocates nothing.
//!
//! ```
//! use tidewire_codec::view::{MessageView, TargetView};
//!
//! let body = [0x08, 9, 0x10, 8, 0x20, 1, 0x2A, 1, b'a', 0x32, 1, b'b', 0x88, 0x01, 2, 0xA2, 0x06, 2, b'h', b'i'];
//! let message = MessageView::decode(&body)?;
//! assert_eq!((message.pos, message.prev_pos, message.from), (9, 8, "a"));
//! assert_eq!(message.target, Some(TargetView::User("b")));
//! assert_eq!(message.content, b"hi");
//! # Ok::<(), tidewire_codec::DecodeError>(())
//! ```

mod message;
mod send;
mod status;

pub use message::{AckView, MessageView};
pub use send::{Requires, SendView};
pub use status::StatusView;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::proto;
use crate::registry::FrameType;
use crate::shapes::{self, Shape};
use crate::wire::{Cursor, Flaw, len_key, varint_key};

/// The other end of a conversation, or the addressee of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetView<'a> {
    /// A user, by id.
    User(&'a str),
    /// A group, by id.
    Group(u64),
}

/// What a field reader says of a field: `Err` means that the body is refused, and [`refusal`] finds out why.
type Step<T> = Result<T, Flaw>;

/// Reads `body` field by field: `step` gets each key and the cursor behind it.
#[inline(always)]
fn read<'a>(
    frame_type: FrameType,
    body: &'a [u8],
    mut step: impl FnMut(u64, &mut Cursor<'a>) -> Step<()>,
) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(body);
    while !cursor.is_empty() {
        if cursor
            .varint()
            .and_then(|key| step(key, &mut cursor))
            .is_err()
        {
            return Err(refusal(frame_type, body));
        }
    }
    Ok(())
}

/// Reads a field that the view has no arm for: unknown ones are skipped, known ones have the wrong wire type.
///
/// The cursor comes and goes by value: a reference to it would keep it in memory on the frequent path, too.
#[cold]
fn other<'a>(shape: &'static Shape, key: u64, mut cursor: Cursor<'a>) -> Step<Cursor<'a>> {
    let number = u32::try_from(key).map_err(|_| Flaw::FieldNumber)? >> 3;
    let [.., low] = key.to_be_bytes();
    let wire_type = low & 7;
    if number == 0 {
        return Err(Flaw::FieldNumber);
    }
    if shape.field(number).is_some() {
        return Err(Flaw::WireType);
    }
    cursor.skip(wire_type)?;
    Ok(cursor)
}

/// The error of a body that a view refused: that of the scan, which looks closer.
#[cold]
fn refusal(frame_type: FrameType, body: &[u8]) -> DecodeError {
    let verdict = frame_type
        .shape()
        .map_or(Ok(()), |shape| shapes::scan(shape, body));
    let error = verdict
        .err()
        .unwrap_or(DecodeError::new(DecodeErrorKind::Refused));
    error.in_frame(frame_type)
}

/// Merges `bytes`, a Receipts message, into what earlier ones said.
fn merge_receipts(into: &mut Option<proto::Receipts>, bytes: &[u8]) -> Step<()> {
    const DELIVERED: u64 = varint_key(1);
    const READ: u64 = varint_key(2);
    let receipts = into.get_or_insert_default();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        match cursor.varint()? {
            DELIVERED => receipts.delivered = cursor.varint()? != 0,
            READ => receipts.read = cursor.varint()? != 0,
            key => cursor = other(&shapes::table::RECEIPTS, key, cursor)?,
        }
    }
    Ok(())
}

/// The key of content in every frame that carries some: last on the wire.
const CONTENT: u64 = len_key(100);
