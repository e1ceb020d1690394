//! From bytes on a transport to batches of frames for the engine, and back.
//!
//! Each connection is one task, the same for every transport; what differs is behind [`Link`]. The task decodes no
//! bodies and knows no rule of the protocol beyond the framing.

mod listen;
mod tcp;
mod tls;
mod ws;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tidewire_codec::{Decoder, Item, RawFrame, Violation};

use crate::conn::{Chunks, Conn, Next};
use crate::engine::Msg;

pub(crate) use listen::{Hub, Transport, listen};
pub(crate) use tls::{Identity, acceptor};

/// Frames handed over at a time.
const MAX_BATCH_FRAMES: usize = 256;
/// The smallest and the largest read.
const READ_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=256 << 10;
/// How long a closing connection may take to read what it was sent.
const FLUSH_TIME: Duration = Duration::from_secs(5);
/// How long to wait, after that, for the peer to close its side. Closing with unread bytes would make the kernel send a
/// reset, which can overtake the GOAWAY.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// What came from a transport.
pub(crate) enum Fill {
    /// Bytes were added to the buffer.
    More,
    /// A whole message was added; it has to end where a frame ends.
    Message,
    /// The transport's own framing was broken in this way.
    Broken(Violation),
    /// Nothing more will come.
    End,
}

/// A transport under a connection. All calls are made by one task and return at once.
pub(crate) trait Link: Send {
    /// Adds what arrived to `buf`, at most about `room` bytes where the transport has no messages.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut, room: usize) -> Poll<Fill>;

    /// Writes from the front of `chunks` until they are empty and on their way.
    fn poll_write(&mut self, cx: &mut Context<'_>, chunks: &mut Chunks) -> Poll<io::Result<()>>;

    /// Closes the sending side.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// The task of one connection.
struct Task<L> {
    link: L,
    conn: Arc<Conn>,
    engine: Sender<Msg>,
    decoder: Decoder,
    buf: BytesMut,
    /// The buffer is the rest of a message, which has to end where a frame ends.
    in_message: bool,
    read_bytes: usize,
    input: Input,
}

/// How far the input has got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// Frames that came before the end may still be with the engine.
    Ended,
    /// A violation was handed over: the engine will close. What still arrives is not looked at.
    Broken,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    /// After what is queued.
    Close,
    /// At once.
    Abort,
}

/// Runs a connection to its end. `preface`: whether the transport is a byte stream.
pub(crate) async fn serve(link: impl Link, conn: Arc<Conn>, engine: Sender<Msg>, preface: bool) {
    let id = conn.id;
    if engine.send(Msg::Open(Arc::clone(&conn))).is_err() {
        return;
    }
    let read_bytes = *READ_BYTES.start();
    let decoder = Decoder::new(preface);
    let buf = BytesMut::new();
    let mut task = Task {
        link,
        conn,
        engine,
        decoder,
        buf,
        in_message: false,
        read_bytes,
        input: Input::Open,
    };
    if poll_fn(|cx| task.poll(cx)).await == Finish::Close {
        task.close().await;
    }
    // The engine is gone where this fails, and knows no connections any more.
    let _ = task.engine.send(Msg::Closed(id));
}

/// Sends a last word on a connection that the engine never hears of.
pub(crate) async fn refuse(mut link: impl Link, goaway: BytesMut) {
    let mut chunks = Chunks::default();
    chunks.push(goaway);
    farewell(&mut link, &mut chunks, true).await;
}

impl<L: Link> Task<L> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Finish> {
        loop {
            let link = &mut self.link;
            let can_read = match self
                .conn
                .poll_next(cx, |cx, chunks| link.poll_write(cx, chunks))
            {
                Next::Close => return Poll::Ready(Finish::Close),
                Next::Abort => return Poll::Ready(Finish::Abort),
                Next::Go { can_read, relieved } => {
                    if relieved && self.engine.send(Msg::Relieved(self.conn.id)).is_err() {
                        return Poll::Ready(Finish::Abort);
                    }
                    can_read
                }
            };
            match self.input {
                Input::Open if can_read => {}
                Input::Open | Input::Broken => return Poll::Pending,
                // The answers to what came before the end go out before the connection does.
                Input::Ended if self.conn.is_settled() => return Poll::Ready(Finish::Close),
                Input::Ended => return Poll::Pending,
            }
            match self.poll_input(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Finish::Abort),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads and hands over while there is something to read and a permit. Ready: look at the state again; false: the
    /// engine is gone.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            // What a former read left behind, for want of a permit, goes first.
            if !self.buf.is_empty() {
                match self.hand_over() {
                    Handed::Nothing => {}
                    Handed::More => continue,
                    Handed::Stop => return Poll::Ready(true),
                    Handed::Gone => return Poll::Ready(false),
                }
            }
            self.in_message = false;
            let before = self.buf.len();
            let fill = match self.link.poll_fill(cx, &mut self.buf, self.read_bytes) {
                Poll::Ready(fill) => fill,
                Poll::Pending => {
                    // An idle connection holds no buffer.
                    if self.buf.is_empty() {
                        self.buf = BytesMut::new();
                    }
                    return Poll::Pending;
                }
            };
            match fill {
                Fill::More => self.adapt(self.buf.len() - before),
                Fill::Message => self.in_message = true,
                Fill::Broken(violation) => {
                    self.input = Input::Broken;
                    return Poll::Ready(self.send(Vec::new(), Some(violation)) != Handed::Gone);
                }
                Fill::End => {
                    self.input = Input::Ended;
                    return Poll::Ready(true);
                }
            }
        }
    }

