//! One connection of a capture: its bytes in segments, from a handshake to an end.

use std::sync::{Arc, Mutex, PoisonError};

use super::Pcap;
use super::block::{ACK, Ends, FIN, PUSH, SYN, segment};
use crate::session::Transport;

/// The bytes of one segment: what IP lets a packet have.
const SEGMENT: usize = 65_000;

/// What a client asks for and a server grants; the key and its answer are those of RFC 6455.
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tidewire.v1\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tidewire.v1\r\n\r\n";

/// Heads of whole messages of WebSocket.
const WS_TEXT: u8 = 0x81;
const WS_BINARY: u8 = 0x82;
const WS_MASKED: u8 = 0x80;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// A connection that is written down.
pub(crate) struct PcapStream {
    pcap: Pcap,
    ends: Ends,
    is_ws: bool,
    actor: String,
    /// Whose reads and writes these are.
    own: Side,
    step: Arc<Mutex<String>>,
    /// The next sequence numbers.
    client: u32,
    server: u32,
    client_ended: bool,
    server_ended: bool,
}

impl PcapStream {
    pub(super) fn open(
        pcap: Pcap,
        ends: Ends,
        transport: Transport,
        (actor, own): (&str, Side),
        step: Arc<Mutex<String>>,
    ) -> PcapStream {
        let mut stream = PcapStream {
            pcap,
            ends,
            is_ws: transport == Transport::Ws,
            actor: actor.to_owned(),
            own,
            step,
            client: 0,
            server: 0,
            client_ended: false,
            server_ended: false,
        };
        let comment = format!("{} connects over {transport}", stream.comment());
        stream.segment(Side::Client, SYN, &[], &comment);
        stream.segment(Side::Server, SYN | ACK, &[], "");
        stream.segment(Side::Client, ACK, &[], "");
        if stream.is_ws {
            stream.bytes(Side::Client, UPGRADE.as_bytes());
            stream.bytes(Side::Server, SWITCHED.as_bytes());
        }
        stream
    }

    /// This was written; on WebSocket as one binary message.
    pub(crate) fn wrote(&mut self, bytes: &[u8]) {
        self.carry(self.own, WS_BINARY, bytes);
    }

    /// A text message was written.
    pub(crate) fn wrote_text(&mut self, bytes: &[u8]) {
        self.carry(self.own, WS_TEXT, bytes);
    }

    /// This was read; on WebSocket it was one message.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.carry(self.own.other(), WS_BINARY, bytes);
        }
    }

    /// Nothing more will be written.
    pub(crate) fn wrote_end(&mut self) {
        self.end(self.own);
    }

    /// Nothing more will be read.
    pub(crate) fn read_end(&mut self) {
        self.end(self.own.other());
    }

    fn end(&mut self, side: Side) {
        let ended = match side {
            Side::Client => &mut self.client_ended,
            Side::Server => &mut self.server_ended,
        };
        if !std::mem::replace(ended, true) {
            self.segment(side, FIN | ACK, &[], "");
        }
    }

    fn carry(&mut self, from: Side, head: u8, bytes: &[u8]) {
        if !self.is_ws {
            return self.bytes(from, bytes);
        }
        let mut message = vec![head];
        // A mask of zeroes leaves the bytes as they are.
        let (masked, mask): (u8, &[u8]) = match from {
            Side::Client => (WS_MASKED, &[0; 4]),
            Side::Server => (0, &[]),
        };
        match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
            (Ok(len @ ..126), _) => message.push(masked | len),
            (_, Ok(len)) => {
                message.push(masked | 126);
                message.extend(len.to_be_bytes());
            }
            _ => {
                message.push(masked | 127);
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                message.extend(len.to_be_bytes());
            }
        }
        message.extend(mask);
        message.extend(bytes);
        self.bytes(from, &message);
    }

    fn bytes(&mut self, from: Side, bytes: &[u8]) {
        let comment = self.comment();
        for piece in bytes.chunks(SEGMENT) {
            self.segment(from, PUSH | ACK, piece, &comment);
        }
    }

    /// Where in which case, and who.
    fn comment(&self) -> String {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{step} ({})", self.actor)
    }

    fn segment(&mut self, from: Side, flags: u8, bytes: &[u8], comment: &str) {
        let Ends { client, server } = self.ends;
        let (from_end, to_end, sequence, seen) = match from {
            Side::Client => (client, server, self.client, self.server),
            Side::Server => (server, client, self.server, self.client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { seen };
        let packet = segment(from_end, to_end, sequence, acknowledged, flags, bytes);
        self.pcap.packet(&packet, comment);
        // The first and the last segment count as a byte.
        let counted = u32::from(flags & (SYN | FIN) != 0);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let next = sequence.wrapping_add(len).wrapping_add(counted);
        match from {
            Side::Client => self.client = next,
            Side::Server => self.server = next,
        }
    }
}

impl Drop for PcapStream {
    fn drop(&mut self) {
        self.wrote_end();
        self.read_end();
    }
}
