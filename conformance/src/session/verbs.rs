//! Steps: each has one verb, and the keys that go with it.

use prost_reflect::MessageDescriptor;
use tidewire_codec::FrameType;

use super::client;
use super::expectation::{expect, expects, flags, frame};
use super::{
    Action, Actor, Admin, FaultSwitch, Known, Login, Parsed, Payload, SdkAction, Send, Step,
};
use crate::body::Body;
use crate::matcher::Matcher;
use crate::names;
use crate::tree::{Data, Fault, Fields, Node};
use crate::value::{Expr, Val, bytes_expr, untyped_expr, variable};

/// Who may act.
pub(super) struct Cast<'a> {
    pub(super) actors: &'a [Actor],
}

impl Cast<'_> {
    fn index(&self, node: Node) -> Parsed<usize> {
        let line = node.line;
        let name = node.text()?;
        let found = self.actors.iter().position(|actor| actor.name == name);
        found.ok_or_else(|| Fault::new(line, format!("no actor is called {name:?}")))
    }
}

const VERBS: [&str; 18] = [
    "connect",
    "login",
    "send",
    "expect",
    "error",
    "expect_set",
    "one_of",
    "quiet",
    "goaway",
    "closed",
    "raw",
    "reading",
    "cut",
    "close",
    "clock",
    "restart",
    "admin",
    "fault",
];

/// Reads one step.
pub(super) fn step(node: Node, cast: &Cast<'_>) -> Parsed<Step> {
    let line = node.line;
    let mut fields = node.fields()?;
    let actor = fields
        .take("actor")
        .map(|node| cast.index(node))
        .transpose()?;
    let proves = fields.take("proves").map_or(Ok(Vec::new()), Node::texts)?;
    if let Some(note) = fields.take("note") {
        note.text()?;
    }
    // `raw = true` is a key of `login` as well as a verb of its own.
    let is_key = |verb: &str| verb == "raw" && fields.has("login");
    let mut verbs = VERBS
        .iter()
        .chain(&client::VERBS)
        .filter(|verb| fields.has(verb) && !is_key(verb));
    let verb = match (verbs.next(), verbs.next()) {
        (Some(verb), None) => *verb,
        // `admin` steps have a key `bind` too, so this verb counts only where there is no other.
        (None, None) if fields.has("bind") => "bind",
        (None, None) => return Err(Fault::new(line, "a step without a verb")),
        (first, second) => {
            let names: Vec<&str> = first.into_iter().chain(second).copied().collect();
            return Err(Fault::new(
                line,
                format!("a step has one verb, and this has {}", names.join(" and ")),
            ));
        }
    };
    let is_sdk = actor
        .and_then(|actor| cast.actors.get(actor))
        .is_some_and(|actor| actor.testee);
    let is_allowed = match is_sdk {
        true => client::VERBS.contains(&verb) || client::SHARED.contains(&verb),
        false => !client::VERBS.contains(&verb),
    };
    if !is_allowed {
        let whom = if is_sdk {
            "an SDK"
        } else {
            "an actor of the runner"
        };
        return Err(Fault::new(line, format!("`{verb}` is not for {whom}")));
    }
    let needs_actor = !matches!(verb, "clock" | "restart" | "admin" | "fault" | "bind");
    if needs_actor != actor.is_some() && !(is_sdk && verb == "clock") {
        let problem = if needs_actor {
            "needs an `actor`"
        } else {
            "has no `actor`"
        };
        return Err(Fault::new(line, format!("`{verb}` {problem}")));
    }
    let value = fields.need(verb)?;
    let action = if is_sdk && (client::VERBS.contains(&verb) || verb == "clock") {
        Action::Sdk(client::action(verb, value, &mut fields)?)
    } else {
        action(verb, value, &mut fields, cast, is_sdk)?
    };
    fields.finish(&format!("a `{verb}` step"))?;
    let observes = match &action {
        Action::Expect { .. } | Action::ExpectSet(_) | Action::OneOf(_) => true,
        Action::Quiet | Action::Goaway(_) | Action::Closed | Action::Close => true,
        Action::Login(login) => !login.raw,
        // The upgrade to WebSocket is an answer; on a byte stream the server has said nothing yet.
        Action::Connect { .. } => true,
        Action::Restart { goaways, .. } => !goaways.is_empty(),
        // What an SDK sends has to pass the wire as it was asked for.
        Action::Send(send) => is_sdk && !send.offline,
        Action::Sdk(action) => matches!(
            action,
            SdkAction::Sees { .. }
                | SdkAction::SeesAny
                | SdkAction::SeesGrease
                | SdkAction::Unseen(_)
                | SdkAction::Event { .. }
                | SdkAction::NoEvent(_)
                | SdkAction::State(_)
        ),
        _ => false,
    };
    if !observes && !proves.is_empty() {
        return Err(Fault::new(
            line,
            format!("`{verb}` observes nothing: `proves` belongs on the step that sees it"),
        ));
    }
    Ok(Step {
        line,
        actor,
        proves,
        action,
    })
}

