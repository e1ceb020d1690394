//! Changes to a frame: fields by name, header, raw bytes.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use tidewire_codec::{Flags, FrameType, RawFrame};

use super::pattern::{Pattern, Seen, flags};
use crate::body::{Body, field};
use crate::names;
use crate::tree::{Data, Fault, Fields, Node};
use crate::value::{Expr, Scope, Val, bytes_expr, from_field, to_field, typed_expr};

/// What a rule changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    bodies: HashMap<u16, Vec<FieldEdit>>,
    set_flags: Flags,
    clear_flags: Flags,
    set_ref: Option<Number>,
    set_type: Option<FrameType>,
    append: Option<Expr>,
    raw_body: Option<Expr>,
    truncate: Option<usize>,
}

/// A change of one field.
#[derive(Clone, Debug)]
struct FieldEdit {
    field: FieldDescriptor,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Unset,
    Set(Expr),
    /// So much more, or less; it stops at the ends of the type.
    Add(i128),
    /// The lowest bit of the last byte; of nothing it makes a zero byte.
    Flip,
    Bits {
        set: u32,
        clear: u32,
    },
    /// The fields of the message, or of every message of a list.
    Inside(Vec<FieldEdit>),
    /// One item of a list; from the end where negative.
    At(isize, Box<Change>),
    Remove(isize),
    Repeat(isize),
    Append(Item),
    Reverse,
    List(Vec<Item>),
}

/// A new item of a list.
#[derive(Clone, Debug)]
enum Item {
    One(Expr),
    Message(Body),
}

/// A number as it is, or relative to what is there.
#[derive(Clone, Copy, Debug)]
enum Number {
    Is(u32),
    Add(i64),
}

impl Edits {
    /// Takes the keys of edits out of a rule's table.
    pub(super) fn parse(pattern: &Pattern, table: &mut Fields) -> Result<Edits, Fault> {
        let mut edits = Edits::default();
        if let Some(node) = table.take("set") {
            for (frame_type, message) in pattern.messages(node.line)? {
                let found = fields(&message, node.clone().fields()?)?;
                edits.bodies.entry(frame_type.0).or_default().extend(found);
            }
        }
        if let Some(node) = table.take("unset") {
            let line = node.line;
            let paths = node.texts()?;
            for (frame_type, message) in pattern.messages(line)? {
                for path in &paths {
                    let found = unset(&message, path, line)?;
                    edits.bodies.entry(frame_type.0).or_default().push(found);
                }
            }
        }
        let mask = |table: &mut Fields, key: &str| table.take(key).map_or(Ok(Flags::NONE), flags);
        edits.set_flags = mask(table, "set_flags")?;
        edits.clear_flags = mask(table, "clear_flags")?;
        edits.set_ref = table.take("set_ref").map(number).transpose()?;
        edits.set_type = table.take("set_type").map(frame_type).transpose()?;
        edits.append = table.take("append").map(bytes_expr).transpose()?;
        edits.raw_body = table.take("raw_body").map(bytes_expr).transpose()?;
        edits.truncate = table.take("truncate").map(Node::size).transpose()?;
        Ok(edits)
    }

    /// True if nothing is changed.
    pub(super) fn is_empty(&self) -> bool {
        self.bodies.is_empty()
            && self.set_flags == Flags::NONE
            && self.clear_flags == Flags::NONE
            && self.set_ref.is_none()
            && self.set_type.is_none()
            && self.append.is_none()
            && self.raw_body.is_none()
            && self.truncate.is_none()
    }

    /// The changed frame.
    pub(super) fn apply(&self, seen: &Seen, scope: &dyn Scope) -> Result<RawFrame, String> {
        let mut frame = seen.frame.clone();
        if let (Some(edits), Some(body)) = (self.bodies.get(&frame.frame_type.0), &seen.body) {
            let mut body = body.clone();
            for edit in edits {
                edit.apply(&mut body, scope)?;
            }
            frame.body = body.encode_to_vec().into();
        }
        if let Some(raw) = &self.raw_body {
            frame.body = bytes(raw, scope)?;
        }
        if let Some(more) = &self.append {
            let mut body = BytesMut::from(&frame.body[..]);
            body.extend_from_slice(&bytes(more, scope)?);
            frame.body = body.freeze();
        }
        if let Some(len) = self.truncate {
            frame.body.truncate(len);
        }
        frame.flags = frame
            .flags
            .difference(self.clear_flags)
            .union(self.set_flags);
        match self.set_ref {
            None => {}
            Some(Number::Is(reference)) => frame.reference = reference,
            Some(Number::Add(more)) => {
                let sum = i64::from(frame.reference) + more;
                frame.reference = u32::try_from(sum).unwrap_or_default();
            }
        }
        if let Some(frame_type) = self.set_type {
            frame.frame_type = frame_type;
        }
        Ok(frame)
    }
}

