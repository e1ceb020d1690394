//! The core: its state, its inputs and outputs, and time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use prost::Message;
use tidewire_codec::{Code, FrameType};

use crate::api::{ConnId, Input, Millis, Output, ReadLog};
use crate::config::Config;
use crate::conn::{Conn, Session};
use crate::convs::Convs;
use crate::groups::{AcceptedOp, Group};
use crate::ids::{DeviceUid, GroupId, IdemKey, OwnIds, SplitMix};
use crate::journal::Record;
use crate::msgs::Messages;
use crate::persist::Counters;
use crate::pins::PinTries;
use crate::refuse::{Farewell, Refusal};
use crate::store::{Batch, Pos, Store, StoreError, UserKey};
use crate::users::{User, Users};

/// How often old things are cleared away, ms of server time.
pub(crate) const SWEEP_INTERVAL_MS: u64 = 3_600_000;

/// The server without its surroundings. See the crate's documentation for how a burst goes.
///
/// # Example
///
/// ```
/// use tidewire_core::api::{AdminId, AdminOp, Input, Millis, Output};
/// use tidewire_core::store::Store as _;
/// use tidewire_core::testing::MemStore;
/// use tidewire_core::{Config, Core};
///
/// let mut store = MemStore::default();
/// let now = Millis(1_000);
/// let mut core = Core::open(Config::default(), &store, now, 7)?;
/// core.handle(Input::Admin { id: AdminId(1), op: AdminOp::PutUser { user: "alice".into() } }, now);
/// while let Some(output) = core.poll_output() {
///     match output {
///         Output::Commit(batch) => {
///             store.commit(&batch)?;
///             core.handle(Input::Committed, now);
///         }
///         output => println!("{output:?}"),
///     }
/// }
/// # Ok::<(), tidewire_core::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct Core {
    pub(crate) cfg: Config,
    pub(crate) now: Millis,
    pub(crate) rng: SplitMix,
    pub(crate) counters: Counters,
    pub(crate) users: Users,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) convs: Convs,
    pub(crate) msgs: Messages,
    /// GROUP_OPs within the window, by device and key, and in the order of acceptance.
    pub(crate) ops: HashMap<(DeviceUid, IdemKey), AcceptedOp>,
    pub(crate) op_window: VecDeque<(Millis, DeviceUid, IdemKey)>,
    pub(crate) pin_tries: PinTries,
    pub(crate) conns: HashMap<ConnId, Conn, OwnIds>,
    pub(crate) timers: BTreeSet<(Millis, ConnId)>,
    pub(crate) next_sweep: Millis,
    pub(crate) store_full: bool,
    /// What this burst changes.
    pub(crate) batch: Batch,
    awaiting_commit: bool,
    pub(crate) dirty: Vec<ConnId>,
    pub(crate) outputs: VecDeque<Output>,
}

impl Core {
    /// Builds the state from the store. Deadlines that passed meanwhile fire at once, so there may be outputs.
    ///
    /// `now` is raised to the time of the last commit if it lies before it. `seed` feeds epochs and group ids.
    ///
    /// # Errors
    /// Whatever the store fails with, and a value in it that cannot be read.
    pub fn open(
        config: Config,
        store: &dyn Store,
        now: Millis,
        seed: u64,
    ) -> Result<Core, StoreError> {
        let mut core = Core::empty(config.clamped(), now, seed);
        core.rebuild(store)?;
        core.now = core.now.max(core.counters.committed);
        core.next_sweep = core.now.plus(SWEEP_INTERVAL_MS);
        core.fire_due();
        Ok(core)
    }