fn action(
    verb: &str,
    value: Node,
    fields: &mut Fields,
    cast: &Cast<'_>,
    is_sdk: bool,
) -> Parsed<Action> {
    let line = value.line;
    Ok(match verb {
        "connect" => {
            let mut how = value.fields()?;
            let preface = how.take("preface").map(bytes_expr).transpose()?;
            let subprotocol = how.take("subprotocol").map(Node::text).transpose()?;
            let refused = how.take("refused").map_or(Ok(false), Node::boolean)?;
            how.finish("connect")?;
            Action::Connect {
                preface,
                subprotocol,
                refused,
            }
        }
        "login" => Action::Login(login(value, fields, is_sdk)?),
        "send" => Action::Send(send(value, fields)?),
        "expect" | "error" => {
            let times = times(fields)?;
            Action::Expect {
                expect: expect(verb, value, fields)?,
                times,
            }
        }
        "expect_set" => Action::ExpectSet(expects(value)?),
        "one_of" => Action::OneOf(expects(value)?),
        "quiet" => value.only_true().map(|()| Action::Quiet)?,
        "goaway" => Action::Goaway(expect(verb, value, fields)?),
        "closed" => value.only_true().map(|()| Action::Closed)?,
        "raw" => {
            let split = fields.take("split").map(Node::size).transpose()?;
            let split = split.map(|split| at_least_one(split, line)).transpose()?;
            let text = fields.take("text").map_or(Ok(false), Node::boolean)?;
            Action::Raw {
                bytes: bytes_expr(value)?,
                split,
                text,
            }
        }
        "reading" => Action::Reading(value.boolean()?),
        "cut" => value.only_true().map(|()| Action::Cut)?,
        "close" => value.only_true().map(|()| Action::Close)?,
        "clock" => Action::Clock(duration(value)?),
        "restart" => {
            let graceful = match value.text()?.as_str() {
                "crash" => false,
                "graceful" => true,
                other => return Err(Fault::new(line, format!("unknown restart {other:?}"))),
            };
            let goaways = fields.take("goaways").map_or(Ok(Vec::new()), Node::list)?;
            let goaways = goaways
                .into_iter()
                .map(|node| cast.index(node))
                .collect::<Parsed<Vec<_>>>()?;
            if !graceful && !goaways.is_empty() {
                return Err(Fault::new(line, "nobody says goodbye in a crash"));
            }
            let down_ms = fields.take("down").map(duration).transpose()?;
            Action::Restart {
                graceful,
                goaways,
                down_ms,
            }
        }
        "admin" => Action::Admin(admin(&value.text()?, line, fields)?),
        "fault" => Action::Fault(fault(value)?),
        _ => {
            let binds = value.fields()?.entries.into_iter();
            Action::Bind(
                binds
                    .map(|entry| Ok((entry.key, untyped_expr(entry.node)?)))
                    .collect::<Parsed<_>>()?,
            )
        }
    })
}

/// The number of times where a step says nothing.
pub(crate) const ONCE: Expr = Expr::Literal(Val::Int(1));

pub(super) fn times(fields: &mut Fields) -> Parsed<Expr> {
    let Some(node) = fields.take("times") else {
        return Ok(ONCE);
    };
    let line = node.line;
    match untyped_expr(node)? {
        Expr::Literal(Val::Int(times)) if times > 0 => Ok(Expr::Literal(Val::Int(times))),
        variable @ Expr::Var { .. } => Ok(variable),
        _ => Err(Fault::new(line, "`times` is a number above 0")),
    }
}

fn fault(value: Node) -> Parsed<FaultSwitch> {
    let line = value.line;
    let mut faults = value.fields()?;
    let bound = |node: Node| -> Parsed<Option<u64>> {
        match node.data {
            Data::Text(text) if text == "default" => Ok(None),
            Data::Int(bound) => u64::try_from(bound)
                .map(Some)
                .map_err(|_| Fault::new(line, format!("{bound} is no bound"))),
            other => Err(Fault::new(
                line,
                format!("a bound is a number or \"default\", found {other}"),
            )),
        }
    };
    let switch = if let Some(node) = faults.take("store_full") {
        FaultSwitch::StoreFull(node.boolean()?)
    } else if let Some(node) = faults.take("max_inbox") {
        FaultSwitch::MaxInbox(bound(node)?)
    } else if let Some(node) = faults.take("max_group_members") {
        FaultSwitch::MaxGroupMembers(bound(node)?)
    } else {
        return Err(Fault::new(
            line,
            "a fault is store_full, max_inbox or max_group_members",
        ));
    };
    faults.finish("a fault")?;
    Ok(switch)
}

fn at_least_one(number: usize, line: usize) -> Parsed<usize> {
    if number == 0 {
        Err(Fault::new(line, "0 of something is not a step"))
    } else {
        Ok(number)
    }
}

fn message(frame: FrameType, line: usize) -> Parsed<MessageDescriptor> {
    names::message_of(frame)
        .ok_or_else(|| Fault::new(line, format!("{frame} has no fields that are known here")))
}

