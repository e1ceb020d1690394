//! What goes in and what comes out: the contract between the core and whatever drives it.
//!
//! The driver feeds a burst of inputs through [`crate::Core::handle`] and then drains [`crate::Core::poll_output`] until it
//! is `None`. When a burst changed durable state, the first output is [`Output::Commit`]: the driver makes the batch durable
//! and feeds [`Input::Committed`] before anything else. Only then do the frames of that burst come out. So nothing is
//! acknowledged or delivered that a crash could take back, and a burst of any size costs one sync.

use bytes::{Bytes, BytesMut};
use tidewire_codec::{RawFrame, Violation};

use crate::store::{Batch, LogPage, Pos, UserKey};

/// Server time in milliseconds since the Unix epoch. Never goes back; the driver sees to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// A connection, named by the driver. Never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// An operator's request, named by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdminId(pub u64);

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// A transport was accepted and its preface was right (byte streams) or is not needed (WebSocket).
    Connected {
        /// Its name from now on.
        conn: ConnId,
    },
    /// A whole frame arrived.
    Frame {
        /// Where.
        conn: ConnId,
        /// The frame; its length was checked against [`Output::SetMaxFrame`].
        frame: RawFrame,
    },
    /// The bytes broke a rule of the connection: the core answers GOAWAY and closes.
    /// Also comes for a connection that never was `Connected` (a wrong preface).
    Violation {
        /// Where.
        conn: ConnId,
        /// Which rule.
        violation: Violation,
    },
    /// The connection is gone.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The driver holds more unsent bytes for this connection than it wants (`true`), or has drained them (`false`).
    /// While congested the core sends no log entries; the driver reads no frames.
    Congested {
        /// Which.
        conn: ConnId,
        /// Whether.
        on: bool,
    },
    /// The batch of [`Output::Commit`] is durable.
    Committed,
    /// Answer to [`Output::ReadLog`].
    LogPage {
        /// The request, as it was given.
        read: ReadLog,
        /// What was found.
        page: LogPage,
    },
    /// Storing is impossible for want of room (`true`), or possible again.
    StoreFull(bool),
    /// An operator's wish.
    Admin {
        /// For the answer.
        id: AdminId,
        /// What.
        op: AdminOp,
    },
    /// The deadline of [`crate::Core::next_deadline`] has come.
    Tick,
    /// Stop soon: GOAWAY SHUTTING_DOWN to every session.
    Drain,
}

/// What is to be done outside, in this order.
#[derive(Debug)]
pub enum Output {
    /// Make this durable, all or nothing, then feed [`Input::Committed`]. If that fails the process has to end.
    Commit(Batch),
    /// Write these bytes: one or more whole frames.
    Send {
        /// Where.
        conn: ConnId,
        /// What.
        bytes: BytesMut,
    },
    /// Bodies on this connection may be so long from now on.
    SetMaxFrame {
        /// Which.
        conn: ConnId,
        /// Bytes.
        max_frame: u32,
    },
    /// Close after what was sent.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Read a part of a log, then feed [`Input::LogPage`].
    ReadLog(ReadLog),
    /// Answer of an operator's request.
    AdminReply {
        /// Which.
        id: AdminId,
        /// How it went.
        reply: AdminReply,
    },
}

/// A part of a user's log that the core wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLog {
    /// For whom.
    pub conn: ConnId,
    /// Whose log.
    pub user: UserKey,
    /// Entries above this position.
    pub after: Pos,
    /// At most so many entries.
    pub max_entries: usize,
    /// Stop after the entry that reaches this sum of body bytes.
    pub max_bytes: usize,
    /// The core's own note, given back untouched.
    pub tag: u64,
}

/// What an operator may ask.
#[derive(Clone, Debug)]
pub enum AdminOp {
    /// Create the user; nothing happens if it exists.
    PutUser {
        /// 1-64 bytes.
        user: String,
    },
    /// Delete the user: sessions, tokens, log, memberships.
    DeleteUser {
        /// Which.
        user: String,
    },
    /// All users, by name, after `after`, at most `limit`.
    ListUsers {
        /// Above this name.
        after: String,
        /// How many.
        limit: usize,
    },
    /// Accept this token for the user. The token itself is made outside; only its digest comes in.
    PutToken {
        /// Whose.
        user: String,
        /// SHA-256 of the token.
        digest: [u8; 32],
        /// Absent: does not expire.
        ttl_ms: Option<u64>,
    },
    /// Refuse the token from now on and cut the sessions that live by it.
    RevokeToken {
        /// SHA-256 of the token.
        digest: [u8; 32],
    },
    /// A group operation by the operator: every permission, `by` is empty in events. For `create` the first member
    /// listed becomes OWNER.
    Group {
        /// A GROUP_OP body.
        op: Box<tidewire_codec::proto::GroupOp>,
    },
    /// Sizes for people: users, sessions, groups, undelivered messages.
    Stats,
    /// Tests only: another bound for undelivered messages per user; `None` resets.
    SetMaxInbox(Option<usize>),
    /// Tests only: another bound for members of a group; `None` resets.
    SetMaxGroupMembers(Option<usize>),
}

/// How an operator's request went.
#[derive(Clone, Debug)]
pub enum AdminReply {
    /// Done.
    Done,
    /// Done, and it was new.
    Created,
    /// There is no such user, token or group.
    NotFound,
    /// A value is out of its bounds.
    Invalid(String),
    /// Answer of ListUsers.
    Users(Vec<String>),
    /// Answer of Group.
    Group(Box<tidewire_codec::proto::GroupInfo>),
    /// The group op was refused with this error.
    Refused(Box<tidewire_codec::proto::Error>),
    /// Answer of Stats.
    Stats(Stats),
}

/// Sizes for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Users.
    pub users: usize,
    /// Live sessions.
    pub sessions: usize,
    /// Groups.
    pub groups: usize,
    /// Messages that some recipient has not acknowledged.
    pub undelivered: usize,
}

/// Bytes shared with what arrived.
pub type Content = Bytes;
