//! Frame types: one table makes the constants, what is known about each, and the [`Frame`](crate::Frame) enum.

use super::{Family, Feature, registry_type};

/// Calls `$callback!` with the table of all frame types.
///
/// A row: name, type, message of the proto files, family, direction, kind with the typed reply, login phase, then
/// `feature X` and `logged true` where they hold, and what the frame is for.
macro_rules! frame_table {
    ($callback:ident) => {
        $callback! {
            ERROR = 0x0001, Error, Control, Both, Reply, Any, "a request failed; the connection lives on";
            OK = 0x0002, Ok, Control, Both, Reply, After, "a request succeeded and has no typed reply";
            GOAWAY = 0x0003, Goaway, Control, Both, Event, Any, "the sender closes the connection after it";
            PING = 0x0004, Ping, Control, Both, Request(PONG), After, "asks for a PONG with the same data";
            PONG = 0x0005, Pong, Control, Both, Reply, After, "the answer to PING";
            CREDIT = 0x0006, Credit, Control, ClientToServer, Event, After, "raises the number of LOGGED frames the server may send";
            NOTICE = 0x0007, Notice, Control, ServerToClient, Event, After, "something worth knowing; nothing has to be done";
            LOGIN = 0x0101, Login, Login, ClientToServer, Request(LOGIN_OK), Before, "opens the session: version, features, token, device, resume";
            LOGIN_OK = 0x0102, LoginOk, Login, ServerToClient, Reply, Before, "the session is open";
            REAUTH = 0x0103, Reauth, Login, ClientToServer, Request(OK), After, "puts a fresh token under the live session";
            LOGOUT = 0x0104, Logout, Login, ClientToServer, Request(OK), After, "ends the session";
            DEVICES = 0x0105, Devices, Login, ClientToServer, Request(DEVICE_LIST), After, feature DEVICES, "lists the user's devices, or forgets one first";
            DEVICE_LIST = 0x0106, DeviceList, Login, ServerToClient, Reply, After, feature DEVICES, "the user's devices";
            SEND = 0x0201, Send, Send, ClientToServer, Request(SEND_ACK), After, "a message to a user or a group";
            SEND_ACK = 0x0202, SendAck, Send, ServerToClient, Reply, After, "the message is accepted and durable";
            MESSAGE = 0x0203, Message, Send, ServerToClient, Event, After, logged true, "a message of the own log";
            ACK = 0x0204, Ack, Send, ClientToServer, Event, After, "everything up to a position is stored by this device";
            SYNC = 0x0205, Sync, Send, ClientToServer, Request(OK), After, "asks for everything after a position again";
            SYNCED = 0x0206, Synced, Send, ServerToClient, Event, After, "the backlog ends here";
            CONTENT_GET = 0x0207, ContentGet, Send, ClientToServer, Request(CONTENT), After, "asks for content that MESSAGE left out";
            CONTENT = 0x0208, Content, Send, ServerToClient, Reply, After, "a part of the content of a message";
            STATUS = 0x0301, Status, Status, ServerToClient, Event, After, logged true, "the state of messages of a conversation";
            MARK = 0x0302, Mark, Status, ClientToServer, Request(OK), After, "everything of a conversation up to a message is read";
            STATUS_GET = 0x0303, StatusGet, Status, ClientToServer, Request(STATUS_LIST), After, feature STATUS_GET, "asks for the states of one own message";
            STATUS_LIST = 0x0304, StatusList, Status, ServerToClient, Reply, After, feature STATUS_GET, "the states of one own message, a member at a time";
            GROUP_OP = 0x0401, GroupOp, Group, ClientToServer, Request(GROUP_INFO), After, feature GROUPS, "makes, changes, joins, leaves or reads a group";
            GROUP_INFO = 0x0402, GroupInfo, Group, ServerToClient, Reply, After, feature GROUPS, "what the asker may see of a group";
            GROUP_EVENT = 0x0403, GroupEvent, Group, ServerToClient, Event, After, feature GROUPS, logged true, "a group changed";
            GROUP_LIST = 0x0404, GroupList, Group, ClientToServer, Request(GROUP_PAGE), After, feature GROUPS, "asks for the groups of the user";
            GROUP_PAGE = 0x0405, GroupPage, Group, ServerToClient, Reply, After, feature GROUPS, "groups of the user";
            EXPIRY_SET = 0x0501, ExpirySet, Expiry, ClientToServer, Request(OK), After, feature EXPIRY_SET, "changes the life of an own message";
            EXPIRED = 0x0502, Expired, Expiry, ServerToClient, Event, After, logged true, "a message's life ended before every recipient had it";
        }
    };
}
pub(crate) use frame_table;

