//! An adapter for `tokio_util::codec::Framed`.

use std::io;

use bytes::BytesMut;

use crate::decoder::{Decoder, Item};
use crate::error::LocalError;
use crate::header::PREFACE;
use crate::raw::RawFrame;

/// [`Decoder`] and [`RawFrame::encode_into`] behind tokio-util's traits.
///
/// A violation is an item and not an error, so that GOAWAY can still be written; after it the stream yields nothing.
/// Limit and state of the decoder stay reachable by [`decoder_mut`](TidewireCodec::decoder_mut).
#[derive(Clone, Debug)]
pub struct TidewireCodec {
    decoder: Decoder,
    preface_due: bool,
}

impl TidewireCodec {
    /// A codec for a byte stream: expects the preface, and sends it before the first frame.
    #[must_use]
    pub const fn byte_stream() -> TidewireCodec {
        TidewireCodec {
            decoder: Decoder::new(true),
            preface_due: true,
        }
    }

    /// A codec for the contents of WebSocket messages, which have no preface.
    #[must_use]
    pub const fn without_preface() -> TidewireCodec {
        TidewireCodec {
            decoder: Decoder::new(false),
            preface_due: false,
        }
    }

    /// The decoder, for its limit.
    pub const fn decoder_mut(&mut self) -> &mut Decoder {
        &mut self.decoder
    }
}

impl tokio_util::codec::Decoder for TidewireCodec {
    type Item = Item;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Item>> {
        let item = self.decoder.poll(src);
        if item.is_none() {
            if self.decoder.is_broken() {
                // Nothing behind a violation is read, so it need not be kept either.
                src.clear();
            } else {
                src.reserve(self.decoder.missing(src));
            }
        }
        Ok(item)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> io::Result<Option<Item>> {
        match self.decode(src)? {
            None if !src.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            item => Ok(item),
        }
    }
}

impl tokio_util::codec::Encoder<RawFrame> for TidewireCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: RawFrame, dst: &mut BytesMut) -> io::Result<()> {
        frame.header()?;
        //= spec/01-framing.md#transports
        //# [FRM-001] On a byte stream a client MUST send the 8 preface bytes F7 54 49 44 45 0D 0A 00 before anything
        //# else.
        //= spec/01-framing.md#transports
        //# [FRM-002] On a byte stream the server MUST send the same 8 preface bytes before its first frame.
        if core::mem::take(&mut self.preface_due) {
            dst.extend_from_slice(&PREFACE);
        }
        Ok(frame.encode_into(dst)?)
    }
}

impl From<LocalError> for io::Error {
    fn from(error: LocalError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}
