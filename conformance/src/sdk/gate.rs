//! The gate: what listens for an SDK under test, and passes on what it and a server say, frame by frame.
//!
//! It tells the player of every frame in the order in which they pass, and does to the wire what the player asks for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::{PREFACE, RawFrame, limits};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::pcap::{PcapCase, PcapStream};
use crate::session::Transport;
use crate::tap::{Out, Rules, Side, Tap, TapCase, Upgrade};
use crate::testee::Testee;
use crate::transport::{Connection, Incoming, Opening};

/// A connection where nothing happens for so long is none of a case.
const IDLE: Duration = Duration::from_secs(600);
/// After its end a connection is read for so long, so that no reset overtakes the last frame.
const LINGER: Duration = Duration::from_secs(1);
/// How long a peer may take to read what it is sent.
const WRITE_BUDGET: Duration = Duration::from_secs(5);

/// What passed, or happened to a connection.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// The SDK opened a connection, and it is passed on.
    Opened,
    /// The SDK tried to connect and was turned away.
    Refused,
    /// The SDK sent this.
    FromSdk(RawFrame),
    /// This was given to the SDK.
    ToSdk(RawFrame),
    /// The connection ended.
    Closed(End),
    /// The SDK sent what are no frames.
    Broken(String),
    /// Something that a reader of the ladder wants to know.
    Note(String),
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Sdk,
    Server,
    Tap,
}

/// What is done to the live connection.
enum Order {
    Inject { frame: RawFrame, close: bool },
    Cut,
    Rules(Arc<Rules>),
}

/// How an order reaches a connection, and how the player learns that it was carried out.
type Orders = mpsc::Sender<(Order, oneshot::Sender<()>)>;

/// What stands between an SDK and the server besides the gate.
#[derive(Clone)]
pub(crate) struct Between {
    /// The actor, as rules name it.
    pub(crate) actor: String,
    /// The rules of the case.
    pub(crate) case: Arc<TapCase>,
    /// A mutant of the SDK, nearer to it than the gate, so that what it does looks like the SDK's doing.
    pub(crate) mutant: Option<(Arc<TapCase>, Arc<Rules>)>,
    /// Who writes down what the SDK sends and gets.
    pub(crate) pcap: Option<PcapCase>,
}

/// Where an SDK under test connects to.
pub(crate) struct Gate {
    url: String,
    refuse: watch::Sender<bool>,
    rules: watch::Sender<Arc<Rules>>,
    live: watch::Receiver<Option<Orders>>,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gate {
    /// Listens for connections over this transport, and passes them on to the testee's server.
    ///
    /// # Errors
    /// If there is no port.
    pub(crate) async fn open(
        server: Arc<Testee>,
        transport: Transport,
        is_refused: bool,
        between: Between,
    ) -> io::Result<Gate> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (refuse, refused) = watch::channel(is_refused);
        let (live_sender, live) = watch::channel(None);
        let (rules_sender, rules) = watch::channel(Arc::default());
        let (seen_sender, seen) = mpsc::unbounded_channel();
        let porter = Porter {
            server,
            transport,
            refused,
            between,
            rules,
            live: live_sender,
            seen: seen_sender,
        };
        Ok(Gate {
            url: format!("{transport}://{address}"),
            refuse,
            rules: rules_sender,
            live,
            seen,
            task: tokio::spawn(porter.serve(listener)),
        })
    }

    /// The address for the SDK.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on connections are turned away, or taken.
    pub(crate) fn refuse(&self, yes: bool) {
        self.refuse.send_replace(yes);
    }

    /// Gives the SDK a frame that the server did not send. False if there is no connection.
    pub(crate) async fn inject(&self, frame: RawFrame, close: bool) -> bool {
        self.order(Order::Inject { frame, close }).await
    }

    /// Cuts the connection on both sides. False if there is none.
    pub(crate) async fn cut(&self) -> bool {
        self.order(Order::Cut).await
    }

