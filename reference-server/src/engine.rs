//! The one thread that owns the core and the store.
//!
//! It waits for a first input or a deadline, takes whatever else is queued, feeds it all to the core, makes the batch that
//! comes out durable, and hands every connection its bytes. That is the group commit: a batch is what queued up while the
//! one before was on its way to the disk. Only acknowledgements that come alone wait a little, see `ACK_WAIT`.
//!
//! If the store fails, the process ends at once: what is in memory would be ahead of what is durable.

mod burst;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use tidewire_codec::{FrameType, RawFrame, Violation};
use tidewire_core::Core;
use tidewire_core::api::{AdminOp, AdminReply, ConnId, Input, Millis};
use tidewire_core::store::{Batch, Store, StoreError};
use tokio::sync::oneshot;
use tracing::{debug, error, info};

use crate::clock::Clock;
use crate::conn::Conn;
use crate::store::FjallStore;

/// Frames of one burst. Beyond some thousand the sync costs nothing any more, and others would wait for it.
const MAX_BURST_FRAMES: usize = 4096;
/// Changes of one commit. One message to a large group makes thousands.
const MAX_BURST_CHANGES: usize = 32_768;
/// Bytes for connections that a burst may pile up before they are handed on.
const MAX_BURST_BYTES: usize = 8 << 20;
/// Frames between two counts of those bytes, which looks at every connection with output.
const COUNT_EVERY: usize = 16;
/// How long acknowledgements of clients wait for company. Nobody waits for an answer to them, and what a client sends
/// right after shares their sync: where two users talk in turns this halves the syncs. A status that follows from them
/// comes later by this much, on an idle server.
const ACK_WAIT: Duration = Duration::from_millis(1);
/// Exit code where the store or the engine itself failed (EX_SOFTWARE of sysexits).
const STORE_FAILED: i32 = 70;
/// How long connections may take to read their GOAWAY at a graceful stop.
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// What reaches the engine. Connections are bounded by their permits, operators by their connections.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A connection was accepted.
    Open(Arc<Conn>),
    /// Frames of one read, then perhaps the end of them.
    Frames {
        conn: ConnId,
        frames: Vec<RawFrame>,
        violation: Option<Violation>,
    },
    /// The connection has written enough to no longer be congested.
    Relieved(ConnId),
    /// The connection's task has ended.
    Closed(ConnId),
    /// An operator's wishes, all in one burst.
    Admin {
        ops: Vec<AdminOp>,
        reply: oneshot::Sender<Vec<AdminReply>>,
    },
    /// Room on the disk, as the watcher sees it, or as a test wants it.
    Full { cause: FullCause, full: bool },
    /// Virtual time goes forward, deadline by deadline.
    Advance {
        to: Millis,
        done: oneshot::Sender<()>,
    },
    /// The end of this engine.
    Stop { graceful: bool },
}

/// Why nothing can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullCause {
    /// The disk has too little room.
    Disk,
    /// A test said so.
    Fault,
}

/// What an engine is started with. Outlives restarts inside the process.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The data folder.
    pub(crate) data: PathBuf,
    /// Bounds and times.
    pub(crate) core: tidewire_core::Config,
    /// Server time.
    pub(crate) clock: Arc<Clock>,
    /// Where epochs and group ids come from.
    pub(crate) seed: u64,
}

/// A running engine, for those who feed it.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    sender: Sender<Msg>,
}

/// The engine has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

impl Engine {
    //= spec/10-control.md#end-of-a-connection
    //# [CTL-031] What was accepted before a stop, planned or not, MUST be there after it.
    /// Starts the thread. Blocks until everything that was stored is in memory and everything due has been done. The
    /// receiver hears when the thread has ended and the data folder is free again.
    pub(crate) fn start(setup: &Setup) -> Result<(Engine, oneshot::Receiver<()>), StoreError> {
        let store = FjallStore::open(&setup.data)?;
        setup.clock.advance_to(Millis(store.last_time()));
        // Another one for each start: the same again would give the ids of groups that are gone to new ones.
        let seed = setup.seed ^ RandomState::new().build_hasher().finish();
        let core = Core::open(setup.core.clone(), &store, setup.clock.now(), seed)?;
        let (sender, inbox) = channel();
        let mut thread = Thread::new(core, Box::new(store), Arc::clone(&setup.clock), inbox);
        let (ended, has_ended) = oneshot::channel();
        thread.tick();
        std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                let _end = EndOnPanic;
                thread.run();
                drop(thread);
                let _ = ended.send(());
            })
            .map_err(|error| StoreError(format!("cannot start a thread: {error}")))?;
        Ok((Engine { sender }, has_ended))
    }

    /// For the tasks of connections.
    pub(crate) fn sender(&self) -> Sender<Msg> {
        self.sender.clone()
    }

    /// Gives a message to the engine.
    pub(crate) fn send(&self, msg: Msg) -> Result<(), Gone> {
        self.sender.send(msg).map_err(|_| Gone)
    }

    /// Carries out an operator's wishes in one burst.
    pub(crate) async fn admin(&self, ops: Vec<AdminOp>) -> Result<Vec<AdminReply>, Gone> {
        let (reply, replies) = oneshot::channel();
        self.send(Msg::Admin { ops, reply })?;
        replies.await.map_err(|_| Gone)
    }
}

