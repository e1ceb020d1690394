//! The protobuf wire format, as far as version 1 uses it: a cursor over borrowed bytes, and the writing of fields.

use bytes::BufMut;

use crate::error::{DecodeError, DecodeErrorKind};

/// Wire types. 3 and 4 are groups, which proto3 does not have.
pub(crate) mod wire_type {
    pub(crate) const VARINT: u8 = 0;
    pub(crate) const FIXED64: u8 = 1;
    pub(crate) const LEN: u8 = 2;
    pub(crate) const FIXED32: u8 = 5;
}

/// What is wrong where a cursor stands. Without data, so that results of the cursor stay in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Truncated,
    VarintTooLong,
    FieldNumber,
    WireType,
    NotUtf8,
}

impl Flaw {
    /// The error, for a field with this wire type.
    #[cold]
    pub(crate) const fn kind(self, wire_type: u8) -> DecodeErrorKind {
        match self {
            Flaw::Truncated => DecodeErrorKind::Truncated,
            Flaw::VarintTooLong => DecodeErrorKind::VarintTooLong,
            Flaw::FieldNumber => DecodeErrorKind::FieldNumber,
            Flaw::WireType => DecodeErrorKind::WireType { found: wire_type },
            Flaw::NotUtf8 => DecodeErrorKind::NotUtf8,
        }
    }
}

/// Bytes of the longest varint: 64 bits, seven at a time.
const MAX_VARINT: usize = 10;

/// Field number and wire type.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) number: u32,
    pub(crate) wire_type: u8,
}

/// What is left of a message.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The number of bytes that are left.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Reads a varint of at most ten bytes and 64 bits, not necessarily the shortest.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, Flaw> {
        //= spec/01-framing.md#bodies
        //# [FRM-037] A decoder MUST give each field of a body the value that its bytes hold, over the whole range of its
        //# type.
        match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => {
                let (value, len) = long_varint(self.rest);
                match self.rest.get(len..) {
                    Some(rest) if len > 0 => {
                        self.rest = rest;
                        Ok(value)
                    }
                    _ => Err(varint_flaw(self.rest)),
                }
            }
        }
    }

    #[inline]
    pub(crate) fn key(&mut self) -> Result<Key, Flaw> {
        let key = self.varint()?;
        let Ok(key) = u32::try_from(key) else {
            return Err(Flaw::FieldNumber);
        };
        let number = key >> 3;
        if number == 0 {
            return Err(Flaw::FieldNumber);
        }
        let [.., low] = key.to_be_bytes();
        Ok(Key {
            number,
            wire_type: low & 7,
        })
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Flaw> {
        let len = self.varint()?;
        let Ok(len) = usize::try_from(len) else {
            return Err(Flaw::Truncated);
        };
        self.take(len)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Flaw> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(Flaw::Truncated);
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a fixed number of bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Flaw::Truncated);
        };
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn str(&mut self) -> Result<&'a str, Flaw> {
        core::str::from_utf8(self.bytes()?).map_err(|_| Flaw::NotUtf8)
    }

    //= spec/01-framing.md#bodies
    //# [FRM-030] A receiver MUST ignore unknown fields of a body.
    /// Skips the value of an unknown field.
    pub(crate) fn skip(&mut self, wire_type: u8) -> Result<(), Flaw> {
        match wire_type {
            wire_type::VARINT => self.varint().map(drop),
            wire_type::FIXED64 => self.take(8).map(drop),
            wire_type::LEN => self.bytes().map(drop),
            wire_type::FIXED32 => self.take(4).map(drop),
            _ => Err(Flaw::WireType),
        }
    }
}

