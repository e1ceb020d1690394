//! The quantities of the public API: positions, message and group ids, conversations, devices, times.

use std::fmt;

use bytes::Bytes;
use tidewire_codec::limits::DEVICE_ID_LEN;
use tidewire_codec::proto;

macro_rules! number {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub u64);

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }
        )*
    };
}

number! {
    /// A position in the log of the own user. Rises, not necessarily by one.
    Pos;
    /// A message inside its conversation, named by the server. Rises with each message of the conversation.
    MsgId;
    /// A group, named by the server.
    GroupId;
    /// A message or request in the outbox, named by this device.
    LocalId;
    /// Milliseconds since the Unix epoch, by the clock of this device. No rule between client and server depends on it; it
    /// measures how long something waited here.
    Millis;
}

impl Millis {
    /// The time that passed since `earlier`, in milliseconds; 0 if that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So many milliseconds later.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }
}

/// With whom: another user (or oneself), or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Conversation {
    /// With this user.
    User(String),
    /// In this group.
    Group(GroupId),
}

impl Conversation {
    /// With this user.
    pub fn user(name: impl Into<String>) -> Conversation {
        Conversation::User(name.into())
    }
}

impl From<GroupId> for Conversation {
    fn from(group: GroupId) -> Conversation {
        Conversation::Group(group)
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conversation::User(user) => f.write_str(user),
            Conversation::Group(group) => write!(f, "group {group}"),
        }
    }
}

macro_rules! conversation_field {
    ($($oneof:path { $user:ident, $group:ident };)*) => {
        $(
            impl From<$oneof> for Conversation {
                fn from(target: $oneof) -> Conversation {
                    use $oneof as Target;
                    match target {
                        Target::$user(user) => Conversation::User(user),
                        Target::$group(group) => Conversation::Group(GroupId(group)),
                    }
                }
            }

            impl From<Conversation> for $oneof {
                fn from(conversation: Conversation) -> $oneof {
                    use $oneof as Target;
                    match conversation {
                        Conversation::User(user) => Target::$user(user),
                        Conversation::Group(group) => Target::$group(group.0),
                    }
                }
            }
        )*
    };
}

conversation_field! {
    proto::send::Target { ToUser, ToGroup };
    proto::message::Target { ToUser, ToGroup };
    proto::status::Conversation { User, Group };
    proto::mark::Conversation { User, Group };
    proto::status_get::Conversation { User, Group };
    proto::expiry_set::Conversation { User, Group };
    proto::expired::Conversation { User, Group };
}

/// One installation of a client: 16 bytes that it made itself, once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId([u8; DEVICE_ID_LEN]);

impl DeviceId {
    /// A device id of these bytes, or `None` if they are not 16 or all zero.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<DeviceId> {
        let bytes = <[u8; DEVICE_ID_LEN]>::try_from(bytes).ok()?;
        (bytes != [0; DEVICE_ID_LEN]).then_some(DeviceId(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}
