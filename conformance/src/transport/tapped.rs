//! A tap on a connection: both directions are cut into frames, and the tap says what goes on.

use bytes::{Buf, Bytes, BytesMut};
use tidewire_codec::{Header, PREFACE, RawFrame, limits};

use crate::tap::{Out, Side, Tap};

/// A tap with the bytes of both directions that are no whole frame yet.
pub(super) struct Tapped {
    tap: Tap,
    client: Cutter,
    server: Cutter,
}

/// What has to be done on both ends.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) to_server: BytesMut,
    pub(super) to_client: BytesMut,
    /// The client sees the end of the connection.
    pub(super) ends_client: bool,
    /// The server sees it.
    pub(super) ends_server: bool,
}

impl Tapped {
    pub(super) fn new(tap: Tap, has_preface: bool) -> Tapped {
        Tapped {
            tap,
            client: Cutter::new(has_preface),
            server: Cutter::new(has_preface),
        }
    }

    /// The client sent these bytes. Where no rule is about what a client sends they go on at once, frames or not.
    pub(super) fn sent(&mut self, bytes: &[u8]) -> Flow {
        let is_held = self.tap.touches(Side::Client);
        self.client.buffer.extend_from_slice(bytes);
        let mut flow = self.flow(Side::Client);
        if !is_held {
            flow.to_server = BytesMut::from(bytes);
        }
        flow
    }

    /// The server sent these bytes.
    pub(super) fn received(&mut self, bytes: &[u8]) -> Flow {
        self.server.buffer.extend_from_slice(bytes);
        self.flow(Side::Server)
    }

    /// The server ended the connection: what is left of it is no frame.
    pub(super) fn ended(&mut self) -> Flow {
        let rest = self.server.buffer.split();
        let mut flow = Flow::default();
        flow.take(self.tap.closed(Side::Server));
        if !rest.is_empty() {
            flow.to_client = [rest, flow.to_client].concat().as_slice().into();
        }
        flow
    }

    fn flow(&mut self, from: Side) -> Flow {
        let mut flow = Flow::default();
        loop {
            let cutter = match from {
                Side::Client => &mut self.client,
                Side::Server => &mut self.server,
            };
            let outs = match cutter.next() {
                None => return flow,
                Some(Piece::Preface(bytes)) => self.tap.preface(from, bytes),
                Some(Piece::Frame(frame)) => self.tap.frame(from, frame),
                Some(Piece::Other(bytes)) => {
                    let to = from.other();
                    vec![Out::Bytes { to, bytes }]
                }
            };
            flow.take(outs);
        }
    }
}

impl Flow {
    fn take(&mut self, outs: Vec<Out>) {
        for out in outs {
            match out {
                Out::Frame { to, frame } => self.end_of(to).extend_from_slice(&encode(&frame)),
                Out::Bytes { to, bytes } => self.end_of(to).extend_from_slice(&bytes),
                Out::Close(Side::Client) => self.ends_client = true,
                Out::Close(Side::Server) => self.ends_server = true,
                Out::Cut => {
                    self.ends_client = true;
                    self.ends_server = true;
                }
            }
        }
    }

    fn end_of(&mut self, side: Side) -> &mut BytesMut {
        match side {
            Side::Client => &mut self.to_client,
            Side::Server => &mut self.to_server,
        }
    }
}

/// Cuts one direction into frames, and judges nothing: that is what both ends are there for.
struct Cutter {
    buffer: BytesMut,
    state: Cutting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cutting {
    Preface,
    Frames,
    /// These are no frames, and will be none.
    Other,
}

enum Piece {
    Preface(Bytes),
    Frame(RawFrame),
    Other(Bytes),
}

impl Cutter {
    fn new(has_preface: bool) -> Cutter {
        let state = if has_preface {
            Cutting::Preface
        } else {
            Cutting::Frames
        };
        Cutter {
            buffer: BytesMut::new(),
            state,
        }
    }

