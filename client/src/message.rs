//! Messages to send, and what the server answers.

use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::limits::MAX_CONTENT_TYPE;
use tidewire_codec::{Code, proto};

use crate::error::Error;
use crate::ids::{Conversation, GroupId, LocalId, MsgId};
use crate::tracker::MessageState;

/// Longest label of a message, in bytes.
pub const MAX_LABEL: usize = 128;

/// Which statuses the sender wants to learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receipts {
    /// None.
    #[default]
    None,
    /// That it was delivered.
    Delivered,
    /// That it was delivered, and read.
    All,
}

/// A message to be sent.
///
/// ```
/// use std::time::Duration;
/// use tidewire_client::{Message, Receipts};
///
/// let message = Message::text("hello").to_user("bob").ttl(Duration::from_secs(60)).receipts(Receipts::All);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub(crate) body: proto::Send,
    pub(crate) label: String,
}

impl Message {
    /// A text, as `text/plain` in UTF-8.
    pub fn text(text: impl Into<String>) -> Message {
        Message::bytes(text.into()).content_type("text/plain")
    }

    /// Opaque bytes.
    pub fn bytes(content: impl Into<Bytes>) -> Message {
        Message::from_proto(proto::Send {
            delivery: proto::Delivery::Store.into(),
            content: content.into(),
            ..proto::Send::default()
        })
    }

    /// A message with these fields, whatever they say. Its key is made by the client.
    #[must_use]
    pub fn from_proto(body: proto::Send) -> Message {
        let label = String::new();
        Message { body, label }
    }

    /// To this user. The own name is allowed: the own other devices get it.
    #[must_use]
    pub fn to_user(self, user: impl Into<String>) -> Message {
        self.to(Conversation::User(user.into()))
    }

    /// To the members of this group.
    #[must_use]
    pub fn to_group(self, group: GroupId) -> Message {
        self.to(Conversation::Group(group))
    }

    /// Into this conversation.
    #[must_use]
    pub fn to(mut self, conversation: Conversation) -> Message {
        self.body.target = Some(conversation.into());
        self
    }

    /// How long it lives, at least a millisecond. The time that it waits in the outbox counts.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Message {
        self.body.ttl_ms = Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Which statuses the sender wants to learn.
    #[must_use]
    pub fn receipts(mut self, receipts: Receipts) -> Message {
        self.body.receipts = match receipts {
            Receipts::None => None,
            Receipts::Delivered => Some(proto::Receipts {
                delivered: true,
                read: false,
            }),
            Receipts::All => Some(proto::Receipts {
                delivered: true,
                read: true,
            }),
        };
        self
    }

    /// Only for devices that are online now; it is never kept.
    #[must_use]
    pub fn online_only(mut self) -> Message {
        self.body.delivery = proto::Delivery::OnlineOnly.into();
        self
    }

    /// What it means to the app.
    #[must_use]
    pub fn app_type(mut self, app_type: u32) -> Message {
        self.body.app_type = app_type;
        self
    }

    /// Media type of the content, at most 64 bytes.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Message {
        self.body.content_type = content_type.into();
        self
    }

    /// It answers this message of the conversation.
    #[must_use]
    pub fn reply_to(mut self, message: MsgId) -> Message {
        self.body.reply_to = Some(message.0);
        self
    }

    /// It belongs to the thread that this message opened.
    #[must_use]
    pub fn thread(mut self, message: MsgId) -> Message {
        self.body.thread = Some(message.0);
        self
    }

    /// It stands for this message of the conversation.
    #[must_use]
    pub fn replaces(mut self, message: MsgId) -> Message {
        self.body.replaces = Some(message.0);
        self
    }

    /// What the app calls it, at most [`MAX_LABEL`] bytes: comes back with everything that is told of it, also after a restart.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Message {
        self.label = label.into();
        self
    }

    /// What can be known to be wrong before a server says so.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(what.to_owned()));
        if self.body.target.is_none() {
            return invalid("a message needs to_user or to_group");
        }
        if self.body.ttl_ms == Some(0) {
            return invalid("a ttl below a millisecond");
        }
        if self.body.content_type.len() > MAX_CONTENT_TYPE {
            return invalid("content_type is longer than 64 bytes");
        }
        self.check_label()
    }

    pub(crate) fn check_label(&self) -> Result<(), Error> {
        match self.label.len() {
            0..=MAX_LABEL => Ok(()),
            _ => Err(Error::Invalid("label is longer than 128 bytes".to_owned())),
        }
    }
}

/// The server has the message for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its name inside the conversation.
    pub id: MsgId,
    /// Its name in the outbox.
    pub local: LocalId,
    /// What the app calls it; empty if nothing.
    pub label: String,
    /// True: an earlier try had been accepted already; the message exists once.
    pub duplicate: bool,
    /// The time that it lives on.
    pub ttl: Duration,
    /// Its state now. A message that is [online only](Message::online_only) fails here where nobody was.
    pub state: MessageState,
    /// With [`MessageState::Failed`]: why.
    pub code: Option<Code>,
}
