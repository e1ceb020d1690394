//! Bodies made along the shapes: right ones in every spelling that protobuf allows, and wrong ones by small changes.

use std::vec::Vec;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;

use crate::frame::Frame;
use crate::grease::Grease;
use crate::header::Flags;
use crate::raw::RawFrame;
use crate::registry::FrameType;
use crate::shapes::{Field, FieldKind, Shape};
use crate::wire::{len_key, put_varint, varint_key, wire_type};

/// Fields that one message gets at most; some of them several times.
const FIELDS: usize = 12;

/// A registered frame type.
///
/// # Errors
/// As [`Unstructured`].
pub fn frame_type(u: &mut Unstructured<'_>) -> Result<FrameType> {
    u.choose(FrameType::ALL).copied()
}

/// The body of a message that decodes: fields in any order, some repeated, some unknown, numbers not always in their
/// shortest form, packed or not.
///
/// # Errors
/// As [`Unstructured`].
pub fn body(shape: &Shape, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for _ in 0..u.int_in_range(0..=FIELDS)? {
        match u.int_in_range(0..=9u8)? {
            0 => out.extend(Grease::new(u.arbitrary()?).unknown_field()),
            _ if shape.fields.is_empty() => {}
            _ => field(u.choose(shape.fields)?, u, &mut out)?,
        }
    }
    Ok(out)
}

fn field(field: &Field, u: &mut Unstructured<'_>, out: &mut Vec<u8>) -> Result<()> {
    let single = field.kind.wire_type();
    if field.repeated.is_some() && single == wire_type::VARINT && u.arbitrary()? {
        let mut packed = Vec::new();
        for _ in 0..u.int_in_range(0..=5u8)? {
            varint(number(u)?, u, &mut packed)?;
        }
        return with_length(field, &packed, u, out);
    }
    match field.kind {
        FieldKind::Bool | FieldKind::Uint32 | FieldKind::Uint64 | FieldKind::Enum(_) => {
            put_varint(out, varint_key(field.number));
            varint(number(u)?, u, out)
        }
        FieldKind::String => {
            let text: &str = u.arbitrary()?;
            with_length(field, text.as_bytes(), u, out)
        }
        FieldKind::Bytes => {
            let bytes: &[u8] = u.arbitrary()?;
            with_length(field, bytes, u, out)
        }
        FieldKind::Message(inner) => {
            let bytes = body(inner, u)?;
            with_length(field, &bytes, u, out)
        }
    }
}

fn with_length(
    field: &Field,
    bytes: &[u8],
    u: &mut Unstructured<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    put_varint(out, len_key(field.number));
    varint(u64::try_from(bytes.len()).unwrap_or_default(), u, out)?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Small numbers are as frequent as large ones.
fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    let bits = u.int_in_range(0..=63u32)?;
    Ok(u.arbitrary::<u64>()? >> bits)
}

/// Appends a varint, now and then with a needless byte at its end.
fn varint(value: u64, u: &mut Unstructured<'_>, out: &mut Vec<u8>) -> Result<()> {
    put_varint(out, value);
    if value < 1 << 56 && u.ratio(1u8, 16u8)? {
        if let Some(last) = out.last_mut() {
            *last |= 0x80;
        }
        out.push(0);
    }
    Ok(())
}

/// Spoils bytes by one to four small changes: a bit flipped, a byte set, cut off, doubled or inserted.
///
/// # Errors
/// As [`Unstructured`].
pub fn mutate(bytes: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=4u8)? {
        let place = u.int_in_range(0..=bytes.len())?;
        let kind = u.int_in_range(0..=4u8)?;
        let byte: u8 = u.arbitrary()?;
        match (kind, bytes.get_mut(place)) {
            (0, Some(at)) => *at ^= 1 << (byte & 7),
            (1, Some(at)) => *at = byte,
            (2, _) => bytes.truncate(place),
            (3, _) => bytes.extend_from_within(place..),
            _ => bytes.insert(place, byte),
        }
    }
    Ok(())
}

impl<'a> Arbitrary<'a> for RawFrame {
    /// A frame of a registered type whose body decodes, or grease, with any flags and any `ref`.
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<RawFrame> {
        let known = frame_type(u)?;
        let body = known
            .shape()
            .map_or_else(|| Ok(Vec::new()), |shape| body(shape, u))?;
        let frame_type = if u.ratio(1u8, 8u8)? {
            Grease::new(u.arbitrary()?).frame_type()
        } else {
            known
        };
        let flags: Flags = u.arbitrary()?;
        Ok(RawFrame {
            flags,
            frame_type,
            reference: u.arbitrary()?,
            body: Bytes::from(body),
        })
    }
}

impl<'a> Arbitrary<'a> for Frame {
    /// A frame of a registered type.
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Frame> {
        let frame_type = frame_type(u)?;
        let body = frame_type
            .shape()
            .map_or_else(|| Ok(Vec::new()), |shape| body(shape, u))?;
        Frame::decode(frame_type, &Bytes::from(body)).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}
