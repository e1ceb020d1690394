//! The gate: what listens for an SDK under test, and passes on what it and a server say, frame by frame.
//!
//! It tells the player of every frame in the order in which they pass, and does to the wire what the player asks for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::{RawFrame, limits};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::session::Transport;
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
    Inject { bytes: Bytes, close: bool },
    Cut,
}

/// Where an SDK under test connects to.
pub(crate) struct Gate {
    url: String,
    refuse: watch::Sender<bool>,
    live: watch::Receiver<Option<mpsc::Sender<(Order, oneshot::Sender<()>)>>>,
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
    ) -> io::Result<Gate> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (refuse, refused) = watch::channel(is_refused);
        let (live_sender, live) = watch::channel(None);
        let (seen_sender, seen) = mpsc::unbounded_channel();
        let porter = Porter {
            server,
            transport,
            refused,
            live: live_sender,
            seen: seen_sender,
        };
        Ok(Gate {
            url: format!("{transport}://{address}"),
            refuse,
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
    pub(crate) async fn inject(&self, bytes: Bytes, close: bool) -> bool {
        self.order(Order::Inject { bytes, close }).await
    }

    /// Cuts the connection on both sides. False if there is none.
    pub(crate) async fn cut(&self) -> bool {
        self.order(Order::Cut).await
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
    live: watch::Sender<Option<mpsc::Sender<(Order, oneshot::Sender<()>)>>>,
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
            pipes.spawn(converse(
                socket,
                Arc::clone(&self.server),
                self.transport,
                received,
                self.seen.clone(),
            ));
        }
    }
}

async fn converse(
    socket: TcpStream,
    server: Arc<Testee>,
    transport: Transport,
    orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
    seen: mpsc::UnboundedSender<Seen>,
) {
    match Pipe::open(socket, &server, transport, orders, seen.clone()).await {
        Ok(pipe) => pipe.run().await,
        Err(problem) => {
            // The player may be gone; then nobody wants to know.
            let _ = seen.send(Seen::Note(problem));
            let _ = seen.send(Seen::Closed(End::Server));
        }
    }
}

/// A connection of the SDK with the one to the server behind it.
struct Pipe {
    sdk: Connection,
    server: Connection,
    orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Pipe {
    async fn open(
        socket: TcpStream,
        server: &Testee,
        transport: Transport,
        orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
        seen: mpsc::UnboundedSender<Seen>,
    ) -> Result<Pipe, String> {
        let behind = server
            .open_any(transport, &Opening::default(), WRITE_BUDGET)
            .await;
        let mut behind = behind.map_err(|error| format!("behind the gate: {error}"))?;
        let accepted = Connection::accept(socket, transport, WRITE_BUDGET).await;
        let mut sdk = accepted.map_err(|error| format!("the SDK's connection: {error}"))?;
        // What is too long for a limit in force is for the two sides to say.
        behind.set_max_frame(limits::MAX_FRAME_HARD);
        sdk.set_max_frame(limits::MAX_FRAME_HARD);
        Ok(Pipe {
            sdk,
            server: behind,
            orders,
            seen,
        })
    }

    async fn run(mut self) {
        loop {
            let idle = Instant::now() + IDLE;
            let step = tokio::select! {
                Some((order, done)) = self.orders.recv() => {
                    let ended = self.obey(order).await;
                    // The player waits for this, unless the case is over.
                    let _ = done.send(());
                    ended
                }
                incoming = self.server.receive(idle) => self.to_sdk(incoming).await,
                incoming = self.sdk.receive(idle) => self.to_server(incoming).await,
            };
            if step.is_some() {
                return;
            }
        }
    }

    async fn to_sdk(&mut self, incoming: Incoming) -> Option<()> {
        match incoming {
            Incoming::Frame(frame) => {
                self.tell(Seen::ToSdk(frame.clone()));
                self.give(&frame).await
            }
            Incoming::Broken(what) => {
                self.tell(Seen::Note(format!("the server behind: {what}")));
                self.close_sdk(End::Server).await;
                Some(())
            }
            Incoming::Closed | Incoming::Nothing => {
                self.close_sdk(End::Server).await;
                Some(())
            }
        }
    }

    async fn to_server(&mut self, incoming: Incoming) -> Option<()> {
        match incoming {
            Incoming::Frame(frame) => {
                self.tell(Seen::FromSdk(frame.clone()));
                if let Ok(bytes) = frame.to_bytes() {
                    // A server that closed says so by what it sent before, which is read next.
                    let _ = self.server.send(&bytes, WRITE_BUDGET).await;
                }
                None
            }
            Incoming::Broken(what) => {
                self.tell(Seen::Broken(what));
                self.tell(Seen::Closed(End::Sdk));
                Some(())
            }
            Incoming::Closed | Incoming::Nothing => {
                self.tell(Seen::Closed(End::Sdk));
                self.server.finish(WRITE_BUDGET).await;
                drain(&mut self.server).await;
                Some(())
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Option<()> {
        match order {
            Order::Cut => {
                self.tell(Seen::Closed(End::Tap));
                Some(())
            }
            Order::Inject { bytes, close } => {
                // An SDK that closed in the meantime shows it by its end.
                let _ = self.sdk.send(&bytes, WRITE_BUDGET).await;
                if !close {
                    return None;
                }
                self.close_sdk(End::Tap).await;
                Some(())
            }
        }
    }

    async fn give(&mut self, frame: &RawFrame) -> Option<()> {
        let bytes = frame.to_bytes().ok()?;
        let sent = self.sdk.send(&bytes, WRITE_BUDGET).await;
        if sent.is_ok() {
            return None;
        }
        self.tell(Seen::Closed(End::Sdk));
        Some(())
    }

    /// The end is told first: once the SDK knows of it, it may be back before this is through.
    async fn close_sdk(&mut self, end: End) {
        self.tell(Seen::Closed(end));
        self.sdk.finish(WRITE_BUDGET).await;
        drain(&mut self.sdk).await;
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
