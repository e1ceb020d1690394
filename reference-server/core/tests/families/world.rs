//! A world of one core, a store in memory, a clock that only the test moves, and clients at the other end of the wire.

#![allow(unreachable_pub, reason = "a test has no outside")]

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use tidewire_codec::{Code, Decoder, Flags, Frame, FrameType, Item, RawFrame, proto};
use tidewire_core::api::{AdminId, AdminOp, AdminReply, ConnId, Input, Millis, Output};
use tidewire_core::store::{Batch, Store as _};
use tidewire_core::testing::MemStore;
use tidewire_core::{Config, Core};

pub use crate::frames::*;

/// Noon of some day; the core must not care which.
pub const START: Millis = Millis(1_700_000_000_000);
pub const SECOND: u64 = 1_000;
pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;

pub struct World {
    pub core: Core,
    pub store: MemStore,
    pub now: Millis,
    pub commits: usize,
    config: Config,
    next_conn: u64,
    next_ref: u32,
    wires: BTreeMap<ConnId, Wire>,
    replies: Vec<AdminReply>,
}

/// The client's end of a connection.
struct Wire {
    decoder: Decoder,
    bytes: BytesMut,
    frames: VecDeque<RawFrame>,
    open: bool,
    max_frame: usize,
}

impl World {
    pub fn new() -> World {
        World::with(Config::default())
    }

    pub fn with(config: Config) -> World {
        let store = MemStore::default();
        let core = Core::open(config.clone(), &store, START, 1).unwrap();
        let wires = BTreeMap::new();
        World {
            core,
            store,
            now: START,
            commits: 0,
            config,
            next_conn: 0,
            next_ref: 0,
            wires,
            replies: Vec::new(),
        }
    }

    /// A world with these users; the token of each is its name.
    pub fn of(users: &[&str]) -> World {
        let mut world = World::new();
        for user in users {
            world.user(user);
        }
        world
    }

    pub fn user(&mut self, name: &str) {
        self.admin(AdminOp::PutUser { user: name.into() });
        self.token(name, name, None);
    }

    pub fn token(&mut self, user: &str, token: &str, ttl_ms: Option<u64>) {
        let digest = digest(token);
        self.admin(AdminOp::PutToken {
            user: user.into(),
            digest,
            ttl_ms,
        });
    }

    pub fn admin(&mut self, op: AdminOp) -> AdminReply {
        self.core
            .handle(Input::Admin { id: AdminId(7), op }, self.now);
        self.settle();
        self.replies.pop().expect("an answer")
    }

    /// Feeds one input as a burst of its own.
    pub fn feed(&mut self, input: Input) {
        self.core.handle(input, self.now);
        self.settle();
    }

