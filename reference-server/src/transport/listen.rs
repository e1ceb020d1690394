//! Listeners: accept, do the handshake of the transport, start the connection's task.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tidewire_codec::proto::Goaway;
use tidewire_codec::{Code, Frame, PREFACE};
use tidewire_core::api::ConnId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::tcp::TcpLink;
use super::tls::TlsLink;
use super::ws::WsLink;
use super::{Link, refuse, serve};
use crate::conn::Conn;
use crate::engine::Engine;

/// Time for the handshake of TLS or WebSocket.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Connections beyond the bound that are told so instead of being dropped.
const REFUSALS: usize = 64;
/// Pause after a failed accept: most often the process is out of file descriptors, which only time mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What speaks on a listener.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Frames on plain TCP.
    Tcp,
    /// Frames on TLS.
    Tls(TlsAcceptor),
    /// Frames in WebSocket messages.
    Ws,
}

/// Where new connections go.
pub(crate) struct Hub {
    /// `None` while there is no engine: new connections wait for the next one.
    engine: watch::Receiver<Option<Engine>>,
    next_conn: AtomicU64,
    open: AtomicUsize,
    max_open: usize,
}

impl Hub {
    pub(crate) fn new(engine: watch::Receiver<Option<Engine>>, max_open: usize) -> Hub {
        Hub {
            engine,
            next_conn: AtomicU64::new(1),
            open: AtomicUsize::new(0),
            max_open,
        }
    }

    /// Connections of all kinds, whether logged in or not.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    async fn engine(&self) -> Option<Engine> {
        let mut engine = self.engine.clone();
        engine.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Counts a connection as long as it lives.
struct Slot {
    hub: Arc<Hub>,
    /// There is room for it.
    admitted: bool,
}

impl Slot {
    //= spec/02-errors-and-limits.md#budgets
    //# [ERR-044] Every queue that a client can fill MUST have a bound.
    fn take(hub: &Arc<Hub>) -> Option<Slot> {
        let others = hub.open.fetch_add(1, Ordering::Relaxed);
        let slot = Slot {
            hub: Arc::clone(hub),
            admitted: others < hub.max_open,
        };
        (others < hub.max_open + REFUSALS).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.hub.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts until it is dropped.
pub(crate) async fn listen(listener: TcpListener, transport: Transport, hub: Arc<Hub>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(slot) = Slot::take(&hub) else {
            continue;
        };
        tokio::spawn(accept(stream, transport.clone(), slot));
    }
}

async fn accept(stream: TcpStream, transport: Transport, slot: Slot) {
    // Chunks are whole already; waiting for more bytes would only delay them.
    let _ = stream.set_nodelay(true);
    match transport {
        Transport::Tcp => {
            let link = TcpLink::new(stream);
            let writer = link.writer();
            //= spec/01-framing.md#transports
            //# [FRM-002] On a byte stream the server MUST send the same 8 preface bytes before its first frame.
            if writer
                .try_write(&PREFACE)
                .is_ok_and(|written| written == PREFACE.len())
            {
                connect(link, slot, Some(writer), true).await;
            }
        }
        Transport::Tls(acceptor) => {
            if let Some(mut stream) = handshake(acceptor.accept(stream)).await
                && handshake(send_preface(&mut stream)).await.is_some()
            {
                connect(TlsLink::new(stream), slot, None, true).await;
            }
        }
        Transport::Ws => {
            if let Some(link) = handshake(WsLink::accept(stream)).await {
                connect(link, slot, None, false).await;
            }
        }
    }
}

async fn connect(
    link: impl Link,
    slot: Slot,
    direct: Option<Arc<tokio::net::tcp::OwnedWriteHalf>>,
    preface: bool,
) {
    if !slot.admitted {
        return refuse(link, overloaded()).await;
    }
    let Some(engine) = slot.hub.engine().await else {
        return;
    };
    let id = ConnId(slot.hub.next_conn.fetch_add(1, Ordering::Relaxed));
    serve(
        link,
        Arc::new(Conn::new(id, direct)),
        engine.sender(),
        preface,
    )
    .await;
}

async fn send_preface(stream: &mut tokio_rustls::server::TlsStream<TcpStream>) -> io::Result<()> {
    use tokio::io::AsyncWriteExt;
    stream.write_all(&PREFACE).await?;
    stream.flush().await
}

async fn handshake<T, E: std::fmt::Display>(work: impl Future<Output = Result<T, E>>) -> Option<T> {
    match tokio::time::timeout(HANDSHAKE_TIME, work).await {
        Ok(Ok(done)) => Some(done),
        Ok(Err(error)) => {
            debug!(%error, "handshake failed");
            None
        }
        Err(_) => {
            debug!("handshake took too long");
            None
        }
    }
}

fn overloaded() -> BytesMut {
    let goaway = Goaway {
        code: u32::from(Code::OVERLOADED.0),
        retry_after_ms: Some(1_000),
        text: "too many connections".into(),
        ..Goaway::default()
    };
    let mut bytes = BytesMut::new();
    // A frame of this size always encodes.
    let _ = Frame::from(goaway).to_event().encode_into(&mut bytes);
    bytes
}
