//! Errors, grouped by whose fault they are: the bytes, the peer's framing, the peer's request, our caller.
//!
//! Which code of the registry each stands for is in one table, [`error_code`](crate::error_code).

use alloc::vec::Vec;
use core::fmt;

use crate::registry::{Feature, FrameType};

/// How many names a [`FieldPath`] holds. The deepest field of version 1 has three.
const PATH_LEN: usize = 4;

/// Where in a body something is: field names from the outside in, printed with dots as `create.members`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FieldPath {
    /// From the inside out; empty names are unused.
    names: [&'static str; PATH_LEN],
}

impl FieldPath {
    /// True if no field is named: the fault lies between the fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let [first, ..] = self.names;
        first.is_empty()
    }

    /// Names the field that this path lies in. Beyond four names the outermost are left out.
    pub(crate) fn push_outer(&mut self, name: &'static str) {
        if name.is_empty() {
            return;
        }
        if let Some(free) = self.names.iter_mut().find(|known| known.is_empty()) {
            *free = name;
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for name in self.names.iter().rev().filter(|name| !name.is_empty()) {
            write!(f, "{separator}{name}")?;
            separator = ".";
        }
        Ok(())
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldPath({self})")
    }
}

/// What is wrong with the bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The type of the frame is not registered, so its body cannot be read.
    UnknownType,
    /// A field or a varint ends behind the end of the message that it stands in.
    Truncated,
    /// A varint has more than ten bytes or more than 64 bits.
    VarintTooLong,
    /// A field number is 0 or above 536,870,911.
    FieldNumber,
    /// A wire type that proto3 does not have, or not for this field.
    WireType {
        /// The wire type found, 0 to 7.
        found: u8,
    },
    /// A string is not UTF-8.
    NotUtf8,
    /// Messages are nested too deep.
    TooDeep {
        /// The greatest depth.
        limit: usize,
        /// The first depth beyond it.
        actual: usize,
    },
    /// A repeated field has too many items.
    TooManyItems {
        /// The bound.
        limit: usize,
        /// The number of items that are there.
        actual: usize,
    },
    /// prost refused what the scan let pass. Does not happen as far as tests and fuzzing know.
    Refused,
}

impl DecodeErrorKind {
    /// True if one place of the body is to blame.
    const fn has_place(&self) -> bool {
        !matches!(
            self,
            DecodeErrorKind::UnknownType
                | DecodeErrorKind::TooManyItems { .. }
                | DecodeErrorKind::Refused
        )
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeErrorKind::UnknownType => f.write_str("unknown frame type"),
            DecodeErrorKind::Truncated => f.write_str("field cut off"),
            DecodeErrorKind::VarintTooLong => f.write_str("varint too long"),
            DecodeErrorKind::FieldNumber => f.write_str("invalid field number"),
            DecodeErrorKind::WireType { found } => write!(f, "invalid wire type {found}"),
            DecodeErrorKind::NotUtf8 => f.write_str("string is not utf-8"),
            DecodeErrorKind::TooDeep { limit, actual } => {
                write!(f, "nesting depth {actual} exceeds limit {limit}")
            }
            DecodeErrorKind::TooManyItems { limit, actual } => {
                write!(f, "item count {actual} exceeds limit {limit}")
            }
            DecodeErrorKind::Refused => f.write_str("body refused"),
        }
    }
}

/// A body that does not decode: what, where, in which frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    frame_type: Option<FrameType>,
    path: FieldPath,
    offset: usize,
}

impl DecodeError {
    pub(crate) const fn new(kind: DecodeErrorKind) -> DecodeError {
        let path = FieldPath {
            names: [""; PATH_LEN],
        };
        DecodeError {
            kind,
            frame_type: None,
            path,
            offset: 0,
        }
    }

    pub(crate) fn in_frame(mut self, frame_type: FrameType) -> DecodeError {
        self.frame_type = Some(frame_type);
        self
    }

    /// Names the field in which the error lies. An empty name is an unknown field.
    pub(crate) fn in_field(mut self, name: &'static str) -> DecodeError {
        self.path.push_outer(name);
        self
    }

    pub(crate) const fn at_path(mut self, path: FieldPath) -> DecodeError {
        self.path = path;
        self
    }