/// What the thread owns.
struct Thread {
    core: Core,
    store: Box<dyn Store>,
    clock: Arc<Clock>,
    inbox: Receiver<Msg>,
    burst: burst::Burst,
    /// Why nothing can be stored, by cause.
    full: [bool; 2],
}

/// What ends a burst early, because it wants the burst to be over first.
enum Control {
    Advance {
        to: Millis,
        done: oneshot::Sender<()>,
    },
    Stop {
        graceful: bool,
    },
}

impl Thread {
    fn new(core: Core, store: Box<dyn Store>, clock: Arc<Clock>, inbox: Receiver<Msg>) -> Thread {
        Thread {
            core,
            store,
            clock,
            inbox,
            burst: burst::Burst::default(),
            full: [false; 2],
        }
    }

    fn run(&mut self) {
        loop {
            let Some(first) = self.wait() else {
                return self.abort_all();
            };
            let now = self.clock.now();
            let control = match first {
                Some(msg) => self.take_queued(msg, now),
                None => {
                    self.core.handle(Input::Tick, now);
                    None
                }
            };
            self.settle(now);
            match control {
                None => {}
                Some(Control::Advance { to, done }) => {
                    self.advance(to);
                    let _ = done.send(());
                }
                Some(Control::Stop { graceful }) => {
                    if graceful {
                        self.drain();
                    }
                    return self.abort_all();
                }
            }
        }
    }

