//! Codes of ERROR, GOAWAY, STATUS, SEND_ACK and NOTICE.

use super::registry;

registry! {
    /// A code of `spec/registries/codes.toml`. The high nibble is its [`Class`]: what to do.
    pub struct Code(u16), grease(0x0F0F, 0x0A0A);

    PROTOCOL_VIOLATION = 0x1001, "PROTOCOL_VIOLATION", "a frame where its kind, direction or the state of the connection forbids it";
    BAD_PREFACE = 0x1002, "BAD_PREFACE", "the first bytes are not the preface";
    VERSION_UNSUPPORTED = 0x1003, "VERSION_UNSUPPORTED", "no common major version";
    MALFORMED_FRAME = 0x1004, "MALFORMED_FRAME", "a body that does not decode, in a frame that is not a request";
    FRAME_TOO_LARGE = 0x1005, "FRAME_TOO_LARGE", "a body length above the announced limit";
    UNKNOWN_CRITICAL = 0x1006, "UNKNOWN_CRITICAL", "a CRITICAL frame of a type that is not understood";
    REPLACED = 0x1007, "REPLACED", "the same device logged in on another connection";
    LOGGED_OUT = 0x1008, "LOGGED_OUT", "the client asked for it";
    USER_DELETED = 0x1009, "USER_DELETED", "the user no longer exists";
    DEVICE_FORGOTTEN = 0x100B, "DEVICE_FORGOTTEN", "another device of the user removed this one";
    INVALID_LOGIN = 0x100C, "INVALID_LOGIN", "a field of LOGIN is missing or out of its bounds";
    TOO_MANY_DEVICES = 0x100D, "TOO_MANY_DEVICES", "the user has as many devices as allowed";
    LOGIN_FEATURE_REQUIRED = 0x100E, "LOGIN_FEATURE_REQUIRED", "a feature that LOGIN requires is not honoured";
    SHUTTING_DOWN = 0x2001, "SHUTTING_DOWN", "the server stops or restarts";
    KEEPALIVE_TIMEOUT = 0x2002, "KEEPALIVE_TIMEOUT", "nothing was received for 1.5 keepalive intervals";
    LOGIN_TIMEOUT = 0x2003, "LOGIN_TIMEOUT", "no LOGIN in time";
    TOO_MANY_CONTROL_FRAMES = 0x2004, "TOO_MANY_CONTROL_FRAMES", "the budget of frames that must be answered is used up";
    OVERLOADED = 0x2005, "OVERLOADED", "no room for another connection";
    INTERNAL = 0x2006, "INTERNAL", "the server failed";
    TOKEN_INVALID = 0x3001, "TOKEN_INVALID", "the token is unknown";
    TOKEN_EXPIRED = 0x3002, "TOKEN_EXPIRED", "the token's time is over";
    TOKEN_REVOKED = 0x3003, "TOKEN_REVOKED", "the token was revoked";
    MALFORMED_BODY = 0x4001, "MALFORMED_BODY", "the body of a request does not decode";
    INVALID_FIELD = 0x4002, "INVALID_FIELD", "a field is missing or out of its bounds";
    UNSUPPORTED_FRAME = 0x4003, "UNSUPPORTED_FRAME", "a request of a type that is unknown or not enabled";
    FEATURE_REQUIRED = 0x4004, "FEATURE_REQUIRED", "a feature that the request requires is not honoured";
    TOO_MANY_ITEMS = 0x4005, "TOO_MANY_ITEMS", "a repeated field has more items than allowed";
    UNKNOWN_USER = 0x4006, "UNKNOWN_USER", "no such user";
    UNKNOWN_GROUP = 0x4007, "UNKNOWN_GROUP", "no such group, or not for the asker to know";
    UNKNOWN_MESSAGE = 0x4008, "UNKNOWN_MESSAGE", "no such message in this conversation, or not an own one";
    PERMISSION_DENIED = 0x400B, "PERMISSION_DENIED", "the asker's mask lacks the permission";
    GROUP_PAUSED = 0x400C, "GROUP_PAUSED", "the group takes no messages now";
    GROUP_FULL = 0x400D, "GROUP_FULL", "the group has as many members as allowed";
    TOO_MANY_GROUPS = 0x400E, "TOO_MANY_GROUPS", "the user is in as many groups as allowed";
    BAD_PIN = 0x400F, "BAD_PIN", "the PIN is wrong, expired or used up";
    LAST_OWNER = 0x4010, "LAST_OWNER", "a group keeps at least one owner";
    IDEM_CONFLICT = 0x4011, "IDEM_CONFLICT", "the idempotency key was used for something else";
    REVISION_CONFLICT = 0x4012, "REVISION_CONFLICT", "the group's revision is another one";
    CONTENT_TOO_LARGE = 0x4013, "CONTENT_TOO_LARGE", "the content is larger than allowed";
    TOO_LATE = 0x4014, "TOO_LATE", "the message is already delivered to all, or its life is over";
    BAD_TOKEN = 0x4015, "BAD_TOKEN", "the token of REAUTH is unknown, expired, revoked or another user's";
    INBOX_FULL = 0x5001, "INBOX_FULL", "the recipient holds as many undelivered messages as allowed";
    RATE_LIMITED = 0x5002, "RATE_LIMITED", "the sender's budget is used up";
    STORE_FULL = 0x5003, "STORE_FULL", "the server cannot store more now";
    RECIPIENT_OFFLINE = 0x6001, "RECIPIENT_OFFLINE", "ONLINE_ONLY, and no device of the recipient was logged in";
    RECIPIENT_DELETED = 0x6002, "RECIPIENT_DELETED", "the recipient was deleted before delivery";
    RECIPIENT_FULL = 0x6003, "RECIPIENT_FULL", "a member of the group held as many undelivered messages as allowed";
    CREDIT_EXHAUSTED = 0x7001, "CREDIT_EXHAUSTED", "entries wait, the event limit is reached";
}

