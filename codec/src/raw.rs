//! A frame whose header is read and whose body is still opaque.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::LocalError;
use crate::header::{Flags, Header};
use crate::registry::FrameType;
use crate::registry::limits::{HEADER_LEN, MAX_FRAME_HARD};

/// Header and opaque body: what travels, whether or not the type is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RawFrame {
    /// The flags.
    pub flags: Flags,
    /// The type.
    pub frame_type: FrameType,
    /// 0 in an event; in a request and its reply the number that joins them.
    pub reference: u32,
    /// The body, not looked at yet.
    pub body: Bytes,
}

impl RawFrame {
    /// The header of this frame.
    ///
    /// # Errors
    /// [`LocalError::BodyTooLarge`] if the body is longer than [`MAX_FRAME_HARD`].
    pub fn header(&self) -> Result<Header, LocalError> {
        let actual = self.body.len();
        match u32::try_from(actual) {
            Ok(len) if len <= MAX_FRAME_HARD => Ok(Header {
                len,
                flags: self.flags,
                frame_type: self.frame_type,
                reference: self.reference,
            }),
            _ => Err(LocalError::BodyTooLarge {
                frame_type: self.frame_type,
                limit: MAX_FRAME_HARD,
                actual,
            }),
        }
    }

    /// The number of bytes that [`encode_into`](RawFrame::encode_into) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        HEADER_LEN.saturating_add(self.body.len())
    }

    //= spec/01-framing.md#header
    //# [FRM-016] An encoder MUST write a frame in one piece whose len equals the number of body bytes that follow.
    /// Appends header and body to `dst` in one piece.
    ///
    /// # Errors
    /// [`LocalError::BodyTooLarge`] if the body is longer than [`MAX_FRAME_HARD`]; then nothing was written.
    pub fn encode_into(&self, dst: &mut BytesMut) -> Result<(), LocalError> {
        let header = self.header()?;
        dst.reserve(self.encoded_len());
        dst.put_slice(&header.encode());
        dst.put_slice(&self.body);
        Ok(())
    }

    /// The frame as bytes of its own.
    ///
    /// # Errors
    /// [`LocalError::BodyTooLarge`] if the body is longer than [`MAX_FRAME_HARD`].
    pub fn to_bytes(&self) -> Result<Bytes, LocalError> {
        let mut dst = BytesMut::new();
        self.encode_into(&mut dst)?;
        Ok(dst.freeze())
    }

    /// True if the frame wants an answer: `ref` is not 0 and REPLY is clear.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.reference != 0 && !self.flags.contains(Flags::REPLY)
    }
}
