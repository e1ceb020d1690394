//! Captures of a run for Wireshark: what went over each actor's connection, with the case and the step in a comment.
//!
//! Nothing is taken from a network interface. The bytes are those that the player wrote and read; Ethernet, IP and TCP
//! around them are made up, each actor has an address of its own, and a WebSocket gets an upgrade and heads of messages
//! like those that carried it. Of TLS the capture has the clear text, as if it had been plain TCP.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::session::Transport;

mod block;
mod stream;

use block::Ends;
pub(crate) use stream::PcapStream;
use stream::Side;

/// Where the made-up server is.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The network of the actors; the other half of the address counts them.
const ACTORS: [u8; 2] = [10, 1];
/// Ports of byte streams, which are Wireshark's default for Tidewire, and of WebSocket.
const STREAM_PORT: u16 = 7400;
const WS_PORT: u16 = 7401;
/// Clients' ports begin here, and begin again when there are no more.
const FIRST_PORT: u16 = 20_000;

/// A capture file that is being written, by all cases at once.
#[derive(Clone, Debug)]
pub struct Pcap(Arc<Mutex<Capture>>);

#[derive(Debug)]
struct Capture {
    file: BufWriter<File>,
    /// The number of each actor that had a connection.
    actors: BTreeMap<String, u16>,
    connections: u16,
    /// The first error: what was written after it would be torn.
    error: Option<io::Error>,
}

impl Pcap {
    /// Begins a file.
    ///
    /// # Errors
    /// When the file cannot be made or written.
    pub fn create(path: &Path) -> io::Result<Pcap> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&block::section())?;
        file.write_all(&block::interface())?;
        file.write_all(&block::name(SERVER, "server"))?;
        Ok(Pcap(Arc::new(Mutex::new(Capture {
            file,
            actors: BTreeMap::new(),
            connections: 0,
            error: None,
        }))))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The first error of all that was written.
    pub fn finish(&self) -> io::Result<()> {
        let mut capture = self.lock();
        match capture.error.take() {
            Some(error) => Err(error),
            None => capture.file.flush(),
        }
    }

    /// What is written down of one case, whose name is the beginning of its comments.
    pub(crate) fn case(&self, name: impl Into<String>) -> PcapCase {
        PcapCase {
            pcap: self.clone(),
            name: name.into(),
            step: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Capture> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both ends of a new connection of this actor.
    fn ends(&self, actor: &str, transport: Transport) -> Ends {
        let mut capture = self.lock();
        let next = u16::try_from(capture.actors.len() + 1).unwrap_or(u16::MAX);
        let number = capture.actors.get(actor).copied();
        let [high, low] = number.unwrap_or(next).to_be_bytes();
        let client = Ipv4Addr::new(ACTORS[0], ACTORS[1], high, low);
        if number.is_none() {
            capture.actors.insert(actor.to_owned(), next);
            capture.write(&block::name(client, actor));
        }
        let port = FIRST_PORT + capture.connections % (u16::MAX - FIRST_PORT);
        capture.connections = (capture.connections + 1) % (u16::MAX - FIRST_PORT);
        let server_port = match transport {
            Transport::Tcp | Transport::Tls => STREAM_PORT,
            Transport::Ws => WS_PORT,
        };
        Ends {
            client: (client, port),
            server: (SERVER, server_port),
        }
    }

    fn packet(&self, packet: &[u8], comment: &str) {
        let mut capture = self.lock();
        // Read while nobody else writes, so that packets stand in the order of their times.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        capture.write(&block::packet(nanos, packet, comment));
    }
}

impl Capture {
    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.file.write_all(bytes).err();
        }
    }
}

/// What is written down of one case.
#[derive(Clone)]
pub(crate) struct PcapCase {
    pcap: Pcap,
    name: String,
    /// What is being done, for the comments of all connections of the case.
    step: Arc<Mutex<String>>,
}

impl PcapCase {
    /// From now on this is being done.
    pub(crate) fn step(&self, text: &str) {
        let text = format!("{}{text}", self.name);
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// A new connection of this actor, from its handshake on, as its client writes and reads it.
    pub(crate) fn client(&self, actor: &str, transport: Transport) -> PcapStream {
        self.stream(actor, transport, Side::Client)
    }

    /// The same as its server writes and reads it.
    pub(crate) fn server(&self, actor: &str, transport: Transport) -> PcapStream {
        self.stream(actor, transport, Side::Server)
    }

    fn stream(&self, actor: &str, transport: Transport, side: Side) -> PcapStream {
        let ends = self.pcap.ends(actor, transport);
        let step = Arc::clone(&self.step);
        PcapStream::open(self.pcap.clone(), ends, transport, (actor, side), step)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    /// The blocks of a file as type and content.
    fn blocks(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let len = usize::try_from(number(at + 4)).unwrap();
            assert_eq!(
                number(at + len - 4),
                number(at + 4),
                "both lengths of a block"
            );
            found.push((number(at), bytes[at + 8..at + len - 4].to_vec()));
            at += len;
        }
        found
    }

    #[test]
    fn a_connection_is_written_from_its_handshake_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.pcapng");
        let pcap = Pcap::create(&path).unwrap();
        let case = pcap.case("send/plain");
        case.step(":7 send = \"SEND\"");
        let mut stream = case.client("alice", Transport::Tcp);
        stream.wrote(b"request");
        stream.read(b"reply");
        drop(stream);
        drop(case.server("alice", Transport::Tcp));
        pcap.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let blocks = blocks(&bytes);
        let types: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        // Section, interface, two names; three packets to open, two with bytes, two to end; the same without bytes.
        let expected = [vec![0x0a0d_0d0a, 1, 4, 4], vec![6; 7], vec![6; 5]].concat();
        assert_eq!(types, expected);
        let has =
            |index: usize, text: &[u8]| blocks[index].1.windows(text.len()).any(|at| at == text);
        assert!(has(7, b"request") && has(7, b"send/plain:7 send = \"SEND\" (alice)"));
        assert!(has(8, b"reply"));
    }

    #[test]
    fn an_error_is_told_at_the_end() {
        let path = Path::new("/dev/full");
        if path.exists() {
            let told = Pcap::create(path).and_then(|pcap| pcap.finish());
            assert!(told.is_err());
        }
    }
}
