//! The verbs of actors that are the SDK under test: what its app asks of it, what passes the wire, what it tells its app.

use tidewire_codec::FrameType;

use super::expectation::{expect, frame};
use super::verbs::{ONCE, duration, send, times};
use super::{Known, Parsed, SdkAction};
use crate::adapter::EVENTS;
use crate::matcher::Matcher;
use crate::names;
use crate::sdk::events;
use crate::tree::{Data, Entry, Fault, Fields, Node};
use crate::value::{Expr, untyped_expr};

/// The verbs that only such actors have.
pub(super) const VERBS: [&str; 11] = [
    "open", "sees", "unseen", "inject", "wire", "refuse", "event", "no_event", "state", "crash",
    "app",
];

/// The verbs that they share with actors of the runner.
pub(super) const SHARED: [&str; 13] = [
    "login",
    "send",
    "expect",
    "error",
    "expect_set",
    "one_of",
    "quiet",
    "goaway",
    "closed",
    "cut",
    "close",
    "clock",
    "reading",
];

/// Reads what such a step does.
pub(super) fn action(verb: &str, value: Node, fields: &mut Fields) -> Parsed<SdkAction> {
    let line = value.line;
    Ok(match verb {
        "open" => SdkAction::Open(arguments(value.fields()?)?),
        "sees" if is_text(&value, "*") => SdkAction::SeesAny,
        "sees" if is_text(&value, "grease") => SdkAction::SeesGrease,
        "sees" => {
            let times = times(fields)?;
            let name = fields.take("as").map(Node::text).transpose()?;
            SdkAction::Sees {
                expect: expect("expect", value, fields)?,
                times,
                name,
            }
        }
        "unseen" => SdkAction::Unseen(
            value
                .list()?
                .into_iter()
                .map(known_frame)
                .collect::<Parsed<_>>()?,
        ),
        "inject" => {
            let to = fields.take("to").map(Node::text).transpose()?;
            let close = match fields.take("then").map(Node::text).transpose()?.as_deref() {
                None => false,
                Some("close") => true,
                Some(other) => return Err(Fault::new(line, format!("unknown `then` {other:?}"))),
            };
            let send = send(value, fields)?;
            if send.times != ONCE {
                return Err(Fault::new(line, "`inject` is one frame: repeat the step"));
            }
            SdkAction::Inject { send, to, close }
        }
        "wire" => SdkAction::Wire(value.list()?),
        "refuse" => SdkAction::Refuse(value.boolean()?),
        "event" => event(value, fields)?,
        "no_event" => SdkAction::NoEvent(
            value
                .list()?
                .into_iter()
                .map(event_name)
                .collect::<Parsed<_>>()?,
        ),
        "state" => SdkAction::State(Matcher::parse(&known("state", line)?, value.fields()?)?),
        "clock" => SdkAction::Clock {
            ms: duration(value)?,
            times: times(fields)?,
        },
        "crash" => value.only_true().map(|()| SdkAction::Crash)?,
        "app" => {
            let op = value.text()?;
            let arguments = fields.take("with").map(Node::fields).transpose()?;
            let arguments = arguments.map_or(Ok(Vec::new()), self::arguments)?;
            SdkAction::App { op, arguments }
        }
        _ => return Err(Fault::new(line, format!("`{verb}` is not for an SDK"))),
    })
}

fn is_text(node: &Node, text: &str) -> bool {
    matches!(&node.data, Data::Text(found) if found == text)
}

/// Arguments of an op, as they are.
fn arguments(fields: Fields) -> Parsed<Vec<(String, Expr)>> {
    let read = |entry: Entry| Ok((entry.key, untyped_expr(entry.node)?));
    fields.entries.into_iter().map(read).collect()
}

fn known_frame(node: Node) -> Parsed<FrameType> {
    let line = node.line;
    match frame(node)? {
        Known::Now(frame_type) => Ok(frame_type),
        Known::Later(_) => Err(Fault::new(line, "a list of frames names them")),
    }
}

fn event_name(node: Node) -> Parsed<String> {
    let line = node.line;
    let name = node.text()?;
    if EVENTS.contains(&name.as_str()) {
        Ok(name)
    } else {
        Err(Fault::new(line, format!("there is no event {name:?}")))
    }
}

fn event(value: Node, fields: &mut Fields) -> Parsed<SdkAction> {
    let line = value.line;
    let name = event_name(value)?;
    let to = fields.take("to").map(Node::text).transpose()?;
    let frame_type = fields.take("type").map(known_frame).transpose()?;
    if frame_type.is_some() && !matches!(name.as_str(), "entry" | "reply") {
        return Err(Fault::new(line, format!("{name} has no type")));
    }
    let matcher = match fields.take("body") {
        None => None,
        Some(body) => {
            let message = match (name.as_str(), frame_type) {
                ("entry" | "reply", Some(frame_type)) => names::message_of(frame_type),
                ("entry" | "reply", None) => None,
                ("refused", _) => names::message_of(FrameType::ERROR),
                _ => events::descriptor(&name),
            };
            let message = message
                .ok_or_else(|| Fault::new(line, "a body goes with a `type` that is known"))?;
            Some(Matcher::parse(&message, body.fields()?)?)
        }
    };
    Ok(SdkAction::Event {
        name,
        to,
        frame_type,
        matcher,
    })
}

fn known(name: &str, line: usize) -> Parsed<prost_reflect::MessageDescriptor> {
    events::descriptor(name).ok_or_else(|| Fault::new(line, format!("{name} has no fields")))
}

/// The variables in rules of the tap: `$f.x` and `$r.x` are the tap's own.
pub(super) fn variables(node: &Node, visit: &mut dyn FnMut(&str, usize)) {
    match &node.data {
        Data::Text(text) => {
            if let Some(name) = text.strip_prefix('$')
                && !name.starts_with("f.")
                && !name.starts_with("r.")
            {
                visit(name.split(['+', '-']).next().unwrap_or(name), node.line);
            }
        }
        Data::List(items) => items.iter().for_each(|item| variables(item, visit)),
        Data::Table(entries) => entries
            .iter()
            .for_each(|entry| variables(&entry.node, visit)),
        Data::Int(_) | Data::Bool(_) => {}
    }
}
