//! What goes into an engine and what comes out.

use bytes::Bytes;
use tidewire_codec::{RawFrame, Violation};

use super::command::{Answer, Command, Ticket};
use crate::error::{Error, Refusal, Stop};
use crate::store::{Change, StoreError};

/// How a client is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The features that it offers.
    pub features: Vec<u32>,
    /// Longest body that it receives, in bytes.
    pub max_frame: u32,
    /// Entries that may be on their way to the app, in the connection and in the queue. 0 is taken as 1.
    pub window: u64,
    /// Requests that may wait in the outbox.
    pub outbox: usize,
    /// The keepalive that it wishes for, in milliseconds.
    pub keepalive_ms: Option<u32>,
    /// The app says what it stored; nothing is acknowledged and no history is kept without it.
    pub manual_ack: bool,
    /// Send values that nobody will ever assign, so that servers keep ignoring what they do not know.
    pub grease: bool,
    /// Another credential can be asked for.
    pub renews: bool,
    /// Name and version of the app, for the server's log.
    pub agent: String,
}

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// The connection is made. `preface`: it is a byte stream.
    Connected {
        /// It is a byte stream, which begins with the preface.
        preface: bool,
    },
    /// A whole frame arrived; its length was checked against [`Engine::max_frame`](super::Engine::max_frame).
    Frame(RawFrame),
    /// The server broke the framing.
    Violation(Violation),
    /// The connection could not be made, or is gone.
    Closed,
    /// The app wants something.
    Command(Command),
    /// The changes of [`Output::Commit`] are stored.
    Committed,
    /// They are not, or may not be.
    StoreFailed(StoreError),
    /// The answer to [`Output::NeedToken`]; `None` if there is no credential now.
    Token(Option<Bytes>),
    /// Time went on.
    Tick,
}

/// What is to be done outside, in this order.
#[derive(Debug)]
pub enum Output {
    /// Store these, all or none.
    Commit(Vec<Change>),
    /// Make a connection.
    Dial,
    /// Write these bytes.
    Send(Bytes),
    /// Close the connection after what was written, or give up making it.
    Close,
    /// Ask for another credential.
    NeedToken,
    /// Answer a command.
    Reply(Ticket, Result<Answer, Error>),
}

/// Where a client stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It tries to connect, or waits for the next try.
    Connecting,
    /// A session lives.
    Connected,
    /// The credential was refused, and it waits for another one.
    TokenNeeded(Option<Refusal>),
    /// It has stopped for good.
    Stopped(Stop),
}
