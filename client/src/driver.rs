//! The task around an engine: its socket, its store, its clock and its app.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::OptionFuture;
use tidewire_codec::{Decoder, Item};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::engine::{Answer, Command, Engine, Input, Output, Standing, Ticket};
use crate::error::{Error, Stop};
use crate::event::Event;
use crate::ids::Millis;
use crate::store::{Change, Store, StoreError};
use crate::token::{TokenFuture, TokenSource};
use crate::wire::{Reader, Way, Wire, Writer};

/// Bytes that wait to be written, above which nothing more is read: a server that does not read gets no more answers.
const UNWRITTEN: usize = 1 << 20;
/// Commands that are taken before what they caused is stored and sent: they share a commit.
const BURST: usize = 64;
/// How long a connection that is closed may take to write what it still holds.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long a clock that is moved by hand waits for the real server before it goes on.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for a server that let that time pass, until it is heard again: what came already is still taken.
const PATIENCE_WITH_SILENT: Duration = Duration::from_millis(1);

/// A store that the task and readers of the history share.
pub(crate) type SharedStore = Arc<Mutex<Box<dyn Store>>>;

/// What the handles of a client ask of its task.
pub(crate) enum Ask {
    /// A command; the tickets in it are answered here.
    Engine(
        Command,
        Vec<(Ticket, oneshot::Sender<Result<Answer, Error>>)>,
    ),
    /// A clock that is moved by hand goes on.
    Advance(u64, oneshot::Sender<Millis>),
}

pub(crate) struct Driver {
    pub(crate) engine: Engine,
    pub(crate) way: Way,
    pub(crate) store: SharedStore,
    pub(crate) clock: Clock,
    pub(crate) tokens: Option<Box<dyn TokenSource>>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) standing: watch::Sender<Standing>,
    pub(crate) link: Link,
}

/// What the task waits for besides its app.
#[derive(Default)]
pub(crate) struct Link {
    dialing: Option<Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>>,
    open: Option<Open>,
    token: Option<TokenFuture>,
    answers: HashMap<Ticket, oneshot::Sender<Result<Answer, Error>>>,
    is_deaf: bool,
    is_orphan: bool,
    /// A clock that is moved by hand waited for this server in vain.
    is_silent: bool,
}

struct Open {
    reader: Reader,
    writer: Writer,
    decoder: Decoder,
    received: BytesMut,
    unwritten: BytesMut,
}

impl Driver {
    /// Lives until the app closes the client, or lets go of it.
    pub(crate) async fn run(mut self) {
        loop {
            self.settle().await;
            let standing = self.engine.standing();
            self.standing.send_if_modified(|known| {
                let changed = *known != standing;
                known.clone_from(&standing);
                changed
            });
            if standing == Standing::Stopped(Stop::Closed) {
                break;
            }
            match self.wait(true).await {
                Happened::Ask(ask) => self.asked(ask).await,
                other => self.take_in(other),
            }
            if self.link.is_orphan && self.link.is_deaf {
                self.engine
                    .handle(Input::Command(Command::Close), self.clock.now());
            }
        }
        // The store is free for the next client before anybody learns that this one is closed.
        let Driver { store, asks, .. } = self;
        drop(store);
        drop(asks);
    }

    /// Gives the app as many events as it has room for.
    fn hand_over(&mut self) {
        while self.engine.has_event() {
            match self.events.try_reserve() {
                Ok(permit) => match self.engine.next_event() {
                    Some(event) => permit.send(event),
                    None => return,
                },
                Err(_) => return,
            }
        }
    }

