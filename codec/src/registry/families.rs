//! Families: the spine of the protocol. The high byte of a frame type names its family.

macro_rules! families {
    ($($(#[$meta:meta])* $name:ident = $high:literal, $text:literal, $stable:literal;)*) => {
        /// A family of `spec/registries/families.toml`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum Family {
            $($(#[$meta])* $name,)*
        }

        impl Family {
            /// Every family, in the order of the high bytes.
            pub const ALL: &[Family] = &[$(Family::$name,)*];

            /// The high byte of the frame types of this family.
            #[must_use]
            pub const fn high(self) -> u8 {
                match self { $(Family::$name => $high,)* }
            }

            /// The name in the registry; also the name of its chapter, its proto file and its fixtures.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Family::$name => $text,)* }
            }

            /// True if version 1 specifies frames of the family; false if only its range is taken.
            #[must_use]
            pub const fn is_stable(self) -> bool {
                match self { $(Family::$name => $stable,)* }
            }

            /// The family whose frame types have this high byte.
            #[must_use]
            pub const fn from_high(high: u8) -> Option<Family> {
                match high { $($high => Some(Family::$name),)* _ => None }
            }
        }

        impl core::fmt::Display for Family {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

families! {
    /// Errors, the end of a connection, keepalive, flow of entries.
    Control = 0x00, "control", true;
    /// Sessions, resume, devices, tokens.
    Login = 0x01, "login", true;
    /// Messages and the user log.
    Send = 0x02, "send", true;
    /// What became of a message.
    Status = 0x03, "status", true;
    /// Groups and their members.
    Group = 0x04, "group", true;
    /// The life of messages.
    Expiry = 0x05, "expiry", true;
    /// Reserved: who is there.
    Presence = 0x06, "presence", false;
    /// Reserved: call set-up.
    Call = 0x07, "call", false;
    /// Reserved: grants for file transfer.
    File = 0x08, "file", false;
    /// Reserved: waking sleeping clients.
    Push = 0x09, "push", false;
}
