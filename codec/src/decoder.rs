//! The incremental decoder: bytes in, preface, frames and at most one violation out.

use bytes::{Buf, BytesMut};

use crate::error::Violation;
use crate::header::{Header, PREFACE};
use crate::raw::RawFrame;
use crate::registry::limits::{HEADER_LEN, MAX_FRAME_BEFORE_LOGIN, PREFACE_LEN};

/// What [`Decoder::poll`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The preface, whole and right. The first item, where a preface is expected.
    Preface,
    /// A frame. Its body shares the memory of the buffer that it was read from.
    Frame(RawFrame),
    /// The peer broke the framing. The last item: the answer is GOAWAY.
    Violation(Violation),
}

/// Cuts a byte stream into frames.
///
/// The decoder keeps no bytes of its own: what is incomplete stays in the caller's buffer, so it yields the same items
/// however the stream is split. It allocates nothing.
///
/// ```
/// use bytes::BytesMut;
/// use tidewire_codec::{Decoder, FrameType, Item, PREFACE};
///
/// let mut decoder = Decoder::new(true);
/// let mut src = BytesMut::from(&PREFACE[..]);
/// src.extend_from_slice(&[0, 0, 2, 0, 0x02, 0x04, 0, 0, 0, 0, 0x08]); // An ACK whose last byte is still to come.
/// assert_eq!(decoder.poll(&mut src), Some(Item::Preface));
/// assert_eq!(decoder.poll(&mut src), None);
/// src.extend_from_slice(&[7]);
/// let Some(Item::Frame(frame)) = decoder.poll(&mut src) else { panic!("a frame is there") };
/// assert_eq!(frame.frame_type, FrameType::ACK);
/// assert_eq!(&frame.body[..], [0x08, 7]);
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    max_frame: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preface,
    Frames,
    Broken,
}

impl Decoder {
    /// A decoder at the start of a connection, with the limit that holds before LOGIN_OK,
    /// [`MAX_FRAME_BEFORE_LOGIN`]. WebSocket has no preface.
    #[must_use]
    pub const fn new(expect_preface: bool) -> Decoder {
        let state = if expect_preface {
            State::Preface
        } else {
            State::Frames
        };
        Decoder {
            state,
            max_frame: MAX_FRAME_BEFORE_LOGIN,
        }
    }

    /// Sets the longest body, in bytes, that is taken from the next header on.
    pub const fn set_max_frame(&mut self, max_frame: u32) {
        self.max_frame = max_frame;
    }

    /// The longest body, in bytes, that is taken.
    #[must_use]
    pub const fn max_frame(&self) -> u32 {
        self.max_frame
    }

    /// True once a violation was yielded: nothing else ever will be.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    /// Takes the next item from the front of `src`, or `None` if it is not there in full yet.
    ///
    /// Call it until it yields `None`, then read more. `src` may be any buffer as long as bytes are only added to it
    /// between calls. A body is split off without being copied.
    pub fn poll(&mut self, src: &mut BytesMut) -> Option<Item> {
        match self.state {
            State::Preface => self.poll_preface(src),
            State::Frames => self.poll_frame(src),
            State::Broken => None,
        }
    }

    /// How many bytes `src` lacks until `poll` can yield more, as far as its front tells. 0: call `poll` first.
    #[must_use]
    pub fn missing(&self, src: &[u8]) -> usize {
        let wanted = match self.state {
            State::Preface => PREFACE_LEN,
            State::Broken => 0,
            State::Frames => match src.first_chunk::<HEADER_LEN>() {
                None => HEADER_LEN,
                Some(header) => frame_len(Header::decode(*header).len),
            },
        };
        wanted.saturating_sub(src.len())
    }

    //= spec/01-framing.md#transports
    //# [FRM-003] When the first bytes of a byte stream differ from the preface at any of the 8 places, the server MUST
    //# send GOAWAY BAD_PREFACE, interpret no further byte, and close.
    fn poll_preface(&mut self, src: &mut BytesMut) -> Option<Item> {
        // The first byte that differs is enough: a stranger may never send eight.
        let differs = src
            .iter()
            .zip(PREFACE)
            .position(|(found, wanted)| *found != wanted);
        if let Some(at) = differs {
            let found = src.get(at).copied().unwrap_or_default();
            return Some(self.violation(Violation::BadPreface { at, found }));
        }
        if src.len() < PREFACE_LEN {
            return None;
        }
        src.advance(PREFACE_LEN);
        self.state = State::Frames;
        Some(Item::Preface)
    }

    //= spec/01-framing.md#header
    //# [FRM-011] A decoder MUST yield the same frames however the byte stream is split.
    //= spec/01-framing.md#header
    //# [FRM-012] A decoder MUST treat an incomplete frame as not yet there and not as an error.
    fn poll_frame(&mut self, src: &mut BytesMut) -> Option<Item> {
        let header = Header::decode(*src.first_chunk::<HEADER_LEN>()?);
        //= spec/02-errors-and-limits.md#sizes
        //# [ERR-030] On a header whose len is above the limit in force the server MUST send GOAWAY FRAME_TOO_LARGE
        //# without waiting for the body.
        if header.len > self.max_frame {
            return Some(self.violation(Violation::FrameTooLarge {
                frame_type: header.frame_type,
                limit: self.max_frame,
                actual: header.len,
            }));
        }
        let whole = frame_len(header.len);
        if src.len() < whole {
            return None;
        }
        let mut frame = src.split_to(whole);
        frame.advance(HEADER_LEN);
        Some(Item::Frame(RawFrame {
            flags: header.flags,
            frame_type: header.frame_type,
            reference: header.reference,
            body: frame.freeze(),
        }))
    }

    fn violation(&mut self, violation: Violation) -> Item {
        self.state = State::Broken;
        Item::Violation(violation)
    }
}

/// Header and body together. A `len` that the address space cannot hold saturates, and never becomes complete.
fn frame_len(len: u32) -> usize {
    usize::try_from(len)
        .unwrap_or(usize::MAX)
        .saturating_add(HEADER_LEN)
}