    /// Drains the outputs, as a driver does.
    pub fn settle(&mut self) {
        let mut committed = false;
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Commit(batch) => {
                    assert!(!committed, "one commit a burst, before everything else");
                    check_batch(&batch);
                    self.store.commit(&batch).unwrap();
                    self.commits += 1;
                    assert!(
                        self.core.poll_output().is_none(),
                        "nothing comes before Committed"
                    );
                    self.core.handle(Input::Committed, self.now);
                }
                Output::Send { conn, bytes } => self.receive(conn, &bytes),
                Output::SetMaxFrame { .. } => {}
                Output::Close { conn } => self.wires.get_mut(&conn).expect("known").open = false,
                Output::ReadLog(read) => {
                    let page = self
                        .store
                        .read_log(read.user, read.after, read.max_entries, read.max_bytes)
                        .unwrap();
                    self.core.handle(Input::LogPage { read, page }, self.now);
                }
                Output::AdminReply { reply, .. } => self.replies.push(reply),
            }
            committed = true;
        }
    }

    fn receive(&mut self, conn: ConnId, bytes: &[u8]) {
        let wire = self
            .wires
            .get_mut(&conn)
            .expect("bytes for a known connection");
        assert!(wire.open, "nothing is sent after the close");
        wire.bytes.extend_from_slice(bytes);
        while let Some(item) = wire.decoder.poll(&mut wire.bytes) {
            let Item::Frame(frame) = item else {
                panic!("{item:?}")
            };
            assert!(
                frame.body.len() <= wire.max_frame,
                "body of {} bytes",
                frame.body.len()
            );
            let info = frame.frame_type.info().expect("a registered type");
            assert_eq!(
                frame.flags.contains(Flags::REPLY),
                frame.reference != 0,
                "{frame:?}"
            );
            assert!(
                !info.logged || frame.flags.contains(Flags::LOGGED) == has_pos(&frame),
                "{frame:?}"
            );
            wire.frames.push_back(frame);
        }
        assert!(wire.bytes.is_empty(), "whole frames");
    }

    /// What is left after a crash, opened again. Connections are gone.
    pub fn crash(&mut self) {
        self.wires.clear();
        self.core = Core::open(self.config.clone(), &self.store, self.now, 2).unwrap();
        self.settle();
    }

    /// Moves the clock; what is due on the way happens at its time.
    pub fn advance(&mut self, ms: u64) {
        let target = self.now.plus(ms);
        while let Some(deadline) = self.core.next_deadline()
            && deadline <= target
        {
            self.now = self.now.max(deadline);
            self.feed(Input::Tick);
        }
        self.now = target;
        self.feed(Input::Tick);
    }

    pub fn connect(&mut self) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        let mut decoder = Decoder::new(false);
        decoder.set_max_frame(1 << 20);
        let wire = Wire {
            decoder,
            bytes: BytesMut::new(),
            frames: VecDeque::new(),
            open: true,
            max_frame: 65_536,
        };
        self.wires.insert(conn, wire);
        self.feed(Input::Connected { conn });
        conn
    }

    pub fn set_client_max_frame(&mut self, conn: ConnId, max_frame: u32) {
        self.wires.get_mut(&conn).unwrap().max_frame = max_frame as usize;
    }

    pub fn hang_up(&mut self, conn: ConnId) {
        self.wires.remove(&conn);
        self.feed(Input::Closed { conn });
    }

    /// Puts a frame on the wire without draining the outputs, so that several are one burst.
    pub fn put(&mut self, conn: ConnId, frame: impl Into<Frame>, reference: u32) {
        let frame = frame.into().to_raw(Flags::NONE, reference);
        self.core.handle(Input::Frame { conn, frame }, self.now);
    }

    pub fn raw(
        &mut self,
        conn: ConnId,
        frame_type: FrameType,
        flags: Flags,
        reference: u32,
        body: &[u8],
    ) {
        let frame = RawFrame {
            flags,
            frame_type,
            reference,
            body: Bytes::copy_from_slice(body),
        };
        self.feed(Input::Frame { conn, frame });
    }

    /// Sends an event.
    pub fn tell(&mut self, conn: ConnId, frame: impl Into<Frame>) {
        self.put(conn, frame, 0);
        self.settle();
    }

    /// Sends a request and takes its reply from among what comes.
    #[track_caller]
    pub fn ask(&mut self, conn: ConnId, frame: impl Into<Frame>) -> Frame {
        self.next_ref += 1;
        let reference = self.next_ref;
        self.put(conn, frame, reference);
        self.settle();
        let frames = &mut self
            .wires
            .get_mut(&conn)
            .expect("an open connection")
            .frames;
        let index = frames.iter().position(|frame| frame.reference == reference);
        frames
            .remove(index.expect("a reply"))
            .unwrap()
            .decode()
            .unwrap()
    }

    /// Everything that came on a connection, decoded, and takes it.
    pub fn take(&mut self, conn: ConnId) -> Vec<Frame> {
        let frames = &mut self.wires.get_mut(&conn).expect("a connection").frames;
        frames
            .drain(..)
            .map(|frame| frame.decode().unwrap())
            .collect()
    }

    #[track_caller]
    pub fn quiet(&mut self, conn: ConnId) {
        assert_eq!(self.take(conn), []);
    }

    pub fn is_open(&self, conn: ConnId) -> bool {
        self.wires.get(&conn).is_some_and(|wire| wire.open)
    }

    /// Takes the GOAWAY that has to be the last thing on a connection.
    #[track_caller]
    pub fn goaway(&mut self, conn: ConnId) -> proto::Goaway {
        assert!(!self.is_open(conn), "still open");
        match self.take(conn).pop() {
            Some(Frame::Goaway(goaway)) => goaway,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn expect_goaway(&mut self, conn: ConnId, code: Code) {
        assert_eq!(Code::from_field(self.goaway(conn).code), Some(code));
    }

    /// Logs in; the first frame has to be LOGIN_OK. What follows stays on the wire.
    #[track_caller]
    pub fn login_with(&mut self, login: proto::Login) -> (ConnId, proto::LoginOk) {
        let conn = self.connect();
        if let Some(max_frame) = login.limits.and_then(|limits| limits.max_frame) {
            self.set_client_max_frame(conn, max_frame);
        }
        match self.ask(conn, login) {
            Frame::LoginOk(ok) => (conn, ok),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn login(&mut self, user: &str, device: u8) -> ConnId {
        self.login_with(login(user, device)).0
    }

    /// Logs in and takes the backlog.
    #[track_caller]
    pub fn login_quiet(&mut self, user: &str, device: u8) -> ConnId {
        let conn = self.login(user, device);
        self.take(conn);
        conn
    }

    /// Logs in after a position of the log.
    #[track_caller]
    pub fn resume(
        &mut self,
        user: &str,
        device: u8,
        epoch: u64,
        pos: u64,
    ) -> (ConnId, proto::LoginOk) {
        self.login_with(proto::Login {
            resume: Some(proto::Resume { epoch, pos }),
            ..login(user, device)
        })
    }

    #[track_caller]
    pub fn send(&mut self, conn: ConnId, to: &str, text: &str) -> proto::SendAck {
        self.send_frame(conn, message(to, text))
    }

    #[track_caller]
    pub fn send_frame(&mut self, conn: ConnId, send: proto::Send) -> proto::SendAck {
        match self.ask(conn, send) {
            Frame::SendAck(ack) => ack,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request that has to be refused.
    #[track_caller]
    pub fn refused(&mut self, conn: ConnId, frame: impl Into<Frame>, code: Code) -> proto::Error {
        match self.ask(conn, frame) {
            Frame::Error(error) => {
                assert_eq!(Code::from_field(error.code), Some(code), "{error:?}");
                error
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn ok(&mut self, conn: ConnId, frame: impl Into<Frame>) {
        assert_eq!(self.ask(conn, frame), Frame::Ok(proto::Ok {}));
    }

    pub fn ack(&mut self, conn: ConnId, pos: u64) {
        self.tell(conn, proto::Ack { pos });
    }

    #[track_caller]
    pub fn info(&mut self, conn: ConnId, op: proto::GroupOp) -> proto::GroupInfo {
        match self.ask(conn, op) {
            Frame::GroupInfo(info) => info,
            other => panic!("{other:?}"),
        }
    }

    /// The messages among what came on a connection, as (pos, text); takes everything.
    pub fn texts(&mut self, conn: ConnId) -> Vec<(u64, String)> {
        let frames = self.take(conn);
        messages(&frames)
            .iter()
            .map(|message| (message.pos, text(message)))
            .collect()
    }
}

fn has_pos(frame: &RawFrame) -> bool {
    // Fields 1 to 3 of every logged body are the same.
    proto::Ack::decode(&frame.body[..]).is_ok_and(|ack| ack.pos != 0)
}

/// Rules of the contract that every batch keeps.
fn check_batch(batch: &Batch) {
    assert!(!batch.is_empty());
    for pair in batch.appends.windows(2) {
        if pair[0].user == pair[1].user {
            assert!(pair[0].pos < pair[1].pos);
        }
    }
}
