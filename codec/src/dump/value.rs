//! Values of fields, as a dump shows them, and its lines.

use core::fmt;

use crate::registry::{Code, Feature, GroupFlags, Permissions};
use crate::shapes::{EnumShape, Field, FieldKind, Shape};
use crate::wire::{Cursor, Flaw, Key, enum_value, low32, wire_type};

/// Bytes of a line that are shown as hex; the width of the column follows from it.
const SHOWN: usize = 8;

/// Characters or bytes of a value that are shown.
const VALUE_SHOWN: usize = 48;

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    Bool(bool),
    Enum(&'static EnumShape, i32),
    Code(u32),
    Features(Numbers<'a>),
    Numbers(Numbers<'a>),
    Permissions(u32),
    GroupFlags(u32),
    Str(&'a str),
    Bytes(&'a [u8]),
    Message(&'static Shape, &'a [u8]),
    Fixed(u64),
}

/// One number or a packed run of them.
#[derive(Clone, Copy)]
pub(super) enum Numbers<'a> {
    One(u64),
    Packed(&'a [u8]),
}

/// Reads the value behind `key`, as what the field's kind and name say it is.
pub(super) fn read<'a>(
    shape: &Shape,
    field: Option<&'static Field>,
    key: Key,
    cursor: &mut Cursor<'a>,
) -> Result<Value<'a>, Flaw> {
    let Some(field) = field else {
        return unknown(key, cursor);
    };
    let wanted = field.kind.wire_type();
    let packed =
        field.repeated.is_some() && wanted == wire_type::VARINT && key.wire_type == wire_type::LEN;
    if packed {
        let bytes = cursor.bytes()?;
        let mut items = Cursor::new(bytes);
        while !items.is_empty() {
            items.varint()?;
        }
        return Ok(numbers(field, Numbers::Packed(bytes)));
    }
    if key.wire_type != wanted {
        return Err(Flaw::WireType);
    }
    Ok(match field.kind {
        FieldKind::Bool => Value::Bool(cursor.varint()? != 0),
        FieldKind::Enum(of) => Value::Enum(of, enum_value(cursor.varint()?)),
        FieldKind::String => Value::Str(cursor.str()?),
        FieldKind::Bytes => Value::Bytes(cursor.bytes()?),
        FieldKind::Message(inner) => Value::Message(inner, cursor.bytes()?),
        FieldKind::Uint64 => Value::Number(cursor.varint()?),
        FieldKind::Uint32 => {
            let number = low32(cursor.varint()?);
            match field.name {
                "code" => Value::Code(number),
                "permissions" | "default_permissions" | "my_permissions" => {
                    Value::Permissions(number)
                }
                "flags" if shape.name.starts_with("Group") => Value::GroupFlags(number),
                _ if field.repeated.is_some() => numbers(field, Numbers::One(u64::from(number))),
                _ => Value::Number(u64::from(number)),
            }
        }
    })
}

fn numbers<'a>(field: &Field, numbers: Numbers<'a>) -> Value<'a> {
    match field.name {
        "features" | "requires" => Value::Features(numbers),
        _ => Value::Numbers(numbers),
    }
}

fn unknown<'a>(key: Key, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Flaw> {
    match key.wire_type {
        wire_type::VARINT => cursor.varint().map(Value::Number),
        wire_type::LEN => cursor.bytes().map(Value::Bytes),
        // Fixed values are little-endian, unlike the header.
        wire_type::FIXED32 => cursor
            .array()
            .map(|bytes| Value::Fixed(u64::from(u32::from_le_bytes(bytes)))),
        wire_type::FIXED64 => cursor
            .array()
            .map(|bytes| Value::Fixed(u64::from_le_bytes(bytes))),
        _ => Err(Flaw::WireType),
    }
}

impl Numbers<'_> {
    fn iter(self) -> impl Iterator<Item = u32> {
        let (one, packed) = match self {
            Numbers::One(value) => (Some(low32(value)), &[][..]),
            Numbers::Packed(bytes) => (None, bytes),
        };
        let mut items = Cursor::new(packed);
        one.into_iter()
            .chain(core::iter::from_fn(move || items.varint().ok().map(low32)))
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Value::Number(value) => write!(f, "{value}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Enum(of, number) => match of.value_name(number) {
                Some(name) => f.write_str(name),
                None => write!(f, "{}({number})", of.name),
            },
            Value::Code(number) => match Code::from_field(number) {
                Some(code) if number != 0 => write!(f, "{code}"),
                _ => write!(f, "{number}"),
            },
            Value::Permissions(bits) => write!(f, "{}", Permissions(bits)),
            Value::GroupFlags(bits) => write!(f, "{}", GroupFlags(bits)),
            Value::Features(items) => list(f, items.iter().map(Feature)),
            Value::Numbers(items) => list(f, items.iter()),
            Value::Str(text) => quoted(f, text),
            Value::Bytes(bytes) => content(f, bytes),
            Value::Message(shape, bytes) => write!(f, "{}, {} bytes", shape.name, bytes.len()),
            Value::Fixed(value) => write!(f, "{value:#x}"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = impl fmt::Display>) -> fmt::Result {
    f.write_str("[")?;
    for (index, item) in items.enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match text.char_indices().nth(VALUE_SHOWN) {
        None => write!(f, "{text:?}"),
        Some((end, _)) => {
            write!(
                f,
                "{:?}..., {} bytes",
                text.get(..end).unwrap_or_default(),
                text.len()
            )
        }
    }
}

/// Bytes as text where they are text, and else in hex.
fn content(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match core::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => {
            f.write_str("b")?;
            quoted(f, text)
        }
        _ => {
            write!(f, "{} bytes", bytes.len())?;
            if !bytes.is_empty() {
                f.write_str(" ")?;
            }
            for byte in bytes.iter().take(VALUE_SHOWN / 2) {
                write!(f, "{byte:02x}")?;
            }
            f.write_str(if bytes.len() > VALUE_SHOWN / 2 {
                "..."
            } else {
                ""
            })
        }
    }
}

/// One line of a dump: some bytes and what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Where the bytes stand, from the first byte of the dump.
    pub offset: usize,
    /// The bytes.
    pub bytes: &'a [u8],
    /// How deep the field lies: 0 for the header, 1 for a field of the body.
    pub depth: usize,
    /// What the bytes mean.
    pub meaning: fmt::Arguments<'a>,
}

impl fmt::Display for Line<'_> {
    /// The place, the first bytes, and what they mean, indented by the depth.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x} ", self.offset)?;
        let cut = self.bytes.len() > SHOWN;
        // Where bytes are left out, two dots stand in the place of the last.
        let shown = if cut { SHOWN.saturating_sub(1) } else { SHOWN };
        for place in 0..SHOWN {
            match self.bytes.get(place) {
                Some(byte) if place < shown => write!(f, " {byte:02x}")?,
                Some(_) => f.write_str(" ..")?,
                None => f.write_str("   ")?,
            }
        }
        write!(
            f,
            "  {:indent$}{}",
            "",
            self.meaning,
            indent = self.depth.saturating_mul(2)
        )
    }
}