    pub(crate) const fn at_offset(mut self, offset: usize) -> DecodeError {
        self.offset = offset;
        self
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// The type of the frame, where a frame was decoded.
    #[must_use]
    pub const fn frame_type(&self) -> Option<FrameType> {
        self.frame_type
    }

    /// The field, empty where the fault lies in an unknown field or between fields.
    #[must_use]
    pub const fn field(&self) -> FieldPath {
        self.path
    }

    /// The offset in the body of the field that is wrong. 0 for [`DecodeErrorKind::TooManyItems`], which no one byte causes.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The bound that was broken, if it is one.
    #[must_use]
    pub const fn limit(&self) -> Option<usize> {
        match self.kind {
            DecodeErrorKind::TooManyItems { limit, .. }
            | DecodeErrorKind::TooDeep { limit, .. } => Some(limit),
            _ => None,
        }
    }

    /// What was given instead of at most [`limit`](DecodeError::limit).
    #[must_use]
    pub const fn actual(&self) -> Option<usize> {
        match self.kind {
            DecodeErrorKind::TooManyItems { actual, .. }
            | DecodeErrorKind::TooDeep { actual, .. } => Some(actual),
            _ => None,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.kind.has_place() {
            write!(f, " at byte {}", self.offset)?;
        }
        match (self.path.is_empty(), self.frame_type) {
            (false, Some(frame_type)) => write!(f, " in {} of {frame_type}", self.path),
            (false, None) => write!(f, " in {}", self.path),
            (true, Some(frame_type)) => write!(f, " in {frame_type}"),
            (true, None) => Ok(()),
        }
    }
}

impl core::error::Error for DecodeError {}

/// The peer broke a rule of the connection: the answer is GOAWAY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The first bytes of a byte stream are not the preface.
    BadPreface {
        /// The first place, 0 to 7, that differs.
        at: usize,
        /// The byte there.
        found: u8,
    },
    /// A header announces a body longer than the limit in force.
    FrameTooLarge {
        /// The type of the frame.
        frame_type: FrameType,
        /// The limit in force, in bytes.
        limit: u32,
        /// The length in the header.
        actual: u32,
    },
    /// The body of a frame that is not a request does not decode.
    MalformedFrame(DecodeError),
    /// The body of LOGIN does not decode: without it there is no session in which the request could fail alone.
    MalformedLogin(DecodeError),
    /// An event with CRITICAL set is of a type that is not known here.
    UnknownCritical {
        /// The type of the frame.
        frame_type: FrameType,
    },
    /// A frame of a known type travels in the wrong direction.
    WrongDirection {
        /// The type of the frame.
        frame_type: FrameType,
    },
    /// REPLY is set on a type that the sender may not reply with.
    UnexpectedReply {
        /// The type of the frame.
        frame_type: FrameType,
    },
    /// A frame other than LOGIN comes before LOGIN_OK.
    BeforeLogin {
        /// The type of the frame.
        frame_type: FrameType,
    },
    /// A second LOGIN on a connection.
    SecondLogin,
    /// A WebSocket message does not end where a frame ends.
    SplitMessage {
        /// The bytes behind the last whole frame.
        rest: usize,
    },
    /// A WebSocket message is a text message.
    TextMessage,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::BadPreface { at, found } => {
                write!(f, "byte {at} of the preface is {found:#04x}")
            }
            Violation::FrameTooLarge {
                frame_type,
                limit,
                actual,
            } => {
                write!(
                    f,
                    "body length {actual} exceeds limit {limit} in {frame_type}"
                )
            }
            Violation::MalformedFrame(error) | Violation::MalformedLogin(error) => error.fmt(f),
            Violation::UnknownCritical { frame_type } => {
                write!(f, "unknown critical event {frame_type}")
            }
            Violation::WrongDirection { frame_type } => {
                write!(f, "{frame_type} in the wrong direction")
            }
            Violation::UnexpectedReply { frame_type } => write!(f, "reply flag on {frame_type}"),
            Violation::BeforeLogin { frame_type } => write!(f, "{frame_type} before LOGIN_OK"),
            Violation::SecondLogin => f.write_str("second LOGIN"),
            Violation::SplitMessage { rest } => {
                write!(f, "websocket message ends {rest} bytes into a frame")
            }
            Violation::TextMessage => f.write_str("websocket text message"),
        }
    }
}

impl core::error::Error for Violation {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Violation::MalformedFrame(error) | Violation::MalformedLogin(error) => Some(error),
            _ => None,
        }
    }
}

/// The peer's request cannot be served for what it is: the answer is ERROR, and the connection lives on.
///
/// What a field may hold is the server's to judge; these are the refusals that need no state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// The type is unknown, or its feature is not enabled on the connection.
    UnsupportedFrame {
        /// The type of the frame.
        frame_type: FrameType,
    },
    /// The body does not decode.
    Body(DecodeError),
    /// The request requires features that are not enabled.
    FeatureRequired {
        /// The ids that are missing, in the order in which they were required.
        missing: Vec<Feature>,
    },
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerError::UnsupportedFrame { frame_type } => {
                write!(f, "unsupported frame {frame_type}")
            }
            PeerError::Body(error) => error.fmt(f),
            PeerError::FeatureRequired { missing } => {
                f.write_str("required features are not enabled:")?;
                missing
                    .iter()
                    .try_for_each(|feature| write!(f, " {feature}"))
            }
        }
    }
}

impl core::error::Error for PeerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            PeerError::Body(error) => Some(error),
            _ => None,
        }
    }
}

/// Our caller asked for something that cannot be put on the wire. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalError {
    /// The body is longer than any receiver of version 1 takes.
    BodyTooLarge {
        /// The type of the frame.
        frame_type: FrameType,
        /// The limit, in bytes.
        limit: u32,
        /// The length of the body, in bytes.
        actual: usize,
    },
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalError::BodyTooLarge {
                frame_type,
                limit,
                actual,
            } => {
                write!(
                    f,
                    "body length {actual} exceeds limit {limit} in {frame_type}"
                )
            }
        }
    }
}

impl core::error::Error for LocalError {}
