//! The gate: what listens for an SDK under test, and passes on what it and a server say, frame by frame.
//!
//! It tells the player of every frame in the order in which they pass, and does to the wire what the player asks for.

use std::io;
use std::sync::Arc;

use tidewire_codec::RawFrame;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::pcap::PcapCase;
use crate::session::Transport;
use crate::tap::{Rules, TapCase};
use crate::testee::Testee;

mod pipe;

use pipe::{Taps, Wanted, converse};

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
