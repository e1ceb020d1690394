//! Values of a session file: literals and variables, typed by the field that they are for.

use bytes::Bytes;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, Value};

use crate::names;
use crate::tree::{Data, Fault, Node};

/// A value that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Val {
    /// Any number, an enum value too.
    Int(i128),
    Bool(bool),
    Text(String),
    Bytes(Bytes),
    /// Many values under one name; it stands only as an item of a list, once for each of them.
    List(Vec<Val>),
}

impl std::fmt::Display for Val {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Val::Int(number) => write!(f, "{number}"),
            Val::Bool(yes) => write!(f, "{yes}"),
            Val::Text(text) => write!(f, "{text:?}"),
            Val::Bytes(bytes) => f.write_str(&show_bytes(bytes)),
            Val::List(items) => write!(f, "a list of {}", items.len()),
        }
    }
}

/// Bytes as a session file would write them, cut where they get long.
pub(crate) fn show_bytes(bytes: &[u8]) -> String {
    const SHOWN: usize = 32;
    let head = bytes.get(..SHOWN).unwrap_or(bytes);
    let dots = if bytes.len() > SHOWN {
        format!("... ({} bytes)", bytes.len())
    } else {
        String::new()
    };
    match std::str::from_utf8(head) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => {
            format!("text:{text}{dots}")
        }
        _ => format!("hex:{}{dots}", hex(head)),
    }
}

/// Lower-case hex without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hex with or without white space as bytes.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|sign| !sign.is_whitespace())
        .map(|sign| sign.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}

/// A value as it is written: known, or made of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    Literal(Val),
    /// A variable plus a number.
    Var {
        name: String,
        add: i128,
    },
    /// One byte so many times.
    Fill {
        count: Box<Expr>,
        byte: u8,
    },
    List(Vec<Expr>),
}

/// Where variables come from.
pub(crate) trait Scope {
    /// The value of a variable, named without its `$`.
    fn lookup(&self, name: &str) -> Option<Val>;
}

impl Expr {
    /// The value that it has, with the variable that it came from.
    pub(crate) fn told(&self, value: &Val) -> String {
        match self {
            Expr::Var { name, add: 0 } => format!("{value} (${name})"),
            Expr::Var { name, add } => format!("{value} (${name}{add:+})"),
            _ => value.to_string(),
        }
    }

    /// The value, with variables from `scope`.
    pub(crate) fn eval(&self, scope: &dyn Scope) -> Result<Val, String> {
        match self {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Var { name, add } => {
                let value = scope
                    .lookup(name)
                    .ok_or_else(|| format!("${name} has no value"))?;
                match value {
                    value if *add == 0 => Ok(value),
                    Val::Int(number) => Ok(Val::Int(number + add)),
                    other => Err(format!(
                        "${name} is {other}, and only numbers can be added to"
                    )),
                }
            }
            Expr::Fill { count, byte } => {
                let count = count.eval_int(scope)?;
                match usize::try_from(count) {
                    Ok(len) if count <= MAX_FILL => Ok(Val::Bytes(vec![*byte; len].into())),
                    _ => Err(format!("fill cannot make {count} bytes")),
                }
            }
            Expr::List(items) => items
                .iter()
                .map(|item| item.eval(scope))
                .collect::<Result<_, _>>()
                .map(Val::List),
        }
    }

    /// The number, with variables from `scope`.
    pub(crate) fn eval_int(&self, scope: &dyn Scope) -> Result<i128, String> {
        match self.eval(scope)? {
            Val::Int(number) => Ok(number),
            other => Err(format!("{other} is no number")),
        }
    }

    /// Calls `visit` with the name of each variable in it.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(&str)) {
        match self {
            Expr::Literal(_) => {}
            Expr::Var { name, .. } => visit(name),
            Expr::Fill { count, .. } => count.visit(visit),
            Expr::List(items) => items.iter().for_each(|item| item.visit(visit)),
        }
    }
}

/// The most bytes that one `fill` makes: a header cannot say more.
const MAX_FILL: i128 = 1 << 24;