    /// Decodes what is whole in the buffer and gives it to the engine.
    fn hand_over(&mut self) -> Handed {
        let mut frames = Vec::new();
        let mut violation = None;
        // Before the login there is one frame at a time, since LOGIN_OK changes the limit.
        //= spec/01-framing.md#transports
        //# [FRM-005] The server MUST accept one or more whole frames in one binary WebSocket message.
        while frames.len() < MAX_BATCH_FRAMES {
            if !frames.is_empty() && self.conn.is_before_login() {
                break;
            }
            self.decoder.set_max_frame(self.conn.max_frame());
            match self.decoder.poll(&mut self.buf) {
                Some(Item::Preface) => {}
                Some(Item::Frame(frame)) => frames.push(frame),
                //= spec/01-framing.md#transports
                //# [FRM-003] When the first bytes of a byte stream differ from the preface at any of the 8 places, the
                //# server MUST send GOAWAY BAD_PREFACE, interpret no further byte, and close.
                Some(Item::Violation(found)) => {
                    violation = Some(found);
                    break;
                }
                None => {
                    //= spec/01-framing.md#transports
                    //# [FRM-006] When a WebSocket message is a text message or does not end at the end of a frame, the
                    //# server MUST send GOAWAY PROTOCOL_VIOLATION and close.
                    if self.in_message && !self.buf.is_empty() {
                        violation = Some(Violation::SplitMessage {
                            rest: self.buf.len(),
                        });
                    }
                    break;
                }
            }
        }
        if violation.is_some() {
            self.input = Input::Broken;
        }
        if frames.is_empty() && violation.is_none() {
            return Handed::Nothing;
        }
        self.send(frames, violation)
    }

    fn send(&self, frames: Vec<RawFrame>, violation: Option<Violation>) -> Handed {
        let more = self.conn.batch_begun() && violation.is_none();
        match self.engine.send(Msg::Frames {
            conn: self.conn.id,
            frames,
            violation,
        }) {
            Ok(()) if more => Handed::More,
            Ok(()) => Handed::Stop,
            Err(_) => Handed::Gone,
        }
    }

    /// Fits the size of the reads to what comes.
    fn adapt(&mut self, read: usize) {
        if read >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 4).min(*READ_BYTES.end());
        } else if read < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(*READ_BYTES.start());
        }
    }

    async fn close(&mut self) {
        let mut chunks = self.conn.take_chunks();
        let linger = self.input != Input::Ended;
        farewell(&mut self.link, &mut chunks, linger).await;
    }
}

/// What became of decoded frames.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handed {
    /// There were none.
    Nothing,
    /// Given, and there is a permit left.
    More,
    /// Given, and now it is time to wait.
    Stop,
    /// The engine is gone.
    Gone,
}

/// Writes the rest, closes the sending side and waits a moment for the peer to do the same.
async fn farewell(link: &mut impl Link, chunks: &mut Chunks, linger: bool) {
    let flush = async {
        let written = poll_fn(|cx| link.poll_write(cx, chunks)).await.is_ok();
        if written {
            poll_fn(|cx| link.poll_close(cx)).await;
        }
        written
    };
    let flushed = tokio::time::timeout(FLUSH_TIME, flush).await == Ok(true);
    if linger && flushed {
        let drained = poll_fn(|cx| {
            let mut void = BytesMut::new();
            loop {
                match link.poll_fill(cx, &mut void, *READ_BYTES.start()) {
                    Poll::Ready(Fill::More | Fill::Message) => void.clear(),
                    Poll::Ready(Fill::End | Fill::Broken(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        let _ = tokio::time::timeout(LINGER_TIME, drained).await;
    }
}
