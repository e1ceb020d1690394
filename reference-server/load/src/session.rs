//! One client: connect, log in, send and receive frames.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use tidewire_codec::{Decoder, Flags, Frame, FrameType, Item, PREFACE, RawFrame, limits, proto};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// The receiving side of a session.
pub(crate) struct Incoming {
    stream: OwnedReadHalf,
    decoder: Decoder,
    buf: BytesMut,
}

/// The sending side of a session.
pub(crate) struct Outgoing {
    stream: OwnedWriteHalf,
}

/// Logs in. The first frame after it is still to come: SYNCED, or an entry of the backlog.
pub(crate) async fn login(
    address: SocketAddr,
    token: &str,
    device: u8,
) -> anyhow::Result<(Incoming, Outgoing)> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let mut incoming = Incoming {
        stream: read,
        decoder: Decoder::new(true),
        buf: BytesMut::new(),
    };
    let mut outgoing = Outgoing { stream: write };
    let login = proto::Login {
        version_min: 1,
        version_max: 1,
        features: Vec::new(),
        token: Bytes::copy_from_slice(token.as_bytes()),
        device_id: Bytes::copy_from_slice(&[device.max(1); limits::DEVICE_ID_LEN]),
        event_limit: u64::MAX,
        keepalive_ms: Some(limits::KEEPALIVE_MAX_MS),
        agent: "tidewire-load".into(),
        ..proto::Login::default()
    };
    let mut bytes = BytesMut::from(&PREFACE[..]);
    Frame::from(login)
        .to_raw(Flags::NONE, 1)
        .encode_into(&mut bytes)?;
    outgoing.write(&bytes).await?;
    let reply = incoming.next().await?;
    match reply.decode()? {
        Frame::LoginOk(_) => {}
        other => bail!("LOGIN was answered with {other:?}"),
    }
    incoming.decoder.set_max_frame(limits::MAX_FRAME_DEFAULT);
    Ok((incoming, outgoing))
}

impl Incoming {
    /// The next frame, without waiting. `None`: read more first.
    pub(crate) fn poll(&mut self) -> anyhow::Result<Option<RawFrame>> {
        loop {
            match self.decoder.poll(&mut self.buf) {
                Some(Item::Preface) => {}
                Some(Item::Frame(frame)) if frame.frame_type == FrameType::GOAWAY => {
                    bail!("the server said {:?}", frame.decode()?);
                }
                Some(Item::Frame(frame)) if frame.frame_type == FrameType::ERROR => {
                    bail!("the server said {:?}", frame.decode()?);
                }
                Some(Item::Frame(frame)) => return Ok(Some(frame)),
                Some(Item::Violation(violation)) => bail!("{violation}"),
                None => return Ok(None),
            }
        }
    }

    /// Waits for more bytes.
    pub(crate) async fn fill(&mut self) -> anyhow::Result<()> {
        self.buf.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.buf).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    /// Gives back the memory of the buffer, where nothing is in it.
    pub(crate) fn shrink(&mut self) {
        if self.buf.is_empty() {
            self.buf = BytesMut::new();
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> anyhow::Result<RawFrame> {
        loop {
            if let Some(frame) = self.poll()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Skips frames up to the end of the backlog.
    pub(crate) async fn synced(&mut self) -> anyhow::Result<()> {
        while self.next().await?.frame_type != FrameType::SYNCED {}
        Ok(())
    }
}

impl Outgoing {
    /// Sends bytes of whole frames.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await.context("write")
    }

    /// Everything up to `pos` is stored here.
    pub(crate) async fn ack(&mut self, pos: u64) -> anyhow::Result<()> {
        let mut bytes = BytesMut::new();
        Frame::from(proto::Ack { pos })
            .to_event()
            .encode_into(&mut bytes)?;
        self.write(&bytes).await
    }
}