/// `$name`, `$name+1`, `$name-1`; `None` if the text is no variable.
pub(crate) fn variable(text: &str, line: usize) -> Result<Option<Expr>, Fault> {
    let Some(rest) = text.strip_prefix('$') else {
        return Ok(None);
    };
    let bad = || Fault::new(line, format!("`{text}` is not a variable"));
    let end = rest.find(['+', '-']).filter(|at| {
        // A hyphen within a name belongs to it: only digits up to the end make a sum.
        let number = rest.get(at + 1..).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let (name, sum) = end.map_or((rest, ""), |at| rest.split_at(at));
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(bad());
    }
    let add = if sum.is_empty() {
        0
    } else {
        sum.parse().map_err(|_| bad())?
    };
    Ok(Some(Expr::Var {
        name: name.to_owned(),
        add,
    }))
}

/// `hex:00ff`, `text:hello`, `fill:70000:61`, or a variable.
pub(crate) fn bytes_expr(node: Node) -> Result<Expr, Fault> {
    let line = node.line;
    let text = node.text()?;
    if let Some(variable) = variable(&text, line)? {
        return Ok(variable);
    }
    written_bytes(&text, line)?.ok_or_else(|| {
        Fault::new(
            line,
            format!("bytes start with `hex:`, `text:`, `fill:` or `$`, and {text:?} does not"),
        )
    })
}

/// `None` if the text has none of the prefixes of bytes.
fn written_bytes(text: &str, line: usize) -> Result<Option<Expr>, Fault> {
    let bad = |what: &str| Fault::new(line, format!("{text:?}: {what}"));
    if let Some(digits) = text.strip_prefix("hex:") {
        let bytes = unhex(digits).ok_or_else(|| bad("not an even number of hex digits"))?;
        return Ok(Some(Expr::Literal(Val::Bytes(bytes.into()))));
    }
    if let Some(rest) = text.strip_prefix("text:") {
        return Ok(Some(Expr::Literal(Val::Bytes(Bytes::copy_from_slice(
            rest.as_bytes(),
        )))));
    }
    if let Some(rest) = text.strip_prefix("fill:") {
        let (count, byte) = rest
            .split_once(':')
            .ok_or_else(|| bad("fill needs a count and a byte, as fill:100:61"))?;
        let byte = u8::from_str_radix(byte, 16).map_err(|_| bad("not a byte in hex"))?;
        let count = match variable(count, line)? {
            Some(variable) => variable,
            None => {
                let count = count
                    .parse()
                    .ok()
                    .filter(|count| *count <= MAX_FILL)
                    .ok_or_else(|| bad("not a count"))?;
                Expr::Literal(Val::Int(count))
            }
        };
        return Ok(Some(Expr::Fill {
            count: Box::new(count),
            byte,
        }));
    }
    Ok(None)
}

/// A value whose type nothing tells: of `bind` and of `[sweep] values`.
pub(crate) fn untyped_expr(node: Node) -> Result<Expr, Fault> {
    let line = node.line;
    match node.data {
        Data::Int(number) => Ok(Expr::Literal(Val::Int(number))),
        Data::Bool(yes) => Ok(Expr::Literal(Val::Bool(yes))),
        Data::Text(text) => match variable(&text, line)? {
            Some(variable) => Ok(variable),
            None => Ok(written_bytes(&text, line)?.unwrap_or(Expr::Literal(Val::Text(text)))),
        },
        Data::List(items) => items
            .into_iter()
            .map(untyped_expr)
            .collect::<Result<_, _>>()
            .map(Expr::List),
        other => Err(Fault::new(
            line,
            format!("expected a single value, found {other}"),
        )),
    }
}

/// One value for this field, or for one item of it where it is repeated.
pub(crate) fn typed_expr(node: Node, field: &FieldDescriptor) -> Result<Expr, Fault> {
    let line = node.line;
    if let Data::Text(text) = &node.data
        && let Some(variable) = variable(text, line)?
    {
        return Ok(variable);
    }
    let expected = |what: &str, found: &Data| {
        Fault::new(line, format!("{} is {what}, found {found}", field.name()))
    };
    let value = match (field.kind(), node.data) {
        (Kind::Bool, Data::Bool(yes)) => Val::Bool(yes),
        (Kind::Bool, other) => return Err(expected("a boolean", &other)),
        (Kind::String, Data::Text(text)) if text.starts_with("fill:") => {
            return written_bytes(&text, line)?.ok_or_else(|| Fault::new(line, "not a fill"));
        }
        (Kind::String, Data::Text(text)) => Val::Text(text),
        (Kind::String, other) => return Err(expected("a string", &other)),
        (Kind::Bytes, data) => return bytes_expr(Node { line, data }),
        (Kind::Enum(kind), data) => Val::Int(enum_value(&kind, data, line)?),
        (Kind::Uint32, data) => Val::Int(unsigned(field, data, line, i128::from(u32::MAX))?),
        (Kind::Uint64, data) => Val::Int(unsigned(field, data, line, i128::from(u64::MAX))?),
        (kind, other) => return Err(expected(&format!("{kind:?}"), &other)),
    };
    Ok(Expr::Literal(value))
}

fn enum_value(kind: &EnumDescriptor, data: Data, line: usize) -> Result<i128, Fault> {
    match data {
        Data::Int(number) if i32::try_from(number).is_ok() => Ok(number),
        Data::Text(name) => names::enum_number(kind, &name)
            .map(i128::from)
            .ok_or_else(|| Fault::new(line, format!("{} has no value {name}", kind.name()))),
        other => Err(Fault::new(
            line,
            format!("expected a value of {}, found {other}", kind.name()),
        )),
    }
}

fn unsigned(field: &FieldDescriptor, data: Data, line: usize, max: i128) -> Result<i128, Fault> {
    match data {
        Data::Int(number) if (0..=max).contains(&number) => Ok(number),
        Data::Int(number) => Err(Fault::new(
            line,
            format!("{number} does not fit {}", field.name()),
        )),
        Data::Text(name) => names::number_in(field, &name)
            .map(i128::from)
            .ok_or_else(|| Fault::new(line, format!("{} knows no {name:?}", field.name()))),
        Data::List(items) if names::is_mask(field) => mask(field, items, line),
        other => Err(Fault::new(
            line,
            format!("{} is a number, found {other}", field.name()),
        )),
    }
}

fn mask(field: &FieldDescriptor, items: Vec<Node>, line: usize) -> Result<i128, Fault> {
    items.into_iter().try_fold(0, |bits, item| {
        Ok(bits | unsigned(field, item.data, line, i128::from(u32::MAX))?)
    })
}

/// The value as one of this field, for a message that is sent.
pub(crate) fn to_field(value: &Val, field: &FieldDescriptor) -> Result<Value, String> {
    let wrong = || format!("{value} does not fit {}", field.name());
    Ok(match (field.kind(), value) {
        (Kind::Bool, Val::Bool(yes)) => Value::Bool(*yes),
        (Kind::String, Val::Text(text)) => Value::String(text.clone()),
        (Kind::String, Val::Bytes(bytes)) => {
            Value::String(String::from_utf8(bytes.to_vec()).map_err(|_| wrong())?)
        }
        (Kind::Bytes, Val::Bytes(bytes)) => Value::Bytes(bytes.clone()),
        (Kind::Bytes, Val::Text(text)) => Value::Bytes(Bytes::copy_from_slice(text.as_bytes())),
        (Kind::Enum(_), Val::Int(number)) => {
            Value::EnumNumber(i32::try_from(*number).map_err(|_| wrong())?)
        }
        (Kind::Uint32, Val::Int(number)) => {
            Value::U32(u32::try_from(*number).map_err(|_| wrong())?)
        }
        (Kind::Uint64, Val::Int(number)) => {
            Value::U64(u64::try_from(*number).map_err(|_| wrong())?)
        }
        // A name that stands in a list of sweep values, or was bound.
        (Kind::Uint32, Val::Text(name)) => names::number_in(field, name)
            .and_then(|number| u32::try_from(number).ok())
            .map(Value::U32)
            .ok_or_else(wrong)?,
        (Kind::Enum(kind), Val::Text(name)) => names::enum_number(&kind, name)
            .map(Value::EnumNumber)
            .ok_or_else(wrong)?,
        _ => return Err(wrong()),
    })
}

/// A received scalar. Messages and lists have no single value.
pub(crate) fn from_field(value: &Value) -> Option<Val> {
    Some(match value {
        Value::Bool(yes) => Val::Bool(*yes),
        Value::String(text) => Val::Text(text.clone()),
        Value::Bytes(bytes) => Val::Bytes(bytes.clone()),
        Value::EnumNumber(number) => Val::Int(i128::from(*number)),
        Value::U32(number) => Val::Int(i128::from(*number)),
        Value::U64(number) => Val::Int(i128::from(*number)),
        _ => return None,
    })
}

/// Equal as they would be on the wire: a text and its bytes are the same.
pub(crate) fn same(left: &Val, right: &Val) -> bool {
    match (left, right) {
        (Val::Text(text), Val::Bytes(bytes)) | (Val::Bytes(bytes), Val::Text(text)) => {
            text.as_bytes() == bytes
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    struct One;

    impl Scope for One {
        fn lookup(&self, name: &str) -> Option<Val> {
            (name == "alice.head").then_some(Val::Int(41))
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &Val) {
        let node = Node {
            line: 1,
            data: Data::Text(text.to_owned()),
        };
        assert_eq!(
            untyped_expr(node).unwrap().eval(&One).as_ref(),
            Ok(expected)
        );
    }

    #[test]
    fn values_evaluate() {
        check("$alice.head", &Val::Int(41));
        check("$alice.head+1", &Val::Int(42));
        check("$alice.head-1", &Val::Int(40));
        check("hex:00 ff", &Val::Bytes(Bytes::from_static(&[0, 255])));
        check("fill:3:61", &Val::Bytes(Bytes::from_static(b"aaa")));
        check("plain", &Val::Text("plain".to_owned()));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["$", "$a b", "hex:0", "hex:zz", "fill:3", "fill:x:61"] {
            let node = Node {
                line: 7,
                data: Data::Text(text.to_owned()),
            };
            assert_eq!(untyped_expr(node).unwrap_err().line, 7, "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_as_files_write_them() {
        assert_eq!(show_bytes(b"hi"), "text:hi");
        assert_eq!(show_bytes(&[0, 1]), "hex:0001");
    }
}
