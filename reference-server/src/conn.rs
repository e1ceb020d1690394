//! What the engine and the task of a connection share: the bytes to write, and the permits to read.
//!
//! The engine never waits for a connection. It leaves bytes here; where the socket is plain TCP and nothing is queued it
//! writes them itself, which saves a wake-up for almost every write. Both directions are bounded: a connection hands over
//! at most [`MAX_BATCHES`] batches at a time, and above [`CONGESTED_ABOVE`] unsent bytes nothing more is read from it and
//! the core sends it no entries.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tidewire_codec::limits::MAX_FRAME_BEFORE_LOGIN;
use tidewire_core::api::ConnId;
use tokio::net::tcp::OwnedWriteHalf;

/// Batches of frames that a connection may have handed over and the engine not yet dealt with. Two, so that one is read
/// while the other waits for the disk.
const MAX_BATCHES: u32 = 2;
//= spec/02-errors-and-limits.md#budgets
//# [ERR-044] Every queue that a client can fill MUST have a bound.
/// Unsent bytes above which a connection counts as congested.
const CONGESTED_ABOVE: usize = 1 << 20;
/// Unsent bytes above which a connection is dropped. Only answers can pile up so far, and only those of a client that asks
/// for much and reads nothing.
const MAX_UNSENT: usize = 32 << 20;
/// Unsent bytes at which it no longer does.
const RELIEVED_AT: usize = 256 << 10;

/// Bytes on their way out, in the chunks in which the core made them: each is one or more whole frames.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    chunks: VecDeque<BytesMut>,
    len: usize,
}

impl Chunks {
    pub(crate) fn push(&mut self, bytes: BytesMut) {
        self.len += bytes.len();
        self.chunks.push_back(bytes);
    }

    pub(crate) fn pop(&mut self) -> Option<BytesMut> {
        let chunk = self.chunks.pop_front()?;
        self.len -= chunk.len();
        Some(chunk)
    }

    pub(crate) fn front(&self) -> Option<&[u8]> {
        self.chunks.front().map(|chunk| &chunk[..])
    }

    /// The chunks, for a gathering write.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(|chunk| &chunk[..])
    }

    /// `written` bytes from the front are gone.
    pub(crate) fn consume(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(front) = self.chunks.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// Write what is queued, then close.
    Closing,
    /// Drop at once.
    Aborted,
}

#[derive(Debug)]
struct Shared {
    chunks: Chunks,
    end: End,
    congested: bool,
    batches: u32,
    /// The reader stopped for want of a permit.
    reader_waits: bool,
    /// Of the connection's task.
    waker: Option<Waker>,
}

/// One connection, seen from both sides.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    max_frame: AtomicU32,
    direct: Option<Arc<OwnedWriteHalf>>,
    shared: Mutex<Shared>,
}

/// What the task of the connection is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Read, if `can_read`. `relieved`: tell the engine that the congestion is over.
    Go { can_read: bool, relieved: bool },
    /// Write what is queued, then close.
    Close,
    /// Drop at once.
    Abort,
}

impl Conn {
    /// `direct`: the socket, where bytes may be written to it as they are.
    pub(crate) fn new(id: ConnId, direct: Option<Arc<OwnedWriteHalf>>) -> Conn {
        let shared = Shared {
            chunks: Chunks::default(),
            end: End::Open,
            congested: false,
            batches: 0,
            reader_waits: false,
            waker: None,
        };
        Conn {
            id,
            max_frame: AtomicU32::new(MAX_FRAME_BEFORE_LOGIN),
            direct,
            shared: Mutex::new(shared),
        }
    }

    /// The longest body that is taken from now on.
    pub(crate) fn max_frame(&self) -> u32 {
        self.max_frame.load(Ordering::Acquire)
    }

    /// True until LOGIN_OK has set another limit.
    pub(crate) fn is_before_login(&self) -> bool {
        self.max_frame() == MAX_FRAME_BEFORE_LOGIN
    }

    pub(crate) fn set_max_frame(&self, max_frame: u32) {
        self.max_frame.store(max_frame, Ordering::Release);
    }

