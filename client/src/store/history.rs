//! What of the history is asked for, and what comes.

use tidewire_codec::{Frame, FrameType};

use crate::entry::Entry as Shown;
use crate::ids::Conversation;
use crate::store::records::{Entry, from_fields};

/// A place in the history of this device, to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryCursor(pub(crate) u64);

/// A part of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only this conversation.
    pub conversation: Option<Conversation>,
    /// Only what is older than this place.
    pub before: Option<HistoryCursor>,
    /// At most so many.
    pub limit: usize,
}

impl Default for HistoryQuery {
    fn default() -> HistoryQuery {
        HistoryQuery {
            conversation: None,
            before: None,
            limit: 100,
        }
    }
}

/// An entry of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// Its place, for [`HistoryQuery::before`].
    pub cursor: HistoryCursor,
    /// The entry.
    pub entry: Shown,
}

impl HistoryQuery {
    /// True if the entry belongs to the conversation that is asked for.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        let conversation = || from_fields(entry.user.as_ref(), entry.group);
        self.conversation
            .as_ref()
            .is_none_or(|wanted| *wanted == conversation())
    }
}

/// The entry as the app sees it; `None` for one that this version cannot read.
pub(crate) fn decode(entry: &Entry) -> Option<Shown> {
    let frame_type = FrameType(u16::try_from(entry.frame_type).ok()?);
    let shown = Shown::from_frame(Frame::decode(frame_type, &entry.body).ok()?)?;
    Some(shown.in_conversation(from_fields(entry.user.as_ref(), entry.group)))
}
