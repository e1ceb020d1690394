//! What `$names` mean in a rule: fields of the frame, fields of the request that it answers, and what was bound.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, Value};

use crate::value::{Scope, Val, from_field};

/// The names of a rule: `$f.field` of the frame, `$r.field` of its request, what a matcher bound, and else a field of the frame.
pub(super) struct RuleScope<'a> {
    pub(super) frame: Option<&'a DynamicMessage>,
    pub(super) request: Option<&'a DynamicMessage>,
    pub(super) vars: HashMap<String, Val>,
}

impl Scope for RuleScope<'_> {
    fn lookup(&self, name: &str) -> Option<Val> {
        match name.split_once('.') {
            Some(("f", path)) => field(self.frame?, path),
            Some(("r", path)) => field(self.request?, path),
            _ => self
                .vars
                .get(name)
                .cloned()
                .or_else(|| field(self.frame?, name)),
        }
    }
}

/// The field at the end of a path of names; an item of a list by its index.
fn field(message: &DynamicMessage, path: &str) -> Option<Val> {
    let mut parts = path.split('.');
    let mut value: Value = message.get_field_by_name(parts.next()?)?.into_owned();
    for part in parts {
        value = match &value {
            Value::Message(inner) => inner.get_field_by_name(part)?.into_owned(),
            Value::List(items) => items.get(part.parse::<usize>().ok()?)?.clone(),
            _ => return None,
        };
    }
    match &value {
        Value::List(items) => items
            .iter()
            .map(from_field)
            .collect::<Option<_>>()
            .map(Val::List),
        value => from_field(value),
    }
}
