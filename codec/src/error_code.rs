//! The one table from errors to codes, and the ERROR and GOAWAY bodies that come of it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::{DecodeError, DecodeErrorKind, LocalError, PeerError, Violation};
use crate::proto;
use crate::raw::RawFrame;
use crate::registry::{Code, FrameType};

/// Whether a fault costs the request or the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answer ERROR; the connection lives on.
    Request(PeerError),
    /// Send GOAWAY and close.
    Connection(Violation),
}

impl Fault {
    //= spec/20-login.md#login-1
    //# [LGN-007] On a LOGIN with ref 0 or a body that does not decode the server MUST send GOAWAY INVALID_LOGIN and
    //# close.
    //= spec/02-errors-and-limits.md#what-is-answered-how
    //# [ERR-020] To a request other than LOGIN whose body does not decode the server MUST answer ERROR MALFORMED_BODY.
    //= spec/02-errors-and-limits.md#what-is-answered-how
    //# [ERR-021] On an event whose body does not decode or breaks a bound of items the server MUST send GOAWAY
    //# MALFORMED_FRAME and close.
    /// What it costs that the body of `frame` does not decode: a request is answered, anything else ends the connection,
    /// and so does LOGIN.
    #[must_use]
    pub fn of_body(frame: &RawFrame, error: DecodeError) -> Fault {
        if frame.frame_type == FrameType::LOGIN {
            Fault::Connection(Violation::MalformedLogin(error))
        } else if frame.is_request() {
            Fault::Request(PeerError::Body(error))
        } else {
            Fault::Connection(Violation::MalformedFrame(error))
        }
    }

    /// The code that says it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Fault::Request(error) => error.code(),
            Fault::Connection(violation) => violation.code(),
        }
    }
}

impl From<PeerError> for Fault {
    fn from(error: PeerError) -> Fault {
        Fault::Request(error)
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Fault {
        Fault::Connection(violation)
    }
}

impl PeerError {
    /// The code of the ERROR that answers the request.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            PeerError::UnsupportedFrame { .. } => Code::UNSUPPORTED_FRAME,
            PeerError::FeatureRequired { .. } => Code::FEATURE_REQUIRED,
            PeerError::Body(error) => match error.kind() {
                DecodeErrorKind::UnknownType => Code::UNSUPPORTED_FRAME,
                DecodeErrorKind::TooManyItems { .. } => Code::TOO_MANY_ITEMS,
                _ => Code::MALFORMED_BODY,
            },
        }
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-010] Where a bound was broken, ERROR and GOAWAY MUST carry the bound in limit and the given value in
    //# actual.
    //= spec/02-errors-and-limits.md#what-is-answered-how
    //# [ERR-022] To a request other than LOGIN with more items in a repeated field than its bound the server MUST
    //# answer ERROR TOO_MANY_ITEMS with limit and field.
    /// The body of the ERROR that answers the request.
    #[must_use]
    pub fn to_error(&self) -> proto::Error {
        let (field, limit, actual) = match self {
            PeerError::Body(error) => details(error),
            _ => (None, None, None),
        };
        let features = match self {
            PeerError::FeatureRequired { missing } => {
                missing.iter().map(|feature| feature.0).collect()
            }
            _ => Vec::new(),
        };
        let code = u32::from(self.code().0);
        proto::Error {
            code,
            retry_after_ms: None,
            text: self.to_string(),
            field,
            limit,
            actual,
            features,
        }
    }
}

impl Violation {
    /// The code of the GOAWAY that ends the connection.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Violation::BadPreface { .. } => Code::BAD_PREFACE,
            Violation::FrameTooLarge { .. } => Code::FRAME_TOO_LARGE,
            Violation::MalformedFrame(_) => Code::MALFORMED_FRAME,
            Violation::MalformedLogin(_) => Code::INVALID_LOGIN,
            Violation::UnknownCritical { .. } => Code::UNKNOWN_CRITICAL,
            Violation::WrongDirection { .. }
            | Violation::UnexpectedReply { .. }
            | Violation::BeforeLogin { .. }
            | Violation::SecondLogin
            | Violation::SplitMessage { .. }
            | Violation::TextMessage => Code::PROTOCOL_VIOLATION,
        }
    }

    /// The body of the GOAWAY that ends the connection.
    #[must_use]
    pub fn to_goaway(&self) -> proto::Goaway {
        let (field, limit, actual) = match self {
            Violation::FrameTooLarge { limit, actual, .. } => {
                (None, Some(u64::from(*limit)), Some(u64::from(*actual)))
            }
            Violation::MalformedFrame(error) | Violation::MalformedLogin(error) => details(error),
            _ => (None, None, None),
        };
        let code = u32::from(self.code().0);
        let features = Vec::new();
        proto::Goaway {
            code,
            retry_after_ms: None,
            text: self.to_string(),
            field,
            limit,
            actual,
            features,
        }
    }
}

impl LocalError {
    /// The code that a server sends where its own fault costs the peer something.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            LocalError::BodyTooLarge { .. } => Code::INTERNAL,
        }
    }
}

/// `field`, `limit` and `actual` of ERROR and GOAWAY.
fn details(error: &DecodeError) -> (Option<String>, Option<u64>, Option<u64>) {
    let field = error.field();
    let number = |value: Option<usize>| value.and_then(|value| u64::try_from(value).ok());
    (
        (!field.is_empty()).then(|| field.to_string()),
        number(error.limit()),
        number(error.actual()),
    )
}
