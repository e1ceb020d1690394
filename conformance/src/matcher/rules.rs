//! The rules that a table of matchers holds: each is one key, and all of them have to hold.

use prost_reflect::{FieldDescriptor, MessageDescriptor, Value};

use super::{Binds, FieldMatcher, Mismatch, Use, default_of, mismatch};
use crate::tree::{Entry, Fault, Fields, Node};
use crate::value::{Expr, Val, bytes_expr, from_field, same, typed_expr, untyped_expr};

/// One rule on a value.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Bind(String),
    Present,
    Absent,
    Compare(Comparison, Expr),
    Len(Comparison, Expr),
    Prefix(Expr),
    Not(Box<FieldMatcher>),
    Distinct(Vec<Expr>),
    Unordered(Vec<FieldMatcher>),
    Contains(Vec<FieldMatcher>),
    BitsSet(Expr),
    BitsClear(Expr),
}

/// How two numbers stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Comparison {
    fn holds(self, left: i128, right: i128) -> bool {
        match self {
            Comparison::Equal => left == right,
            Comparison::Above => left > right,
            Comparison::AtLeast => left >= right,
            Comparison::Below => left < right,
            Comparison::AtMost => left <= right,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
        }
    }
}

const KEYS: [&str; 20] = [
    "bind",
    "any",
    "absent",
    "gt",
    "ge",
    "lt",
    "le",
    "between",
    "len",
    "min_len",
    "max_len",
    "prefix",
    "not",
    "distinct",
    "unordered",
    "count",
    "contains",
    "bits",
    "clear_bits",
    "eq",
];

/// True if this table, where a message is expected, holds rules on it and not its fields.
pub(super) fn is_rules(entries: &[Entry], message: &MessageDescriptor) -> bool {
    entries.iter().any(|entry| {
        KEYS.contains(&entry.key.as_str()) && message.get_field_by_name(&entry.key).is_none()
    })
}

/// Reads a table of rules.
pub(super) fn parse(table: Fields, field: &FieldDescriptor) -> Result<Vec<Rule>, Fault> {
    if table.entries.is_empty() {
        return Err(Fault::new(
            table.line,
            format!("an empty matcher for {}", field.name()),
        ));
    }
    let mut rules = Vec::with_capacity(table.entries.len());
    for Entry { key, line, node } in table.entries {
        let items = |node: Node| -> Result<Vec<FieldMatcher>, Fault> {
            node.list()?
                .into_iter()
                .map(|item| FieldMatcher::parse(item, field, false))
                .collect()
        };
        match key.as_str() {
            "bind" => rules.push(Rule::Bind(node.text()?)),
            "any" => node.only_true().map(|()| rules.push(Rule::Present))?,
            "absent" => node.only_true().map(|()| rules.push(Rule::Absent))?,
            "eq" => rules.push(Rule::Compare(Comparison::Equal, typed_expr(node, field)?)),
            "gt" => rules.push(Rule::Compare(Comparison::Above, number(node)?)),
            "ge" => rules.push(Rule::Compare(Comparison::AtLeast, number(node)?)),
            "lt" => rules.push(Rule::Compare(Comparison::Below, number(node)?)),
            "le" => rules.push(Rule::Compare(Comparison::AtMost, number(node)?)),
            "between" => {
                let bounds: [Node; 2] = node
                    .list()?
                    .try_into()
                    .map_err(|_| Fault::new(line, "between has a lower and an upper bound"))?;
                let [low, high] = bounds;
                rules.push(Rule::Compare(Comparison::AtLeast, number(low)?));
                rules.push(Rule::Compare(Comparison::AtMost, number(high)?));
            }
            "len" | "count" => rules.push(Rule::Len(Comparison::Equal, number(node)?)),
            "min_len" => rules.push(Rule::Len(Comparison::AtLeast, number(node)?)),
            "max_len" => rules.push(Rule::Len(Comparison::AtMost, number(node)?)),
            "prefix" => rules.push(Rule::Prefix(prefix(node, field)?)),
            "not" => rules.push(Rule::Not(Box::new(FieldMatcher::parse(
                node,
                field,
                field.is_list(),
            )?))),
            "distinct" => {
                let others = node
                    .list()?
                    .into_iter()
                    .map(untyped_expr)
                    .collect::<Result<_, _>>()?;
                rules.push(Rule::Distinct(others));
            }
            "unordered" => rules.push(Rule::Unordered(items(node)?)),
            "contains" => rules.push(Rule::Contains(items(node)?)),
            "bits" => rules.push(Rule::BitsSet(typed_expr(node, field)?)),
            "clear_bits" => rules.push(Rule::BitsClear(typed_expr(node, field)?)),
            _ => {
                return Err(Fault::new(
                    line,
                    format!("unknown matcher `{key}` for {}", field.name()),
                ));
            }
        }
    }
    // What a rule compares with may be bound by the rule beside it, never the other way round: bind last.
    rules.sort_by_key(|rule| matches!(rule, Rule::Bind(_)));
    Ok(rules)
}

