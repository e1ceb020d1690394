//! Preface and header: the bytes before each body.

use core::fmt;
use core::ops::BitOr;

use crate::registry::FrameType;
use crate::registry::limits::{HEADER_LEN, PREFACE_LEN};

/// What both sides send first on a byte stream.
pub const PREFACE: [u8; PREFACE_LEN] = [0xF7, b'T', b'I', b'D', b'E', b'\r', b'\n', 0];

/// The largest body length that a header can say: 24 bits. The limit in force is lower.
pub const MAX_LEN: u32 = 0x00FF_FFFF;

/// The flags of a frame. Undefined bits survive and mean nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// A receiver that does not know the type of this event ends the connection.
    pub const CRITICAL: Flags = Flags(0x01);
    /// The frame answers the request with the same `ref`.
    pub const REPLY: Flags = Flags(0x02);
    /// Body fields 1 to 3 are `pos`, `prev_pos` and `age_ms`.
    pub const LOGGED: Flags = Flags(0x04);
    /// Never assigned; senders may set it at random.
    pub const GREASE: Flags = Flags(0x80);

    //= spec/01-framing.md#header
    //# [FRM-014] A sender MUST NOT set flag bits 3 to 6.
    /// The bits that no sender of version 1 sets: 3 to 6.
    pub const RESERVED: Flags = Flags(0x78);

    const NAMES: [(Flags, &'static str); 4] = [
        (Flags::CRITICAL, "CRITICAL"),
        (Flags::REPLY, "REPLY"),
        (Flags::LOGGED, "LOGGED"),
        (Flags::GREASE, "GREASE"),
    ];

    //= spec/01-framing.md#header
    //# [FRM-013] A receiver MUST ignore flag bits that are undefined or that mean nothing for the frame.
    /// True if every bit of `other` is set. Bits that are not asked for play no part.
    #[must_use]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The bits of `self` that `other` has not.
    #[must_use]
    pub const fn difference(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.union(other)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Flags::NAMES
            .iter()
            .map(|(bit, name)| (u32::from(bit.0), *name));
        fmt_bits(f, u32::from(self.0), names)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}

/// Writes the names of the set bits with `|` between them, what has no name in hex, and `0` for no bit.
pub(crate) fn fmt_bits(
    f: &mut fmt::Formatter<'_>,
    bits: u32,
    names: impl Iterator<Item = (u32, &'static str)>,
) -> fmt::Result {
    let mut rest = bits;
    let mut separator = "";
    for (bit, name) in names.filter(|(bit, _)| bits & bit != 0) {
        write!(f, "{separator}{name}")?;
        separator = "|";
        rest &= !bit;
    }
    match rest {
        0 if bits == 0 => f.write_str("0"),
        0 => Ok(()),
        rest => write!(f, "{separator}{rest:#x}"),
    }
}

/// The ten bytes before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Header {
    /// Length of the body in bytes, at most [`MAX_LEN`].
    pub len: u32,
    /// The flags.
    pub flags: Flags,
    /// The type.
    pub frame_type: FrameType,
    /// 0 in an event; in a request and its reply the number that joins them.
    pub reference: u32,
}

impl Header {
    /// The header as bytes. Of `len` the lower 24 bits are written: who makes a header keeps it at or below [`MAX_LEN`].
    #[must_use]
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let [_, l0, l1, l2] = self.len.to_be_bytes();
        let [t0, t1] = self.frame_type.0.to_be_bytes();
        let [r0, r1, r2, r3] = self.reference.to_be_bytes();
        [l0, l1, l2, self.flags.0, t0, t1, r0, r1, r2, r3]
    }

    //= spec/01-framing.md#header
    //# [FRM-010] A decoder MUST read len, type and ref as unsigned big-endian numbers of 24, 16 and 32 bits.
    /// The header that these bytes are. Every ten bytes are a header.
    #[must_use]
    pub const fn decode(bytes: [u8; HEADER_LEN]) -> Header {
        let [l0, l1, l2, flags, t0, t1, r0, r1, r2, r3] = bytes;
        Header {
            len: u32::from_be_bytes([0, l0, l1, l2]),
            flags: Flags(flags),
            frame_type: FrameType(u16::from_be_bytes([t0, t1])),
            reference: u32::from_be_bytes([r0, r1, r2, r3]),
        }
    }

    /// True if the frame wants an answer: `ref` is not 0 and REPLY is clear.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.reference != 0 && !self.flags.contains(Flags::REPLY)
    }
}
