//! Grease: values that nobody will ever assign, sent so that receivers keep ignoring what they do not know.
//!
//! The same seed gives the same values. Where the seed comes from is the caller's business.

use alloc::vec::Vec;

use crate::header::Flags;
use crate::registry::{Code, Feature, FrameType};
use crate::wire::{put_varint, wire_type};

/// The lowest field number that is grease.
pub const FIRST_GREASE_FIELD: u32 = 100_000;

/// The highest field number that protobuf has.
const LAST_FIELD: u32 = 0x1FFF_FFFF;

/// A source of grease.
///
/// ```
/// use tidewire_codec::grease::Grease;
///
/// let mut grease = Grease::new(7);
/// assert!(grease.frame_type().is_grease());
/// assert_eq!(Grease::new(7).feature(), Grease::new(7).feature());
/// ```
#[derive(Clone, Debug)]
pub struct Grease {
    state: u64,
}

impl Grease {
    /// A source that always gives the same values for this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Grease {
        Grease { state: seed }
    }

    /// A number with 64 random bits: SplitMix64, which needs no more than a counter as state.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A frame type that is grease.
    pub const fn frame_type(&mut self) -> FrameType {
        FrameType(self.pattern16())
    }

    /// A code that is grease.
    pub const fn code(&mut self) -> Code {
        Code(self.pattern16())
    }

    /// A feature id that is grease.
    pub const fn feature(&mut self) -> Feature {
        Feature((self.low32() & 0xF0F0_F0F0) | 0x0A0A_0A0A)
    }

    /// Either no flag or the one that is grease.
    pub const fn flags(&mut self) -> Flags {
        if self.next_u64() & 1 == 0 {
            Flags::NONE
        } else {
            Flags::GREASE
        }
    }

    /// The bytes of an unknown field, at most 32. They may stand before, behind or between the fields of any body.
    pub fn unknown_field(&mut self) -> Vec<u8> {
        let span = LAST_FIELD.saturating_sub(FIRST_GREASE_FIELD);
        let number =
            FIRST_GREASE_FIELD.saturating_add(self.low32().checked_rem(span).unwrap_or_default());
        let kind = match self.next_u64() & 3 {
            0 => wire_type::VARINT,
            1 => wire_type::FIXED64,
            2 => wire_type::FIXED32,
            _ => wire_type::LEN,
        };
        let mut field = Vec::with_capacity(32);
        put_varint(&mut field, u64::from(number) << 3 | u64::from(kind));
        let value = self.next_u64();
        match kind {
            wire_type::VARINT => put_varint(&mut field, value),
            wire_type::FIXED64 => field.extend_from_slice(&value.to_be_bytes()),
            wire_type::FIXED32 => field.extend_from_slice(&self.low32().to_be_bytes()),
            _ => {
                field.push(8);
                field.extend_from_slice(&value.to_be_bytes());
            }
        }
        field
    }

    /// `x & 0x0F0F == 0x0A0A`.
    const fn pattern16(&mut self) -> u16 {
        let [.., high, low] = self.next_u64().to_be_bytes();
        (u16::from_be_bytes([high, low]) & 0xF0F0) | 0x0A0A
    }

    const fn low32(&mut self) -> u32 {
        let [.., a, b, c, d] = self.next_u64().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}
