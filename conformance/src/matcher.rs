//! Matchers: what a received body has to look like. Data, read and typed when the file is loaded.

use std::collections::HashMap;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};

use crate::body::field;
use crate::names;
use crate::tree::{Data, Fault, Fields, Node};
use crate::value::{Expr, Scope, Val, from_field, same, show_bytes, typed_expr};

mod flip;
mod rules;

use rules::{Rule, is_rules};

/// What a body has to hold, field by field.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    fields: Vec<(FieldDescriptor, FieldMatcher)>,
}

/// What one field, or one item of a repeated field, has to be.
#[derive(Clone, Debug)]
pub(crate) enum FieldMatcher {
    Equal(Expr),
    Message(Matcher),
    Items(Vec<FieldMatcher>),
    Rules(Vec<Rule>),
}

/// The first place where a body is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The field, with the names of those around it: `limits.max_frame`.
    pub(crate) path: String,
    /// What the file asks for.
    pub(crate) expected: String,
    /// What came.
    pub(crate) got: String,
}

/// Variables that a match gives values to, over those of the case.
pub(crate) struct Binds<'a> {
    outer: &'a dyn Scope,
    new: HashMap<String, Val>,
}

impl<'a> Binds<'a> {
    pub(crate) fn new(outer: &'a dyn Scope) -> Binds<'a> {
        Binds {
            outer,
            new: HashMap::new(),
        }
    }

    /// What was bound.
    pub(crate) fn into_new(self) -> HashMap<String, Val> {
        self.new
    }
}

impl Scope for Binds<'_> {
    fn lookup(&self, name: &str) -> Option<Val> {
        // What this frame binds holds from the next frame on; where the name is new there is nothing else it could mean.
        self.outer
            .lookup(name)
            .or_else(|| self.new.get(name).cloned())
    }
}

impl Matcher {
    /// Reads a table of field names and matchers.
    pub(crate) fn parse(message: &MessageDescriptor, table: Fields) -> Result<Matcher, Fault> {
        let mut fields = Vec::with_capacity(table.entries.len());
        for entry in table.entries {
            let field = field(message, &entry.key, entry.line)?;
            let matcher = FieldMatcher::parse(entry.node, &field, field.is_list())?;
            fields.push((field, matcher));
        }
        Ok(Matcher { fields })
    }

    /// Compares; with `exact`, fields that are not listed have to be absent.
    pub(crate) fn check(
        &self,
        body: &DynamicMessage,
        exact: bool,
        binds: &mut Binds<'_>,
    ) -> Result<(), Mismatch> {
        for (field, matcher) in &self.fields {
            let value = body
                .has_field(field)
                .then(|| body.get_field(field).into_owned());
            matcher
                .check(field, value.as_ref(), binds)
                .map_err(|found| found.under(field.name()))?;
        }
        if exact {
            let listed =
                |field: &FieldDescriptor| self.fields.iter().any(|(known, _)| known == field);
            if let Some((field, value)) = body.fields().find(|(field, _)| !listed(field)) {
                return Err(Mismatch {
                    path: field.name().to_owned(),
                    expected: "absent".to_owned(),
                    got: show(value),
                });
            }
        }
        Ok(())
    }

    /// Calls `visit` with each expression, and `bind` with each name that a match binds.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(Use<'_>)) {
        for (_, matcher) in &self.fields {
            matcher.visit(visit);
        }
    }

    /// True if a field with this name is listed.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field.name() == name)
    }
}