    /// The next message, `Some(None)` where a deadline has come or there is reading to do, `None` where nobody is left.
    fn wait(&self) -> Option<Option<Msg>> {
        if self.burst.has_reads() {
            return match self.inbox.try_recv() {
                Ok(msg) => Some(Some(msg)),
                Err(TryRecvError::Empty) => Some(None),
                Err(TryRecvError::Disconnected) => None,
            };
        }
        let Some(wait) = self
            .core
            .next_deadline()
            .and_then(|deadline| self.clock.wait_for(deadline))
        else {
            return self.inbox.recv().ok().map(Some);
        };
        match self.inbox.recv_timeout(wait) {
            Ok(msg) => Some(Some(msg)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Feeds the core with `first` and whatever else is there, up to the bound of a burst.
    fn take_queued(&mut self, first: Msg, now: Millis) -> Option<Control> {
        let mut frames = 0;
        let mut only_acks = true;
        let mut wait_until = None;
        let mut next = Some(first);
        while let Some(msg) = next {
            only_acks &= is_acks(&msg);
            frames += match self.take(msg, now) {
                Taken::Frames(count) => count,
                Taken::Control(control) => return Some(control),
            };
            next = if frames >= MAX_BURST_FRAMES {
                None
            } else if only_acks {
                // Once for the burst: acknowledgements that trickle in do not hold up the first.
                let until = *wait_until.get_or_insert_with(|| Instant::now() + ACK_WAIT);
                let left = until.saturating_duration_since(Instant::now());
                self.inbox.recv_timeout(left).ok()
            } else {
                self.inbox.try_recv().ok()
            };
        }
        None
    }

    /// Drains the core in the middle of a burst that has become heavy, so that no batch and no queue grows with it.
    fn relieve(&mut self, index: usize, now: Millis) {
        let is_heavy = self.core.pending_changes() > MAX_BURST_CHANGES
            || (index.is_multiple_of(COUNT_EVERY) && self.core.pending_bytes() > MAX_BURST_BYTES);
        if is_heavy {
            self.settle(now);
        }
    }

    fn take(&mut self, msg: Msg, now: Millis) -> Taken {
        match msg {
            Msg::Frames {
                conn,
                frames,
                violation,
            } => {
                let count = frames.len();
                for (index, frame) in frames.into_iter().enumerate() {
                    self.core.handle(Input::Frame { conn, frame }, now);
                    self.relieve(index, now);
                }
                if let Some(violation) = violation {
                    self.core.handle(Input::Violation { conn, violation }, now);
                }
                self.burst.batch_taken(conn);
                return Taken::Frames(count);
            }
            Msg::Open(conn) => {
                self.core.handle(Input::Connected { conn: conn.id }, now);
                self.burst.opened(conn);
            }
            Msg::Relieved(conn) => {
                self.burst.relieved(conn);
                self.core.handle(Input::Congested { conn, on: false }, now);
            }
            Msg::Closed(conn) => {
                self.burst.closed(conn);
                self.core.handle(Input::Closed { conn }, now);
            }
            Msg::Admin { ops, reply } => {
                for (id, op) in self.burst.asked(ops, reply) {
                    self.core.handle(Input::Admin { id, op }, now);
                }
            }
            Msg::Full { cause, full } => {
                let was = self.full.contains(&true);
                self.full[cause as usize] = full;
                let is = self.full.contains(&true);
                if was != is {
                    info!(full = is, "room to store");
                    self.core.handle(Input::StoreFull(is), now);
                }
            }
            Msg::Advance { to, done } => return Taken::Control(Control::Advance { to, done }),
            Msg::Stop { graceful } => return Taken::Control(Control::Stop { graceful }),
        }
        Taken::Frames(0)
    }

    /// Does what the core wants done, until it wants nothing more.
    fn settle(&mut self, now: Millis) {
        if let Err(error) = self.burst.settle(&mut self.core, self.store.as_mut(), now) {
            // Nothing of this burst was said to anybody; what is in memory cannot be trusted any more.
            error!(%error, "the store failed, ending the process");
            std::process::exit(STORE_FAILED);
        }
    }

    /// Everything that is due.
    fn tick(&mut self) {
        let now = self.clock.now();
        self.core.handle(Input::Tick, now);
        self.settle_fully(now);
    }

    /// As [`Thread::settle`], and all reading as well.
    fn settle_fully(&mut self, now: Millis) {
        self.settle(now);
        while self.burst.has_reads() {
            self.settle(now);
        }
    }

    /// Virtual time goes to `to`, and every deadline on the way comes at its own time.
    fn advance(&mut self, to: Millis) {
        self.settle_fully(self.clock.now());
        while let Some(due) = self.core.next_deadline().filter(|due| *due <= to) {
            self.clock.advance_to(due);
            self.tick();
            if self.core.next_deadline() == Some(due) {
                // The core wants something else first; it must not keep time from passing.
                debug!(due = due.0, "a deadline stays");
                break;
            }
        }
        self.clock.advance_to(to);
        self.tick();
        // A batch without changes keeps the time: a restarted process goes on from here.
        let time_alone = Batch {
            now: to.0,
            ..Batch::default()
        };
        if let Err(error) = self.store.commit(&time_alone) {
            error!(%error, "the store failed, ending the process");
            std::process::exit(STORE_FAILED);
        }
    }

    //= spec/10-control.md#end-of-a-connection
    //# [CTL-030] Before a planned stop the server MUST send GOAWAY SHUTTING_DOWN on each session and close it.
    /// Says goodbye to everybody and waits until they have heard it.
    fn drain(&mut self) {
        let now = self.clock.now();
        self.core.handle(Input::Drain, now);
        self.settle(now);
        let deadline = Instant::now() + DRAIN_TIME;
        while self.burst.has_conns() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(msg) = self.inbox.recv_timeout(left) else {
                return;
            };
            let now = self.clock.now();
            self.take_queued(msg, now);
            self.settle(now);
        }
    }

    /// Ends all connections, also those that the engine was just to hear of.
    fn abort_all(&mut self) {
        self.burst.abort_all();
        while let Ok(msg) = self.inbox.try_recv() {
            if let Msg::Open(conn) = msg {
                conn.abort();
            }
        }
    }
}

/// Ends the process if the engine's thread panics: a server without its engine would hang on to its connections and
/// answer nobody.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::exit(STORE_FAILED);
        }
    }
}

/// True if the message holds nothing but ACK frames.
fn is_acks(msg: &Msg) -> bool {
    match msg {
        Msg::Frames {
            frames, violation, ..
        } => {
            violation.is_none()
                && frames
                    .iter()
                    .all(|frame| frame.frame_type == FrameType::ACK)
        }
        _ => false,
    }
}

/// What a message was.
enum Taken {
    /// So many frames.
    Frames(usize),
    /// Something for after the burst.
    Control(Control),
}
