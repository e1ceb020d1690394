//! What is wrong with the bytes of a body, where, and in which frame.

use core::fmt;

use crate::registry::FrameType;

/// How many names a [`FieldPath`] holds. The deepest field of version 1 has three.
const PATH_LEN: usize = 4;

/// Where in a body something is: field names from the outside in, printed with dots as `create.members`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FieldPath {
    /// From the inside out; empty names are unused.
    names: [&'static str; PATH_LEN],
}

impl FieldPath {
    /// True if no field is named: the fault lies between the fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let [first, ..] = self.names;
        first.is_empty()
    }

    /// Names the field that this path lies in. Beyond four names the outermost are left out.
    pub(crate) fn push_outer(&mut self, name: &'static str) {
        if name.is_empty() {
            return;
        }
        if let Some(free) = self.names.iter_mut().find(|known| known.is_empty()) {
            *free = name;
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for name in self.names.iter().rev().filter(|name| !name.is_empty()) {
            write!(f, "{separator}{name}")?;
            separator = ".";
        }
        Ok(())
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldPath({self})")
    }
}

/// What is wrong with the bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The type of the frame is not registered, so its body cannot be read.
    UnknownType,
    /// A field or a varint ends behind the end of the message that it stands in.
    Truncated,
    /// A varint has more than ten bytes or more than 64 bits.
    VarintTooLong,
    /// A field number is 0 or above 536,870,911.
    FieldNumber,
    /// A wire type that proto3 does not have, or not for this field.
    WireType {
        /// The wire type found, 0 to 7.
        found: u8,
    },
    /// A string is not UTF-8.
    NotUtf8,
    /// Messages are nested too deep.
    TooDeep {
        /// The greatest depth.
        limit: usize,
        /// The first depth beyond it.
        actual: usize,
    },
    /// A repeated field has too many items.
    TooManyItems {
        /// The bound.
        limit: usize,
        /// The number of items that are there.
        actual: usize,
    },
    /// prost refused what the scan let pass. Does not happen as far as tests and fuzzing know.
    Refused,
}

impl DecodeErrorKind {
    /// True if one place of the body is to blame.
    const fn has_place(&self) -> bool {
        !matches!(
            self,
            DecodeErrorKind::UnknownType
                | DecodeErrorKind::TooManyItems { .. }
                | DecodeErrorKind::Refused
        )
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeErrorKind::UnknownType => f.write_str("unknown frame type"),
            DecodeErrorKind::Truncated => f.write_str("field cut off"),
            DecodeErrorKind::VarintTooLong => f.write_str("varint too long"),
            DecodeErrorKind::FieldNumber => f.write_str("invalid field number"),
            DecodeErrorKind::WireType { found } => write!(f, "invalid wire type {found}"),
            DecodeErrorKind::NotUtf8 => f.write_str("string is not utf-8"),
            DecodeErrorKind::TooDeep { limit, actual } => {
                write!(f, "nesting depth {actual} exceeds limit {limit}")
            }
            DecodeErrorKind::TooManyItems { limit, actual } => {
                write!(f, "item count {actual} exceeds limit {limit}")
            }
            DecodeErrorKind::Refused => f.write_str("body refused"),
        }
    }
}

/// A body that does not decode: what, where, in which frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    frame_type: Option<FrameType>,
    path: FieldPath,
    offset: usize,
}

impl DecodeError {
    pub(crate) const fn new(kind: DecodeErrorKind) -> DecodeError {
        let path = FieldPath {
            names: [""; PATH_LEN],
        };
        DecodeError {
            kind,
            frame_type: None,
            path,
            offset: 0,
        }
    }

    pub(crate) fn in_frame(mut self, frame_type: FrameType) -> DecodeError {
        self.frame_type = Some(frame_type);
        self
    }

    /// Names the field in which the error lies. An empty name is an unknown field.
    pub(crate) fn in_field(mut self, name: &'static str) -> DecodeError {
        self.path.push_outer(name);
        self
    }

    pub(crate) const fn at_path(mut self, path: FieldPath) -> DecodeError {
        self.path = path;
        self
    }

    pub(crate) const fn at_offset(mut self, offset: usize) -> DecodeError {
        self.offset = offset;
        self
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// The type of the frame, where a frame was decoded.
    #[must_use]
    pub const fn frame_type(&self) -> Option<FrameType> {
        self.frame_type
    }

    /// The field, empty where the fault lies in an unknown field or between fields.
    #[must_use]
    pub const fn field(&self) -> FieldPath {
        self.path
    }

    /// The offset in the body of the field that is wrong. 0 for [`DecodeErrorKind::TooManyItems`], which no one byte causes.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The bound that was broken, if it is one.
    #[must_use]
    pub const fn limit(&self) -> Option<usize> {
        match self.kind {
            DecodeErrorKind::TooManyItems { limit, .. }
            | DecodeErrorKind::TooDeep { limit, .. } => Some(limit),
            _ => None,
        }
    }

    /// What was given instead of at most [`limit`](DecodeError::limit).
    #[must_use]
    pub const fn actual(&self) -> Option<usize> {
        match self.kind {
            DecodeErrorKind::TooManyItems { actual, .. }
            | DecodeErrorKind::TooDeep { actual, .. } => Some(actual),
            _ => None,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.kind.has_place() {
            write!(f, " at byte {}", self.offset)?;
        }
        match (self.path.is_empty(), self.frame_type) {
            (false, Some(frame_type)) => write!(f, " in {} of {frame_type}", self.path),
            (false, None) => write!(f, " in {}", self.path),
            (true, Some(frame_type)) => write!(f, " in {frame_type}"),
            (true, None) => Ok(()),
        }
    }
}

impl core::error::Error for DecodeError {}
