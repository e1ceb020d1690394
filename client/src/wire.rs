//! Connections: bytes out and in, over TCP, TLS 1.3 or WebSocket.

mod tls;
mod ws;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub(crate) use tls::Trust;

use crate::url::Address;

/// What a read is given room for.
const CHUNK: usize = 64 * 1024;

/// Anything that carries bytes both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

type Bytestream = Box<dyn Duplex>;

/// How a server is reached.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) address: Address,
    pub(crate) trust: Trust,
}

/// The receiving side of a connection.
pub(crate) enum Reader {
    Stream(ReadHalf<Bytestream>),
    Ws(SplitStream<WebSocketStream<Bytestream>>),
}

/// The sending side of a connection.
pub(crate) enum Writer {
    Stream(WriteHalf<Bytestream>),
    Ws(SplitSink<WebSocketStream<Bytestream>, Message>),
}

/// A connection that was made.
pub(crate) struct Wire {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// It is a byte stream: a preface comes first.
    pub(crate) preface: bool,
}

impl Way {
    pub(crate) async fn dial(self) -> io::Result<Wire> {
        let address = &self.address;
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
        socket.set_nodelay(true)?;
        let stream: Bytestream = match address.scheme.is_encrypted() {
            true => Box::new(
                self.trust
                    .connect(socket, &address.host, address.scheme)
                    .await?,
            ),
            false => Box::new(socket),
        };
        if address.scheme.is_websocket() {
            let (writer, reader) = ws::upgrade(stream, &address.text).await?.split();
            let (reader, writer) = (Reader::Ws(reader), Writer::Ws(writer));
            return Ok(Wire {
                reader,
                writer,
                preface: false,
            });
        }
        let (reader, writer) = tokio::io::split(stream);
        let (reader, writer) = (Reader::Stream(reader), Writer::Stream(writer));
        Ok(Wire {
            reader,
            writer,
            preface: true,
        })
    }
}

impl Reader {
    /// Appends what comes; 0 is the end. Nothing is lost when the future is dropped.
    pub(crate) async fn read(&mut self, received: &mut BytesMut) -> io::Result<usize> {
        match self {
            Reader::Stream(stream) => {
                received.reserve(CHUNK);
                stream.read_buf(received).await
            }
            Reader::Ws(stream) => {
                std::future::poll_fn(|cx| poll_message(stream, received, cx)).await
            }
        }
    }
}

fn poll_message(
    stream: &mut SplitStream<WebSocketStream<Bytestream>>,
    received: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        match ready!(Pin::new(&mut *stream).poll_next(cx)) {
            Some(Ok(Message::Binary(bytes))) if !bytes.is_empty() => {
                received.extend_from_slice(&bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
            Some(Ok(Message::Text(_))) => {
                return Poll::Ready(Err(io::Error::other("a text message")));
            }
            Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(0)),
            // WebSocket's own pings are answered by the library.
            Some(Ok(_)) => {}
        }
    }
}

impl Writer {
    /// Writes and flushes everything. Progress is kept in `bytes` and in the writer when the future is dropped.
    pub(crate) async fn write(&mut self, bytes: &mut BytesMut) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_write(bytes, cx)).await
    }

    fn poll_write(&mut self, bytes: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        use futures_util::Sink;
        match self {
            Writer::Stream(stream) => {
                let mut stream = Pin::new(stream);
                while !bytes.is_empty() {
                    let written = ready!(stream.as_mut().poll_write(cx, bytes))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    bytes.advance(written);
                }
                stream.poll_flush(cx)
            }
            Writer::Ws(sink) => {
                let mut sink = Pin::new(sink);
                if !bytes.is_empty() {
                    ready!(sink.as_mut().poll_ready(cx)).map_err(io::Error::other)?;
                    let message = Message::binary(bytes.split().freeze());
                    sink.as_mut()
                        .start_send(message)
                        .map_err(io::Error::other)?;
                }
                sink.poll_flush(cx).map_err(io::Error::other)
            }
        }
    }

    /// Says the end of the transport.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        match self {
            Writer::Stream(stream) => tokio::io::AsyncWriteExt::shutdown(stream).await,
            Writer::Ws(sink) => futures_util::SinkExt::close(sink)
                .await
                .map_err(io::Error::other),
        }
    }
}
