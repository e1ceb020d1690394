//! Events on their way to the app.
//!
//! Bounded by construction: entries by the window of the connection, outcomes by the outbox, the rest by counts of its own.

use std::collections::VecDeque;

use super::command::Ticket;
use crate::event::Event;
use crate::store::Change;

/// Messages for whoever is online that wait for the app. They may be lost anyway; the newest give way.
const ONLINE: usize = 256;
/// Events about sessions that wait for the app. The oldest give way: what counts is how it is now.
const SESSIONS: usize = 64;

/// What is stored once the app has an entry.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) pos: u64,
    pub(super) generation: u64,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every item is an event; a box would cost an allocation each"
)]
pub(super) enum Item {
    Event(Event, Option<Logged>),
    /// An entry that the app is not told of.
    Silent(Logged),
    /// Everything before it was handed over.
    Fence(Ticket),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    events: usize,
    logged: u64,
    outcomes: usize,
    online: usize,
    sessions: usize,
    is_deaf: bool,
}

impl Queue {
    /// Entries that the app has not taken.
    pub(super) fn logged(&self) -> u64 {
        self.logged
    }

    /// Outcomes of the outbox that the app has not taken.
    pub(super) fn outcomes(&self) -> usize {
        self.outcomes
    }

    /// Nobody listens any more.
    pub(super) fn deafen(&mut self) {
        self.is_deaf = true;
    }

    pub(super) fn has_event(&self) -> bool {
        !self.is_deaf && self.events > 0
    }

    pub(super) fn push(&mut self, event: Event, logged: Option<Logged>) {
        match (Kind::of(&event), &logged) {
            (_, Some(_)) => self.logged += 1,
            (Kind::Entry, None) if self.online >= ONLINE => return,
            (Kind::Entry, None) => self.online += 1,
            (Kind::Outcome, None) => self.outcomes += 1,
            (Kind::Session, None) => {
                self.sessions += 1;
                if self.sessions > SESSIONS {
                    self.drop_oldest_session();
                }
            }
        }
        self.events += 1;
        self.items.push_back(Item::Event(event, logged));
    }

    pub(super) fn push_silent(&mut self, logged: Logged) {
        self.logged += 1;
        self.items.push_back(Item::Silent(logged));
    }

    pub(super) fn push_fence(&mut self, ticket: Ticket) {
        self.items.push_back(Item::Fence(ticket));
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.events -= usize::from(matches!(item, Item::Event(..)));
        match &item {
            Item::Event(_, Some(_)) | Item::Silent(_) => self.logged -= 1,
            Item::Event(event, None) => match Kind::of(event) {
                Kind::Entry => self.online -= 1,
                Kind::Outcome => self.outcomes -= 1,
                Kind::Session => self.sessions -= 1,
            },
            Item::Fence(_) => {}
        }
        Some(item)
    }

    /// Entries that the app has not taken come again: they are as good as never received.
    pub(super) fn drop_logged(&mut self) {
        let events = &mut self.events;
        self.items.retain(|item| {
            let logged = matches!(item, Item::Event(_, Some(_)) | Item::Silent(_));
            *events -= usize::from(matches!(item, Item::Event(_, Some(_))));
            !logged
        });
        self.logged = 0;
    }

    /// What stands in front and needs no app; everything where nobody listens.
    pub(super) fn pop_silent(&mut self) -> Option<Item> {
        match self.items.front()? {
            Item::Event(..) if !self.is_deaf => None,
            _ => self.pop(),
        }
    }

    fn drop_oldest_session(&mut self) {
        let oldest = self.items.iter().position(
            |item| matches!(item, Item::Event(event, None) if Kind::of(event) == Kind::Session),
        );
        if let Some(oldest) = oldest {
            self.items.remove(oldest);
            self.events -= 1;
            self.sessions -= 1;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entry,
    Outcome,
    Session,
}

impl Kind {
    fn of(event: &Event) -> Kind {
        match event {
            Event::Entry(_) => Kind::Entry,
            Event::Accepted { .. } | Event::Failed { .. } => Kind::Outcome,
            _ => Kind::Session,
        }
    }
}
