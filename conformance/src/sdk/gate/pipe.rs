//! A connection of an SDK with the one to the server behind it, and the taps in between.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::{PREFACE, RawFrame, limits};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{End, Order, Seen};
use crate::pcap::PcapStream;
use crate::session::Transport;
use crate::tap::{Out, Side, Tap, Upgrade};
use crate::testee::Testee;
use crate::transport::{Connection, Incoming, Opening};

/// A connection where nothing happens for so long is none of a case.
const IDLE: Duration = Duration::from_secs(600);
/// After its end a connection is read for so long, so that no reset overtakes the last frame.
const LINGER: Duration = Duration::from_secs(1);
/// How long a peer may take to read what it is sent.
const WRITE_BUDGET: Duration = Duration::from_secs(5);

/// What a connection of the SDK is made of.
pub(super) struct Wanted {
    pub(super) server: Arc<Testee>,
    pub(super) transport: Transport,
    pub(super) orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
    pub(super) seen: mpsc::UnboundedSender<Seen>,
    pub(super) taps: Taps,
    pub(super) recorder: Option<PcapStream>,
}

pub(super) async fn converse(socket: TcpStream, wanted: Wanted) {
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
pub(super) struct Taps {
    pub(super) wire: Tap,
    pub(super) mutant: Option<Tap>,
}

impl Taps {
    /// What becomes of a frame of the SDK on its way to the gate.
    fn upward(&mut self, frame: RawFrame) -> Vec<Out> {
        match &mut self.mutant {
            Some(mutant) => mutant.frame(Side::Client, frame),
            None => vec![Out::Frame {
                to: Side::Server,
                frame,
            }],
        }
    }

    /// What becomes of a frame on its way from the gate to the SDK.
    fn downward(&mut self, frame: RawFrame) -> Vec<Out> {
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
                for out in self.taps.upward(frame) {
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
        for out in self.taps.downward(frame) {
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