/// The varint at the front of `bytes` and its length, which is 0 if there is none.
///
/// Takes and gives values alone, which stay in registers: a reference to a cursor would keep the cursor in memory.
/// Where eight bytes are left, two and three, which lengths, keys and young positions have, are read one by one, more
/// at one go.
#[inline(never)]
fn long_varint(bytes: &[u8]) -> (u64, usize) {
    let Some(chunk) = bytes.first_chunk::<8>() else {
        return any_varint(bytes);
    };
    let [first, second, third, ..] = *chunk;
    let low = u64::from(first & 0x7F) | u64::from(second & 0x7F) << 7;
    if second < 0x80 {
        return (low, 2);
    }
    if third < 0x80 {
        return (low | u64::from(third) << 14, 3);
    }
    let word = u64::from_le_bytes(*chunk);
    // The lowest clear top bit ends the varint; what lies above it belongs to others.
    let ends = !word & 0x8080_8080_8080_8080;
    if ends == 0 {
        return any_varint(bytes);
    }
    let last = ends & ends.wrapping_neg();
    let word = word & (last | last.wrapping_sub(1)) & 0x7F7F_7F7F_7F7F_7F7F;
    // Groups of 7 bits in 8 are joined to 14 in 16, to 28 in 32, to 56.
    let word = (word & 0x7F00_7F00_7F00_7F00) >> 1 | word & 0x007F_007F_007F_007F;
    let word = (word & 0x3FFF_0000_3FFF_0000) >> 2 | word & 0x0000_3FFF_0000_3FFF;
    let word = (word & 0x0FFF_FFFF_0000_0000) >> 4 | word & 0x0000_0000_0FFF_FFFF;
    (
        word,
        usize::try_from(last.trailing_zeros() >> 3)
            .unwrap_or_default()
            .wrapping_add(1),
    )
}

/// As [`long_varint`], for any length.
fn any_varint(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    let mut shift = 0u32;
    for (byte, len) in bytes.iter().zip(1..=MAX_VARINT) {
        value |= u64::from(byte & 0x7F) << shift;
        if *byte < 0x80 {
            // The tenth byte holds bit 63 alone.
            return if len == MAX_VARINT && *byte > 1 {
                (0, 0)
            } else {
                (value, len)
            };
        }
        shift = shift.wrapping_add(7);
    }
    (0, 0)
}

/// Why there is no varint at the front of `bytes`.
#[cold]
fn varint_flaw(bytes: &[u8]) -> Flaw {
    let whole = bytes.iter().take(MAX_VARINT).any(|byte| *byte < 0x80);
    if whole || bytes.len() >= MAX_VARINT {
        Flaw::VarintTooLong
    } else {
        Flaw::Truncated
    }
}

/// The lower 32 bits: what protobuf makes of a longer varint in a 32-bit field.
#[inline]
pub(crate) fn low32(value: u64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or_default()
}

/// An enum value as prost holds it.
#[inline]
pub(crate) fn enum_value(value: u64) -> i32 {
    low32(value).cast_signed()
}

/// An error with the field that it lies in and the offset of that field.
#[cold]
pub(crate) fn at(kind: DecodeErrorKind, field: &'static str, offset: usize) -> DecodeError {
    DecodeError::new(kind).in_field(field).at_offset(offset)
}

/// The key of a varint field, as the number that is written.
pub(crate) const fn varint_key(number: u32) -> u64 {
    key(number, wire_type::VARINT)
}

/// The key of a field with a length, as the number that is written.
pub(crate) const fn len_key(number: u32) -> u64 {
    key(number, wire_type::LEN)
}

#[allow(
    clippy::as_conversions,
    reason = "widening, in a const fn, where From is not to be had"
)]
const fn key(number: u32, wire_type: u8) -> u64 {
    (number as u64) << 3 | wire_type as u64
}

/// The number of bytes of a varint.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    // Seven bits a byte: 9/64 is just above 1/7 for 1 to 64 bits, as in prost and the C++ protobuf.
    let bits = 64u32.wrapping_sub((value | 1).leading_zeros());
    usize::try_from(bits.wrapping_mul(9).wrapping_add(64) >> 6).unwrap_or_default()
}

/// Appends a varint in its shortest form.
#[inline]
pub(crate) fn put_varint(dst: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        dst.put_u8(low8(value) | 0x80);
        value >>= 7;
    }
    dst.put_u8(low8(value));
}

#[inline]
fn low8(value: u64) -> u8 {
    let [.., low] = value.to_be_bytes();
    low
}
