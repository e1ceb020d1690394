//! Connections to a testee: bytes out; frames, an end or a breach of the framing in.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidewire_codec::{Decoder, Item, PREFACE, RawFrame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::pcap::PcapStream;
use crate::session::Transport;
use crate::tap::{Side, Tap, Upgrade};

mod tapped;
mod tls;
mod ws;

use tapped::{Flow, Tapped};
pub(crate) use tls::TlsTrust;
use ws::WsWire;

/// Where a testee listens.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addresses {
    /// `host:port` of plain TCP.
    pub(crate) tcp: Option<String>,
    /// `host:port`, or a whole `ws://` address.
    pub(crate) ws: Option<String>,
    /// `host:port` of TLS over TCP.
    pub(crate) tls: Option<String>,
    /// A PEM file with the certificates to trust.
    pub(crate) ca: Option<std::path::PathBuf>,
    /// The name in the testee's certificate; default: the host of the address.
    pub(crate) server_name: Option<String>,
}

impl Addresses {
    /// The address for this transport, if the testee has it.
    pub(crate) fn of(&self, transport: Transport) -> Option<&str> {
        match transport {
            Transport::Tcp => self.tcp.as_deref(),
            Transport::Ws => self.ws.as_deref(),
            Transport::Tls => self.tls.as_deref(),
        }
    }
}

/// What a connection had to say.
#[derive(Clone, Debug)]
pub(crate) enum Incoming {
    Frame(RawFrame),
    /// The peer closed, or the connection was reset.
    Closed,
    /// The peer broke the framing.
    Broken(String),
    /// Nothing came within the time.
    Nothing,
}