    //= spec/02-errors-and-limits.md#budgets
    //# [ERR-041] A connection that does not read what it is sent MUST NOT delay the others.
    /// Engine: these bytes are to be written. True if the connection has become congested by it.
    pub(crate) fn push(&self, mut bytes: BytesMut) -> bool {
        let mut shared = self.lock();
        if shared.end != End::Open {
            return false;
        }
        if shared.chunks.is_empty()
            && let Some(socket) = &self.direct
        {
            match socket.try_write(&bytes) {
                Ok(written) if written == bytes.len() => return false,
                Ok(written) => bytes.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    shared.end = End::Aborted;
                    return wake(shared, false);
                }
            }
        }
        if shared.chunks.len() + bytes.len() > MAX_UNSENT {
            shared.chunks = Chunks::default();
            shared.end = End::Aborted;
            return wake(shared, false);
        }
        shared.chunks.push(bytes);
        let newly = !shared.congested && shared.chunks.len() > CONGESTED_ABOVE;
        shared.congested |= newly;
        wake(shared, newly)
    }

    /// Engine: one batch of this connection has been dealt with.
    pub(crate) fn batch_done(&self) {
        let mut shared = self.lock();
        shared.batches = shared.batches.saturating_sub(1);
        if shared.reader_waits {
            wake(shared, ());
        }
    }

    /// Engine: close after what is queued.
    pub(crate) fn close(&self) {
        let mut shared = self.lock();
        if shared.end == End::Open {
            shared.end = End::Closing;
            wake(shared, ());
        }
    }

    /// Engine: drop at once.
    pub(crate) fn abort(&self) {
        let mut shared = self.lock();
        shared.end = End::Aborted;
        wake(shared, ());
    }

    /// Task: writes what can be written and says what to do next. `write` empties the chunks as far as it can without
    /// waiting; it is woken for the rest.
    pub(crate) fn poll_next(
        &self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut Context<'_>, &mut Chunks) -> Poll<io::Result<()>>,
    ) -> Next {
        let mut shared = self.lock();
        if shared
            .waker
            .as_ref()
            .is_none_or(|waker| !waker.will_wake(cx.waker()))
        {
            shared.waker = Some(cx.waker().clone());
        }
        match shared.end {
            End::Open => {}
            End::Closing => return Next::Close,
            End::Aborted => return Next::Abort,
        }
        if let Poll::Ready(Err(_)) = write(cx, &mut shared.chunks) {
            shared.end = End::Aborted;
            return Next::Abort;
        }
        let relieved = shared.congested && shared.chunks.len() <= RELIEVED_AT;
        shared.congested &= !relieved;
        let can_read = !shared.congested && shared.batches < self.max_batches();
        shared.reader_waits = !can_read;
        Next::Go { can_read, relieved }
    }

    /// Task: what is left to write when the connection is closing.
    pub(crate) fn take_chunks(&self) -> Chunks {
        std::mem::take(&mut self.lock().chunks)
    }

    /// Task: a batch is handed over. True if another one may be.
    pub(crate) fn batch_begun(&self) -> bool {
        let mut shared = self.lock();
        shared.batches += 1;
        shared.reader_waits = shared.batches >= self.max_batches();
        !shared.reader_waits
    }

    /// Task: true if the engine has dealt with every batch. If it has not, the task is woken when it has dealt with one.
    pub(crate) fn is_settled(&self) -> bool {
        let mut shared = self.lock();
        shared.reader_waits = shared.batches > 0;
        shared.batches == 0
    }

    /// Before the login one frame at a time is handed over: LOGIN_OK changes the limit for the next one.
    fn max_batches(&self) -> u32 {
        if self.is_before_login() {
            1
        } else {
            MAX_BATCHES
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing in here panics half-way through a change.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the task after the lock is released, so that it does not run into it.
fn wake<T>(mut shared: MutexGuard<'_, Shared>, answer: T) -> T {
    let waker = shared.waker.take();
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> BytesMut {
        BytesMut::zeroed(len)
    }

    fn go(conn: &Conn, written: usize) -> Next {
        let mut cx = Context::from_waker(Waker::noop());
        conn.poll_next(&mut cx, |_, chunks| {
            chunks.consume(written.min(chunks.len()));
            if chunks.is_empty() {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
    }

    #[test]
    fn chunks_are_consumed_across_their_borders() {
        let mut chunks = Chunks::default();
        for len in [3, 4, 5] {
            chunks.push(bytes(len));
        }
        chunks.consume(5);
        assert_eq!(
            (chunks.len(), chunks.iter().next().map(<[u8]>::len)),
            (7, Some(2))
        );
        chunks.consume(2);
        assert_eq!(chunks.iter().map(<[u8]>::len).collect::<Vec<_>>(), [5]);
        chunks.consume(5);
        assert!(chunks.is_empty());
    }

    #[test]
    fn congestion_comes_once_and_goes_at_the_low_mark() {
        let conn = Conn::new(ConnId(1), None);
        assert!(!conn.push(bytes(CONGESTED_ABOVE)));
        assert!(conn.push(bytes(1)));
        assert!(!conn.push(bytes(1)));
        assert_eq!(
            go(&conn, 0),
            Next::Go {
                can_read: false,
                relieved: false
            }
        );
        assert_eq!(
            go(&conn, CONGESTED_ABOVE - RELIEVED_AT),
            Next::Go {
                can_read: false,
                relieved: false
            }
        );
        assert_eq!(
            go(&conn, 2),
            Next::Go {
                can_read: true,
                relieved: true
            }
        );
        assert_eq!(
            go(&conn, 2),
            Next::Go {
                can_read: true,
                relieved: false
            }
        );
    }

    #[test]
    fn permits_bound_the_batches() {
        let conn = Conn::new(ConnId(1), None);
        assert!(!conn.batch_begun(), "one at a time before the login");
        conn.batch_done();
        conn.set_max_frame(65_536);
        assert!(conn.batch_begun());
        assert!(!conn.batch_begun());
        assert_eq!(
            go(&conn, 0),
            Next::Go {
                can_read: false,
                relieved: false
            }
        );
        conn.batch_done();
        assert_eq!(
            go(&conn, 0),
            Next::Go {
                can_read: true,
                relieved: false
            }
        );
        assert!(!conn.is_settled());
        conn.batch_done();
        assert!(conn.is_settled());
    }

    #[test]
    fn who_asks_and_never_reads_is_dropped() {
        let conn = Conn::new(ConnId(1), None);
        for _ in 0..MAX_UNSENT / CONGESTED_ABOVE {
            conn.push(bytes(CONGESTED_ABOVE));
        }
        assert_ne!(go(&conn, 0), Next::Abort);
        conn.push(bytes(1));
        assert_eq!(go(&conn, 0), Next::Abort);
        assert!(conn.take_chunks().is_empty());
    }

    #[test]
    fn the_end_is_final() {
        let conn = Conn::new(ConnId(1), None);
        conn.push(bytes(10));
        conn.close();
        assert!(!conn.push(bytes(CONGESTED_ABOVE + 1)));
        assert_eq!(go(&conn, 0), Next::Close);
        assert_eq!(conn.take_chunks().len(), 10);
        conn.abort();
        assert_eq!(go(&conn, 0), Next::Abort);
    }
}
