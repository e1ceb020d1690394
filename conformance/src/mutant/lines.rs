//! What a mutant of a client SDK does to the lines of its adapter: events that the app hears, and what it asks for.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::adapter::{Answer, EVENTS, Event};
use crate::tree::{Data, Fault, Fields, Node};

/// Rules on events and ops, in the order of the file: the first that matches decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    events: Vec<Rule>,
    ops: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    line: usize,
    /// Events or ops by name; all where it is empty.
    names: Vec<String>,
    wanted: Map<String, Value>,
    first: usize,
    last: usize,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Drop,
    /// Twice, the second time changed if there is something to change.
    Repeat(Map<String, Value>),
    Change(Map<String, Value>),
    /// Another event after it.
    Insert(String, Map<String, Value>),
    /// Of an op: what it answers, without the SDK being asked.
    Answer(Map<String, Value>),
    /// Of an op: these fields of the answer are others.
    ChangeAnswer(Map<String, Value>),
}

/// How often rules matched for one client.
#[derive(Debug, Default)]
pub(crate) struct LineCounts {
    events: HashMap<usize, usize>,
    ops: HashMap<usize, usize>,
}

/// What becomes of an op.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    /// The SDK is asked, with these arguments, and these fields of what it answers are others.
    Ask(Map<String, Value>, Map<String, Value>),
    /// It is not asked, and this is the answer.
    Answered(Answer),
}

impl Lines {
    /// Takes `[[event]]` and `[[op]]` out of a file.
    pub(super) fn parse(file: &mut Fields) -> Result<Lines, Fault> {
        let rules = |file: &mut Fields, key: &str, read: fn(Node) -> Result<Rule, Fault>| match file
            .take(key)
        {
            None => Ok(Vec::new()),
            Some(node) => node.list()?.into_iter().map(read).collect(),
        };
        Ok(Lines {
            events: rules(file, "event", event_rule)?,
            ops: rules(file, "op", op_rule)?,
        })
    }

    /// True if there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.ops.is_empty()
    }

    /// The line of the first rule, for faults.
    pub(super) fn line(&self) -> Option<usize> {
        self.events
            .iter()
            .chain(&self.ops)
            .map(|rule| rule.line)
            .next()
    }

    /// What the app hears in place of this event.
    pub(crate) fn hear(&self, counts: &mut LineCounts, event: Event) -> Vec<Event> {
        let Some(rule) = find(&self.events, &mut counts.events, &event.name, &event.fields) else {
            return vec![event];
        };
        let changed = |changes: &Map<String, Value>| {
            let mut changed = event.clone();
            merge(&mut changed.fields, changes);
            changed
        };
        match &rule.action {
            Action::Drop => Vec::new(),
            Action::Repeat(changes) => vec![event.clone(), changed(changes)],
            Action::Change(changes) => vec![changed(changes)],
            Action::Insert(name, fields) => {
                let other = Event {
                    name: name.clone(),
                    client: event.client.clone(),
                    fields: fields.clone(),
                };
                vec![event, other]
            }
            Action::Answer(_) | Action::ChangeAnswer(_) => vec![event],
        }
    }

    /// What becomes of this op.
    pub(crate) fn ask(
        &self,
        counts: &mut LineCounts,
        op: &str,
        mut arguments: Map<String, Value>,
    ) -> Asked {
        let Some(rule) = find(&self.ops, &mut counts.ops, op, &arguments) else {
            return Asked::Ask(arguments, Map::new());
        };
        match &rule.action {
            Action::Drop => Asked::Answered(Answer::Ok(Map::new())),
            Action::Answer(fields) => Asked::Answered(Answer::Ok(fields.clone())),
            Action::Change(changes) => {
                merge(&mut arguments, changes);
                Asked::Ask(arguments, Map::new())
            }
            Action::ChangeAnswer(changes) => Asked::Ask(arguments, changes.clone()),
            Action::Repeat(_) | Action::Insert(..) => Asked::Ask(arguments, Map::new()),
        }
    }
}

/// The rule that decides, once its match was counted.
fn find<'a>(
    rules: &'a [Rule],
    counts: &mut HashMap<usize, usize>,
    name: &str,
    fields: &Map<String, Value>,
) -> Option<&'a Rule> {
    let is_meant = |rule: &Rule| {
        (rule.names.is_empty() || rule.names.iter().any(|known| known == name))
            && rule
                .wanted
                .iter()
                .all(|(key, wanted)| fields.get(key).is_some_and(|found| holds(found, wanted)))
    };
    for (index, rule) in rules.iter().enumerate() {
        if is_meant(rule) {
            let count = counts.entry(index).or_default();
            *count += 1;
            if (rule.first..=rule.last).contains(count) {
                return Some(rule);
            }
        }
    }
    None
}

/// True if what was found is what was wanted; of an object only the fields that are named.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| found.get(key).is_some_and(|found| holds(found, wanted))),
        _ => found == wanted,
    }
}

/// Sets fields, those of objects one by one; `null` takes one out.
pub(crate) fn merge(into: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (key, change) in changes {
        match (into.get_mut(key), change) {
            (Some(Value::Object(inner)), Value::Object(changes)) => merge(inner, changes),
            _ => drop(into.insert(key.clone(), change.clone())),
        }
    }
}

