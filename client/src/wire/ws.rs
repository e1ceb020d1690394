//! WebSocket: the same frames in binary messages.

use std::io;

use tidewire_codec::limits::MAX_FRAME_HARD;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Bytestream;

/// The subprotocol of version 1.
const SUBPROTOCOL: &str = "tidewire.v1";
/// Longest message that is taken: some of the longest frames.
const MAX_MESSAGE: usize = 4 << 20;

pub(super) async fn upgrade(
    stream: Bytestream,
    url: &str,
) -> io::Result<WebSocketStream<Bytestream>> {
    let mut request = url.into_client_request().map_err(io::Error::other)?;
    //= spec/01-framing.md#transports
    //# [FRM-047] On WebSocket a client MUST offer the subprotocol tidewire.v1 and send no preface.
    request.headers_mut().insert(
        "Sec-WebSocket-Protocol",
        HeaderValue::from_static(SUBPROTOCOL),
    );
    const { assert!(MAX_MESSAGE > 2 * (MAX_FRAME_HARD as usize)) };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let (stream, response) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(io::Error::other)?;
    let selected = response.headers().get("Sec-WebSocket-Protocol");
    if selected.is_none_or(|selected| selected != SUBPROTOCOL) {
        return Err(io::Error::other(
            "the server did not select the subprotocol tidewire.v1",
        ));
    }
    Ok(stream)
}