/// What the receiver of a code does. Also holds for codes that this crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Class {
    /// 1, in GOAWAY: do not reconnect.
    Stop,
    /// 2, in GOAWAY: reconnect with backoff.
    Reconnect,
    /// 3, in GOAWAY: reconnect with a new credential.
    Reauthenticate,
    /// 4, in ERROR: failed for good; do not repeat.
    Failed,
    /// 5, in ERROR: repeat later with the same key.
    Retry,
    /// 6, in STATUS and SEND_ACK: the recipient's side failed.
    Recipient,
    /// 7, in NOTICE: nothing to do.
    Notice,
    /// A nibble that version 1 does not define.
    Unknown(u8),
}

impl Class {
    /// Every class that version 1 defines, in the order of the numbers.
    pub const ALL: [Class; 7] = [
        Class::Stop,
        Class::Reconnect,
        Class::Reauthenticate,
        Class::Failed,
        Class::Retry,
        Class::Recipient,
        Class::Notice,
    ];

    /// The number of the class, 0 to 15.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Class::Stop => 1,
            Class::Reconnect => 2,
            Class::Reauthenticate => 3,
            Class::Failed => 4,
            Class::Retry => 5,
            Class::Recipient => 6,
            Class::Notice => 7,
            Class::Unknown(number) => number,
        }
    }

    /// The name in the registry, or `None` for a class that version 1 does not define.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Class::Stop => "STOP",
            Class::Reconnect => "RECONNECT",
            Class::Reauthenticate => "REAUTHENTICATE",
            Class::Failed => "FAILED",
            Class::Retry => "RETRY",
            Class::Recipient => "RECIPIENT",
            Class::Notice => "NOTICE",
            Class::Unknown(_) => return None,
        })
    }

    /// True for the classes that GOAWAY carries: the connection ends.
    #[must_use]
    pub const fn ends_connection(self) -> bool {
        matches!(self, Class::Stop | Class::Reconnect | Class::Reauthenticate)
    }
}

impl Code {
    /// The class: the high nibble.
    #[must_use]
    pub const fn class(self) -> Class {
        match self.0 >> 12 {
            1 => Class::Stop,
            2 => Class::Reconnect,
            3 => Class::Reauthenticate,
            4 => Class::Failed,
            5 => Class::Retry,
            6 => Class::Recipient,
            7 => Class::Notice,
            _ => Class::Unknown(self.0.to_be_bytes()[0] >> 4),
        }
    }

    /// The code in the `code` field of a body, or `None` if the number is above 65,535.
    #[must_use]
    pub fn from_field(field: u32) -> Option<Code> {
        u16::try_from(field).ok().map(Code)
    }
}