    /// Does everything that the engine wants done.
    async fn pump(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Commit(changes) => {
                    let input = match commit(Arc::clone(&self.store), changes).await {
                        Ok(()) => Input::Committed,
                        Err(error) => Input::StoreFailed(error),
                    };
                    self.engine.handle(input, self.clock.now());
                }
                Output::Dial => self.link.dialing = Some(Box::pin(self.way.clone().dial())),
                Output::Send(bytes) => {
                    if let Some(open) = &mut self.link.open {
                        open.unwritten.extend_from_slice(&bytes);
                    }
                }
                Output::Close => {
                    self.link.dialing = None;
                    if let Some(open) = self.link.open.take() {
                        say_goodbye(open);
                    }
                }
                Output::NeedToken => {
                    self.link.token = self.tokens.as_mut().map(|tokens| tokens.token())
                }
                Output::Reply(ticket, result) => {
                    if let Some(answer) = self.link.answers.remove(&ticket) {
                        // Whoever asked may have gone.
                        let _ = answer.send(result);
                    }
                }
            }
        }
    }

    /// Waits for one thing to happen. What the app wants is left alone where `asks` is false.
    async fn wait(&mut self, asks: bool) -> Happened {
        let Driver {
            engine,
            link,
            asks: asked,
            events,
            clock,
            ..
        } = self;
        let Link {
            dialing,
            open,
            token,
            is_deaf,
            is_orphan,
            ..
        } = link;
        let (reading, writing) = match open {
            Some(Open {
                reader,
                writer,
                received,
                unwritten,
                ..
            }) => {
                let has_room = unwritten.len() < UNWRITTEN;
                let writing = (!unwritten.is_empty()).then(|| writer.write(unwritten));
                (has_room.then(|| reader.read(received)), writing)
            }
            None => (None, None),
        };
        let for_app = (engine.has_event() && !*is_deaf).then(|| events.reserve());
        tokio::select! {
            biased;
            Some(permit) = OptionFuture::from(for_app) => match (permit, engine.next_event()) {
                (Ok(permit), Some(event)) => {
                    permit.send(event);
                    Happened::Nothing
                }
                (Ok(_), None) => Happened::Nothing,
                (Err(_), _) => Happened::Deaf,
            },
            Some(done) = OptionFuture::from(writing) => Happened::Written(done),
            Some(read) = OptionFuture::from(reading) => Happened::Read(read),
            Some(dialed) = OptionFuture::from(dialing.as_mut()) => Happened::Dialed(dialed),
            Some(token) = OptionFuture::from(token.as_mut()) => Happened::Token(token.ok()),
            ask = asked.recv(), if asks && !*is_orphan => ask.map_or(Happened::Orphan, Happened::Ask),
            () = clock.wait_until(engine.next_deadline()) => Happened::Due,
            () = events.closed(), if !*is_deaf => Happened::Deaf,
        }
    }

    fn take_in(&mut self, happened: Happened) {
        let now = self.clock.now();
        match happened {
            Happened::Nothing | Happened::Written(Ok(())) | Happened::Ask(_) => {}
            Happened::Due => self.engine.handle(Input::Tick, now),
            Happened::Orphan => self.link.is_orphan = true,
            Happened::Deaf => {
                self.link.is_deaf = true;
                self.engine.handle(Input::Command(Command::Deaf), now);
            }
            Happened::Read(Ok(1..)) => {
                self.link.is_silent = false;
                self.decode(now);
            }
            Happened::Written(Err(_)) | Happened::Read(_) => {
                self.link.open = None;
                self.engine.handle(Input::Closed, now);
            }
            Happened::Dialed(Ok(Wire {
                reader,
                writer,
                preface,
            })) => {
                self.link.dialing = None;
                self.link.is_silent = false;
                let (received, unwritten) = (BytesMut::new(), BytesMut::new());
                let decoder = Decoder::new(preface);
                self.link.open = Some(Open {
                    reader,
                    writer,
                    decoder,
                    received,
                    unwritten,
                });
                self.engine.handle(Input::Connected { preface }, now);
            }
            Happened::Dialed(Err(_)) => {
                self.link.dialing = None;
                self.engine.handle(Input::Closed, now);
            }
            Happened::Token(token) => {
                self.link.token = None;
                self.engine.handle(Input::Token(token), now);
            }
        }
    }

    async fn asked(&mut self, ask: Ask) {
        self.take_ask(ask).await;
        for _ in 1..BURST {
            let Ok(ask) = self.asks.try_recv() else {
                return;
            };
            self.take_ask(ask).await;
        }
    }

    async fn take_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Engine(command, answers) => {
                self.link.answers.extend(answers);
                self.engine
                    .handle(Input::Command(command), self.clock.now());
            }
            Ask::Advance(ms, done) => {
                self.advance(ms).await;
                // Whoever asked may have gone.
                let _ = done.send(self.clock.now());
            }
        }
    }

    /// Frames that are whole. The limit of the next one is known only once the one before was taken in.
    fn decode(&mut self, now: Millis) {
        while let Some(open) = &mut self.link.open {
            open.decoder.set_max_frame(self.engine.max_frame());
            match open.decoder.poll(&mut open.received) {
                None => return,
                Some(Item::Preface) => {}
                Some(Item::Frame(frame)) => self.engine.handle(Input::Frame(frame), now),
                Some(Item::Violation(violation)) => {
                    self.engine.handle(Input::Violation(violation), now)
                }
            }
            // What comes behind a GOAWAY is nobody's.
            if !matches!(
                self.engine.standing(),
                Standing::Connecting | Standing::Connected
            ) {
                return;
            }
        }
    }

    /// Moves time in the steps in which something is due. Before anything is held against the server, it may answer.
    async fn advance(&mut self, ms: u64) {
        self.settle().await;
        let target = self.clock.now().plus(ms);
        while self.is_due_by(target) {
            self.let_server_answer().await;
            let due = self.engine.next_deadline().filter(|due| *due <= target);
            if let Some(due) = due {
                self.go_on(due).await;
            }
        }
        self.go_on(target).await;
    }

    fn is_due_by(&self, time: Millis) -> bool {
        self.engine.next_deadline().is_some_and(|due| due <= time)
    }

    async fn go_on(&mut self, to: Millis) {
        if let Clock::Manual(now) = &mut self.clock {
            *now = to.max(*now);
        }
        self.engine.handle(Input::Tick, self.clock.now());
        self.settle().await;
    }

    /// Does everything that is due now. What the app is told is stored before; that it was told, afterwards.
    async fn settle(&mut self) {
        self.pump().await;
        self.hand_over();
        self.pump().await;
    }

    /// Waits a little for what is expected of the server.
    async fn let_server_answer(&mut self) {
        let patience = sleep(match self.link.is_silent {
            false => PATIENCE,
            true => PATIENCE_WITH_SILENT,
        });
        tokio::pin!(patience);
        while self.engine.waits_for_server() {
            let happened = tokio::select! {
                biased;
                happened = self.wait(false) => happened,
                () = &mut patience => {
                    self.link.is_silent = true;
                    return;
                }
            };
            self.take_in(happened);
            self.settle().await;
        }
    }
}

enum Happened {
    Nothing,
    Due,
    /// Nobody takes events any more.
    Deaf,
    /// All handles are gone.
    Orphan,
    Written(io::Result<()>),
    Read(io::Result<usize>),
    Dialed(io::Result<Wire>),
    Token(Option<Bytes>),
    Ask(Ask),
}

async fn commit(store: SharedStore, changes: Vec<Change>) -> Result<(), StoreError> {
    let done = tokio::task::spawn_blocking(move || lock(&store).commit(&changes)).await;
    done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
}

/// What was put is written before the end is said, for as long as the server takes it.
fn say_goodbye(open: Open) {
    let Open {
        mut writer,
        mut unwritten,
        ..
    } = open;
    tokio::spawn(timeout(GOODBYE, async move {
        writer.write(&mut unwritten).await?;
        writer.close().await
    }));
}

pub(crate) fn lock(store: &SharedStore) -> std::sync::MutexGuard<'_, Box<dyn Store>> {
    // A panic of a store leaves what was committed; what was not is an error of that commit.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