/// How a connection is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// What is sent instead of the preface.
    pub(crate) preface: Option<Bytes>,
    /// What a WebSocket client offers; `none` for nothing.
    pub(crate) subprotocol: Option<String>,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(crate) enum OpenError {
    /// The upgrade was answered with this HTTP status.
    Refused(u16),
    /// It selected no or another subprotocol, or something else that is not WebSocket.
    BadUpgrade(String),
    /// The testee is not there.
    Unreachable(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Refused(status) => {
                write!(f, "the upgrade was refused with HTTP status {status}")
            }
            OpenError::BadUpgrade(error) => write!(f, "the upgrade to WebSocket failed: {error}"),
            OpenError::Unreachable(error) => write!(f, "no connection: {error}"),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}

enum Wire {
    Bytes(Box<dyn Stream>),
    Ws(Box<WsWire>),
}

/// An open connection.
pub(crate) struct Connection {
    wire: Wire,
    decoder: Decoder,
    received: BytesMut,
    closed: bool,
    tapped: Option<Tapped>,
    /// The wire has nothing more to say, although a tap may keep that from the client.
    wire_ended: bool,
    /// Who writes down what goes over the wire.
    recorder: Option<PcapStream>,
}

impl Connection {
    /// Opens a connection and sends the preface where the transport has one.
    pub(crate) async fn open(
        addresses: &Addresses,
        transport: Transport,
        opening: &Opening,
        trust: Option<&TlsTrust>,
        mut tap: Option<Tap>,
        budget: Duration,
    ) -> Result<Connection, OpenError> {
        let upgrade = match (transport, &mut tap) {
            (Transport::Ws, Some(tap)) => tap.upgrade(Side::Server),
            _ => Upgrade::AsItIs,
        };
        let standard = Opening::default();
        let opening = match upgrade {
            Upgrade::ForAll => &standard,
            _ => opening,
        };
        let lacking =
            || OpenError::Unreachable(format!("the testee has no address for {transport}"));
        let address = addresses.of(transport).ok_or_else(lacking)?;
        let opened = timeout(budget, async {
            let socket = connect(address)
                .await
                .map_err(|error| OpenError::Unreachable(error.to_string()))?;
            Ok(match transport {
                Transport::Tcp => Wire::Bytes(Box::new(socket)),
                Transport::Tls => {
                    let trust = trust.ok_or_else(|| {
                        OpenError::Unreachable("no certificate to trust".to_owned())
                    })?;
                    let name = addresses
                        .server_name
                        .as_deref()
                        .unwrap_or_else(|| host(address));
                    Wire::Bytes(Box::new(tls::connect(socket, name, trust).await?))
                }
                Transport::Ws => Wire::Ws(Box::new(ws::connect(socket, address, opening).await?)),
            })
        });
        let wire = opened
            .await
            .map_err(|_| OpenError::Unreachable("no answer in time".to_owned()))??;
        if upgrade == Upgrade::Silent {
            return Err(OpenError::BadUpgrade(
                "the server selected no subprotocol".to_owned(),
            ));
        }
        let (mut connection, has_preface) = Connection::over(wire, tap);
        if has_preface {
            let preface = opening
                .preface
                .clone()
                .unwrap_or_else(|| Bytes::from_static(&PREFACE));
            // A peer that closed already is seen by the step that reads.
            let _ = connection.send(&preface, budget).await;
        }
        Ok(connection)
    }

    /// Takes a connection of a client, as a server would. TLS is not offered: the wire is watched here.
    pub(crate) async fn accept(
        socket: TcpStream,
        transport: Transport,
        budget: Duration,
    ) -> io::Result<Connection> {
        socket.set_nodelay(true)?;
        let accepted = timeout(budget, async {
            match transport {
                Transport::Ws => Ok(Wire::Ws(Box::new(ws::accept(socket).await?))),
                Transport::Tcp => Ok(Wire::Bytes(Box::new(socket))),
                Transport::Tls => Err(io::Error::other("TLS ends elsewhere")),
            }
        });
        let wire = accepted
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let (mut connection, has_preface) = Connection::over(wire, None);
        if has_preface {
            connection.send(&PREFACE, budget).await?;
        }
        Ok(connection)
    }

    /// A connection of which nothing was read yet, and whether a preface comes first.
    fn over(wire: Wire, tap: Option<Tap>) -> (Connection, bool) {
        let has_preface = matches!(wire, Wire::Bytes(_));
        let connection = Connection {
            wire,
            decoder: Decoder::new(has_preface),
            received: BytesMut::new(),
            closed: false,
            tapped: tap.map(|tap| Tapped::new(tap, has_preface)),
            wire_ended: false,
            recorder: None,
        };
        (connection, has_preface)
    }

    /// Has what goes over the wire written down from now on, and the preface that went already.
    pub(crate) fn record(&mut self, mut recorder: PcapStream, opening: &Opening) {
        if matches!(self.wire, Wire::Bytes(_)) {
            recorder.wrote(opening.preface.as_deref().unwrap_or(&PREFACE));
        }
        self.recorder = Some(recorder);
    }

    /// Sends bytes in one write; on WebSocket as one binary message.
    ///
    /// # Errors
    /// If the peer is gone, or takes nothing within the budget.
    pub(crate) async fn send(&mut self, bytes: &[u8], budget: Duration) -> io::Result<()> {
        match &mut self.tapped {
            None => self.write(bytes, budget).await,
            Some(tapped) => {
                let flow = tapped.sent(bytes);
                self.follow(flow, budget).await
            }
        }
    }

    /// Does what a tap said.
    async fn follow(&mut self, flow: Flow, budget: Duration) -> io::Result<()> {
        self.received.extend_from_slice(&flow.to_client);
        self.closed |= flow.ends_client;
        if !flow.to_server.is_empty() && !self.wire_ended {
            self.write(&flow.to_server, budget).await?;
        }
        if flow.ends_server {
            self.finish(budget).await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8], budget: Duration) -> io::Result<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder.wrote(bytes);
        }
        let sent = timeout(budget, async {
            match &mut self.wire {
                Wire::Bytes(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
                Wire::Ws(ws) => ws.send(bytes, false).await,
            }
        });
        sent.await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sends a WebSocket text message.
    pub(crate) async fn send_text(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder.wrote_text(bytes);
        }
        match &mut self.wire {
            Wire::Ws(ws) => ws.send(bytes, true).await,
            Wire::Bytes(_) => Err(io::Error::other("text messages exist on WebSocket alone")),
        }
    }

    /// The longest body that is taken from the next frame on.
    pub(crate) fn set_max_frame(&mut self, max_frame: u32) {
        self.decoder.set_max_frame(max_frame);
    }

    /// The next thing that the connection has to say.
    pub(crate) async fn receive(&mut self, deadline: Instant) -> Incoming {
        loop {
            match self.decoder.poll(&mut self.received) {
                Some(Item::Preface) => continue,
                Some(Item::Frame(frame)) => return Incoming::Frame(frame),
                Some(Item::Violation(violation)) => return Incoming::Broken(violation.to_string()),
                None => {}
            }
            if self.closed {
                return match self.received.len() {
                    0 => Incoming::Closed,
                    left => Incoming::Broken(format!(
                        "closed in the middle of a frame, {left} bytes into it"
                    )),
                };
            }
            if self.wire_ended {
                // A tap hides the end: to the client this is silence.
                sleep_until(deadline).await;
                return Incoming::Nothing;
            }
            let mut tapped_bytes = BytesMut::new();
            // Whoever waits for something else too may drop this future: what was received stays where it is.
            let bytes = match &self.tapped {
                None => &mut self.received,
                Some(_) => &mut tapped_bytes,
            };
            let known = bytes.len();
            let read = timeout_at(deadline, async {
                match &mut self.wire {
                    Wire::Bytes(stream) => stream.read_buf(bytes).await,
                    Wire::Ws(ws) => ws.read(bytes).await,
                }
            });
            let read = read.await;
            let ended = matches!(read, Ok(Ok(0) | Err(_)));
            match &mut self.recorder {
                Some(recorder) if ended => recorder.read_end(),
                Some(recorder) => recorder.read(bytes.get(known..).unwrap_or_default()),
                None => {}
            }
            match &mut self.tapped {
                None => self.closed |= ended,
                Some(tapped) => {
                    self.wire_ended = ended;
                    let flow = if ended {
                        tapped.ended()
                    } else {
                        tapped.received(&tapped_bytes)
                    };
                    let left = deadline.saturating_duration_since(Instant::now());
                    // A server that takes nothing any more shows it by what it sends.
                    let _ = self.follow(flow, left).await;
                }
            }
            if read.is_err() {
                return Incoming::Nothing;
            }
        }
    }

    /// Closes the sending side in order.
    pub(crate) async fn finish(&mut self, budget: Duration) {
        if let Some(recorder) = &mut self.recorder {
            recorder.wrote_end();
        }
        let closed = timeout(budget, async {
            match &mut self.wire {
                Wire::Bytes(stream) => stream.shutdown().await,
                Wire::Ws(ws) => ws.close().await,
            }
        });
        // What is gone needs no closing.
        let _ = closed.await;
    }
}

/// Whether a TCP connection can be opened.
pub(crate) async fn reach(address: &str, budget: Duration) -> Result<(), String> {
    match timeout(budget, connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(ws::authority(address)).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