    /// These rules hold for the live connection, if there is one, and for those to come.
    pub(crate) async fn rules(&self, rules: Rules) {
        let rules = Arc::new(rules);
        self.rules.send_replace(Arc::clone(&rules));
        self.order(Order::Rules(rules)).await;
    }

    async fn order(&self, order: Order) -> bool {
        let Some(live) = self.live.borrow().clone() else {
            return false;
        };
        let (done, is_done) = oneshot::channel();
        live.send((order, done)).await.is_ok() && is_done.await.is_ok()
    }
}

/// Takes the SDK's connections, one after the other.
struct Porter {
    server: Arc<Testee>,
    transport: Transport,
    refused: watch::Receiver<bool>,
    between: Between,
    rules: watch::Receiver<Arc<Rules>>,
    live: watch::Sender<Option<Orders>>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Porter {
    async fn serve(self, listener: TcpListener) {
        // Aborted with this task, so that nothing of a case outlives it.
        let mut pipes = tokio::task::JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            if *self.refused.borrow() {
                // The player may be gone; then nobody wants to know.
                let _ = self.seen.send(Seen::Refused);
                continue;
            }
            let (orders, received) = mpsc::channel(8);
            let _ = self.seen.send(Seen::Opened);
            self.live.send_replace(Some(orders));
            let rules = self.rules.borrow().clone();
            let taps = Taps {
                wire: self.between.case.tap(&rules, &self.between.actor),
                mutant: self
                    .between
                    .mutant
                    .as_ref()
                    .map(|(case, rules)| case.tap(rules, &self.between.actor)),
            };
            let wanted = Wanted {
                server: Arc::clone(&self.server),
                transport: self.transport,
                orders: received,
                seen: self.seen.clone(),
                taps,
                recorder: self
                    .between
                    .pcap
                    .as_ref()
                    .map(|pcap| pcap.server(&self.between.actor, self.transport)),
            };
            pipes.spawn(converse(socket, wanted));
        }
    }
}

/// What a connection of the SDK is made of.
struct Wanted {
    server: Arc<Testee>,
    transport: Transport,
    orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
    seen: mpsc::UnboundedSender<Seen>,
    taps: Taps,
    recorder: Option<PcapStream>,
}

async fn converse(socket: TcpStream, wanted: Wanted) {
    let seen = wanted.seen.clone();
    match Pipe::open(socket, wanted).await {
        Ok(pipe) => pipe.run().await,
        Err(problem) => {
            // The player may be gone; then nobody wants to know.
            let _ = seen.send(problem);
            let _ = seen.send(Seen::Closed(End::Server));
        }
    }
}

/// The rules of the case, and a mutant between them and the SDK.
struct Taps {
    wire: Tap,
    mutant: Option<Tap>,
}

impl Taps {
    /// What becomes of a frame of the SDK on its way to the gate.
    fn from_sdk(&mut self, frame: RawFrame) -> Vec<Out> {
        match &mut self.mutant {
            Some(mutant) => mutant.frame(Side::Client, frame),
            None => vec![Out::Frame {
                to: Side::Server,
                frame,
            }],
        }
    }

    /// What becomes of a frame on its way from the gate to the SDK.
    fn to_sdk(&mut self, frame: RawFrame) -> Vec<Out> {
        match &mut self.mutant {
            Some(mutant) => mutant.frame(Side::Server, frame),
            None => vec![Out::Frame {
                to: Side::Client,
                frame,
            }],
        }
    }
}

/// A connection of the SDK with the one to the server behind it.
struct Pipe {
    sdk: Connection,
    server: Connection,
    orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
    seen: mpsc::UnboundedSender<Seen>,
    taps: Taps,
    /// The server closed, and a rule keeps that from the SDK.
    is_alone: bool,
}

/// What is left of a connection after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Alive,
    Over,
}

