//! Errors, grouped by whose fault they are: the bytes, the peer's framing, the peer's request, our caller.
//!
//! Which code of the registry each stands for is in one table, [`error_code`](crate::error_code).

mod decode;

use alloc::vec::Vec;
use core::fmt;

use crate::registry::{Feature, FrameType};

pub use decode::{DecodeError, DecodeErrorKind, FieldPath};

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