    fn next(&mut self) -> Option<Piece> {
        if self.state == Cutting::Preface {
            let len = self.buffer.len().min(PREFACE.len());
            if self.buffer.get(..len) != PREFACE.get(..len) {
                self.state = Cutting::Other;
            } else if len == PREFACE.len() {
                self.state = Cutting::Frames;
                return Some(Piece::Preface(self.buffer.split_to(len).freeze()));
            } else {
                return None;
            }
        }
        if self.state == Cutting::Frames {
            let header = Header::decode(*self.buffer.first_chunk()?);
            if header.len <= limits::MAX_FRAME_HARD {
                let len = usize::try_from(header.len).ok()?;
                if self.buffer.len() < HEADER_LEN + len {
                    return None;
                }
                self.buffer.advance(HEADER_LEN);
                return Some(Piece::Frame(RawFrame {
                    flags: header.flags,
                    frame_type: header.frame_type,
                    reference: header.reference,
                    body: self.buffer.split_to(len).freeze(),
                }));
            }
            self.state = Cutting::Other;
        }
        let rest = self.buffer.split().freeze();
        (!rest.is_empty()).then_some(Piece::Other(rest))
    }
}

const HEADER_LEN: usize = limits::HEADER_LEN;

/// The frame as bytes; of one that is longer than any frame may be only the header is right.
fn encode(frame: &RawFrame) -> Bytes {
    frame.to_bytes().unwrap_or_else(|_| {
        let header = Header {
            len: u32::try_from(frame.body.len()).unwrap_or(u32::MAX),
            flags: frame.flags,
            frame_type: frame.frame_type,
            reference: frame.reference,
        };
        [&header.encode()[..], &frame.body].concat().into()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::sync::Arc;

    use tidewire_codec::{Flags, FrameType};

    use super::*;
    use crate::tap::{Rules, TapCase};

    fn tapped(rule: &str) -> Tapped {
        let mut file = crate::tree::parse(rule).unwrap();
        let nodes = file.need("rule").unwrap().list().unwrap();
        let rules = Arc::new(Rules::parse(nodes).unwrap());
        Tapped::new(TapCase::new().tap(&rules, "alice"), true)
    }

    fn frame(frame_type: FrameType) -> Bytes {
        let frame = RawFrame {
            flags: Flags::NONE,
            frame_type,
            reference: 0,
            body: Bytes::new(),
        };
        frame.to_bytes().unwrap()
    }

    #[test]
    fn pieces_become_frames_again() {
        let mut tapped = tapped("[[rule]]\non = \"STATUS\"\ndo = \"drop\"\n");
        let stream = [
            &PREFACE[..],
            &frame(FrameType::STATUS),
            &frame(FrameType::MESSAGE),
        ]
        .concat();
        let mut got = BytesMut::new();
        for byte in stream.chunks(3) {
            got.extend_from_slice(&tapped.received(byte).to_client);
        }
        assert_eq!(got, [&PREFACE[..], &frame(FrameType::MESSAGE)].concat());
    }

    #[test]
    fn what_no_rule_touches_is_not_held_back() {
        let mut tapped = tapped("[[rule]]\non = \"STATUS\"\ndo = \"drop\"\n");
        assert_eq!(tapped.sent(&PREFACE[..3]).to_server, PREFACE[..3]);
        assert_eq!(tapped.sent(b"GET / HTTP").to_server, &b"GET / HTTP"[..]);
    }

    #[test]
    fn a_dropped_frame_of_the_client_stays_away_and_other_bytes_go_on() {
        let mut tapped = tapped("[[rule]]\non = \"ACK\"\ndo = \"drop\"\n");
        let stream = [&PREFACE[..], &frame(FrameType::ACK)].concat();
        assert_eq!(tapped.sent(&stream).to_server, PREFACE[..]);
        let too_long = [0xff; 10];
        assert_eq!(tapped.sent(&too_long).to_server, too_long[..]);
    }

    #[test]
    fn the_end_brings_what_was_left() {
        let mut tapped = tapped("[[rule]]\non = \"STATUS\"\ndo = \"drop\"\n");
        tapped.received(&PREFACE);
        assert_eq!(tapped.received(&[0, 0]).to_client, b""[..]);
        let flow = tapped.ended();
        assert_eq!(flow.to_client, [0, 0][..]);
        assert!(flow.ends_client && !flow.ends_server);
    }
}