/// Bytes, or a text as bytes.
pub(super) fn bytes(expr: &Expr, scope: &dyn Scope) -> Result<Bytes, String> {
    match expr.eval(scope)? {
        Val::Bytes(bytes) => Ok(bytes),
        Val::Text(text) => Ok(text.into()),
        other => Err(format!("{other} is not bytes")),
    }
}

fn fields(message: &MessageDescriptor, table: Fields) -> Result<Vec<FieldEdit>, Fault> {
    let mut edits = Vec::new();
    for entry in table.entries {
        let field = field(message, &entry.key, entry.line)?;
        let change = if field.is_list() {
            list_change(entry.node, &field)?
        } else {
            change(entry.node, &field)?
        };
        edits.push(FieldEdit { field, change });
    }
    Ok(edits)
}

fn change(node: Node, field: &FieldDescriptor) -> Result<Change, Fault> {
    let line = node.line;
    match (&node.data, field.kind()) {
        (Data::Table(_), Kind::Message(message)) => {
            fields(&message, node.fields()?).map(Change::Inside)
        }
        (Data::Table(_), _) if names::is_mask(field) => {
            let mut table = node.fields()?;
            let mut bits = |key: &str| -> Result<u32, Fault> {
                let Some(node) = table.take(key) else {
                    return Ok(0);
                };
                match typed_expr(node, field)? {
                    Expr::Literal(Val::Int(bits)) => {
                        u32::try_from(bits).map_err(|_| Fault::new(line, "the bits do not fit"))
                    }
                    _ => Err(Fault::new(line, "bits are a list of names")),
                }
            };
            let change = Change::Bits {
                set: bits("set")?,
                clear: bits("clear")?,
            };
            table.finish("a change of a mask")?;
            Ok(change)
        }
        (Data::Text(text), Kind::Uint32 | Kind::Uint64 | Kind::Enum(_))
            if text.starts_with(['+', '-']) =>
        {
            text.parse()
                .map(Change::Add)
                .map_err(|_| Fault::new(line, format!("{text:?} is no sum")))
        }
        (Data::Text(text), Kind::Bytes) if text == "flip" => Ok(Change::Flip),
        _ => typed_expr(node, field).map(Change::Set),
    }
}

/// A list is changed as a whole, or by a table: `each` (the fields of every item), `at` and `to`, `remove`, `repeat`,
/// `append`, `reverse`.
fn list_change(node: Node, field: &FieldDescriptor) -> Result<Change, Fault> {
    if let Data::Table(_) = node.data {
        let mut table = node.fields()?;
        let line = table.line;
        let change = if let Some(each) = table.take("each") {
            match field.kind() {
                Kind::Message(message) => Change::Inside(fields(&message, each.fields()?)?),
                _ => return Err(Fault::new(line, "`each` is for lists of messages")),
            }
        } else if let Some(at) = table.take("at") {
            Change::At(index(at)?, Box::new(change(table.need("to")?, field)?))
        } else if let Some(at) = table.take("remove") {
            Change::Remove(index(at)?)
        } else if let Some(at) = table.take("repeat") {
            Change::Repeat(index(at)?)
        } else if let Some(new) = table.take("append") {
            Change::Append(item(new, field)?)
        } else if let Some(yes) = table.take("reverse") {
            yes.only_true().map(|()| Change::Reverse)?
        } else {
            return Err(Fault::new(
                line,
                "a list is changed by each, at and to, remove, repeat, append or reverse",
            ));
        };
        table.finish("a change of a list")?;
        return Ok(change);
    }
    let items = node.list()?.into_iter().map(|node| item(node, field));
    items.collect::<Result<_, _>>().map(Change::List)
}

fn item(node: Node, field: &FieldDescriptor) -> Result<Item, Fault> {
    match field.kind() {
        Kind::Message(message) => Body::parse(message, node.fields()?).map(Item::Message),
        _ => typed_expr(node, field).map(Item::One),
    }
}

fn index(node: Node) -> Result<isize, Fault> {
    let line = node.line;
    isize::try_from(node.int()?).map_err(|_| Fault::new(line, "no index of a list"))
}

fn unset(message: &MessageDescriptor, path: &str, line: usize) -> Result<FieldEdit, Fault> {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = field(message, first, line)?;
    let change = match (rest, field.kind()) {
        (None, _) => Change::Unset,
        (Some(rest), Kind::Message(inner)) => Change::Inside(vec![unset(&inner, rest, line)?]),
        (Some(_), _) => return Err(Fault::new(line, format!("{first} has no fields"))),
    };
    Ok(FieldEdit { field, change })
}

