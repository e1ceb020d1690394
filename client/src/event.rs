//! What a client tells its app.

use tidewire_codec::{Code, Feature};

use crate::entry::Entry;
use crate::error::{Error, Refusal};
use crate::ids::LocalId;
use crate::message::Receipt;
use crate::tracker::MessageStatus;

/// How a session goes on from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// Everything that this device has not got follows.
    Resumed,
    /// Entries may be lost to this device; what the server still has follows.
    Gap,
    /// The device is new; what the server still has follows.
    Fresh,
}

/// Something that an app may want to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A session began.
    Connected {
        /// How it goes on from the one before.
        resumed: Resumed,
        /// The user that the credential belongs to.
        user: String,
        /// What the server offers of what was asked for.
        features: Vec<Feature>,
    },
    /// What had waited on the server is here; what comes now is live.
    Synced,
    /// Entries may be lost to this device: an app that shows a history says so.
    Missing,
    /// A new entry of the log of the user, in order. Each comes once; after a crash, or with manual ACK after a cut, what was
    /// not stored comes again.
    Entry(Entry),
    /// A message was accepted.
    Accepted {
        /// The server's answer.
        receipt: Receipt,
        /// What is known of the message beyond that it is accepted.
        states: Vec<MessageStatus>,
    },
    /// A message or group operation was refused for good, or its time was over.
    Failed {
        /// Its name in the outbox.
        local: LocalId,
        /// What the app calls it; empty if nothing.
        label: String,
        /// Why.
        error: Error,
    },
    /// A session ended, or a login was refused.
    Disconnected {
        /// What the server said, if anything.
        reason: Option<Refusal>,
        /// True if the client connects again by itself.
        will_reconnect: bool,
    },
    /// The server refused the credential: the client connects again once it has [another](crate::Client::set_token).
    TokenNeeded {
        /// Why, if the server said.
        code: Option<Code>,
    },
}
