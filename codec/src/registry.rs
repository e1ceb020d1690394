//! The registries: open integers with names. An unknown value survives and prints as `FrameType(0x3a7a)`.
//!
//! Each registry is one table; constants, names, `Display` and documentation come from it, and a test holds it against
//! `spec/registries` both ways.

mod codes;
mod families;
mod features;
mod frames;
pub mod limits;
mod permissions;

pub use codes::{Class, Code};
pub use families::Family;
pub use features::Feature;
pub(crate) use frames::frame_table;
pub use frames::{Direction, FrameInfo, FrameType, Kind, LoginPhase};
pub use permissions::{GroupFlags, Permissions};

/// An open integer: the newtype, its conversions, `Display` and `Debug` by the `name` that it has to have.
macro_rules! registry_type {
    ($(#[$meta:meta])* pub struct $type:ident($int:ty), grease($mask:literal, $grease:literal);) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $type(pub $int);

        impl $type {
            /// True for the values that nobody will ever assign. A receiver treats them as any unknown value.
            #[must_use]
            pub const fn is_grease(self) -> bool {
                self.0 & $mask == $grease
            }
        }

        impl From<$int> for $type {
            fn from(value: $int) -> $type {
                $type(value)
            }
        }

        impl From<$type> for $int {
            fn from(value: $type) -> $int {
                value.0
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    // Two digits a byte and two for the prefix.
                    None => write!(
                        f,
                        concat!(stringify!($type), "({:#0width$x})"),
                        self.0,
                        width = size_of::<$int>().saturating_mul(2).saturating_add(2)
                    ),
                }
            }
        }

        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
}
use registry_type;

/// A registry whose rows are a constant, a number, a name and a meaning.
macro_rules! registry {
    (
        $(#[$meta:meta])* pub struct $type:ident($int:ty), grease($mask:literal, $grease:literal);
        $($name:ident = $value:literal, $text:literal, $meaning:literal;)*
    ) => {
        super::registry_type! {
            $(#[$meta])*
            pub struct $type($int), grease($mask, $grease);
        }

        impl $type {
            $(
                #[doc = concat!("`", stringify!($value), "`: ", $meaning, ".")]
                pub const $name: $type = $type($value);
            )*

            /// Every registered value, in the order of the numbers.
            pub const ALL: &[$type] = &[$($type::$name,)*];

            /// The name in the registry, or `None` if this crate does not know the value.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $($type::$name => Some($text),)*
                    _ => None,
                }
            }

            /// What the registry says it means, or `None` if this crate does not know the value.
            #[must_use]
            pub const fn meaning(self) -> Option<&'static str> {
                match self {
                    $($type::$name => Some($meaning),)*
                    _ => None,
                }
            }

            /// The value with this name in the registry.
            #[must_use]
            pub fn from_name(name: &str) -> Option<$type> {
                $type::ALL.iter().copied().find(|known| known.name() == Some(name))
            }
        }
    };
}
use registry;