registry_type! {
    /// A frame type of `spec/registries/frames.toml`. The high byte names the family.
    pub struct FrameType(u16), grease(0x0F0F, 0x0A0A);
}

/// Who may send a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Direction {
    /// The client alone.
    ClientToServer,
    /// The server alone.
    ServerToClient,
    /// Either.
    Both,
}

/// What part a frame plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// Wants an answer: `ref` is not 0.
    Request,
    /// The answer: REPLY is set and `ref` repeats that of the request.
    Reply,
    /// Neither: `ref` is 0.
    Event,
}

/// When a frame may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LoginPhase {
    /// Before LOGIN_OK.
    Before,
    /// After LOGIN_OK.
    After,
    /// At any time.
    Any,
}

/// What the registry says about a frame type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// The type.
    pub frame_type: FrameType,
    /// The name, as `SEND_ACK`.
    pub name: &'static str,
    /// The message of the proto files that the body is, as `SendAck`.
    pub message: &'static str,
    /// The family.
    pub family: Family,
    /// Who may send it.
    pub direction: Direction,
    /// What part it plays.
    pub kind: Kind,
    /// The typed reply of a request; ERROR is possible beside it.
    pub reply: Option<FrameType>,
    /// The feature without which the frame does not exist on a connection.
    pub feature: Option<Feature>,
    /// When it may be sent.
    pub login: LoginPhase,
    /// True if the sender sets LOGGED and body fields 1 to 3 are `pos`, `prev_pos` and `age_ms`.
    pub logged: bool,
}

macro_rules! frame_types {
    ($(
        $name:ident = $value:literal, $message:ident, $family:ident, $direction:ident, $kind:ident $(($reply:ident))?,
        $login:ident $(, feature $feature:ident)? $(, logged $logged:literal)?, $meaning:literal;
    )*) => {
        impl FrameType {
            $(
                #[doc = concat!("`", stringify!($value), "`: ", $meaning, ".")]
                pub const $name: FrameType = FrameType($value);
            )*

            /// Every registered type, in the order of the numbers.
            pub const ALL: &[FrameType] = &[$(FrameType::$name,)*];

            /// The name in the registry, or `None` if this crate does not know the type.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(FrameType::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// What the frame is for, or `None` if this crate does not know the type.
            #[must_use]
            pub const fn meaning(self) -> Option<&'static str> {
                match self {
                    $(FrameType::$name => Some($meaning),)*
                    _ => None,
                }
            }

            /// What the registry says, or `None` if this crate does not know the type.
            #[must_use]
            pub const fn info(self) -> Option<&'static FrameInfo> {
                match self {
                    $(FrameType::$name => Some(const { &FrameInfo {
                        frame_type: FrameType::$name,
                        name: stringify!($name),
                        message: stringify!($message),
                        family: Family::$family,
                        direction: Direction::$direction,
                        kind: Kind::$kind,
                        reply: optional!($(FrameType::$reply)?),
                        feature: optional!($(Feature::$feature)?),
                        login: LoginPhase::$login,
                        logged: logged!($($logged)?),
                    } }),)*
                    _ => None,
                }
            }
        }
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

macro_rules! logged {
    () => {
        false
    };
    ($value:literal) => {
        $value
    };
}

frame_table!(frame_types);

impl FrameType {
    /// The family whose range the type lies in, also for types that this crate does not know.
    #[must_use]
    pub const fn family(self) -> Option<Family> {
        Family::from_high(self.0.to_be_bytes()[0])
    }

    /// The type with this name in the registry.
    #[must_use]
    pub fn from_name(name: &str) -> Option<FrameType> {
        FrameType::ALL
            .iter()
            .copied()
            .find(|known| known.name() == Some(name))
    }
}