    fn empty(cfg: Config, now: Millis, seed: u64) -> Core {
        Core {
            cfg,
            now,
            rng: SplitMix(seed),
            counters: Counters::default(),
            users: Users::default(),
            groups: BTreeMap::new(),
            convs: Convs::new(),
            msgs: Messages::default(),
            ops: HashMap::new(),
            op_window: VecDeque::new(),
            pin_tries: PinTries::default(),
            conns: HashMap::default(),
            timers: BTreeSet::new(),
            next_sweep: now,
            store_full: false,
            batch: Batch::default(),
            awaiting_commit: false,
            dirty: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Server time: that of the last input, or later if the store knew better.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Takes one input. Several may come before the outputs are drained; together they are a burst.
    ///
    /// After [`Output::Commit`] the next input has to be [`Input::Committed`].
    pub fn handle(&mut self, input: Input, now: Millis) {
        self.now = self.now.max(now);
        // What was due before the input came takes effect before it.
        self.fire_due();
        match input {
            Input::Connected { conn } => self.on_connected(conn),
            Input::Frame { conn, frame } => self.on_frame(conn, frame),
            Input::Violation { conn, violation } => {
                //= spec/04-security.md#security
                //# [SEC-008] Garbage on a connection MUST end at most that connection.
                //= spec/02-errors-and-limits.md#error-and-goaway
                //# [ERR-011] A violation on one connection MUST leave the other connections as they are.
                if !self.conns.contains_key(&conn) {
                    self.on_connected(conn);
                }
                self.farewell(conn, &Farewell::from(violation));
            }
            Input::Closed { conn } => self.on_closed(conn),
            Input::Congested { conn, on } => {
                if let Some(state) = self.conns.get_mut(&conn) {
                    state.congested = on;
                    self.touch(conn);
                }
            }
            Input::Committed => self.awaiting_commit = false,
            Input::LogPage { read, page } => self.on_page(&read, page),
            Input::StoreFull(full) => self.store_full = full,
            Input::Admin { id, op } => self.on_admin(id, op),
            Input::Tick => {}
            Input::Drain => self.on_drain(),
        }
    }

    //= spec/30-send.md#send-1
    //# [SND-002] The server MUST NOT send SEND_ACK before the message would survive a crash of the server.
    //= spec/10-control.md#end-of-a-connection
    //# [CTL-031] What was accepted before a stop, planned or not, MUST be there after it.
    /// What is to be done next; `None` when everything is done, or when a commit is being waited for.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.awaiting_commit {
            return None;
        }
        if !self.batch.is_empty() {
            self.awaiting_commit = true;
            self.counters.committed = self.now;
            self.batch.put_counters(&self.counters);
            self.batch.now = self.now.0;
            return Some(Output::Commit(std::mem::take(&mut self.batch)));
        }
        if self.outputs.is_empty() {
            self.flush();
        }
        self.outputs.pop_front()
    }

    /// Entries and small values that the next commit writes. A driver drains the core early when they are many: one frame
    /// to a large group makes thousands.
    #[must_use]
    pub fn pending_changes(&self) -> usize {
        self.batch.appends.len() + self.batch.small.len()
    }

