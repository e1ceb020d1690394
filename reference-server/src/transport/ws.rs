//! WebSocket: whole frames in binary messages, no preface.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::{Sink, Stream};
use tidewire_codec::{FrameType, Violation};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::{Fill, Link};
use crate::conn::Chunks;

const SUBPROTOCOL: &str = "tidewire.v1";
/// The longest message: two frames of the largest size that the server could announce.
const MAX_MESSAGE: usize = 2 << 20;
/// What a connection reads at a time. Every open connection has it.
const READ_BUFFER: usize = 8 << 10;

/// A WebSocket connection.
pub(super) struct WsLink {
    stream: WebSocketStream<TcpStream>,
    unflushed: bool,
}

impl WsLink {
    /// Answers the upgrade.
    pub(super) async fn accept(stream: TcpStream) -> Result<WsLink, Error> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let stream = accept_hdr_async_with_config(stream, choose_subprotocol, Some(config)).await?;
        Ok(WsLink {
            stream,
            unflushed: false,
        })
    }
}

//= spec/01-framing.md#transports
//# [FRM-004] On WebSocket the server MUST select the subprotocol tidewire.v1 and refuse the upgrade with an HTTP error
//# if the client does not offer it.
#[expect(clippy::result_large_err, reason = "the library's signature")]
fn choose_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut names = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    if names.any(|name| name.trim() == SUBPROTOCOL) {
        response.headers_mut().insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some(format!("offer the subprotocol {SUBPROTOCOL}\n")));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}

impl Link for WsLink {
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut, _: usize) -> Poll<Fill> {
        loop {
            let message = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { size, max_size }))) => {
                    return Poll::Ready(Fill::Broken(too_long(size, max_size)));
                }
                Some(Err(_)) | None => return Poll::Ready(Fill::End),
            };
            match message {
                Message::Binary(bytes) if bytes.is_empty() => {}
                Message::Binary(bytes) => {
                    // The bytes are the message's own, so that frames share them.
                    match bytes.try_into_mut() {
                        Ok(own) if buf.is_empty() => *buf = own,
                        Ok(own) => buf.extend_from_slice(&own),
                        Err(shared) => buf.extend_from_slice(&shared),
                    }
                    return Poll::Ready(Fill::Message);
                }
                Message::Text(_) => return Poll::Ready(Fill::Broken(Violation::TextMessage)),
                Message::Close(_) => return Poll::Ready(Fill::End),
                // Pings are answered by the library when the next message is read or written.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Poll<io::Result<()>> {
        while !chunks.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_ready(cx)).map_err(io::Error::other)?;
            if let Some(chunk) = chunks.pop() {
                let message = Message::Binary(chunk.freeze());
                Pin::new(&mut self.stream)
                    .start_send(message)
                    .map_err(io::Error::other)?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(io::Error::other)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_close(cx).map(|_| ())
    }
}

/// The message is longer than any number of frames could justify; of which type they are nobody has looked.
fn too_long(size: usize, max_size: usize) -> Violation {
    let clip = |len| u32::try_from(len).unwrap_or(u32::MAX);
    Violation::FrameTooLarge {
        frame_type: FrameType(0),
        limit: clip(max_size),
        actual: clip(size),
    }
}
