//! The scan: holds the bytes of a body against its shape.

use super::{Field, FieldKind, Repeated, Shape, table};
use crate::error::{DecodeError, DecodeErrorKind, FieldPath};
use crate::registry::limits::MAX_NESTING;
use crate::wire::{Cursor, Flaw, Key, at, wire_type};

/// How many items each repeated field has so far, in one message and the single messages within it.
///
/// Single messages that stand in a body several times are merged, so their items count together.
struct Counts {
    items: [usize; table::REPEATED_FIELDS],
    /// The first field that crossed its bound: its counter, its bound, its path.
    over: Option<(usize, usize, FieldPath)>,
}

impl Counts {
    const fn new() -> Counts {
        Counts {
            items: [0; table::REPEATED_FIELDS],
            over: None,
        }
    }

    fn add(&mut self, field: &'static Field, items: usize) {
        let Some(Repeated { bound, slot }) = field.repeated else {
            return;
        };
        let Some(count) = self.items.get_mut(slot) else {
            return;
        };
        *count = count.saturating_add(items);
        if *count > bound && self.over.is_none() {
            let mut path = FieldPath::default();
            path.push_outer(field.name);
            self.over = Some((slot, bound, path));
        }
    }

    /// The error of the first field that crossed its bound, with all its items counted.
    fn verdict(&self) -> Result<(), DecodeError> {
        match self.over {
            None => Ok(()),
            Some((slot, limit, path)) => {
                let actual = self.items.get(slot).copied().unwrap_or_default();
                Err(DecodeError::new(DecodeErrorKind::TooManyItems { limit, actual }).at_path(path))
            }
        }
    }
}

//= spec/01-framing.md#bodies
//# [FRM-034] A decoder MUST refuse a body in which a repeated field has more items than its bound, before it allocates
//# room for them.
//= spec/01-framing.md#bodies
//# [FRM-035] A decoder MUST refuse a body with a truncated field, a varint of more than 10 bytes or 64 bits, a wire
//# type other than 0, 1, 2 and 5, a known field in a wire type that is not its own, or a string that is not UTF-8.
/// Checks that `body` has the shape of a message, without allocating.
///
/// # Errors
/// A [`DecodeError`]: a field that is cut off, a varint of more than ten bytes, a field number of 0, a wire type that
/// is a group, undefined or not that of the field, a string that is not UTF-8, messages nested deeper than
/// [`MAX_NESTING`], or a repeated field with more items than its bound. The last is said only of a body that has no
/// other fault in the same message, and gives the number of all items.
pub fn scan(shape: &'static Shape, body: &[u8]) -> Result<(), DecodeError> {
    scan_scope(
        shape,
        Part {
            bytes: body,
            base: 0,
            depth: 1,
        },
    )
}

/// Scans a message whose repeated fields are counted on their own: a body, or an item of a repeated field.
fn scan_scope(shape: &'static Shape, body: Part<'_>) -> Result<(), DecodeError> {
    let mut counts = Counts::new();
    scan_message(shape, body, &mut counts)?;
    counts.verdict()
}

/// A message within a body: its bytes, where they begin, how deep they lie.
#[derive(Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    base: usize,
    depth: usize,
}

//= spec/01-framing.md#bodies
//# [FRM-031] A receiver MUST accept the fields of a body in any order.
fn scan_message(
    shape: &'static Shape,
    part: Part<'_>,
    counts: &mut Counts,
) -> Result<(), DecodeError> {
    //= spec/01-framing.md#bodies
    //# [FRM-033] A decoder MUST refuse a body that nests messages more than 16 deep.
    if part.depth > MAX_NESTING {
        let kind = DecodeErrorKind::TooDeep {
            limit: MAX_NESTING,
            actual: part.depth,
        };
        return Err(at(kind, "", part.base));
    }
    let end = part.base.saturating_add(part.bytes.len());
    let mut cursor = Cursor::new(part.bytes);
    while !cursor.is_empty() {
        let offset = end.saturating_sub(cursor.left());
        let key = cursor.key().map_err(|flaw| at(flaw.kind(0), "", offset))?;
        let flawed = |name| move |flaw: Flaw| at(flaw.kind(key.wire_type), name, offset);
        let Some(field) = shape.field(key.number) else {
            cursor.skip(key.wire_type).map_err(flawed(""))?;
            continue;
        };
        if let FieldKind::Message(inner) = field.kind {
            let bytes = match key.wire_type {
                wire_type::LEN => cursor.bytes(),
                _ => Err(Flaw::WireType),
            };
            let bytes = bytes.map_err(flawed(field.name))?;
            let base = end
                .saturating_sub(cursor.left())
                .saturating_sub(bytes.len());
            let depth = part.depth.saturating_add(1);
            scan_inner(field, inner, Part { bytes, base, depth }, counts)?;
        } else {
            let items = scan_scalar(field, key, &mut cursor).map_err(flawed(field.name))?;
            counts.add(field, items);
        }
    }
    Ok(())
}

