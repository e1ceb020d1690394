//! The client without its surroundings: a state machine for one device of one user.
//!
//! No sockets, no files, no clock, no randomness: frames, times, keys and a seed come in, bytes and changes go out. Whoever
//! brings those has a client; the rest of this crate does, with tokio.
//!
//! # The contract
//!
//! - [`Engine::handle`] takes any number of inputs; then [`Engine::poll_output`] is called until it is `None`.
//! - After [`Output::Commit`] nothing comes out until [`Input::Committed`] (or [`Input::StoreFailed`]) went in: nothing is
//!   sent, answered or acknowledged ahead of the disk.
//! - [`Engine::next_event`] hands an event over to the app. An entry that was handed over is stored and acknowledged with the
//!   next commit, so an app that stops taking events stops the log and loses nothing.
//! - At [`Engine::next_deadline`] an [`Input::Tick`] is due.
//! - At any time there is one connection or none: [`Output::Dial`] begins one, [`Output::Close`] ends it. Inputs of a
//!   connection that ended are not fed any more.

mod command;
mod contract;
mod entries;
mod live;
mod login;
mod outbox;
mod pace;
mod queue;
mod replies;
mod session;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tidewire_codec::grease::Grease;
use tidewire_codec::{Flags, Frame, RawFrame, proto};

pub use command::{Answer, ClientState, Command, Ticket};
pub use contract::{Config, Input, Output, Standing};
use outbox::Outbox;
use pace::Pace;
use queue::{Logged, Queue};
use session::Session;

use crate::error::{Error, Refusal, Stop};
use crate::event::Event;
use crate::ids::{DeviceId, Millis};
use crate::store::{Change, Position, Snapshot, StoreError};
use crate::tracker::Tracker;

#[derive(Debug)]
enum Phase {
    Waiting {
        until: Millis,
    },
    Dialing {
        deadline: Millis,
    },
    LoggingIn {
        deadline: Millis,
    },
    Live,
    NeedToken {
        why: Option<Refusal>,
        retry: Option<Millis>,
    },
    Stopped(Stop),
}

/// The client. See the [module](self) for the contract.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    random: Grease,
    now: Millis,
    device: DeviceId,
    /// What is stored here.
    position: Option<Position>,
    position_changed: bool,
    /// The position of the newest entry that came, stored or still with the app.
    seen: u64,
    /// Positions of another generation mean nothing any more.
    generation: u64,
    user: String,
    tracker: Tracker,
    outbox: Outbox,
    token: Option<Bytes>,
    refused: Option<Bytes>,
    renew_at: Option<Millis>,
    phase: Phase,
    pace: Pace,
    attempts: u64,
    session: Option<Session>,
    queue: Queue,
    changes: Vec<Change>,
    committing: bool,
    unsettled: bool,
    out: BytesMut,
    outputs: VecDeque<Output>,
}

impl Engine {
    /// A client that goes on from what a store remembers, or with `device` where it remembers nothing. `seed` is for waits
    /// and grease; no secret depends on it.
    #[must_use]
    pub fn new(
        config: Config,
        snapshot: Snapshot,
        device: DeviceId,
        token: Option<Bytes>,
        seed: u64,
        now: Millis,
    ) -> Engine {
        let mut changes = Vec::new();
        //= spec/20-login.md#login-1
        //# [LGN-013] A client MUST send the same device_id in every LOGIN of one installation.
        let device = snapshot.device.unwrap_or_else(|| {
            changes.push(Change::Device(device.to_bytes()));
            device
        });
        let phase = match token {
            Some(_) => Phase::Waiting { until: now },
            None => Phase::NeedToken {
                why: None,
                retry: Some(now),
            },
        };
        Engine {
            config,
            random: Grease::new(seed),
            now,
            device,
            seen: snapshot.position.map_or(0, |position| position.pos),
            position: snapshot.position,
            position_changed: false,
            generation: 0,
            user: String::new(),
            tracker: snapshot.tracker,
            outbox: Outbox::new(snapshot.outbox, snapshot.last_id),
            token,
            refused: None,
            renew_at: None,
            phase,
            pace: Pace::default(),
            attempts: 0,
            session: None,
            queue: Queue::default(),
            changes,
            committing: false,
            unsettled: true,
            out: BytesMut::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. Times that go back are taken as the latest one known.
    pub fn handle(&mut self, input: Input, now: Millis) {
        self.now = self.now.max(now);
        self.unsettled = true;
        match input {
            Input::Connected { preface } => self.connected(preface),
            Input::Frame(frame) => self.received(frame),
            Input::Violation(violation) => self.breach(violation.to_goaway()),
            Input::Closed => self.lost(),
            Input::Command(command) => self.command(command),
            Input::Committed => self.committing = false,
            Input::StoreFailed(error) => self.store_failed(error),
            Input::Token(token) => self.token_came(token),
            Input::Tick => {}
        }
    }

    /// The next thing to be done, or `None` until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.committing {
            return None;
        }
        if self.unsettled {
            self.unsettled = false;
            self.settle();
        }
        if !self.changes.is_empty() {
            self.committing = true;
            return Some(Output::Commit(std::mem::take(&mut self.changes)));
        }
        if !self.out.is_empty() {
            return Some(Output::Send(self.out.split().freeze()));
        }
        self.outputs.pop_front()
    }