impl Pipe {
    async fn open(socket: TcpStream, wanted: Wanted) -> Result<Pipe, Seen> {
        let Wanted {
            server,
            transport,
            orders,
            seen,
            mut taps,
            recorder,
        } = wanted;
        let note = |text: String| Seen::Note(text);
        let behind = server
            .open_any(transport, &Opening::default(), WRITE_BUDGET)
            .await;
        let mut behind = behind.map_err(|error| note(format!("behind the gate: {error}")))?;
        if let Some(mutant) = &mut taps.mutant
            && transport == Transport::Ws
            && mutant.upgrade(Side::Client) == Upgrade::Silent
        {
            return Err(note("the SDK offers no subprotocol".to_owned()));
        }
        let accepted = Connection::accept(socket, transport, WRITE_BUDGET).await;
        let mut sdk = accepted.map_err(|error| note(format!("the SDK's connection: {error}")))?;
        if let Some(recorder) = recorder {
            sdk.record(recorder, &Opening::default());
        }
        if let Some(mutant) = &mut taps.mutant
            && transport != Transport::Ws
        {
            let whole = Bytes::from_static(&PREFACE);
            let right = Out::Bytes {
                to: Side::Server,
                bytes: whole.clone(),
            };
            if mutant.preface(Side::Client, whole) != [right] {
                return Err(Seen::Broken(
                    "not the 8 bytes of the preface first".to_owned(),
                ));
            }
        }
        // What is too long for a limit in force is for the two sides to say.
        behind.set_max_frame(limits::MAX_FRAME_HARD);
        sdk.set_max_frame(limits::MAX_FRAME_HARD);
        Ok(Pipe {
            sdk,
            server: behind,
            orders,
            seen,
            taps,
            is_alone: false,
        })
    }

    async fn run(mut self) {
        let mut left = Left::Alive;
        while left == Left::Alive {
            let idle = Instant::now() + IDLE;
            left = tokio::select! {
                Some((order, done)) = self.orders.recv() => {
                    let left = self.obey(order).await;
                    // The player waits for this, unless the case is over.
                    let _ = done.send(());
                    left
                }
                incoming = self.server.receive(idle), if !self.is_alone => {
                    self.of_server(incoming).await
                }
                incoming = self.sdk.receive(idle) => self.of_sdk(incoming).await,
            };
        }
    }

    async fn of_server(&mut self, incoming: Incoming) -> Left {
        match incoming {
            Incoming::Frame(frame) => {
                let outs = self.taps.wire.frame(Side::Server, frame);
                self.follow(outs).await
            }
            Incoming::Broken(what) => {
                self.tell(Seen::Note(format!("the server behind: {what}")));
                self.close_sdk(End::Server).await
            }
            Incoming::Closed | Incoming::Nothing => {
                let outs = self.taps.wire.closed(Side::Server);
                if outs.is_empty() {
                    self.tell(Seen::Note("the server closes, unseen".to_owned()));
                    self.is_alone = true;
                    return Left::Alive;
                }
                for out in outs {
                    if let Out::Frame { frame, .. } = out {
                        self.give(frame).await;
                    }
                }
                self.close_sdk(End::Server).await
            }
        }
    }

    async fn of_sdk(&mut self, incoming: Incoming) -> Left {
        match incoming {
            Incoming::Frame(frame) => {
                for out in self.taps.from_sdk(frame) {
                    let left = match out {
                        Out::Frame {
                            to: Side::Server,
                            frame,
                        } => self.pass_on(frame).await,
                        Out::Frame { frame, .. } => self.write_sdk(&frame).await,
                        Out::Bytes { .. } | Out::Cut | Out::Close(_) => {
                            self.end_of_sdk().await;
                            Left::Over
                        }
                    };
                    if left == Left::Over {
                        return left;
                    }
                }
                Left::Alive
            }
            Incoming::Broken(what) => {
                self.tell(Seen::Broken(what));
                self.tell(Seen::Closed(End::Sdk));
                Left::Over
            }
            Incoming::Closed | Incoming::Nothing => {
                self.end_of_sdk().await;
                Left::Over
            }
        }
    }

