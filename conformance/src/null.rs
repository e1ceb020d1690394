//! Null testees: peers that do nothing right. A suite that lets one of them pass a case proves nothing with that case.
//!
//! Each claims every capability, so that every case is played against it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tidewire_codec::{Decoder, Flags, Item, PREFACE};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::run::{RunOptions, Testees};
use crate::testee::Testee;
pub use liar::Lie;

mod adapter;
mod answers;
mod liar;

pub use adapter::NullAdapter;
use answers::{answer, goaway, login_ok, recording, synced};

/// How every case is played against a peer that does nothing: those whose twin did not pass as well, and all at once,
/// since these peers have no state that a case could disturb. Nothing is waited for long: they answer at once or never.
#[must_use]
pub fn options() -> RunOptions {
    RunOptions {
        jobs: 128,
        budget: Some(Duration::from_millis(150)),
        ignore_blocks: true,
        all_parallel: true,
        repeat_inconclusive: false,
        ..RunOptions::default()
    }
}

/// What a null testee does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NullKind {
    /// Closes at once.
    AcceptAndClose,
    /// Reads everything and never says a word.
    Mute,
    /// Sends the preface, waits for something, and closes.
    PrefaceThenClose,
    /// Answers LOGIN as it should, and nothing after it.
    LoginThenIgnore,
    /// Says yes to everything.
    AckEverything,
    /// Sends back what it got.
    Echo,
    /// Sends random bytes after the preface, the same for the same seed.
    RandomBytes,
    /// Sends a correct greeting, a byte at a time.
    SlowDrip,
    /// Sends what a correct server once sent to somebody else.
    Replay,
    /// Sends GOAWAY PROTOCOL_VIOLATION to whatever comes first.
    GoawayAlways,
}

impl NullKind {
    /// All of them.
    pub const ALL: [NullKind; 10] = [
        NullKind::AcceptAndClose,
        NullKind::Mute,
        NullKind::PrefaceThenClose,
        NullKind::LoginThenIgnore,
        NullKind::AckEverything,
        NullKind::Echo,
        NullKind::RandomBytes,
        NullKind::SlowDrip,
        NullKind::Replay,
        NullKind::GoawayAlways,
    ];
}

/// A null testee that listens; it stops when this is dropped.
#[derive(Debug)]
pub struct NullServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NullServer {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start(kind: NullKind) -> io::Result<NullServer> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // A connection that fails is of no interest: this peer does nothing right anyway.
                tokio::spawn(async move { drop(serve(kind, socket).await) });
            }
        });
        Ok(NullServer { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// It as a testee, with a back door that says yes and does nothing.
    #[must_use]
    pub fn testees(&self) -> Testees {
        Testees {
            shared: Testee::fake(self.address.to_string()),
            lanes: Vec::new(),
        }
    }

    /// Serves until the program ends.
    pub async fn wait(mut self) {
        // An aborted task ends as well, and there is nothing else to wait for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Between two bytes of the drip: longer than a loopback needs, shorter than any budget.
const DRIP: Duration = Duration::from_millis(20);
/// The random bytes of a connection.
const NOISE_LEN: usize = 4_096;

async fn serve(kind: NullKind, mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    match kind {
        NullKind::AcceptAndClose => Ok(()),
        NullKind::Mute => sink(&mut socket).await,
        NullKind::PrefaceThenClose => {
            socket.write_all(&PREFACE).await?;
            socket.read_u8().await.map(drop)
        }
        NullKind::LoginThenIgnore => sessions(&mut socket, false).await,
        NullKind::AckEverything => sessions(&mut socket, true).await,
        NullKind::Echo => {
            let (mut reader, mut writer) = socket.split();
            io::copy(&mut reader, &mut writer).await.map(drop)
        }
        NullKind::RandomBytes => {
            socket.write_all(&PREFACE).await?;
            socket.write_all(&noise(0x7d1e_3a7a)).await?;
            sink(&mut socket).await
        }
        NullKind::SlowDrip => {
            for byte in recording() {
                socket.write_u8(byte).await?;
                tokio::time::sleep(DRIP).await;
            }
            sink(&mut socket).await
        }
        NullKind::Replay => {
            socket.write_all(&recording()).await?;
            sink(&mut socket).await
        }
        NullKind::GoawayAlways => {
            socket.write_all(&PREFACE).await?;
            let mut received = [0; 1_024];
            // The preface alone says nothing yet.
            let mut total = 0;
            while total <= PREFACE.len() {
                match socket.read(&mut received).await? {
                    0 => return Ok(()),
                    count => total += count,
                }
            }
            socket.write_all(&goaway()).await
        }
    }
}

/// Reads until the peer is gone.
async fn sink(socket: &mut TcpStream) -> io::Result<()> {
    io::copy(socket, &mut io::sink()).await.map(drop)
}

/// Logs everybody in, and then ignores everything or says yes to it.
async fn sessions(socket: &mut TcpStream, says_yes: bool) -> io::Result<()> {
    socket.write_all(&PREFACE).await?;
    let mut decoder = Decoder::new(true);
    decoder.set_max_frame(1 << 20);
    let mut received = BytesMut::new();
    let mut is_logged_in = false;
    loop {
        while let Some(item) = decoder.poll(&mut received) {
            let Item::Frame(frame) = item else { continue };
            if !is_logged_in {
                is_logged_in = true;
                socket.write_all(&login_ok(&frame)).await?;
                socket.write_all(&synced()).await?;
            } else if says_yes && frame.reference != 0 && !frame.flags.contains(Flags::REPLY) {
                socket.write_all(&answer(&frame)).await?;
            }
        }
        if decoder.is_broken() {
            received.advance(received.len());
        }
        if socket.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// A generator that is good enough for noise: xorshift.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(NOISE_LEN);
    while bytes.len() < NOISE_LEN {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes
}
