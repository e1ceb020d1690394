//! The proxy: bytes go through as they are, and frames are written down on the way.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use tidewire_codec::{Decoder, Item};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Entry, Event, Side};

/// More than any side announces, and what a header can say: the limits are not the proxy's to judge.
const MAX_FRAME: u32 = (1 << 24) - 1;

/// A listener in front of a server.
pub(crate) struct Recorder {
    listener: TcpListener,
    server: String,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log(Mutex<Vec<Entry>>);

impl Log {
    fn push(&self, connection: usize, event: Event) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |entry: &Entry| {
            entry.connection == connection && matches!(entry.event, Event::Closed(_))
        };
        // Who ends a connection first decides; that the other one follows is no news.
        if !(matches!(event, Event::Closed(_)) && entries.iter().rev().any(is_over)) {
            entries.push(Entry { connection, event });
        }
    }
}

impl Recorder {
    /// Listens here, for that server.
    ///
    /// # Errors
    /// If the address is taken, or is none.
    pub(crate) async fn bind(listen: &str, server: String) -> io::Result<Recorder> {
        Ok(Recorder {
            listener: TcpListener::bind(listen).await?,
            server,
            log: Arc::default(),
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Passes everything on until `stop` is done, or so many connections have ended; `refused` hears of connections that the
    /// server did not take.
    pub(crate) async fn record(
        self,
        stop: impl Future<Output = ()>,
        enough: Option<usize>,
        refused: impl Fn(io::Error),
    ) -> Vec<Entry> {
        tokio::pin!(stop);
        let mut pairs = JoinSet::new();
        let (mut opened, mut ended) = (0, 0);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    match TcpStream::connect(&self.server).await {
                        Ok(server) => {
                            pairs.spawn(pair(opened, client, server, Arc::clone(&self.log)));
                            opened += 1;
                        }
                        // The client sees the same: no connection.
                        Err(error) => refused(error),
                    }
                }
                Some(_) = pairs.join_next() => {
                    ended += 1;
                    if enough.is_some_and(|enough| ended >= enough) {
                        break;
                    }
                }
            }
        }
        pairs.shutdown().await;
        std::mem::take(&mut *self.log.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One connection of a client with its own to the server.
async fn pair(connection: usize, client: TcpStream, server: TcpStream, log: Arc<Log>) {
    log.push(connection, Event::Opened);
    // What goes through is small, and who waits for it measures.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pump(Side::Client, connection, from_client, to_server, &log),
        pump(Side::Server, connection, from_server, to_client, &log),
    );
}

/// Passes on what one side sends, until it ends or nobody takes it.
async fn pump(
    side: Side,
    connection: usize,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    log: &Log,
) {
    let mut decoder = Decoder::new(true);
    decoder.set_max_frame(MAX_FRAME);
    let mut received = BytesMut::new();
    let mut is_readable = true;
    loop {
        let before = received.len();
        match from.read_buf(&mut received).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let fresh = received.get(before..).unwrap_or_default().to_vec();
        while is_readable {
            match decoder.poll(&mut received) {
                Some(Item::Frame(frame)) => log.push(connection, Event::Frame(side, frame)),
                Some(Item::Violation(violation)) => {
                    is_readable = false;
                    log.push(connection, Event::Broken(side, violation.to_string()));
                }
                Some(Item::Preface) => {}
                None => break,
            }
        }
        if !is_readable {
            received.clear();
        }
        if to.write_all(&fresh).await.is_err() {
            break;
        }
    }
    log.push(connection, Event::Closed(side));
    let _ = to.shutdown().await;
}
