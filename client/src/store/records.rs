//! What a device remembers, as records. They are protobuf messages, so a store can write them as they are.

use bytes::Bytes;

use crate::ids::{Conversation, GroupId};

/// One change of what a device remembers. A store applies all changes of a batch or none.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Change {
    /// The id of this device: the first change of every store.
    #[prost(bytes = "bytes", tag = "1")]
    Device(Bytes),
    /// Up to where the log of the user is stored here.
    #[prost(message, tag = "2")]
    Position(Position),
    /// Something new in the outbox.
    #[prost(message, tag = "3")]
    Queued(Queued),
    /// Whether something in the outbox may have reached the server.
    #[prost(message, tag = "4")]
    Tried(Tried),
    /// Something left the outbox.
    #[prost(uint64, tag = "5")]
    Done(u64),
    /// An entry for the history.
    #[prost(message, tag = "6")]
    Entry(Entry),
    /// An own message and its state.
    #[prost(message, tag = "7")]
    Sent(Sent),
    /// How far somebody received or read.
    #[prost(message, tag = "8")]
    Watermark(Watermark),
}

/// Up to where the log of the user is stored here.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Position {
    /// The epoch of the log.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// The position.
    #[prost(uint64, tag = "2")]
    pub pos: u64,
    /// Where this device began: up to here nothing was ever stored here.
    #[prost(uint64, tag = "3")]
    pub base: u64,
}

/// A request that waits for its answer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Queued {
    /// Its name on this device; rises.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The type of the frame.
    #[prost(uint32, tag = "2")]
    pub frame_type: u32,
    /// The encoded body, with the idempotency key where the type has one.
    #[prost(bytes = "bytes", tag = "3")]
    pub body: Bytes,
    /// When it was given to the outbox.
    #[prost(uint64, tag = "4")]
    pub since_ms: u64,
    /// It may have reached the server.
    #[prost(bool, tag = "5")]
    pub tried: bool,
    /// What the app calls it.
    #[prost(string, tag = "6")]
    pub label: String,
}

/// Whether something in the outbox may have reached the server.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Tried {
    /// Which.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Whether.
    #[prost(bool, tag = "2")]
    pub tried: bool,
}

/// An entry of the log of the user, or a message that this device sent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Entry {
    /// The type of the frame.
    #[prost(uint32, tag = "1")]
    pub frame_type: u32,
    /// The encoded body.
    #[prost(bytes = "bytes", tag = "2")]
    pub body: Bytes,
    /// The conversation, where it is one with a user.
    #[prost(string, optional, tag = "3")]
    pub user: Option<String>,
    /// The conversation, where it is a group.
    #[prost(uint64, optional, tag = "4")]
    pub group: Option<u64>,
}

/// An own message and its state.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Sent {
    /// The conversation, where it is one with a user.
    #[prost(string, optional, tag = "1")]
    pub user: Option<String>,
    /// The conversation, where it is a group.
    #[prost(uint64, optional, tag = "2")]
    pub group: Option<u64>,
    /// The message.
    #[prost(uint64, tag = "3")]
    pub msg_id: u64,
    /// What the app calls it; absent for a message of another device.
    #[prost(string, optional, tag = "4")]
    pub label: Option<String>,
    /// Its state, a `MessageState`.
    #[prost(int32, tag = "5")]
    pub state: i32,
    /// It was sent to whoever was online: no watermark speaks of it.
    #[prost(bool, tag = "6")]
    pub online_only: bool,
    /// The members for whom alone it failed.
    #[prost(string, repeated, tag = "7")]
    pub failed_for: Vec<String>,
}

/// How far somebody received or read.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Watermark {
    /// The conversation, where it is one with a user.
    #[prost(string, optional, tag = "1")]
    pub user: Option<String>,
    /// The conversation, where it is a group.
    #[prost(uint64, optional, tag = "2")]
    pub group: Option<u64>,
    /// Whose.
    #[prost(string, tag = "3")]
    pub by: String,
    /// DELIVERED or READ, a `MessageState`.
    #[prost(int32, tag = "4")]
    pub state: i32,
    /// Up to this message.
    #[prost(uint64, tag = "5")]
    pub msg_id: u64,
}

/// Several changes that hold together.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Batch {
    #[prost(message, repeated, tag = "1")]
    pub(crate) changes: Vec<OneChange>,
}

/// A [`Change`] as an item of a list.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OneChange {
    #[prost(oneof = "Change", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub(crate) change: Option<Change>,
}

impl Batch {
    pub(crate) fn new(changes: &[Change]) -> Batch {
        let changes = changes.iter().cloned().map(|change| OneChange {
            change: Some(change),
        });
        Batch {
            changes: changes.collect(),
        }
    }

    pub(crate) fn into_changes(self) -> impl Iterator<Item = Change> {
        self.changes.into_iter().filter_map(|one| one.change)
    }
}

/// The two fields that name a conversation in a record.
pub(crate) fn to_fields(conversation: &Conversation) -> (Option<String>, Option<u64>) {
    match conversation {
        Conversation::User(user) => (Some(user.clone()), None),
        Conversation::Group(group) => (None, Some(group.0)),
    }
}

/// The conversation that the two fields of a record name.
pub(crate) fn from_fields(user: Option<&String>, group: Option<u64>) -> Conversation {
    match group {
        Some(group) => Conversation::Group(GroupId(group)),
        None => Conversation::User(user.cloned().unwrap_or_default()),
    }
}