fn login(value: Node, fields: &mut Fields, is_sdk: bool) -> Parsed<Login> {
    let line = value.line;
    let mut absent = Vec::new();
    let mut table = value.fields()?;
    table.entries.retain(|entry| {
        let left_out = matches!(&entry.node.data, Data::Text(text) if text == "absent");
        if left_out {
            absent.push(entry.key.clone());
        }
        !left_out
    });
    let message = message(FrameType::LOGIN, line)?;
    for name in &absent {
        crate::body::field(&message, name, line)?;
    }
    // What an SDK sends in LOGIN is its own affair; a case says what it has to hold.
    let mut seen = None;
    if is_sdk {
        let asked = std::mem::take(&mut table.entries);
        seen = Some(Matcher::parse(
            &message,
            Fields {
                line,
                entries: asked,
            },
        )?);
    }
    let body = Body::parse(message, table)?;
    let ok = fields.take("ok").map(Node::fields).transpose()?;
    let ok = match ok {
        Some(table) => Some(Matcher::parse(
            &self::message(FrameType::LOGIN_OK, line)?,
            table,
        )?),
        None => None,
    };
    let raw = fields.take("raw").map_or(Ok(false), Node::boolean)?;
    let synced = fields.take("synced").map_or(Ok(true), Node::boolean)?;
    if raw && ok.is_some() {
        return Err(Fault::new(
            line,
            "`raw` stops after LOGIN: what LOGIN_OK holds is for a later step",
        ));
    }
    let name = fields.take("as").map(Node::text).transpose()?;
    Ok(Login {
        body,
        absent,
        ok,
        synced,
        raw,
        seen,
        name,
    })
}

pub(super) fn send(value: Node, fields: &mut Fields) -> Parsed<Send> {
    let line = value.line;
    let frame = frame(value)?;
    let message = |line| match &frame {
        Known::Now(frame) => message(*frame, line),
        Known::Later(_) => Err(Fault::new(
            line,
            "only `raw_body` goes with a type that is not known yet",
        )),
    };
    let body = match (fields.take("body"), fields.take("raw_body")) {
        (Some(_), Some(_)) => {
            return Err(Fault::new(line, "`body` and `raw_body` exclude each other"));
        }
        (Some(body), None) => Payload::Fields(Body::parse(message(line)?, body.fields()?)?),
        (None, Some(raw)) => Payload::Raw(bytes_expr(raw)?),
        (None, None) => Payload::Empty,
    };
    let times = times(fields)?;
    Ok(Send {
        frame,
        body,
        extra: fields.take("extra").map(bytes_expr).transpose()?,
        flags: fields.take("flags").map(flags).transpose()?,
        reference: fields.take("ref").map(untyped_expr).transpose()?,
        name: fields.take("as").map(Node::text).transpose()?,
        times,
        offline: fields.take("offline").map_or(Ok(false), Node::boolean)?,
    })
}

fn admin(verb: &str, line: usize, fields: &mut Fields) -> Parsed<Admin> {
    let bind = |fields: &mut Fields| fields.take("bind").map(Node::text).transpose();
    Ok(match verb {
        "new-token" => {
            let ttl_ms = fields.take("ttl_ms").map(untyped_expr).transpose()?;
            Admin::NewToken {
                user: fields.need("user")?.text()?,
                ttl_ms,
                bind: bind(fields)?,
            }
        }
        "revoke-token" => Admin::RevokeToken {
            token: untyped_expr(fields.need("token")?)?,
        },
        "delete-user" => Admin::DeleteUser {
            user: fields.need("user")?.text()?,
        },
        "new-user" => Admin::NewUser {
            user: fields.need("user")?.text()?,
            bind: bind(fields)?,
        },
        "new-users" => {
            let count = untyped_expr(fields.need("count")?)?;
            Admin::NewUsers {
                count,
                bind: fields.need("bind")?.text()?,
            }
        }
        _ => return Err(Fault::new(line, format!("unknown admin verb {verb:?}"))),
    })
}

/// `30d`, `1h30m`, `250ms`, or a variable that counts milliseconds: as milliseconds.
pub(super) fn duration(node: Node) -> Parsed<Expr> {
    let line = node.line;
    let text = node.text()?;
    match variable(&text, line)? {
        Some(variable) => Ok(variable),
        None => written_duration(&text, line).map(|ms| Expr::Literal(Val::Int(i128::from(ms)))),
    }
}

fn written_duration(text: &str, line: usize) -> Parsed<u64> {
    let bad = || Fault::new(line, format!("{text:?} is no duration such as 1h30m"));
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|sign: char| !sign.is_ascii_digit())
            .ok_or_else(bad)?;
        let (number, after) = rest.split_at(digits);
        let unit_len = after
            .find(|sign: char| sign.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        total = number
            .checked_mul(unit_ms)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(bad)?;
        rest = after;
    }
    if total == 0 { Err(bad()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::written_duration as duration;

    #[test]
    fn durations_add_up() {
        assert_eq!(duration("30d", 1).unwrap(), 2_592_000_000);
        assert_eq!(duration("1h30m", 1).unwrap(), 5_400_000);
        assert_eq!(duration("250ms", 1).unwrap(), 250);
        for text in ["", "5", "5x", "ms", "0s"] {
            assert!(duration(text, 1).is_err(), "{text}");
        }
    }
}
