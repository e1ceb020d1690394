//! Names of things inside the core, and the arithmetic of time.

use std::hash::{BuildHasherDefault, Hasher};

use crate::api::Millis;
use crate::store::UserKey;

/// A device of a user from its first login until it is forgotten. Never reused, so what a forgotten device left behind
/// cannot be mistaken for something of a later one with the same id. 0 is no device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceUid(pub(crate) u64);

impl DeviceUid {
    /// Nobody in particular: the entry is visible to every device.
    pub(crate) const NONE: DeviceUid = DeviceUid(0);
}

/// The `msg_id` of a message. Rises over all conversations, and with time: the upper 48 bits are milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MsgId(pub(crate) u64);

impl MsgId {
    /// The lowest id that a message accepted at this time or later can have.
    pub(crate) fn floor_at(time: Millis) -> MsgId {
        MsgId(time.0 << 16)
    }

    /// The id after this one for a message accepted now.
    pub(crate) fn next(self, now: Millis) -> MsgId {
        MsgId(self.0 + 1).max(MsgId::floor_at(now))
    }
}

/// A group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(pub(crate) u64);

/// The 16 bytes by which a client names its device.
pub(crate) type DeviceId = [u8; 16];

/// The 16 bytes by which a client names a request.
pub(crate) type IdemKey = [u8; 16];

/// A conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ConvKey {
    /// Of two users, the lower key first; twice the same key is a user with itself.
    Direct(UserKey, UserKey),
    /// Of a group.
    Group(GroupId),
}

impl ConvKey {
    /// The conversation of two users.
    pub(crate) fn direct(a: UserKey, b: UserKey) -> ConvKey {
        if a <= b {
            ConvKey::Direct(a, b)
        } else {
            ConvKey::Direct(b, a)
        }
    }

    /// The other end as `me` sees it, if it is a conversation of two.
    pub(crate) fn peer(self, me: UserKey) -> Option<UserKey> {
        match self {
            ConvKey::Direct(a, b) => Some(if a == me { b } else { a }),
            ConvKey::Group(_) => None,
        }
    }

    /// True if the user is one of the two.
    pub(crate) fn is_direct_of(self, user: UserKey) -> bool {
        matches!(self, ConvKey::Direct(a, b) if a == user || b == user)
    }
}

impl Millis {
    /// So much later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// So much earlier, not before 0.
    #[must_use]
    pub fn minus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_sub(ms))
    }

    /// The milliseconds from `earlier` until this time; 0 if that is later.
    #[must_use]
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Hashes numbers that the server chose itself, so nobody can aim at collisions.
pub(crate) type OwnIds = BuildHasherDefault<OwnIdHasher>;

/// One multiplication: the numbers are already distinct.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnIdHasher(u64);

impl Hasher for OwnIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // The golden ratio, as in splitmix; the upper half comes down because tables take the low bits.
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Splitmix64: numbers that look random, all of one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// The next number, never 0 and below 2^63, so that it is positive in languages without unsigned numbers.
    pub(crate) fn next_id(&mut self) -> u64 {
        loop {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let id = (z ^ (z >> 31)) >> 1;
            if id != 0 {
                return id;
            }
        }
    }
}
