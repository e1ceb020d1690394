//! Errors, grouped by what the app does about them.

use tidewire_codec::{Class, Code, Feature, proto};

use crate::store::StoreError;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused it for good. The same again would be refused again.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Its time was over before it could be sent. Nobody has it.
    #[error("its time was over before it could be sent")]
    Expired,
    /// It is larger than the server takes. Nothing was sent.
    #[error("content of {actual} bytes exceeds limit {limit}")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// What was given, in bytes.
        actual: usize,
    },
    /// The call makes no sense. Nothing was sent.
    #[error("invalid: {0}")]
    Invalid(String),
    /// As much as allowed waits already: wait for some of it, then call again.
    #[error("{limit} requests wait already")]
    OutboxFull {
        /// How many may wait.
        limit: usize,
    },
    /// It needs a session, and there is none now.
    #[error("not connected")]
    NotConnected,
    /// The connection was lost before the answer: it may have been done. Only for what must not be repeated unseen.
    #[error("the connection was lost before the answer")]
    Lost,
    /// The client has stopped. What is in the outbox stays there for the next client on the same store.
    #[error("the client has stopped: {0}")]
    Stopped(Stop),
}

impl Error {
    /// The code of the server, where it refused.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused(refusal) => Some(refusal.code),
            Error::Stopped(Stop::Goaway(refusal)) => Some(refusal.code),
            _ => None,
        }
    }
}

/// Why a client has stopped for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// The app closed it.
    #[error("closed")]
    Closed,
    /// The server ended the session and said that no other may follow.
    #[error("{0}")]
    Goaway(Refusal),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Breach(String),
    /// The store failed: nothing more can be promised.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a server says with ERROR or GOAWAY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code. Its class says what to do.
    pub code: Code,
    /// The field that is wrong.
    pub field: Option<String>,
    /// The bound that was broken.
    pub limit: Option<u64>,
    /// What was given instead.
    pub actual: Option<u64>,
    /// The features that it would need.
    pub features: Vec<Feature>,
    /// For logs and people, never to be parsed.
    pub text: String,
    /// How long to wait before a repeat.
    pub retry_after_ms: Option<u32>,
}

impl Refusal {
    /// What the code asks for.
    #[must_use]
    pub fn class(&self) -> Class {
        self.code.class()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.code.fmt(f)?;
        if let Some(field) = &self.field {
            write!(f, " for {field}")?;
        }
        if let (Some(actual), Some(limit)) = (self.actual, self.limit) {
            write!(f, " ({actual}, limit {limit})")?;
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// A code field may be absent or hold what no code can: then its class is unknown.
fn code(field: u32) -> Code {
    Code::from_field(field).unwrap_or(Code(0))
}

impl From<proto::Error> for Refusal {
    fn from(error: proto::Error) -> Refusal {
        Refusal {
            code: code(error.code),
            field: error.field,
            limit: error.limit,
            actual: error.actual,
            features: error.features.into_iter().map(Feature).collect(),
            text: error.text,
            retry_after_ms: error.retry_after_ms,
        }
    }
}

impl From<proto::Goaway> for Refusal {
    fn from(goaway: proto::Goaway) -> Refusal {
        Refusal {
            code: code(goaway.code),
            field: goaway.field,
            limit: goaway.limit,
            actual: goaway.actual,
            features: goaway.features.into_iter().map(Feature).collect(),
            text: goaway.text,
            retry_after_ms: goaway.retry_after_ms,
        }
    }
}

/// Why no client could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The address is none that a client can use.
    #[error("{url}: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates cannot be used.
    #[error("certificates: {0}")]
    Certificates(String),
    /// An option has a value that it cannot have.
    #[error("{0}")]
    Option(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random numbers are to be had.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No client could be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The server refused the credential, and no other is at hand.
    #[error("another credential is needed: {0}")]
    Credential(Refusal),
    /// The client stopped.
    #[error("{0}")]
    Stopped(Stop),
}
