//! The shapes of the bodies, and the scan that holds bytes against them before anything is allocated.
//!
//! prost alone would allocate for each of a million empty items before anybody could count them. The scan walks the
//! bytes along the schema, allocates nothing, and refuses what breaks a bound. What it lets pass, prost decodes.

mod scan;

use crate::wire::wire_type;

pub use scan::scan;

/// The shapes of all messages, generated from the proto files.
#[rustfmt::skip]
#[path = "generated/shapes.rs"]
pub mod table;

/// The shape of a message.
#[derive(Debug)]
pub struct Shape {
    /// The name in the proto files, as `SendAck`.
    pub name: &'static str,
    /// The fields, in the order of their numbers.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// The number.
    pub number: u32,
    /// The name in the proto files.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// The bound and the counter of a repeated field; `None` for a single value.
    pub repeated: Option<Repeated>,
}

/// How often a field may stand in a body.
#[derive(Clone, Copy, Debug)]
pub struct Repeated {
    /// The greatest number of items.
    pub bound: usize,
    /// Index of its counter, unique among all repeated fields.
    pub(crate) slot: usize,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    /// A bool, as varint.
    Bool,
    /// An unsigned number of 32 bits, as varint.
    Uint32,
    /// An unsigned number of 64 bits, as varint.
    Uint64,
    /// A value of an enum, as varint.
    Enum(&'static EnumShape),
    /// UTF-8.
    String,
    /// Bytes.
    Bytes,
    /// A message.
    Message(&'static Shape),
}

/// The values of an enum.
#[derive(Debug)]
pub struct EnumShape {
    /// The name in the proto files.
    pub name: &'static str,
    /// Number and name, in the order of the proto files.
    pub values: &'static [(i32, &'static str)],
}

impl Shape {
    /// The field with this number, or `None` if it is unknown.
    #[must_use]
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        // Most messages number their fields from 1 without a gap, but for the last, content or `requires`.
        let guess = usize::try_from(number.wrapping_sub(1)).ok()?;
        let guess = guess.min(self.fields.len().saturating_sub(1));
        match self.fields.get(guess) {
            Some(field) if field.number == number => Some(field),
            _ => self.fields.iter().find(|field| field.number == number),
        }
    }
}

impl FieldKind {
    /// The wire type of a single value.
    #[must_use]
    pub const fn wire_type(&self) -> u8 {
        match self {
            FieldKind::Bool | FieldKind::Uint32 | FieldKind::Uint64 | FieldKind::Enum(_) => {
                wire_type::VARINT
            }
            FieldKind::String | FieldKind::Bytes | FieldKind::Message(_) => wire_type::LEN,
        }
    }
}

impl EnumShape {
    /// The name of a value, or `None` if it is unknown.
    #[must_use]
    pub fn value_name(&self, value: i32) -> Option<&'static str> {
        self.values
            .iter()
            .find(|(number, _)| *number == value)
            .map(|(_, name)| *name)
    }
}
