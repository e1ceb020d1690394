//! Bits of a group member's mask and of a group's flags, from `spec/registries/permissions.toml`.

use core::fmt;
use core::ops::BitOr;

macro_rules! bits {
    ($(#[$meta:meta])* pub struct $type:ident; $($name:ident = $bit:literal, $meaning:literal;)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $type(pub u32);

        impl $type {
            $(
                #[doc = concat!("Bit ", stringify!($bit), ": ", $meaning, ".")]
                pub const $name: $type = $type(1 << $bit);
            )*

            /// No bit.
            pub const NONE: $type = $type(0);

            /// Every bit that version 1 defines, with its name.
            pub const ALL: &[($type, &str)] = &[$(($type::$name, stringify!($name)),)*];

            /// True if every bit of `other` is set in `self`.
            #[must_use]
            pub const fn contains(self, other: $type) -> bool {
                self.0 & other.0 == other.0
            }

            /// True if a bit of `other` is set in `self`.
            #[must_use]
            pub const fn intersects(self, other: $type) -> bool {
                self.0 & other.0 != 0
            }

            /// The bits of both.
            #[must_use]
            pub const fn union(self, other: $type) -> $type {
                $type(self.0 | other.0)
            }

            /// The bits of `self` that `other` has not.
            #[must_use]
            pub const fn difference(self, other: $type) -> $type {
                $type(self.0 & !other.0)
            }

            /// The bits that version 1 does not define.
            #[must_use]
            pub const fn unknown(self) -> $type {
                $type(self.0 $(& !(1 << $bit))*)
            }
        }

        impl BitOr for $type {
            type Output = $type;

            fn bitor(self, other: $type) -> $type {
                self.union(other)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                crate::header::fmt_bits(f, self.0, $type::ALL.iter().map(|(bit, name)| (bit.0, *name)))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }
    };
}

bits! {
    /// What a member of a group may do. Prints as `SEND|RECV`.
    pub struct Permissions;
    SEND = 0, "may send to the group";
    RECV = 1, "receives the group's messages";
    LIST = 2, "may see the members";
    INVITE = 3, "may add members, with no more rights than the default mask";
    REMOVE = 4, "may remove members that are neither ADMIN nor OWNER";
    EDIT_INFO = 5, "may change name and info";
    MODERATE = 6, "may send while the group is paused";
    CALL_PUBLISH = 7, "reserved for the call family";
    CALL_SUBSCRIBE = 8, "reserved for the call family";
    ADMIN = 9, "everything but what only an OWNER may";
    OWNER = 10, "everything; alone may delete the group and give or take ADMIN and OWNER";
}

impl Permissions {
    /// The mask of members that are added without one, where the group has no other default.
    pub const DEFAULT: Permissions =
        Permissions::SEND.union(Permissions::RECV.union(Permissions::LIST));
}

bits! {
    /// How a group works. Prints as `PAUSED|NO_STORE`.
    pub struct GroupFlags;
    PAUSED = 0, "takes messages only from MODERATE, ADMIN and OWNER";
    NO_STORE = 1, "every message is treated as ONLINE_ONLY";
    NO_SELF_LEAVE = 2, "members without ADMIN or OWNER cannot leave";
    ANYONE_MAY_SEND = 3, "members may send without SEND";
    ROUND_ROBIN = 4, "reserved";
    LOOPBACK = 5, "the sender is a recipient too: the sending device gets its message as well";
}
