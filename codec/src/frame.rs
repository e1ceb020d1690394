//! Frames with their bodies decoded.

use bytes::{Bytes, BytesMut};
use prost::Message as _;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::header::Flags;
use crate::proto;
use crate::raw::RawFrame;
use crate::registry::{FrameType, frame_table};
use crate::shapes;

macro_rules! frame_enum {
    ($(
        $name:ident = $value:literal, $message:ident, $family:ident, $direction:ident, $kind:ident $(($reply:ident))?,
        $login:ident $(, feature $feature:ident)? $(, logged $logged:literal)?, $meaning:literal;
    )*) => {
        /// A frame of a registered type, body decoded.
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[allow(clippy::large_enum_variant, reason = "a frame is decoded, matched and gone; a box would cost an allocation each")]
        pub enum Frame {
            $(
                #[doc = concat!("`", stringify!($name), "`: ", $meaning, ".")]
                $message(proto::$message),
            )*
        }

        impl Frame {
            /// The type of this frame.
            #[must_use]
            pub const fn frame_type(&self) -> FrameType {
                match self {
                    $(Frame::$message(_) => FrameType::$name,)*
                }
            }

            //= spec/01-framing.md#header
            //# [FRM-015] A body of length 0 MUST be taken as a message with every field absent.
            /// Decodes the body of a frame of type `frame_type`. Bytes fields share the memory of `body`.
            ///
            /// The shape of the body is checked before anything is allocated, so a body that breaks a bound costs
            /// nothing but the look at its bytes.
            ///
            /// # Errors
            /// A [`DecodeError`] that says what is wrong where: a type that is not registered, a field that is cut off,
            /// an over-long varint, a wrong wire type, a string that is not UTF-8, messages nested deeper than 16, a
            /// repeated field with more items than its bound (64 for `features` and `requires`, 1,000 for others).
            pub fn decode(frame_type: FrameType, body: &Bytes) -> Result<Frame, DecodeError> {
                let Some(shape) = frame_type.shape() else {
                    return Err(DecodeError::new(DecodeErrorKind::UnknownType).in_frame(frame_type));
                };
                shapes::scan(shape, body).map_err(|error| error.in_frame(frame_type))?;
                Frame::decode_unscanned(frame_type, body).unwrap_or_else(|| Err(refused(frame_type)))
            }

            /// What prost alone makes of the body; `None` for a type that is not registered.
            pub(crate) fn decode_unscanned(frame_type: FrameType, body: &Bytes) -> Option<Result<Frame, DecodeError>> {
                match frame_type {
                    $(FrameType::$name => {
                        let decoded = proto::$message::decode(body.clone()).map(Frame::$message);
                        Some(decoded.map_err(|_| refused(frame_type)))
                    })*
                    _ => None,
                }
            }

            /// The number of bytes of the encoded body.
            #[must_use]
            pub fn body_len(&self) -> usize {
                match self {
                    $(Frame::$message(body) => body.encoded_len(),)*
                }
            }

            /// The encoded body.
            #[must_use]
            pub fn encode_body(&self) -> Bytes {
                let mut dst = BytesMut::with_capacity(self.body_len());
                match self {
                    $(Frame::$message(body) => body.encode_raw(&mut dst),)*
                }
                dst.freeze()
            }
        }

        $(
            impl From<proto::$message> for Frame {
                fn from(body: proto::$message) -> Frame {
                    Frame::$message(body)
                }
            }
        )*

        impl FrameType {
            /// The shape of the body, or `None` if this crate does not know the type.
            #[must_use]
            pub const fn shape(self) -> Option<&'static shapes::Shape> {
                match self {
                    $(FrameType::$name => Some(&shapes::table::$name),)*
                    _ => None,
                }
            }
        }
    };
}

frame_table!(frame_enum);

impl Frame {
    /// The frame with its body encoded, for [`RawFrame::encode_into`].
    #[must_use]
    pub fn to_raw(&self, flags: Flags, reference: u32) -> RawFrame {
        RawFrame {
            flags,
            frame_type: self.frame_type(),
            reference,
            body: self.encode_body(),
        }
    }

    /// The frame as an event: `ref` 0, and LOGGED set where the registry says so.
    #[must_use]
    pub fn to_event(&self) -> RawFrame {
        let logged = self.frame_type().info().is_some_and(|info| info.logged);
        self.to_raw(if logged { Flags::LOGGED } else { Flags::NONE }, 0)
    }

    /// The frame as the reply to the request with this `ref`.
    #[must_use]
    pub fn to_reply(&self, reference: u32) -> RawFrame {
        self.to_raw(Flags::REPLY, reference)
    }
}

impl RawFrame {
    /// Decodes the body.
    ///
    /// # Errors
    /// As [`Frame::decode`].
    pub fn decode(&self) -> Result<Frame, DecodeError> {
        Frame::decode(self.frame_type, &self.body)
    }
}

/// The scan is at least as strict as prost, which a property test holds; should they ever differ, the body is refused.
#[cold]
fn refused(frame_type: FrameType) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Refused).in_frame(frame_type)
}