fn number(node: Node) -> Result<Expr, Fault> {
    let line = node.line;
    match untyped_expr(node)? {
        expr @ (Expr::Literal(Val::Int(_)) | Expr::Var { .. }) => Ok(expr),
        _ => Err(Fault::new(line, "expected a number")),
    }
}

fn prefix(node: Node, field: &FieldDescriptor) -> Result<Expr, Fault> {
    match field.kind() {
        prost_reflect::Kind::Bytes => bytes_expr(node),
        _ => typed_expr(node, field),
    }
}

impl Rule {
    pub(super) fn check(
        &self,
        field: &FieldDescriptor,
        value: Option<&Value>,
        binds: &mut Binds<'_>,
    ) -> Result<(), Mismatch> {
        let scalar = || value.and_then(from_field).or_else(|| default_of(field));
        match self {
            Rule::Bind(name) => {
                let found =
                    scalar().ok_or_else(|| mismatch(format!("a value for ${name}"), value))?;
                binds.new.insert(name.clone(), found);
                Ok(())
            }
            Rule::Present => hold(value.is_some(), || "present".to_owned(), value),
            Rule::Absent => hold(value.is_none(), || "absent".to_owned(), value),
            Rule::Compare(comparison, expr) => {
                let bound = expr.eval(binds).map_err(|error| mismatch(error, value))?;
                let holds = match (scalar(), &bound) {
                    (Some(Val::Int(found)), Val::Int(bound)) => comparison.holds(found, *bound),
                    (Some(found), bound) => *comparison == Comparison::Equal && same(&found, bound),
                    (None, _) => false,
                };
                hold(
                    holds,
                    || format!("{} {}", comparison.sign(), expr.told(&bound)),
                    value,
                )
            }
            Rule::Len(comparison, expr) => {
                let bound = match expr.eval(binds) {
                    Ok(Val::Int(bound)) => bound,
                    Ok(other) => {
                        return Err(mismatch(format!("a length, and {other} is none"), value));
                    }
                    Err(error) => return Err(mismatch(error, value)),
                };
                let len = length(value);
                let expected = || format!("length {} {bound} (it is {len})", comparison.sign());
                hold(comparison.holds(len, bound), expected, value)
            }
            Rule::Prefix(expr) => {
                let start = expr.eval(binds).map_err(|error| mismatch(error, value))?;
                let holds = match (scalar(), &start) {
                    (Some(Val::Bytes(found)), Val::Bytes(start)) => found.starts_with(start),
                    (Some(Val::Text(found)), Val::Text(start)) => found.starts_with(start.as_str()),
                    _ => false,
                };
                hold(holds, || format!("starting with {start}"), value)
            }
            Rule::Not(matcher) => {
                let matched = matcher.check(field, value, &mut Binds::new(binds)).is_ok();
                hold(!matched, || "something else".to_owned(), value)
            }
            Rule::Distinct(others) => {
                let found = scalar().ok_or_else(|| mismatch("a value".to_owned(), value))?;
                for other in others {
                    let other = other.eval(binds).map_err(|error| mismatch(error, value))?;
                    hold(
                        !same(&found, &other),
                        || format!("other than {other}"),
                        value,
                    )?;
                }
                Ok(())
            }
            Rule::Unordered(matchers) => {
                let items = value.and_then(Value::as_list).unwrap_or_default();
                hold(
                    items.len() == matchers.len(),
                    || format!("{} items in any order", matchers.len()),
                    value,
                )?;
                contains(matchers, items, field, value, binds)
            }
            Rule::Contains(matchers) => contains(
                matchers,
                value.and_then(Value::as_list).unwrap_or_default(),
                field,
                value,
                binds,
            ),
            Rule::BitsSet(expr) => bits(expr, value, binds, "bits set", |found, mask| {
                found & mask == mask
            }),
            Rule::BitsClear(expr) => bits(expr, value, binds, "bits clear", |found, mask| {
                found & mask == 0
            }),
        }
    }