impl FieldEdit {
    fn apply(&self, body: &mut DynamicMessage, scope: &dyn Scope) -> Result<(), String> {
        if let Change::Unset = self.change {
            body.clear_field(&self.field);
            return Ok(());
        }
        let mut value = body.get_field(&self.field).into_owned();
        self.change.apply(&mut value, &self.field, scope)?;
        body.try_set_field(&self.field, value)
            .map_err(|error| format!("{}: {error}", self.field.name()))
    }
}

impl Change {
    fn apply(
        &self,
        value: &mut Value,
        field: &FieldDescriptor,
        scope: &dyn Scope,
    ) -> Result<(), String> {
        match (self, value) {
            (Change::Inside(edits), Value::Message(message)) => {
                edits.iter().try_for_each(|edit| edit.apply(message, scope))
            }
            (Change::Inside(_), Value::List(items)) => items
                .iter_mut()
                .try_for_each(|item| self.apply(item, field, scope)),
            (Change::At(at, change), Value::List(items)) => match place(*at, items.len()) {
                Some(at) => match items.get_mut(at) {
                    Some(item) => change.apply(item, field, scope),
                    None => Ok(()),
                },
                None => Ok(()),
            },
            (Change::Remove(at), Value::List(items)) => {
                if let Some(at) = place(*at, items.len()) {
                    items.remove(at);
                }
                Ok(())
            }
            (Change::Repeat(at), Value::List(items)) => {
                if let Some(at) = place(*at, items.len())
                    && let Some(item) = items.get(at).cloned()
                {
                    items.insert(at, item);
                }
                Ok(())
            }
            (Change::Append(item), Value::List(items)) => {
                items.push(item.build(field, scope)?);
                Ok(())
            }
            (Change::Reverse, Value::List(items)) => {
                items.reverse();
                Ok(())
            }
            (Change::List(new), Value::List(items)) => {
                let built = new.iter().map(|item| item.build(field, scope));
                *items = built.collect::<Result<_, _>>()?;
                Ok(())
            }
            (Change::Set(expr), value) => {
                *value = to_field(&expr.eval(scope)?, field)?;
                Ok(())
            }
            (Change::Add(more), value) => {
                let Some(Val::Int(old)) = from_field(value) else {
                    return Err(format!("{} is no number", field.name()));
                };
                let max = match field.kind() {
                    Kind::Uint64 => i128::from(u64::MAX),
                    Kind::Uint32 => i128::from(u32::MAX),
                    _ => i128::from(i32::MAX),
                };
                *value = to_field(&Val::Int((old + more).clamp(0, max)), field)?;
                Ok(())
            }
            (Change::Flip, Value::Bytes(old)) => {
                let mut new = old.to_vec();
                match new.last_mut() {
                    Some(last) => *last ^= 1,
                    None => new.push(0),
                }
                *old = new.into();
                Ok(())
            }
            (Change::Bits { set, clear }, Value::U32(bits)) => {
                *bits = *bits & !clear | set;
                Ok(())
            }
            (_, _) => Err(format!("{} cannot be changed like that", field.name())),
        }
    }
}

impl Item {
    fn build(&self, field: &FieldDescriptor, scope: &dyn Scope) -> Result<Value, String> {
        match self {
            Item::One(expr) => to_field(&expr.eval(scope)?, field),
            Item::Message(body) => body.build(scope).map(Value::Message),
        }
    }
}

/// The place that an index means, from the end where it is negative.
fn place(at: isize, len: usize) -> Option<usize> {
    let at = if at < 0 {
        len.checked_sub(at.unsigned_abs())?
    } else {
        at.unsigned_abs()
    };
    (at < len).then_some(at)
}

/// A frame type by name or number.
pub(super) fn frame_type(node: Node) -> Result<FrameType, Fault> {
    let line = node.line;
    let name = node.text()?;
    names::frame_type(&name).ok_or_else(|| Fault::new(line, format!("unknown frame {name:?}")))
}

fn number(node: Node) -> Result<Number, Fault> {
    let line = node.line;
    let bad = || Fault::new(line, "`set_ref` is a number, or a sum such as \"+1\"");
    match node.data {
        Data::Int(number) => u32::try_from(number).map(Number::Is).map_err(|_| bad()),
        Data::Text(text) if text.starts_with(['+', '-']) => {
            text.parse().map(Number::Add).map_err(|_| bad())
        }
        _ => Err(bad()),
    }
}
