//! An engine against a scripted server, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod delivery;
mod garbage;
mod log;
mod session;
mod status;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tidewire_codec::{Code, Decoder, Flags, Frame, FrameType, Item, RawFrame, proto};

use super::{Answer, Command, Config, Engine, Input, Output, Ticket};
use crate::error::Error;
use crate::event::Event;
use crate::ids::{DeviceId, Millis};
use crate::message::Message;
use crate::store::{Change, MemoryStore, Snapshot, Store};

/// An engine with its surroundings, and the server's end of its connection.
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: Millis,
    pub(super) store: MemoryStore,
    pub(super) commits: Vec<Vec<Change>>,
    /// What the client sent and nobody looked at.
    pub(super) sent: VecDeque<RawFrame>,
    pub(super) answers: HashMap<u64, Result<Answer, Error>>,
    pub(super) dials: usize,
    pub(super) wants_token: usize,
    pub(super) is_open: bool,
    decoder: Decoder,
    bytes: BytesMut,
}

pub(super) fn config() -> Config {
    Config {
        features: vec![1, 2, 3, 4],
        max_frame: 65_536,
        window: 8,
        outbox: 64,
        keepalive_ms: None,
        manual_ack: false,
        grease: false,
        renews: false,
        agent: "test".to_owned(),
    }
}

pub(super) fn device() -> DeviceId {
    DeviceId::new(&[7; 16]).unwrap()
}

impl World {
    pub(super) fn new(config: Config) -> World {
        World::from_store(config, MemoryStore::new(), Millis(1_000_000))
    }

    /// A client that starts on a store that others used before.
    pub(super) fn from_store(config: Config, mut store: MemoryStore, now: Millis) -> World {
        let snapshot: Snapshot = store.load().unwrap();
        let token = Some(Bytes::from_static(b"token"));
        let engine = Engine::new(config, snapshot, device(), token, 1, now);
        let mut world = World {
            engine,
            now,
            store,
            commits: Vec::new(),
            sent: VecDeque::new(),
            answers: HashMap::new(),
            dials: 0,
            wants_token: 0,
            is_open: false,
            decoder: Decoder::new(true),
            bytes: BytesMut::new(),
        };
        world.pump();
        world
    }

    /// A client with a session and an empty log.
    pub(super) fn live(config: Config) -> World {
        let mut world = World::new(config);
        world.log_in(login_ok());
        world.synced();
        world
    }

    pub(super) fn input(&mut self, input: Input) {
        self.engine.handle(input, self.now);
        self.pump();
    }