fn event_rule(node: Node) -> Result<Rule, Fault> {
    let (mut table, mut rule) = common(node, "on")?;
    for name in &rule.names {
        if !EVENTS.contains(&name.as_str()) {
            return Err(Fault::new(rule.line, format!("unknown event {name:?}")));
        }
    }
    let verb = table.need("do")?;
    let line = verb.line;
    rule.action = match verb.text()?.as_str() {
        "drop" => Action::Drop,
        "repeat" => Action::Repeat(object(&mut table, "set")?),
        "change" => Action::Change(needed(&mut table, "set")?),
        "insert" => {
            let name = table.need("event")?.text()?;
            Action::Insert(name, object(&mut table, "fields")?)
        }
        other => {
            return Err(Fault::new(
                line,
                format!("`{other}` is nothing that is done with an event"),
            ));
        }
    };
    table.finish("a rule on events")?;
    Ok(rule)
}

fn op_rule(node: Node) -> Result<Rule, Fault> {
    let (mut table, mut rule) = common(node, "on")?;
    let verb = table.need("do")?;
    let line = verb.line;
    rule.action = match verb.text()?.as_str() {
        "drop" => Action::Drop,
        "change" => Action::Change(needed(&mut table, "set")?),
        "answer" => Action::Answer(needed(&mut table, "set")?),
        "change-answer" => Action::ChangeAnswer(needed(&mut table, "set")?),
        other => {
            return Err(Fault::new(
                line,
                format!("`{other}` is nothing that is done with an op"),
            ));
        }
    };
    table.finish("a rule on ops")?;
    Ok(rule)
}

/// What both kinds have; the action is still to be read.
fn common(node: Node, on: &str) -> Result<(Fields, Rule), Fault> {
    let mut table = node.fields()?;
    let line = table.line;
    let names = table.need(on)?;
    let names = match names.data {
        Data::Text(name) if name == "*" => Vec::new(),
        Data::Text(name) => vec![name],
        _ => names.texts()?,
    };
    let wanted = object(&mut table, "where")?;
    let (first, last) = crate::tap::counts(&mut table)?;
    let action = Action::Drop;
    let rule = Rule {
        line,
        names,
        wanted,
        first,
        last,
        action,
    };
    Ok((table, rule))
}

fn needed(table: &mut Fields, key: &str) -> Result<Map<String, Value>, Fault> {
    let line = table.line;
    let found = object(table, key)?;
    if found.is_empty() {
        return Err(Fault::new(line, format!("key `{key}` is missing")));
    }
    Ok(found)
}

fn object(table: &mut Fields, key: &str) -> Result<Map<String, Value>, Fault> {
    let Some(node) = table.take(key) else {
        return Ok(Map::new());
    };
    let line = node.line;
    match json(node) {
        Value::Object(fields) => Ok(fields),
        _ => Err(Fault::new(line, format!("`{key}` is a table"))),
    }
}

/// As JSON; integers that JSON readers may spoil are written as text in the files already.
fn json(node: Node) -> Value {
    match node.data {
        Data::Text(text) => Value::String(text),
        Data::Int(number) => match i64::try_from(number) {
            Ok(number) => number.into(),
            Err(_) => Value::String(number.to_string()),
        },
        Data::Bool(yes) => Value::Bool(yes),
        Data::List(items) => Value::Array(items.into_iter().map(json).collect()),
        Data::Table(entries) => Value::Object(
            entries
                .into_iter()
                .map(|entry| (entry.key, json(entry.node)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use serde_json::json;

    use super::*;

    fn lines(text: &str) -> Lines {
        Lines::parse(&mut crate::tree::parse(text).unwrap()).unwrap()
    }

    fn event(name: &str, fields: Value) -> Event {
        let Value::Object(fields) = fields else {
            unreachable!("fields are an object")
        };
        Event {
            name: name.to_owned(),
            client: "k1".to_owned(),
            fields,
        }
    }

    #[test]
    fn events_are_dropped_repeated_and_changed() {
        let lines = lines(
            r#"
            [[event]]
            on = "entry"
            where = { type = "MESSAGE", body = { from = "bob" } }
            nth = 2
            do = "drop"
            [[event]]
            on = "entry"
            do = "repeat"
            set = { body = { pos = "9" } }
            [[event]]
            on = "accepted"
            do = "insert"
            event = "missing"
            "#,
        );
        let mut counts = LineCounts::default();
        let entry = |pos: &str| {
            event(
                "entry",
                json!({ "type": "MESSAGE", "body": { "from": "bob", "pos": pos } }),
            )
        };
        assert_eq!(
            lines.hear(&mut counts, entry("1")),
            [entry("1"), entry("9")]
        );
        assert_eq!(lines.hear(&mut counts, entry("2")), []);
        let accepted = event("accepted", json!({ "message": "n1" }));
        assert_eq!(
            lines.hear(&mut counts, accepted.clone()),
            [accepted, event("missing", json!({}))]
        );
        let other = event("synced", json!({}));
        assert_eq!(lines.hear(&mut counts, other.clone()), [other]);
    }

    #[test]
    fn ops_are_answered_and_changed() {
        let lines = lines(
            r#"
            [[op]]
            on = "clock"
            do = "drop"
            [[op]]
            on = "state"
            do = "change-answer"
            set = { outbox = [] }
            [[op]]
            on = "open"
            do = "change"
            set = { seed = 1 }
            "#,
        );
        let mut counts = LineCounts::default();
        let clock = lines.ask(&mut counts, "clock", Map::new());
        assert_eq!(clock, Asked::Answered(Answer::Ok(Map::new())));
        let Asked::Ask(_, changes) = lines.ask(&mut counts, "state", Map::new()) else {
            unreachable!("the SDK is asked")
        };
        assert_eq!(Value::Object(changes), json!({ "outbox": [] }));
        let Asked::Ask(arguments, _) = lines.ask(&mut counts, "open", Map::new()) else {
            unreachable!("the SDK is asked")
        };
        assert_eq!(Value::Object(arguments), json!({ "seed": 1 }));
    }
}