/// How a matcher uses a variable.
pub(crate) enum Use<'a> {
    /// Reads it.
    Read(&'a Expr),
    /// Gives it a value.
    Bind(&'a str),
}

impl FieldMatcher {
    /// `whole`: the node stands for the whole of a repeated field, not for an item.
    fn parse(node: Node, field: &FieldDescriptor, whole: bool) -> Result<FieldMatcher, Fault> {
        match &node.data {
            Data::List(_) if whole => {
                let items = node.list()?;
                let items = items
                    .into_iter()
                    .map(|item| FieldMatcher::parse(item, field, false));
                items.collect::<Result<_, _>>().map(FieldMatcher::Items)
            }
            Data::Table(entries) => match field.kind() {
                Kind::Message(message) if !whole && !is_rules(entries, &message) => {
                    Matcher::parse(&message, node.fields()?).map(FieldMatcher::Message)
                }
                _ => rules::parse(node.fields()?, field).map(FieldMatcher::Rules),
            },
            _ if whole => Err(Fault::new(node.line, format!("{} is a list", field.name()))),
            _ => typed_expr(node, field).map(FieldMatcher::Equal),
        }
    }

    fn check(
        &self,
        field: &FieldDescriptor,
        value: Option<&Value>,
        binds: &mut Binds<'_>,
    ) -> Result<(), Mismatch> {
        match self {
            FieldMatcher::Equal(expr) => {
                let expected = expr.eval(binds).map_err(|error| mismatch(error, value))?;
                let found = value.and_then(from_field).or_else(|| default_of(field));
                match found {
                    Some(found)
                        if same(&found, &expected) || stands_for(field, &expected, &found) =>
                    {
                        Ok(())
                    }
                    _ => Err(mismatch(expr.told(&expected), value)),
                }
            }
            FieldMatcher::Message(matcher) => match value.and_then(Value::as_message) {
                Some(message) => matcher.check(message, false, binds),
                // A message that is absent holds what one with every field absent holds, unless presence is asked for.
                None => match field.kind() {
                    Kind::Message(message) => matcher
                        .check(&DynamicMessage::new(message), false, binds)
                        .map_err(|found| Mismatch {
                            got: "the message is absent".to_owned(),
                            ..found
                        }),
                    _ => Err(mismatch("a message".to_owned(), value)),
                },
            },
            FieldMatcher::Items(matchers) => {
                let items = value.and_then(Value::as_list).unwrap_or_default();
                for (at, (matcher, item)) in matchers.iter().zip(items).enumerate() {
                    matcher
                        .check(field, Some(item), binds)
                        .map_err(|found| found.under(&format!("[{at}]")))?;
                }
                if items.len() == matchers.len() {
                    return Ok(());
                }
                Err(mismatch(format!("{} items", matchers.len()), value))
            }
            FieldMatcher::Rules(rules) => rules
                .iter()
                .try_for_each(|rule| rule.check(field, value, binds)),
        }
    }

    fn visit(&self, visit: &mut dyn FnMut(Use<'_>)) {
        match self {
            FieldMatcher::Equal(expr) => visit(Use::Read(expr)),
            FieldMatcher::Message(matcher) => matcher.visit(visit),
            FieldMatcher::Items(items) => items.iter().for_each(|item| item.visit(visit)),
            FieldMatcher::Rules(rules) => rules.iter().for_each(|rule| rule.visit(visit)),
        }
    }
}

/// True if a text that a variable holds is the registry's name for this number.
fn stands_for(field: &FieldDescriptor, name: &Val, number: &Val) -> bool {
    match (name, number) {
        (Val::Text(name), Val::Int(number)) => {
            names::number_in(field, name).is_some_and(|known| i128::from(known) == *number)
        }
        _ => false,
    }
}

impl Mismatch {
    fn under(mut self, name: &str) -> Mismatch {
        self.path = match self.path.as_str() {
            "" => name.to_owned(),
            path if path.starts_with('[') => format!("{name}{path}"),
            path => format!("{name}.{path}"),
        };
        self
    }
}

/// What an absent field counts as: proto3's default, except where absent and default are apart.
fn default_of(field: &FieldDescriptor) -> Option<Val> {
    if field.supports_presence() {
        return None;
    }
    from_field(&Value::default_value(&field.kind()))
}

fn mismatch(expected: String, value: Option<&Value>) -> Mismatch {
    Mismatch {
        path: String::new(),
        expected,
        got: value.map_or_else(|| "absent".to_owned(), show),
    }
}

/// A received value as text, cut where it gets long.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => show_bytes(bytes),
        Value::List(items) => format!(
            "[{}]",
            items.iter().map(show).collect::<Vec<_>>().join(", ")
        ),
        Value::Message(message) => show_message(message),
        value => from_field(value).map_or_else(|| format!("{value:?}"), |value| value.to_string()),
    }
}

/// A message as `{ field = value, .. }`.
pub(crate) fn show_message(message: &DynamicMessage) -> String {
    let shown: Vec<String> = message
        .fields()
        .map(|(field, value)| match (field.kind(), value) {
            (Kind::Enum(kind), Value::EnumNumber(number)) => {
                let name = kind
                    .get_value(*number)
                    .map_or_else(|| number.to_string(), |value| value.name().to_owned());
                format!("{} = {name}", field.name())
            }
            _ => format!("{} = {}", field.name(), show(value)),
        })
        .collect();
    if shown.is_empty() {
        format!("{} {{}}", message.descriptor().name())
    } else {
        format!("{{ {} }}", shown.join(", "))
    }
}

#[cfg(test)]
mod tests;