    /// A frame of the SDK reaches the gate.
    async fn pass_on(&mut self, frame: RawFrame) -> Left {
        self.tell(Seen::FromSdk(frame.clone()));
        let outs = self.taps.wire.frame(Side::Client, frame);
        self.follow(outs).await
    }

    /// Does what the rules of the case say.
    async fn follow(&mut self, outs: Vec<Out>) -> Left {
        for out in outs {
            let left = match out {
                Out::Frame {
                    to: Side::Client,
                    frame,
                } => {
                    self.tell(Seen::ToSdk(frame.clone()));
                    self.give(frame).await
                }
                Out::Frame { frame, .. } => {
                    if let Ok(bytes) = frame.to_bytes() {
                        // A server that closed says so by what it sent before, which is read next.
                        let _ = self.server.send(&bytes, WRITE_BUDGET).await;
                    }
                    Left::Alive
                }
                Out::Bytes { to, bytes } => {
                    self.tell(Seen::Note(format!("{} bytes of a frame", bytes.len())));
                    let peer = match to {
                        Side::Client => &mut self.sdk,
                        Side::Server => &mut self.server,
                    };
                    // Who is gone by now needs no part of a frame.
                    let _ = peer.send(&bytes, WRITE_BUDGET).await;
                    Left::Alive
                }
                Out::Close(Side::Client) => self.close_sdk(End::Tap).await,
                Out::Close(Side::Server) | Out::Cut => {
                    self.tell(Seen::Closed(End::Tap));
                    Left::Over
                }
            };
            if left == Left::Over {
                return left;
            }
        }
        Left::Alive
    }

    async fn obey(&mut self, order: Order) -> Left {
        match order {
            Order::Cut => {
                self.tell(Seen::Closed(End::Tap));
                Left::Over
            }
            Order::Rules(rules) => {
                self.taps.wire.replace(rules);
                Left::Alive
            }
            Order::Inject { frame, close } => {
                let left = self.give(frame).await;
                if left == Left::Alive && close {
                    return self.close_sdk(End::Tap).await;
                }
                left
            }
        }
    }

    /// Gives the SDK a frame, through a mutant if there is one.
    async fn give(&mut self, frame: RawFrame) -> Left {
        for out in self.taps.to_sdk(frame) {
            let left = match out {
                Out::Frame {
                    to: Side::Client,
                    frame,
                } => self.write_sdk(&frame).await,
                Out::Frame { frame, .. } => Box::pin(self.pass_on(frame)).await,
                Out::Bytes { bytes, .. } => self.write_bytes(&bytes).await,
                Out::Close(_) | Out::Cut => {
                    self.end_of_sdk().await;
                    Left::Over
                }
            };
            if left == Left::Over {
                return left;
            }
        }
        Left::Alive
    }

    async fn write_sdk(&mut self, frame: &RawFrame) -> Left {
        match frame.to_bytes() {
            Ok(bytes) => self.write_bytes(&bytes).await,
            Err(_) => Left::Alive,
        }
    }

    async fn write_bytes(&mut self, bytes: &[u8]) -> Left {
        if self.sdk.send(bytes, WRITE_BUDGET).await.is_ok() {
            return Left::Alive;
        }
        self.tell(Seen::Closed(End::Sdk));
        Left::Over
    }

    /// The end is told first: once the SDK knows of it, it may be back before this is through.
    async fn close_sdk(&mut self, end: End) -> Left {
        self.tell(Seen::Closed(end));
        self.sdk.finish(WRITE_BUDGET).await;
        drain(&mut self.sdk).await;
        Left::Over
    }

    async fn end_of_sdk(&mut self) {
        self.tell(Seen::Closed(End::Sdk));
        self.server.finish(WRITE_BUDGET).await;
        drain(&mut self.server).await;
    }

    fn tell(&self, seen: Seen) {
        // Nobody listens any more once the case is over.
        let _ = self.seen.send(seen);
    }
}

/// Reads until the peer closes, too.
async fn drain(connection: &mut Connection) {
    let deadline = Instant::now() + LINGER;
    while let Incoming::Frame(_) = connection.receive(deadline).await {}
}
