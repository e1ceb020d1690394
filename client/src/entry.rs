//! Entries of the log of the user, as the app sees them.

use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::{Code, Frame, Permissions, proto};

use crate::ids::{Conversation, GroupId, MsgId, Pos};
use crate::tracker::{MessageState, MessageStatus};

/// An entry of the log of the user.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// A message: to this user, or by another device of this user.
    Message(Received),
    /// Somebody received or read, or a message failed.
    Status(StatusEntry),
    /// A group changed.
    Group(GroupEntry),
    /// The life of an own message ended before every recipient had it.
    Expired(ExpiredEntry),
}

impl Entry {
    /// The entry that a frame carries, or `None` if it carries none.
    pub(crate) fn from_frame(frame: Frame) -> Option<Entry> {
        match frame {
            Frame::Message(body) => Received::new(body).map(Entry::Message),
            Frame::Status(body) => StatusEntry::new(body).map(Entry::Status),
            Frame::GroupEvent(body) => Some(Entry::Group(GroupEntry {
                conversation: GroupId(body.group).into(),
                body,
            })),
            Frame::Expired(body) => ExpiredEntry::new(body).map(Entry::Expired),
            _ => None,
        }
    }

    /// The same, in a conversation whose name is known.
    pub(crate) fn in_conversation(mut self, conversation: Conversation) -> Entry {
        if let Entry::Message(message) = &mut self {
            message.conversation = conversation;
        }
        self
    }

    /// The same, seen by `me`: a message between two users is addressed to its reader, whose conversation is with the sender.
    pub(crate) fn seen_by(mut self, me: &str) -> Entry {
        if let Entry::Message(message) = &mut self
            && let Conversation::User(user) = &mut message.conversation
            && message.body.from != me
        {
            user.clone_from(&message.body.from);
        }
        self
    }

    /// The conversation that it belongs to.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        match self {
            Entry::Message(message) => message.conversation(),
            Entry::Status(status) => status.conversation(),
            Entry::Group(group) => &group.conversation,
            Entry::Expired(expired) => expired.conversation(),
        }
    }

    /// Where it stands in the log; `None` for a message that no log holds (sent to whoever is online, or from this device).
    #[must_use]
    pub fn pos(&self) -> Option<Pos> {
        let pos = match self {
            Entry::Message(message) => message.body.pos,
            Entry::Status(status) => status.body.pos,
            Entry::Group(group) => group.body.pos,
            Entry::Expired(expired) => expired.body.pos,
        };
        (pos > 0).then_some(Pos(pos))
    }

    /// The frame, for what this crate has no words for.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        match self {
            Entry::Message(message) => message.body.clone().into(),
            Entry::Status(status) => status.body.clone().into(),
            Entry::Group(group) => group.body.clone().into(),
            Entry::Expired(expired) => expired.body.clone().into(),
        }
    }
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    body: proto::Message,
    conversation: Conversation,
}

impl Received {
    fn new(body: proto::Message) -> Option<Received> {
        let conversation = body.target.clone()?.into();
        Some(Received { body, conversation })
    }

    /// Its name inside the conversation.
    #[must_use]
    pub fn id(&self) -> MsgId {
        MsgId(self.body.msg_id)
    }

    /// Where it stands in the log; `None` where it was sent to whoever is online.
    #[must_use]
    pub fn pos(&self) -> Option<Pos> {
        (self.body.pos > 0).then_some(Pos(self.body.pos))
    }

    /// The user who sent it; the own one where another device did.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.body.from
    }

    /// The conversation that it belongs to: the sender, or for an own message the addressee, or the group.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The content, opaque. Empty where [`content_omitted`](Received::content_omitted) says so.
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.body.content
    }

    /// The content as text, where it is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body.content).ok()
    }

    /// True if the content was too large for one frame: [`Client::content`](crate::Client::content) has it.
    #[must_use]
    pub fn content_omitted(&self) -> bool {
        self.body.content_omitted
    }

    /// Length of the content in bytes, also where it was left out.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.body.content_len
    }

    /// Media type of the content; empty where the sender did not say.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.body.content_type
    }

    /// What it means to the app.
    #[must_use]
    pub fn app_type(&self) -> u32 {
        self.body.app_type
    }

    /// The message of the conversation that it answers.
    #[must_use]
    pub fn reply_to(&self) -> Option<MsgId> {
        self.body.reply_to.map(MsgId)
    }

    /// The time since the server accepted it.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.body.age_ms)
    }

    /// The time that is left of its life.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.body.ttl_ms)
    }

    /// The body of the frame, for fields that have no method here.
    #[must_use]
    pub fn as_proto(&self) -> &proto::Message {
        &self.body
    }
}

/// Somebody received or read, or a message failed.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusEntry {
    body: proto::Status,
    conversation: Conversation,
    pub(crate) messages: Vec<MessageStatus>,
}

impl StatusEntry {
    fn new(body: proto::Status) -> Option<StatusEntry> {
        let conversation = body.conversation.clone()?.into();
        Some(StatusEntry {
            body,
            conversation,
            messages: Vec::new(),
        })
    }

    /// The conversation.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The message that it names: DELIVERED and READ hold for all up to it.
    #[must_use]
    pub fn id(&self) -> MsgId {
        MsgId(self.body.msg_id)
    }

    /// The state; `None` for one that this version does not know.
    #[must_use]
    pub fn state(&self) -> Option<MessageState> {
        MessageState::from_field(self.body.state)
    }

    /// Whose state it is. The own user: another device of this user marked messages of the conversation as read.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.body.by
    }

    /// With [`MessageState::Failed`]: why.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_field(self.body.code).filter(|code| code.0 != 0)
    }

    /// The own messages whose state changed by it. Empty in the history.
    #[must_use]
    pub fn messages(&self) -> &[MessageStatus] {
        &self.messages
    }
}

/// A group changed.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupEntry {
    body: proto::GroupEvent,
    conversation: Conversation,
}

impl GroupEntry {
    /// The group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        GroupId(self.body.group)
    }

    /// Its revision after the change.
    #[must_use]
    pub fn rev(&self) -> u64 {
        self.body.rev
    }

    /// What happened; `Unspecified` for what this version does not know.
    #[must_use]
    pub fn change(&self) -> proto::GroupChange {
        self.body.change()
    }

    /// Who did it; empty: an operator of the server.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.body.by
    }

    /// Whom it concerns.
    #[must_use]
    pub fn users(&self) -> &[String] {
        &self.body.users
    }

    /// The name, where it changed or is new to this user.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.body.name.as_deref()
    }

    /// The mask of the members concerned after the change.
    #[must_use]
    pub fn permissions(&self) -> Option<Permissions> {
        self.body.permissions.map(Permissions)
    }
}

/// The life of an own message ended before every recipient had it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpiredEntry {
    body: proto::Expired,
    conversation: Conversation,
    pub(crate) message: Option<MessageStatus>,
}

impl ExpiredEntry {
    fn new(body: proto::Expired) -> Option<ExpiredEntry> {
        let conversation = body.conversation.clone()?.into();
        Some(ExpiredEntry {
            body,
            conversation,
            message: None,
        })
    }

    /// The conversation.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The message.
    #[must_use]
    pub fn id(&self) -> MsgId {
        MsgId(self.body.msg_id)
    }

    /// How many recipients never had it.
    #[must_use]
    pub fn undelivered(&self) -> u32 {
        self.body.undelivered
    }

    /// The change of state, where it is one and the message is followed here.
    #[must_use]
    pub fn message(&self) -> Option<&MessageStatus> {
        self.message.as_ref()
    }
}