    pub(super) fn visit(&self, visit: &mut dyn FnMut(Use<'_>)) {
        match self {
            Rule::Bind(name) => visit(Use::Bind(name)),
            Rule::Present | Rule::Absent => {}
            Rule::Compare(_, expr)
            | Rule::Len(_, expr)
            | Rule::Prefix(expr)
            | Rule::BitsSet(expr)
            | Rule::BitsClear(expr) => visit(Use::Read(expr)),
            Rule::Not(matcher) => matcher.visit(visit),
            Rule::Distinct(others) => others.iter().for_each(|other| visit(Use::Read(other))),
            Rule::Unordered(items) | Rule::Contains(items) => {
                items.iter().for_each(|item| item.visit(visit))
            }
        }
    }
}

fn hold(
    holds: bool,
    expected: impl FnOnce() -> String,
    value: Option<&Value>,
) -> Result<(), Mismatch> {
    if holds {
        Ok(())
    } else {
        Err(mismatch(expected(), value))
    }
}

fn length(value: Option<&Value>) -> i128 {
    let len = match value {
        Some(Value::Bytes(bytes)) => bytes.len(),
        Some(Value::String(text)) => text.len(),
        Some(Value::List(items)) => items.len(),
        _ => 0,
    };
    i128::try_from(len).unwrap_or(i128::MAX)
}

/// Each matcher takes an item of its own; the first that fits is taken, so the narrow ones come first in a file.
fn contains(
    matchers: &[FieldMatcher],
    items: &[Value],
    field: &FieldDescriptor,
    value: Option<&Value>,
    binds: &mut Binds<'_>,
) -> Result<(), Mismatch> {
    let mut left: Vec<&Value> = items.iter().collect();
    for (number, matcher) in matchers.iter().enumerate() {
        let fits = left.iter().position(|item| {
            matcher
                .check(field, Some(item), &mut Binds::new(binds))
                .is_ok()
        });
        match fits {
            Some(at) => matcher.check(field, Some(left.remove(at)), binds)?,
            None => return Err(mismatch(format!("an item that fits entry {number}"), value)),
        }
    }
    Ok(())
}

fn bits(
    expr: &Expr,
    value: Option<&Value>,
    binds: &Binds<'_>,
    what: &str,
    holds: impl Fn(i128, i128) -> bool,
) -> Result<(), Mismatch> {
    let mask = expr.eval(binds).map_err(|error| mismatch(error, value))?;
    let found = value.and_then(from_field).unwrap_or(Val::Int(0));
    match (&found, &mask) {
        (Val::Int(found), Val::Int(mask)) if holds(*found, *mask) => Ok(()),
        _ => Err(mismatch(format!("{what}: {mask}"), value)),
    }
}