    /// The next event for the app. With this call it counts as handed over.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let item = self.queue.pop()?;
            self.unsettled = true;
            if let Some(event) = self.hand_over(item) {
                return Some(event);
            }
        }
    }

    /// True if [`next_event`](Engine::next_event) has one.
    #[must_use]
    pub fn has_event(&self) -> bool {
        self.queue.has_event()
    }

    /// When the next [`Input::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        let own = match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Dialing { deadline } | Phase::LoggingIn { deadline } => Some(*deadline),
            Phase::Live => self.session.as_ref().map(Session::deadline),
            Phase::NeedToken { retry, .. } => *retry,
            Phase::Stopped(_) => return None,
        };
        let live = matches!(self.phase, Phase::Live);
        let renew = self.renew_at.filter(|_| live);
        [own, renew, self.outbox.deadline(self.now, live)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Longest body that may be received now, in bytes.
    #[must_use]
    pub fn max_frame(&self) -> u32 {
        match self.phase {
            Phase::Live => self.config.max_frame,
            _ => tidewire_codec::limits::MAX_FRAME_BEFORE_LOGIN,
        }
    }

    /// Where the client stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.phase {
            Phase::Live => Standing::Connected,
            Phase::NeedToken { why, .. } if !self.config.renews => {
                Standing::TokenNeeded(why.clone())
            }
            Phase::Stopped(stop) => Standing::Stopped(stop.clone()),
            _ => Standing::Connecting,
        }
    }

    /// True while something is expected of the server or the way to it: a connection, LOGIN_OK, a PONG.
    #[must_use]
    pub fn waits_for_server(&self) -> bool {
        match self.phase {
            Phase::Dialing { .. } | Phase::LoggingIn { .. } => true,
            Phase::Live => self.session.as_ref().is_some_and(Session::awaits_pong),
            _ => false,
        }
    }

    /// Everything that follows from what came, and from the time.
    fn settle(&mut self) {
        self.outbox_expired();
        self.timers();
        while let Some(item) = self.queue.pop_silent() {
            // What is an event here has nobody to go to.
            let _ = self.hand_over(item);
        }
        if self.position_changed {
            self.position_changed = false;
            self.changes.extend(self.position.map(Change::Position));
        }
        if matches!(self.phase, Phase::Live) {
            self.acknowledge();
            self.give_credit();
            self.transmit();
        }
    }

    /// What follows when an item leaves the queue, and the event for the app.
    fn hand_over(&mut self, item: queue::Item) -> Option<Event> {
        match item {
            queue::Item::Event(mut event, logged) => {
                if let Some(mut logged) = logged {
                    if let Event::Entry(entry) = &mut event {
                        self.follow(entry, &mut logged.changes);
                    }
                    self.confirm(logged);
                }
                Some(event)
            }
            queue::Item::Silent(logged) => {
                self.confirm(logged);
                None
            }
            queue::Item::Fence(ticket) => {
                self.reply(ticket, Ok(Answer::Done));
                None
            }
        }
    }

    /// The app has an entry: with the next commit it is stored, and then acknowledged.
    fn confirm(&mut self, logged: Logged) {
        self.changes.extend(logged.changes);
        if logged.generation != self.generation || self.config.manual_ack {
            return;
        }
        self.store_position(logged.pos);
    }

    fn store_position(&mut self, pos: u64) {
        if let Some(position) = &mut self.position
            && pos > position.pos
        {
            position.pos = pos;
            self.position_changed = true;
        }
    }

    fn reply(&mut self, ticket: Ticket, result: Result<Answer, Error>) {
        self.outputs.push_back(Output::Reply(ticket, result));
    }

    fn tell(&mut self, event: Event) {
        self.queue.push(event, None);
    }

    /// Puts a frame behind what is to be written.
    fn put(&mut self, frame: &Frame, flags: Flags, reference: u32) {
        let mut raw = frame.to_raw(flags, reference);
        //= spec/03-versioning.md#grease
        //# [VER-021] A client SHOULD send some grease in each session.
        if self.config.grease {
            raw.flags = raw.flags.union(self.random.flags());
            if self.random.next_u64().is_multiple_of(4) {
                let mut body = BytesMut::from(&raw.body[..]);
                body.extend_from_slice(&self.random.unknown_field());
                raw.body = body.freeze();
            }
        }
        self.put_raw(&raw);
    }

    fn put_raw(&mut self, frame: &RawFrame) {
        // Nothing that is put is longer than the server's limit, which is below what a header can say.
        if frame.encode_into(&mut self.out).is_ok()
            && let Some(session) = &mut self.session
        {
            session.last_sent = self.now;
        }
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-049] A client that sent GOAWAY for a breach by the server MUST NOT reconnect by itself.
    /// The server broke a rule: GOAWAY, and no other try.
    fn breach(&mut self, goaway: proto::Goaway) {
        if self.session.is_none() {
            return;
        }
        let text = Refusal::from(goaway.clone()).to_string();
        self.put(&goaway.into(), Flags::NONE, 0);
        self.session_over(None, false);
        self.stop(Stop::Breach(text));
    }

    /// No connection is made or kept from now on.
    fn stop(&mut self, stop: Stop) {
        if matches!(self.phase, Phase::Stopped(_)) {
            return;
        }
        if !matches!(self.phase, Phase::Waiting { .. } | Phase::NeedToken { .. }) {
            self.outputs.push_back(Output::Close);
        }
        for ticket in self.outbox.take_tickets() {
            self.reply(ticket, Err(Error::Stopped(stop.clone())));
        }
        self.session = None;
        self.phase = Phase::Stopped(stop);
    }

    /// Nothing that rested on the changes may get out.
    fn store_failed(&mut self, error: StoreError) {
        let stop = Stop::Store(error);
        self.committing = false;
        self.changes.clear();
        self.out.clear();
        for output in &mut self.outputs {
            if let Output::Reply(_, result) = output {
                *result = Err(Error::Stopped(stop.clone()));
            }
        }
        let had_session = matches!(self.phase, Phase::Live);
        self.stop(stop);
        if had_session {
            self.tell(Event::Disconnected {
                reason: None,
                will_reconnect: false,
            });
        }
    }
}
