//! Plain TCP. The engine writes to the same socket while nothing is queued.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::io::poll_read_buf;

use super::{Fill, Link};
use crate::conn::Chunks;

/// Chunks gathered into one write.
const GATHER: usize = 32;

/// A plain socket.
pub(super) struct TcpLink {
    read: OwnedReadHalf,
    write: Arc<OwnedWriteHalf>,
}

impl TcpLink {
    pub(super) fn new(stream: TcpStream) -> TcpLink {
        let (read, write) = stream.into_split();
        TcpLink {
            read,
            write: Arc::new(write),
        }
    }

    /// The socket, for whoever else writes to it.
    pub(super) fn writer(&self) -> Arc<OwnedWriteHalf> {
        Arc::clone(&self.write)
    }
}

impl Link for TcpLink {
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut, room: usize) -> Poll<Fill> {
        // Nothing is allocated before there is something to read.
        if ready!(self.read.as_ref().poll_read_ready(cx)).is_err() {
            return Poll::Ready(Fill::End);
        }
        buf.reserve(room);
        match ready!(poll_read_buf(Pin::new(&mut self.read), cx, buf)) {
            Ok(0) | Err(_) => Poll::Ready(Fill::End),
            Ok(_) => Poll::Ready(Fill::More),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Poll<io::Result<()>> {
        let socket: &TcpStream = (*self.write).as_ref();
        while !chunks.is_empty() {
            ready!(socket.poll_write_ready(cx))?;
            let slices: Vec<_> = chunks.iter().take(GATHER).map(io::IoSlice::new).collect();
            match socket.try_write_vectored(&slices) {
                Ok(written) => chunks.consume(written),
                // Not ready after all: ask again, to be woken.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        let socket: &TcpStream = (*self.write).as_ref();
        // It fails where the peer has gone already, and then there is nothing to close.
        let _ = shutdown(socket, Shutdown::Write);
        Poll::Ready(())
    }
}
