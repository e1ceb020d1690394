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
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeErrorKind> {
        match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeErrorKind> {
        let mut value = 0u64;
        let mut shift = 0u32;
        let mut rest = self.rest;
        while let [byte, tail @ ..] = rest {
            rest = tail;
            // The tenth byte holds bit 63 alone, and no eleventh may follow it.
            if shift == 63 && *byte > 1 {
                return Err(DecodeErrorKind::VarintTooLong);
            }
            value |= u64::from(byte & 0x7F) << shift;
            if *byte < 0x80 {
                self.rest = rest;
                return Ok(value);
            }
            shift = shift.wrapping_add(7);
        }
        Err(DecodeErrorKind::Truncated)
    }

    #[inline]
    pub(crate) fn key(&mut self) -> Result<Key, DecodeErrorKind> {
        let key = self.varint()?;
        let Ok(key) = u32::try_from(key) else {
            return Err(DecodeErrorKind::FieldNumber);
        };
        let number = key >> 3;
        if number == 0 {
            return Err(DecodeErrorKind::FieldNumber);
        }
        let [.., low] = key.to_be_bytes();
        Ok(Key {
            number,
            wire_type: low & 7,
        })
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeErrorKind> {
        let len = self.varint()?;
        let Ok(len) = usize::try_from(len) else {
            return Err(DecodeErrorKind::Truncated);
        };
        self.take(len)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeErrorKind> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(DecodeErrorKind::Truncated);
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a fixed number of bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeErrorKind> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeErrorKind::Truncated);
        };
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn str(&mut self) -> Result<&'a str, DecodeErrorKind> {
        core::str::from_utf8(self.bytes()?).map_err(|_| DecodeErrorKind::NotUtf8)
    }

    //# [FRM-030]
    /// Skips the value of an unknown field.
    pub(crate) fn skip(&mut self, wire_type: u8) -> Result<(), DecodeErrorKind> {
        match wire_type {
            wire_type::VARINT => self.varint().map(drop),
            wire_type::FIXED64 => self.take(8).map(drop),
            wire_type::LEN => self.bytes().map(drop),
            wire_type::FIXED32 => self.take(4).map(drop),
            found => Err(DecodeErrorKind::WireType { found }),
        }
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