fn scan_inner(
    field: &'static Field,
    inner: &'static Shape,
    part: Part<'_>,
    counts: &mut Counts,
) -> Result<(), DecodeError> {
    if field.repeated.is_some() {
        counts.add(field, 1);
        return scan_scope(inner, part).map_err(|error| error.in_field(field.name));
    }
    let was_over = counts.over.is_some();
    scan_message(inner, part, counts).map_err(|error| error.in_field(field.name))?;
    if let (false, Some((.., path))) = (was_over, &mut counts.over) {
        path.push_outer(field.name);
    }
    Ok(())
}

/// Reads the value of a field that is no message, and says how many items it is.
fn scan_scalar(field: &Field, key: Key, cursor: &mut Cursor<'_>) -> Result<usize, Flaw> {
    let wanted = field.kind.wire_type();
    if key.wire_type == wire_type::LEN && wanted == wire_type::VARINT && field.repeated.is_some() {
        let mut packed = Cursor::new(cursor.bytes()?);
        let mut items = 0usize;
        while !packed.is_empty() {
            packed.varint()?;
            items = items.saturating_add(1);
        }
        return Ok(items);
    }
    if key.wire_type != wanted {
        return Err(Flaw::WireType);
    }
    match field.kind {
        FieldKind::String => cursor.str().map(drop)?,
        FieldKind::Bytes => cursor.bytes().map(drop)?,
        _ => cursor.varint().map(drop)?,
    }
    Ok(1)
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "test input is known to be right"
)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// No message of version 1 can be nested as deep as the bound, so the test needs one that holds itself.
    static LOOP: Shape = Shape {
        name: "Loop",
        fields: &[
            Field {
                number: 1,
                name: "again",
                kind: FieldKind::Message(&LOOP),
                repeated: None,
            },
            Field {
                number: 2,
                name: "more",
                kind: FieldKind::Message(&LOOP),
                repeated: Some(Repeated { bound: 2, slot: 0 }),
            },
        ],
    };

    fn nested(key: u8, depth: u8) -> Vec<u8> {
        (1..depth)
            .flat_map(|level| [key, (depth - level - 1) * 2])
            .collect()
    }

    //= spec/01-framing.md#bodies
    //= type=test
    //# [FRM-033] A decoder MUST refuse a body that nests messages more than 16 deep.
    #[test]
    fn depth_at_its_bound() {
        for key in [0x0A, 0x12] {
            assert_eq!(scan(&LOOP, &nested(key, 16)), Ok(()));
            for depth in [17, 18, 60] {
                let error = scan(&LOOP, &nested(key, depth)).expect_err("it is too deep");
                assert_eq!(
                    error.kind(),
                    DecodeErrorKind::TooDeep {
                        limit: 16,
                        actual: 17
                    }
                );
                assert_eq!(error.offset(), 32);
            }
        }
    }

    #[test]
    fn deep_paths_keep_their_inner_names() {
        let mut body = [0x12, 0].repeat(3);
        for _ in 0..6 {
            let len = u8::try_from(body.len()).expect("it is short");
            body = [&[0x0A, len][..], &body].concat();
        }
        let error = scan(&LOOP, &body).expect_err("two items are allowed");
        assert_eq!(
            error.kind(),
            DecodeErrorKind::TooManyItems {
                limit: 2,
                actual: 3
            }
        );
        assert_eq!(
            alloc::format!("{}", error.field()),
            "again.again.again.more"
        );
    }

    #[test]
    fn tables_are_in_order() {
        let mut slots = Vec::new();
        for shape in crate::registry::FrameType::ALL
            .iter()
            .filter_map(|known| known.shape())
        {
            assert!(
                shape.fields.is_sorted_by_key(|field| field.number),
                "{}",
                shape.name
            );
            slots.extend(
                shape
                    .fields
                    .iter()
                    .filter_map(|field| field.repeated)
                    .map(|repeated| repeated.slot),
            );
        }
        let found = slots.len();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), found, "no two repeated fields share a counter");
        assert!(slots.iter().all(|slot| *slot < table::REPEATED_FIELDS));
    }
}
