//! Entries of the log: each once, in order, and none left out unseen.

use prost::Message as _;
use tidewire_codec::{Flags, Frame, RawFrame, Violation};

use super::live::{Breach, breach};
use super::queue::Logged;
use super::session::{Gap, Stage};
use super::{Engine, Phase};
use crate::entry::{Entry, StatusEntry};
use crate::error::Refusal;
use crate::event::Event;
use crate::ids::Conversation;
use crate::store::Change;
use crate::store::records::{self, to_fields};
use crate::tracker::{MessageState, MessageStatus};

/// A gap that stays after so many answers is not closed by another one; a new connection may help.
const ASKED: u32 = 3;
/// How long after an ERROR of class 5 without a time SYNC is repeated.
const AGAIN_MS: u64 = 1_000;

/// What every LOGGED frame begins with, known or not.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Place {
    #[prost(uint64, tag = "1")]
    pos: u64,
    #[prost(uint64, tag = "2")]
    prev_pos: u64,
}

impl Engine {
    /// A LOGGED frame.
    pub(super) fn entry(&mut self, frame: &RawFrame) -> Result<(), Breach> {
        let known = frame.frame_type.info().is_some();
        if !known && frame.flags.contains(Flags::CRITICAL) {
            return Err(Violation::UnknownCritical {
                frame_type: frame.frame_type,
            }
            .into());
        }
        let body = match known {
            true => Some(frame.decode().map_err(Violation::MalformedFrame)?),
            false => None,
        };
        //= spec/01-framing.md#unknown-frames
        //# [FRM-044] A client MUST advance its position over an unknown frame with LOGGED set by reading body fields 1
        //# and 2.
        let Ok(Place { pos, prev_pos }) = Place::decode(frame.body.clone()) else {
            return Err(breach(
                tidewire_codec::Code::MALFORMED_FRAME,
                "a logged frame without a readable position",
            ));
        };
        if let Some(session) = &mut self.session {
            session.received += 1;
        }
        //= spec/30-send.md#the-user-log
        //# [SND-044] A client MUST ignore an entry whose pos is not above its own position.
        if pos <= self.seen {
            return Ok(());
        }
        //= spec/30-send.md#the-user-log
        //# [SND-043] A client MUST take an entry whose prev_pos is above its own position as a gap and ask for the
        //# missing with SYNC.
        if prev_pos > self.seen {
            self.gap();
            return Ok(());
        }
        self.seen = pos;
        let generation = self.generation;
        let mut changes = Vec::new();
        let event = body.and_then(|body| self.entry_event(body, frame, &mut changes));
        let logged = Logged {
            pos,
            generation,
            changes,
        };
        match event {
            Some(event) => self.queue.push(event, Some(logged)),
            None => self.queue.push_silent(logged),
        }
        Ok(())
    }

    /// What the app is told, and what is stored once it has it.
    fn entry_event(
        &self,
        body: Frame,
        frame: &RawFrame,
        changes: &mut Vec<Change>,
    ) -> Option<Event> {
        let entry = Entry::from_frame(body)?.seen_by(&self.user);
        if !self.config.manual_ack {
            let (user, group) = to_fields(entry.conversation());
            let frame_type = u32::from(frame.frame_type.0);
            let body = frame.body.clone();
            changes.push(Change::Entry(records::Entry {
                frame_type,
                body,
                user,
                group,
            }));
        }
        Some(Event::Entry(entry))
    }

    /// Follows what an entry says of own messages, now that the app gets it. What is told twice changes nothing.
    pub(super) fn follow(&mut self, entry: &mut Entry, changes: &mut Vec<Change>) {
        match entry {
            Entry::Message(message) if message.from() == self.user => {
                let (conversation, id) = (message.conversation(), message.id());
                self.tracker.accepted(
                    conversation,
                    id,
                    None,
                    MessageState::Accepted,
                    false,
                    changes,
                );
            }
            Entry::Status(status) => status.messages = self.follow_status(status, changes),
            Entry::Expired(expired) => {
                let (conversation, id) = (expired.conversation().clone(), expired.id());
                expired.message =
                    self.tracker
                        .ended(&conversation, id, MessageState::Expired, None, changes);
            }
            _ => {}
        }
    }

    fn follow_status(
        &mut self,
        status: &StatusEntry,
        changes: &mut Vec<Change>,
    ) -> Vec<MessageStatus> {
        let (conversation, by, id) = (status.conversation(), status.by(), status.id());
        let with_oneself = *conversation == Conversation::User(self.user.clone());
        match status.state() {
            // A mark of another own device speaks of the messages of others.
            Some(MessageState::Read) if by == self.user => Vec::new(),
            Some(MessageState::Delivered) if by == self.user && !with_oneself => Vec::new(),
            Some(state @ (MessageState::Delivered | MessageState::Read)) => {
                self.tracker.watermark(conversation, by, state, id, changes)
            }
            Some(state @ (MessageState::Failed | MessageState::Expired)) => {
                let in_group = matches!(conversation, Conversation::Group(_));
                let member = Some(by).filter(|by| in_group && !by.is_empty());
                self.tracker
                    .ended(conversation, id, state, member, changes)
                    .into_iter()
                    .collect()
            }
            Some(MessageState::Accepted) | None => Vec::new(),
        }
    }

    /// Entries are missing. What comes meanwhile comes again, in order.
    fn gap(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let asked = match &session.gap {
            Some(gap) if gap.after == self.seen && gap.stage != Stage::Coming => return,
            Some(gap) if gap.after == self.seen => gap.asked,
            _ => 0,
        };
        if asked >= ASKED {
            self.give_up();
            return;
        }
        session.gap = Some(Gap {
            after: self.seen,
            stage: Stage::Due(self.now),
            asked,
        });
    }

    pub(super) fn sync_answered(&mut self, reply: Frame) {
        let Some(gap) = self
            .session
            .as_mut()
            .and_then(|session| session.gap.as_mut())
        else {
            return;
        };
        let Frame::Error(error) = reply else {
            gap.stage = Stage::Coming;
            return;
        };
        let refusal = Refusal::from(error);
        if refusal.class() == tidewire_codec::Class::Retry {
            let wait = refusal.retry_after_ms.map_or(AGAIN_MS, u64::from);
            gap.stage = Stage::Due(self.now.plus(wait));
            return;
        }
        match (refusal.limit, self.position) {
            // What is missing is gone for good: as after GAP, the rest is taken as new.
            (Some(limit), Some(position)) if limit > gap.after => {
                *gap = Gap {
                    after: limit,
                    stage: Stage::Due(self.now),
                    asked: 0,
                };
                self.restart_at(position.epoch, limit);
                self.tell(Event::Missing);
            }
            _ => self.give_up(),
        }
    }

    /// Longest content that the server takes, where that is known.
    pub(super) fn content_limit(&self) -> Option<usize> {
        let live = matches!(self.phase, Phase::Live);
        let session = self.session.as_ref().filter(|_| live)?;
        let overhead =
            usize::try_from(tidewire_codec::limits::MAX_CONTENT_OVERHEAD).unwrap_or(usize::MAX);
        Some(session.max_frame.saturating_sub(overhead))
    }
}
