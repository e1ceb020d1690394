//! WebSocket: the same frames in binary messages.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{OpenError, Opening};

/// The subprotocol of version 1.
const SUBPROTOCOL: &str = "tidewire.v1";

pub(super) struct WsWire(WebSocketStream<TcpStream>);

/// `host:port` of an address that may be written as a URL.
pub(super) fn authority(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

pub(super) async fn connect(
    socket: TcpStream,
    address: &str,
    opening: &Opening,
) -> Result<WsWire, OpenError> {
    let bad = |error: String| OpenError::BadUpgrade(error);
    let url = if address.contains("://") {
        address.to_owned()
    } else {
        format!("ws://{address}/")
    };
    let mut request = url
        .into_client_request()
        .map_err(|error| bad(error.to_string()))?;
    let offered = opening.subprotocol.as_deref().unwrap_or(SUBPROTOCOL);
    if offered != "none" {
        let value = HeaderValue::from_str(offered).map_err(|error| bad(error.to_string()))?;
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
    }
    match client_async(request, socket).await {
        Ok((stream, response)) => {
            let selected = response.headers().get("Sec-WebSocket-Protocol");
            if selected.is_none_or(|selected| selected != SUBPROTOCOL) {
                return Err(bad(format!(
                    "the server selected {selected:?} and not {SUBPROTOCOL}"
                )));
            }
            Ok(WsWire(stream))
        }
        Err(Error::Http(response)) => Err(OpenError::Refused(response.status().as_u16())),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// Answers the upgrade of a client that offers the subprotocol.
pub(super) async fn accept(socket: TcpStream) -> io::Result<WsWire> {
    let stream = tokio_tungstenite::accept_hdr_async(socket, choose).await;
    stream.map(WsWire).map_err(io::Error::other)
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all("Sec-WebSocket-Protocol");
    let mut names = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    if names.any(|name| name.trim() == SUBPROTOCOL) {
        let selected = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", selected);
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some(format!("offer the subprotocol {SUBPROTOCOL}")));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}

impl WsWire {
    pub(super) async fn send(&mut self, bytes: &[u8], text: bool) -> io::Result<()> {
        let message = if text {
            Message::text(String::from_utf8_lossy(bytes).into_owned())
        } else {
            Message::binary(Bytes::copy_from_slice(bytes))
        };
        self.0.send(message).await.map_err(io::Error::other)
    }

    /// Appends what the next message carries; 0 is the end.
    pub(super) async fn read(&mut self, received: &mut BytesMut) -> io::Result<usize> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) if !bytes.is_empty() => {
                    received.extend_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Some(Ok(Message::Text(_))) => return Err(io::Error::other("a text message")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(0),
                // WebSocket's own pings are answered by the library.
                Some(Ok(_)) => {}
            }
        }
    }

    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.0.close(None).await.map_err(io::Error::other)
    }
}
