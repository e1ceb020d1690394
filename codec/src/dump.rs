//! An annotated hex dump: one line a field, with its place, its bytes and what they mean.
//!
//! For tools and for the reports of tests. A dump shows tokens and contents, so it has no place in a server's log.
//!
//! ```
//! use tidewire_codec::dump::Dump;
//!
//! let frame = [0, 0, 2, 0, 0x02, 0x04, 0, 0, 0, 0, 0x08, 7];
//! assert_eq!(
//!     Dump::stream(&frame).to_string(),
//!     "\
//! 0000  00 00 02                 len = 2
//! 0003  00                       flags = 0
//! 0004  02 04                    type = ACK
//! 0006  00 00 00 00              ref = 0
//! 000a  08 07                      pos = 7
//! "
//! );
//! ```

mod value;

use core::fmt;

use crate::error::DecodeErrorKind;
use crate::header::{Header, PREFACE};
use crate::raw::RawFrame;
use crate::registry::FrameType;
use crate::registry::limits::{HEADER_LEN, MAX_NESTING, PREFACE_LEN};
use crate::shapes::{Field, Shape, scan};
use crate::wire::{Cursor, Key};
use value::Value;

pub use value::Line;

/// Bytes that print as an annotated dump. What does not decode is said in a line of its own, and never panics.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a>(What<'a>);

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Stream(&'a [u8]),
    Frame(&'a RawFrame),
    Body(FrameType, &'a [u8]),
}

impl<'a> Dump<'a> {
    /// Frames as they stand on the wire, after a preface or not.
    #[must_use]
    pub const fn stream(bytes: &'a [u8]) -> Dump<'a> {
        Dump(What::Stream(bytes))
    }

    /// A frame, its header written out again.
    #[must_use]
    pub const fn frame(frame: &'a RawFrame) -> Dump<'a> {
        Dump(What::Frame(frame))
    }

    /// A body alone.
    #[must_use]
    pub const fn body(frame_type: FrameType, body: &'a [u8]) -> Dump<'a> {
        Dump(What::Body(frame_type, body))
    }
}

impl Dump<'_> {
    /// Calls `each` with every line, in the order of the bytes: for who shows a dump otherwise than as text.
    pub fn lines(&self, mut each: impl FnMut(Line<'_>)) {
        // Nothing in it fails but the callback, and this one does not.
        let _ = self.walk(&mut |line| {
            each(line);
            Ok(())
        });
    }

    fn walk(&self, sink: Sink<'_>) -> fmt::Result {
        match self.0 {
            What::Stream(bytes) => stream(sink, bytes),
            What::Body(frame_type, bytes) => body(sink, frame_type, bytes, 0),
            What::Frame(frame) => {
                // A body too long for the header is shown all the same, with the length cut as the wire would cut it.
                let len = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
                let RawFrame {
                    flags,
                    frame_type,
                    reference,
                    ..
                } = *frame;
                header(
                    sink,
                    Header {
                        len,
                        flags,
                        frame_type,
                        reference,
                    },
                    0,
                )?;
                body(sink, frame_type, &frame.body, HEADER_LEN)
            }
        }
    }
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.walk(&mut |line| writeln!(f, "{line}"))
    }
}

/// Takes the lines.
type Sink<'s> = &'s mut dyn FnMut(Line<'_>) -> fmt::Result;

fn stream(sink: Sink<'_>, bytes: &[u8]) -> fmt::Result {
    let mut rest = bytes;
    let mut offset = 0usize;
    if let Some(behind) = rest.strip_prefix(&PREFACE) {
        line(sink, 0, &PREFACE, 0, format_args!("preface"))?;
        rest = behind;
        offset = PREFACE_LEN;
    }
    while let Some((head, behind)) = rest.split_first_chunk::<HEADER_LEN>() {
        let read = Header::decode(*head);
        header(sink, read, offset)?;
        offset = offset.saturating_add(HEADER_LEN);
        let len = usize::try_from(read.len).unwrap_or(usize::MAX);
        let Some((whole, next)) = behind.split_at_checked(len) else {
            let missing = len.saturating_sub(behind.len());
            return line(
                sink,
                offset,
                behind,
                0,
                format_args!("incomplete body: {missing} of {len} bytes are missing"),
            );
        };
        body(sink, read.frame_type, whole, offset)?;
        offset = offset.saturating_add(len);
        rest = next;
    }
    if !rest.is_empty() {
        line(sink, offset, rest, 0, format_args!("incomplete header"))?;
    }
    Ok(())
}

fn header(sink: Sink<'_>, header: Header, offset: usize) -> fmt::Result {
    let [l0, l1, l2, flags, t0, t1, reference @ ..] = header.encode();
    let place = |relative: usize| offset.saturating_add(relative);
    line(
        sink,
        offset,
        &[l0, l1, l2],
        0,
        format_args!("len = {}", header.len),
    )?;
    line(
        sink,
        place(3),
        &[flags],
        0,
        format_args!("flags = {}", header.flags),
    )?;
    line(
        sink,
        place(4),
        &[t0, t1],
        0,
        format_args!("type = {}", header.frame_type),
    )?;
    line(
        sink,
        place(6),
        &reference,
        0,
        format_args!("ref = {}", header.reference),
    )
}

fn body(sink: Sink<'_>, frame_type: FrameType, bytes: &[u8], offset: usize) -> fmt::Result {
    /// Of an unknown frame nothing is known but that its fields have numbers.
    static UNKNOWN: Shape = Shape {
        name: "",
        fields: &[],
    };
    match frame_type.shape() {
        Some(shape) => message(sink, shape, bytes, offset, 1),
        None if scan(&UNKNOWN, bytes).is_ok() => message(sink, &UNKNOWN, bytes, offset, 1),
        // Nor need its body be fields at all.
        None => line(
            sink,
            offset,
            bytes,
            1,
            format_args!("body = {}", Value::Bytes(bytes)),
        ),
    }
}

fn message(sink: Sink<'_>, shape: &Shape, bytes: &[u8], base: usize, depth: usize) -> fmt::Result {
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let start = bytes.len().saturating_sub(cursor.left());
        let offset = base.saturating_add(start);
        let rest = bytes.get(start..).unwrap_or_default();
        let read = match field(shape, &mut cursor) {
            Ok(read) => read,
            Err(error) => return line(sink, offset, rest, depth, format_args!("error: {error}")),
        };
        let used = rest.len().saturating_sub(cursor.left());
        match (read.field, read.value) {
            (Some(known), Value::Message(inner, content)) if depth < MAX_NESTING => {
                let head = used.saturating_sub(content.len());
                let key = rest.get(..head).unwrap_or_default();
                line(
                    sink,
                    offset,
                    key,
                    depth,
                    format_args!("{} = {}, {} bytes", known.name, inner.name, content.len()),
                )?;
                message(
                    sink,
                    inner,
                    content,
                    offset.saturating_add(head),
                    depth.saturating_add(1),
                )?;
            }
            (Some(known), value) => {
                line(
                    sink,
                    offset,
                    rest.get(..used).unwrap_or_default(),
                    depth,
                    format_args!("{} = {value}", known.name),
                )?;
            }
            (None, value) => {
                let number = read.key.number;
                let used = rest.get(..used).unwrap_or_default();
                line(
                    sink,
                    offset,
                    used,
                    depth,
                    format_args!("field {number}, unknown = {value}"),
                )?;
            }
        }
    }
    Ok(())
}

/// A field as it was read.
struct Read<'a> {
    key: Key,
    field: Option<&'static Field>,
    value: Value<'a>,
}

fn line(
    sink: Sink<'_>,
    offset: usize,
    bytes: &[u8],
    depth: usize,
    meaning: fmt::Arguments<'_>,
) -> fmt::Result {
    sink(Line {
        offset,
        bytes,
        depth,
        meaning,
    })
}

fn field<'a>(shape: &Shape, cursor: &mut Cursor<'a>) -> Result<Read<'a>, DecodeErrorKind> {
    let key = cursor.key().map_err(|flaw| flaw.kind(0))?;
    let field = shape.field(key.number);
    let value = value::read(shape, field, key, cursor).map_err(|flaw| flaw.kind(key.wire_type))?;
    Ok(Read { key, field, value })
}
