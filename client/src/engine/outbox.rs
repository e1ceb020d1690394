//! Requests that wait: for a session, for their turn, for their answer, or for the time to be repeated.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_codec::{Code, Frame, FrameType, proto};

use super::Engine;
use super::command::Ticket;
use super::replies::REQUEST;
use super::session::Pending;
use crate::error::{Error, Refusal};
use crate::ids::{Conversation, Millis};
use crate::store::{Change, Queued, Tried};

/// Room for an unknown field that is sent as grease.
const GREASE: usize = 32;

#[derive(Debug)]
pub(super) struct Item {
    pub(super) frame: Frame,
    pub(super) label: String,
    pub(super) ticket: Option<Ticket>,
    since: Millis,
    /// An earlier try may have been taken.
    tried: bool,
    flight: Flight,
    refusals: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Ready,
    /// Sent, not answered; and whether an earlier try may have been taken.
    Sent {
        tried_before: bool,
    },
    /// Refused, to be repeated then.
    NotBefore(Millis),
}

impl Item {
    pub(super) fn new(frame: Frame, since: Millis, label: String, ticket: Option<Ticket>) -> Item {
        Item {
            frame,
            label,
            ticket,
            since,
            tried: false,
            flight: Flight::Ready,
            refusals: 0,
        }
    }

    /// It goes on after a restart of the app; the rest is asked again by whoever wants to know.
    fn is_durable(&self) -> bool {
        match &self.frame {
            Frame::Send(_) | Frame::Mark(_) => true,
            Frame::GroupOp(op) => !op.idem.is_empty(),
            _ => false,
        }
    }

    /// Repeating it unseen would do something else.
    fn is_once(&self) -> bool {
        matches!(&self.frame, Frame::Devices(devices) if devices.forget.is_some())
    }

    /// The conversation whose order it takes part in.
    fn lane(&self) -> Option<Conversation> {
        match &self.frame {
            Frame::Send(send) => send.target.clone().map(Conversation::from),
            _ => None,
        }
    }

    /// When a message that nobody can have is over.
    fn over_at(&self) -> Option<Millis> {
        match &self.frame {
            Frame::Send(send) if !self.tried => send.ttl_ms.map(|ttl| self.since.plus(ttl)),
            _ => None,
        }
    }