    pub(super) fn pump(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Commit(changes) => {
                    self.store.commit(&changes).unwrap();
                    self.commits.push(changes);
                    assert!(self.engine.poll_output().is_none(), "ahead of the disk");
                    self.engine.handle(Input::Committed, self.now);
                }
                Output::Dial => {
                    self.dials += 1;
                    self.is_open = false;
                }
                Output::Send(bytes) => {
                    assert!(self.is_open, "sent without a connection");
                    self.bytes.extend_from_slice(&bytes);
                    self.read();
                }
                Output::Close => self.is_open = false,
                Output::NeedToken => self.wants_token += 1,
                Output::Reply(ticket, result) => {
                    assert!(
                        self.answers.insert(ticket.0, result).is_none(),
                        "answered twice"
                    );
                }
            }
        }
    }

    fn read(&mut self) {
        self.decoder
            .set_max_frame(tidewire_codec::limits::MAX_FRAME_HARD);
        while let Some(item) = self.decoder.poll(&mut self.bytes) {
            match item {
                Item::Preface => {}
                Item::Frame(frame) => {
                    assert!(
                        frame.frame_type.is_grease() || frame.decode().is_ok(),
                        "{frame:?}"
                    );
                    self.sent.push_back(frame);
                }
                Item::Violation(violation) => panic!("{violation}"),
            }
        }
    }

    // The server.

    /// The connection is made; returns the LOGIN.
    #[track_caller]
    pub(super) fn accept(&mut self) -> proto::Login {
        self.decoder = Decoder::new(true);
        self.bytes.clear();
        self.sent.clear();
        self.is_open = true;
        self.input(Input::Connected { preface: true });
        let frame = self.sent.pop_front().unwrap();
        assert_eq!(frame.reference, 1);
        let Frame::Login(login) = frame.decode().unwrap() else {
            panic!("{frame:?}")
        };
        assert!(self.sent.is_empty(), "{:?}", self.sent);
        login
    }

    #[track_caller]
    pub(super) fn log_in(&mut self, ok: proto::LoginOk) -> proto::Login {
        let login = self.accept();
        self.reply(1, ok);
        login
    }

    pub(super) fn synced(&mut self) {
        self.event(proto::Synced { pos: 0 });
    }

    pub(super) fn reply(&mut self, reference: u32, frame: impl Into<Frame>) {
        self.frame(frame.into().to_reply(reference));
    }

    pub(super) fn event(&mut self, frame: impl Into<Frame>) {
        self.frame(frame.into().to_event());
    }

    pub(super) fn frame(&mut self, frame: RawFrame) {
        self.input(Input::Frame(frame));
    }

    /// An entry of the log: a message from bob.
    pub(super) fn message(&mut self, pos: u64, prev_pos: u64) {
        self.event(message(pos, prev_pos));
    }

    pub(super) fn goaway(&mut self, code: Code, retry_after_ms: Option<u32>) {
        self.event(proto::Goaway {
            code: code.0.into(),
            retry_after_ms,
            ..proto::Goaway::default()
        });
    }

    pub(super) fn error(&mut self, reference: u32, code: Code, retry_after_ms: Option<u32>) {
        self.reply(
            reference,
            proto::Error {
                code: code.0.into(),
                retry_after_ms,
                ..proto::Error::default()
            },
        );
    }

    pub(super) fn cut(&mut self) {
        self.is_open = false;
        self.input(Input::Closed);
    }

    /// The next frame of the client, which is of this type.
    #[track_caller]
    pub(super) fn expect(&mut self, frame_type: FrameType) -> (u32, Frame) {
        let frame = self
            .sent
            .pop_front()
            .unwrap_or_else(|| panic!("no {frame_type} came"));
        assert_eq!(frame.frame_type, frame_type, "{frame:?}");
        (frame.reference, frame.decode().unwrap())
    }

    #[track_caller]
    pub(super) fn expect_send(&mut self) -> (u32, proto::Send) {
        match self.expect(FrameType::SEND) {
            (reference, Frame::Send(send)) => (reference, send),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn expect_ack(&mut self, pos: u64) {
        assert_eq!(
            self.expect(FrameType::ACK).1,
            Frame::Ack(proto::Ack { pos })
        );
    }

    #[track_caller]
    pub(super) fn expect_nothing(&self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }

    // The app.

    pub(super) fn ticket(&self) -> Ticket {
        // Keys are made of tickets, so they differ between the clients of a test as well.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Ticket(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a message; returns the ticket of its outcome.
    pub(super) fn send(&mut self, message: Message) -> u64 {
        let (stored, outcome) = (self.ticket(), self.ticket());
        let mut key = [1; 16];
        key[..8].copy_from_slice(&outcome.0.to_be_bytes());
        let message = Box::new(message);
        self.input(Input::Command(Command::Send {
            stored,
            outcome: Some(outcome),
            message,
            key,
        }));
        assert!(self.answers.contains_key(&stored.0));
        outcome.0
    }

    pub(super) fn request(&mut self, frame: impl Into<Frame>) -> u64 {
        let ticket = self.ticket();
        let frame = Box::new(frame.into());
        self.input(Input::Command(Command::Request {
            ticket,
            frame,
            key: [9; 16],
        }));
        ticket.0
    }

    pub(super) fn command(&mut self, make: impl FnOnce(Ticket) -> Command) -> u64 {
        let ticket = self.ticket();
        self.input(Input::Command(make(ticket)));
        ticket.0
    }

    /// Takes every event.
    pub(super) fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.engine.next_event() {
            events.push(event);
        }
        self.pump();
        events
    }

    /// Time goes on, one deadline after the other.
    pub(super) fn wait(&mut self, ms: u64) {
        let target = self.now.plus(ms);
        while let Some(due) = self.engine.next_deadline().filter(|due| *due <= target) {
            self.now = self.now.max(due);
            self.input(Input::Tick);
            if self
                .engine
                .next_deadline()
                .is_some_and(|next| next <= self.now)
            {
                break;
            }
        }
        self.now = target;
        self.input(Input::Tick);
    }
}

pub(super) fn login_ok() -> proto::LoginOk {
    proto::LoginOk {
        version: 1,
        features: vec![1, 2, 3, 4],
        user: "alice".to_owned(),
        keepalive_ms: 60_000,
        resume: proto::ResumeResult::Fresh.into(),
        epoch: 5,
        oldest_pos: 1,
        ..proto::LoginOk::default()
    }
}

pub(super) fn resumed() -> proto::LoginOk {
    proto::LoginOk {
        resume: proto::ResumeResult::Resumed.into(),
        ..login_ok()
    }
}

pub(super) fn message(pos: u64, prev_pos: u64) -> proto::Message {
    proto::Message {
        pos,
        prev_pos,
        msg_id: pos,
        from: "bob".to_owned(),
        target: Some(proto::message::Target::ToUser("alice".to_owned())),
        ..proto::Message::default()
    }
}

pub(super) fn ack(msg_id: u64) -> proto::SendAck {
    proto::SendAck {
        msg_id,
        state: proto::MessageState::Accepted.into(),
        ttl_ms: 1,
        ..proto::SendAck::default()
    }
}

pub(super) fn hello() -> Message {
    Message::text("hello").to_user("bob").label("m")
}

/// An event of a type that nobody knows.
pub(super) fn unknown(flags: Flags, body: &'static [u8]) -> RawFrame {
    RawFrame {
        flags,
        frame_type: FrameType(0x3a7a),
        reference: 0,
        body: Bytes::from_static(body),
    }
}
