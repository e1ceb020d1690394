//! Frames that have to come: the keys of `expect`, `error`, `goaway`, and of the entries of `expect_set` and `one_of`.

use tidewire_codec::{Code, FrameType};

use super::{Expect, Heard, Known, Parsed};
use crate::matcher::Matcher;
use crate::names;
use crate::tree::{Data, Fault, Fields, Node};
use crate::value::{Expr, Val, untyped_expr, variable};

/// `expect = "TYPE"` or `error = "CODE"` with the keys beside it.
pub(super) fn expect(verb: &str, value: Node, fields: &mut Fields) -> Parsed<Expect> {
    let line = value.line;
    let (frame, code) = match verb {
        "error" => (Known::Now(FrameType::ERROR), Some(code(value)?)),
        "goaway" => (Known::Now(FrameType::GOAWAY), Some(code(value)?)),
        _ => (frame(value)?, None),
    };
    let body = matcher(fields, &frame)?;
    Ok(Expect {
        line,
        frame,
        code,
        to: fields.take("to").map(Node::text).transpose()?,
        reference: fields.take("ref").map(untyped_expr).transpose()?,
        flags: fields.take("flags").map(flags).transpose()?,
        body,
        exact: fields.take("exact").map_or(Ok(false), Node::boolean)?,
        heard: fields.take("silent").map_or(Ok(Heard::Now), heard)?,
        proves: Vec::new(),
    })
}

fn heard(node: Node) -> Parsed<Heard> {
    let line = node.line;
    match node.data {
        Data::Bool(true) => Ok(Heard::Never),
        Data::Text(text) if text == "for-now" => Ok(Heard::Later),
        other => Err(Fault::new(
            line,
            format!("`silent` is true or \"for-now\", found {other}"),
        )),
    }
}

/// The entries of `expect_set` and `one_of`.
pub(super) fn expects(value: Node) -> Parsed<Vec<Expect>> {
    let line = value.line;
    let mut found = Vec::new();
    for item in value.list()? {
        let item_line = item.line;
        let mut fields = item.fields()?;
        let proves = fields.take("proves").map_or(Ok(Vec::new()), Node::texts)?;
        let (verb, value) = match (fields.take("expect"), fields.take("error")) {
            (Some(value), None) => ("expect", value),
            (None, Some(value)) => ("error", value),
            _ => {
                return Err(Fault::new(
                    item_line,
                    "an entry has either `expect` or `error`",
                ));
            }
        };
        let expect = Expect {
            proves,
            ..expect(verb, value, &mut fields)?
        };
        if let Some(note) = fields.take("note") {
            note.text()?;
        }
        fields.finish("an entry")?;
        found.push(expect);
    }
    if found.is_empty() {
        Err(Fault::new(line, "an empty list of frames"))
    } else {
        Ok(found)
    }
}

/// A frame type: its name, its number, or a variable.
pub(super) fn frame(value: Node) -> Parsed<Known<FrameType>> {
    let line = value.line;
    let name = value.text()?;
    if let Some(variable) = variable(&name, line)? {
        return Ok(Known::Later(variable));
    }
    names::frame_type(&name)
        .map(Known::Now)
        .ok_or_else(|| Fault::new(line, format!("unknown frame {name:?}")))
}

/// A code: its name, its number, or a variable.
fn code(value: Node) -> Parsed<Known<Code>> {
    let line = value.line;
    let name = value.text()?;
    if let Some(variable) = variable(&name, line)? {
        return Ok(Known::Later(variable));
    }
    names::code(&name)
        .map(Known::Now)
        .ok_or_else(|| Fault::new(line, format!("unknown code {name:?}")))
}

/// The matcher in `body`, if there is one.
fn matcher(fields: &mut Fields, frame: &Known<FrameType>) -> Parsed<Option<Matcher>> {
    let Some(body) = fields.take("body") else {
        return Ok(None);
    };
    let message = match frame {
        Known::Now(frame) => names::message_of(*frame),
        Known::Later(_) => None,
    };
    let message = message.ok_or_else(|| {
        Fault::new(
            body.line,
            "a body without fields that are known here cannot be matched",
        )
    })?;
    Matcher::parse(&message, body.fields()?).map(Some)
}

/// Header flags: a list of names, the number, or a variable.
pub(super) fn flags(node: Node) -> Parsed<Expr> {
    let line = node.line;
    match node.data {
        Data::Int(0..=255) | Data::Text(_) => untyped_expr(node),
        Data::Int(_) => Err(Fault::new(line, "flags are one byte")),
        _ => node
            .texts()?
            .iter()
            .try_fold(0_u8, |bits, name| {
                names::flag(name)
                    .map(|bit| bits | bit)
                    .ok_or_else(|| Fault::new(line, format!("unknown flag {name:?}")))
            })
            .map(|bits| Expr::Literal(Val::Int(i128::from(bits)))),
    }
}