    //= spec/60-expiry.md#time-to-live
    //# [EXP-007] A client MUST subtract the time that a message waited in its outbox from ttl_ms, and drop it when
    //# nothing is left before its first try.
    /// The frame of a try at this time.
    fn at(&self, now: Millis) -> Frame {
        match &self.frame {
            Frame::Send(send) => {
                // What was tried may have been accepted: the repeat asks, and names the least that can be named.
                let left = |ttl: u64| ttl.saturating_sub(now.since(self.since)).max(1);
                proto::Send {
                    ttl_ms: send.ttl_ms.map(left),
                    ..send.clone()
                }
                .into()
            }
            frame => frame.clone(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    items: BTreeMap<u64, Item>,
    last_id: u64,
}

impl Outbox {
    pub(super) fn new(stored: BTreeMap<u64, Queued>, last_id: u64) -> Outbox {
        let restore = |(id, queued): (u64, Queued)| {
            let frame_type = FrameType(u16::try_from(queued.frame_type).ok()?);
            let frame = Frame::decode(frame_type, &queued.body).ok()?;
            let mut item = Item::new(frame, Millis(queued.since_ms), queued.label, None);
            item.tried = queued.tried;
            Some((id, item))
        };
        let items = stored.into_iter().filter_map(restore).collect();
        Outbox { items, last_id }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn add(&mut self, item: Item, changes: &mut Vec<Change>) -> u64 {
        self.last_id += 1;
        if item.is_durable() {
            changes.push(Change::Queued(Queued {
                id: self.last_id,
                frame_type: u32::from(item.frame.frame_type().0),
                body: item.frame.encode_body(),
                since_ms: item.since.0,
                tried: false,
                label: item.label.clone(),
            }));
        }
        self.items.insert(self.last_id, item);
        self.last_id
    }

    pub(super) fn remove(&mut self, id: u64, changes: &mut Vec<Change>) -> Option<Item> {
        let item = self.items.remove(&id)?;
        if item.is_durable() {
            changes.push(Change::Done(id));
        }
        Some(item)
    }

    /// Refused for now: `when` gives the time of the repeat by the number of refusals before.
    pub(super) fn refused(
        &mut self,
        id: u64,
        changes: &mut Vec<Change>,
        when: impl FnOnce(u32) -> Millis,
    ) {
        let Some(item) = self.items.get_mut(&id) else {
            return;
        };
        // A refusal takes no key, so if this was the only try nobody has it.
        if item.flight
            == (Flight::Sent {
                tried_before: false,
            })
        {
            item.tried = false;
            if item.is_durable() {
                changes.push(Change::Tried(Tried { id, tried: false }));
            }
        }
        item.flight = Flight::NotBefore(when(item.refusals));
        item.refusals = item.refusals.saturating_add(1);
    }

    /// Labels of the messages, oldest first.
    pub(super) fn labels(&self) -> Vec<String> {
        let messages = self
            .items
            .values()
            .filter(|item| matches!(item.frame, Frame::Send(_)));
        messages.map(|item| item.label.clone()).collect()
    }

    /// Nobody will be answered any more.
    pub(super) fn take_tickets(&mut self) -> Vec<Ticket> {
        self.items
            .values_mut()
            .filter_map(|item| item.ticket.take())
            .collect()
    }

    /// When something happens by the clock alone.
    pub(super) fn deadline(&self, now: Millis, is_live: bool) -> Option<Millis> {
        let of = |item: &Item| match item.flight {
            Flight::Sent { .. } => None,
            Flight::NotBefore(at) if is_live && at > now => {
                Some(item.over_at().map_or(at, |over| over.min(at)))
            }
            _ => item.over_at(),
        };
        self.items.values().filter_map(of).min()
    }

    /// Takes out what nobody can have and whose time is over.
    fn take_over(&mut self, now: Millis, changes: &mut Vec<Change>) -> Vec<(u64, Item)> {
        let is_over = |item: &Item| item.over_at().is_some_and(|at| at <= now);
        let over: Vec<u64> = self
            .items
            .iter()
            .filter(|(_, item)| is_over(item))
            .map(|(id, _)| *id)
            .collect();
        let items = over
            .into_iter()
            .filter_map(|id| Some((id, self.remove(id, changes)?)));
        items.collect()
    }

    /// What may be sent now, oldest first. What follows a message that waits does not overtake it in its conversation.
    fn ready(&self, now: Millis, room: usize) -> Vec<u64> {
        let mut held = BTreeSet::new();
        let mut ready = Vec::new();
        for (id, item) in &self.items {
            if ready.len() >= room {
                break;
            }
            match item.flight {
                Flight::Sent { .. } => {}
                Flight::NotBefore(at) if at > now => held.extend(item.lane()),
                _ if !held.is_empty() && item.lane().is_some_and(|lane| held.contains(&lane)) => {}
                _ => ready.push(*id),
            }
        }
        ready
    }
}

impl Engine {
    pub(super) fn outbox_expired(&mut self) {
        for (id, item) in self.outbox.take_over(self.now, &mut self.changes) {
            self.item_failed(id, item, Error::Expired);
        }
    }

    //= spec/10-control.md#end-of-a-connection
    //# [CTL-032] After losing a connection a client MUST repeat every unanswered SEND and GROUP_OP in the same order
    //# with the same idempotency keys.
    /// Sends what waits and may go.
    pub(super) fn transmit(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        let limit = session.max_frame.saturating_sub(GREASE);
        for id in self.outbox.ready(self.now, session.room()) {
            let Some(item) = self.outbox.items.get_mut(&id) else {
                continue;
            };
            let frame = item.at(self.now);
            let actual = frame.body_len();
            if actual > limit
                || too_much_content(
                    &frame,
                    self.session.as_ref().map_or(0, |session| session.max_frame),
                )
            {
                // The server would end the connection over it, or refuse it: it can never be sent.
                if let Some(item) = self.outbox.remove(id, &mut self.changes) {
                    self.item_failed(id, item, Error::Refused(too_large(limit, actual)));
                }
                continue;
            }
            if !item.tried && item.is_durable() {
                self.changes.push(Change::Tried(Tried { id, tried: true }));
            }
            item.flight = Flight::Sent {
                tried_before: item.tried,
            };
            item.tried = true;
            let pending = Pending::Item(id, frame.frame_type());
            if let Some(session) = &mut self.session {
                let reference = session.expect_reply(pending);
                self.put(&frame, REQUEST, reference);
            }
        }
    }

    /// The connection was lost before its answer.
    pub(super) fn item_lost(&mut self, id: u64) {
        let Some(item) = self.outbox.items.get_mut(&id) else {
            return;
        };
        item.flight = Flight::Ready;
        if item.is_once()
            && let Some(item) = self.outbox.remove(id, &mut self.changes)
        {
            self.item_failed(id, item, Error::Lost);
        }
    }
}

fn too_much_content(frame: &Frame, max_frame: usize) -> bool {
    let overhead =
        usize::try_from(tidewire_codec::limits::MAX_CONTENT_OVERHEAD).unwrap_or(usize::MAX);
    matches!(frame, Frame::Send(send) if send.content.len() > max_frame.saturating_sub(overhead))
}

fn too_large(limit: usize, actual: usize) -> Refusal {
    Refusal {
        code: Code::CONTENT_TOO_LARGE,
        field: None,
        limit: u64::try_from(limit).ok(),
        actual: u64::try_from(actual).ok(),
        features: Vec::new(),
        text: "larger than the server takes; nothing was sent".to_owned(),
        retry_after_ms: None,
    }
}