    /// Bytes that wait for connections; counted anew at each call. A driver drains the core early when they are many: a
    /// short request can have a long answer.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        let out = |conn| self.conns.get(conn).map_or(0, |state| state.out.len());
        self.dirty.iter().map(out).sum()
    }

    /// When [`Input::Tick`] is wanted at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        let message = self.msgs.deadlines.first().map(|(time, _)| *time);
        let conn = self.timers.first().map(|(time, _)| *time);
        [message, conn, Some(self.next_sweep)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due.
    fn fire_due(&mut self) {
        while let Some((time, id)) = self.msgs.deadlines.first().copied()
            && time <= self.now
        {
            self.expire(id);
        }
        while let Some((time, conn)) = self.timers.first().copied()
            && time <= self.now
        {
            self.timers.pop_first();
            self.on_timer(conn);
        }
        if self.next_sweep <= self.now {
            self.next_sweep = self.now.plus(SWEEP_INTERVAL_MS);
            self.sweep();
        }
    }

    /// Notes that the connection has something to do at the end of the burst.
    pub(crate) fn touch(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(&conn)
            && !state.dirty
        {
            state.dirty = true;
            self.dirty.push(conn);
        }
    }

    /// Turns what was written to the connections into outputs: one piece of bytes for each.
    fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(conn) = self.conns.get_mut(&id) else {
                continue;
            };
            conn.dirty = false;
            //= spec/02-errors-and-limits.md#sizes
            //# [ERR-031] Before LOGIN_OK the limit in force MUST be 8,192 bytes.
            if let Some(max_frame) = conn.new_max_frame.take() {
                // Before the bytes, because the client may answer LOGIN_OK with a long frame at once.
                self.outputs.push_back(Output::SetMaxFrame {
                    conn: id,
                    max_frame,
                });
            }
            if !conn.out.is_empty() {
                let bytes = std::mem::take(&mut conn.out);
                self.outputs.push_back(Output::Send { conn: id, bytes });
            }
            if conn.closing {
                if !conn.closed {
                    conn.closed = true;
                    self.outputs.push_back(Output::Close { conn: id });
                }
                continue;
            }
            let congested = conn.congested;
            if let Some(session) = &mut conn.session
                && !congested
                && session.wants_page()
                && let Some(read) = next_read(&self.users, id, session)
            {
                self.outputs.push_back(Output::ReadLog(read));
            }
        }
    }

    /// Appends a record to the journal of this burst.
    pub(crate) fn note(&mut self, record: &Record) {
        record.encode(&mut self.batch.idem);
    }

    /// The session on a connection.
    pub(crate) fn session(&self, conn: ConnId) -> Option<&Session> {
        self.conns.get(&conn)?.session.as_deref()
    }

    /// The session on a connection.
    pub(crate) fn session_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.conns.get_mut(&conn)?.session.as_deref_mut()
    }

    /// The user and the device of a session.
    pub(crate) fn who(&self, conn: ConnId) -> Option<(UserKey, DeviceUid)> {
        self.session(conn)
            .map(|session| (session.user, session.device))
    }

    /// The user of a session.
    pub(crate) fn user_of(&self, conn: ConnId) -> Option<&User> {
        self.users.get(self.session(conn)?.user)
    }

    /// Writes a reply; `reference` 0 wants none.
    pub(crate) fn reply(
        &mut self,
        conn: ConnId,
        frame_type: FrameType,
        reference: u32,
        body: &impl Message,
    ) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.reply(frame_type, reference, body);
            self.touch(conn);
        }
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-001] ERROR MUST be sent only as a reply, and the connection lives on after it.
    //= spec/01-framing.md#requests-and-replies
    //# [FRM-023] The server MUST carry out a known request type other than LOGIN with ref 0 and send no reply to it.
    /// Answers a request with ERROR, unless that is one too many.
    pub(crate) fn refuse(&mut self, conn: ConnId, reference: u32, refusal: &Refusal) {
        if reference != 0 && self.spend(conn) {
            self.reply(conn, FrameType::ERROR, reference, &*refusal.0);
        }
    }

    /// Spends one of the replies that a connection may cause; says GOAWAY if there was none left.
    pub(crate) fn spend(&mut self, conn: ConnId) -> bool {
        let now = self.now;
        let Some(state) = self.conns.get_mut(&conn) else {
            return false;
        };
        if state.budget.spend(now) {
            return true;
        }
        self.farewell(conn, &Farewell::budget());
        false
    }

    /// Says GOAWAY and ends the session.
    pub(crate) fn farewell(&mut self, conn: ConnId, farewell: &Farewell) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        state.farewell(farewell);
        self.touch(conn);
        self.end_session(conn);
    }

    /// Says GOAWAY with a code alone.
    pub(crate) fn goaway(&mut self, conn: ConnId, code: Code) {
        self.farewell(conn, &Farewell::of(code));
    }

    /// The session is over: user and device forget the connection.
    pub(crate) fn end_session(&mut self, conn: ConnId) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        if let Some(timer) = state.timer.take() {
            self.timers.remove(&(timer, conn));
        }
        let Some(session) = state.session.take() else {
            return;
        };
        let Some(user) = self.users.get_mut(session.user) else {
            return;
        };
        user.sessions.retain(|other| *other != conn);
        if let Some(device) = user.device_mut(session.device)
            && device.session == Some(conn)
        {
            device.session = None;
        }
    }

    fn on_connected(&mut self, conn: ConnId) {
        self.conns.insert(conn, Conn::new(self.now));
        self.set_timer(conn);
    }

    fn on_closed(&mut self, conn: ConnId) {
        self.end_session(conn);
        self.conns.remove(&conn);
    }

    //= spec/10-control.md#end-of-a-connection
    //# [CTL-030] Before a planned stop the server MUST send GOAWAY SHUTTING_DOWN on each session and close it.
    fn on_drain(&mut self) {
        let mut all: Vec<ConnId> = self.conns.keys().copied().collect();
        all.sort_unstable();
        for conn in all {
            self.goaway(conn, Code::SHUTTING_DOWN);
        }
    }

    /// Looks at the connection again when its next deadline may have come.
    pub(crate) fn set_timer(&mut self, conn: ConnId) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        if state.closing {
            return;
        }
        let deadline = state.deadline();
        if let Some(old) = state.timer.replace(deadline) {
            self.timers.remove(&(old, conn));
        }
        self.timers.insert((deadline, conn));
    }

    /// The deadline that was set has come; traffic since then may have moved it.
    fn on_timer(&mut self, conn: ConnId) {
        let now = self.now;
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        state.timer = None;
        if state.deadline() > now {
            self.set_timer(conn);
            return;
        }
        let code = match &state.session {
            //= spec/20-login.md#login-1
            //# [LGN-008] When no LOGIN arrives within 10 seconds of the connect, the server MUST send GOAWAY
            //# LOGIN_TIMEOUT and close.
            None => Code::LOGIN_TIMEOUT,
            //= spec/20-login.md#tokens
            //# [LGN-042] When the token of a session expires, the session MUST get GOAWAY TOKEN_EXPIRED and be closed.
            Some(session) if session.token_expires.is_some_and(|expires| expires <= now) => {
                Code::TOKEN_EXPIRED
            }
            Some(_) => Code::KEEPALIVE_TIMEOUT,
        };
        self.goaway(conn, code);
    }
}

/// Largest page of a log.
const PAGE_ENTRIES: usize = 512;
const PAGE_BYTES: usize = 128 * 1024;

/// The page that a session wants, or nothing if it is at the head of the log.
fn next_read(users: &Users, conn: ConnId, session: &mut Session) -> Option<ReadLog> {
    let head = users.get(session.user)?.head;
    session.reading = true;
    session.read_head = head;
    let tag = session.tag;
    let (user, after) = (session.user, session.scan);
    Some(ReadLog {
        conn,
        user,
        after,
        max_entries: PAGE_ENTRIES,
        max_bytes: PAGE_BYTES,
        tag,
    })
}

/// The position before the first one that is retained.
pub(crate) fn before(pos: Pos) -> Pos {
    Pos(pos.0.saturating_sub(1))
}
