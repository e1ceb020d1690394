//! Recording: a proxy between clients and a server, and the session file that plays the same again.
//!
//! It writes down what was seen; what of it the protocol demands only a person can say, so a recorded file proves nothing
//! until somebody fills in `proves`.

mod actors;
mod body;
mod names;
mod proxy;
mod script;

pub(crate) use proxy::Recorder;
pub(crate) use script::write;

use tidewire_codec::RawFrame;

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Opened,
    Frame(Side, RawFrame),
    /// This side ended it first.
    Closed(Side),
    /// This side broke the framing; nothing more of it is known.
    Broken(Side, String),
}

/// What happened, on which connection: in the order in which the proxy saw it, each before it was passed on, so that a cause
/// stands before its effects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) connection: usize,
    pub(crate) event: Event,
}
