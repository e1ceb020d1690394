//! WebSocket: the same frames in binary messages.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
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
