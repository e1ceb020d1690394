//! From the tree of a file to a [`Session`]: the head, the actors, the sweep. Steps are read by [`super::verbs`].

use std::path::Path;

use super::verbs::{Cast, ONCE, step};
use super::{Actor, Need, Outcome, Parsed, Session, Step, Sweep, Transport};
use crate::adapter::Role;
use crate::names;
use crate::session::Action;
use crate::tree::{self, Fault, Fields, Node};
use crate::value::{Expr, Val, untyped_expr};

/// Reads one file.
pub(super) fn session(id: &str, path: &Path, text: &str) -> Parsed<Session> {
    let mut head = tree::parse(text)?;
    let title = head.need("title")?;
    if head.has("steps") {
        return Err(Fault::new(head.line, "steps are written as [[step]]"));
    }
    let title_line = title.line;
    let title = title.text()?;
    if title.is_empty() || title.contains('\n') {
        return Err(Fault::new(title_line, "title is one line"));
    }
    let needs = head.take("needs").map_or(Ok(Vec::new()), Node::list)?;
    let needs = needs.into_iter().map(need).collect::<Parsed<_>>()?;
    let twin = head.take("twin").map(Node::text).transpose()?;
    let loose_end = head.take("loose_end").map_or(Ok(false), Node::boolean)?;
    if let Some(note) = head.take("note") {
        note.text()?;
    } else if loose_end {
        return Err(Fault::new(1, "loose_end needs a `note` that says why"));
    }
    let role = head.take("role").map_or(Ok(Role::Server), role)?;
    let actors = actors(head.need("actors")?)?;
    if actors.iter().any(|actor| actor.testee) != (role == Role::Client) {
        return Err(Fault::new(
            1,
            "the actors of a case with role client, and only they, are the testee",
        ));
    }
    let cast = Cast { actors: &actors };
    let nodes = head.need("step")?.list()?;
    let steps: Vec<Step> = nodes
        .into_iter()
        .map(|node| step(node, &cast))
        .collect::<Parsed<_>>()?;
    let sweep = head
        .take("sweep")
        .map(|node| sweep(node, &steps))
        .transpose()?;
    head.finish("a session file")?;
    Ok(Session {
        id: id.to_owned(),
        title,
        needs,
        twin,
        path: path.to_owned(),
        source: text.into(),
        role,
        actors,
        steps,
        sweep,
        loose_end,
    })
}

fn role(node: Node) -> Parsed<Role> {
    let line = node.line;
    match node.text()?.as_str() {
        "server" => Ok(Role::Server),
        "client" => Ok(Role::Client),
        other => Err(Fault::new(line, format!("unknown role {other:?}"))),
    }
}

const FAULTS: [&str; 3] = ["store-full", "max-inbox", "max-group-members"];

fn need(node: Node) -> Parsed<Need> {
    let line = node.line;
    let text = node.text()?;
    let found = match text.split_once(':') {
        Some(("feature", name)) if tidewire_codec::Feature::from_name(name).is_some() => {
            Some(Need::Feature(name.to_owned()))
        }
        Some(("fault", name)) if FAULTS.contains(&name) => Some(Need::Fault(name.to_owned())),
        Some(("max-frame", bytes)) => bytes.parse().ok().map(Need::MaxFrame),
        Some(("transport", name)) => Transport::from_name(name).map(Need::Transport),
        None => match text.as_str() {
            "clock" => Some(Need::Clock),
            "restart" => Some(Need::Restart),
            "provision" => Some(Need::Provision),
            _ => None,
        },
        _ => None,
    };
    found.ok_or_else(|| Fault::new(line, format!("unknown need {text:?}")))
}

fn actors(node: Node) -> Parsed<Vec<Actor>> {
    let table = node.fields()?;
    let line = table.line;
    let mut actors = Vec::new();
    for entry in table.entries {
        let mut fields = entry.node.fields()?;
        let name = entry.key;
        if name.contains('.')
            || matches!(
                name.as_str(),
                "u" | "t" | "d" | "g" | "new" | "each" | "sweep"
            )
        {
            return Err(Fault::new(
                entry.line,
                format!("an actor cannot be called {name}"),
            ));
        }
        let text = |node: Option<Node>| node.map_or_else(|| Ok(name.clone()), Node::text);
        let user = text(fields.take("user"))?;
        let device = text(fields.take("device"))?;
        let transport = fields.take("transport").map(transport).transpose()?;
        let testee = fields.take("testee").map_or(Ok(false), Node::boolean)?;
        fields.finish("an actor")?;
        actors.push(Actor {
            name,
            user,
            device,
            transport,
            testee,
        });
    }
    if actors.is_empty() {
        Err(Fault::new(line, "no actor"))
    } else {
        Ok(actors)
    }
}

fn transport(node: Node) -> Parsed<Transport> {
    let line = node.line;
    let text = node.text()?;
    Transport::from_name(&text)
        .ok_or_else(|| Fault::new(line, format!("unknown transport {text:?}")))
}

fn sweep(node: Node, steps: &[Step]) -> Parsed<Sweep> {
    let line = node.line;
    let mut fields = node.fields()?;
    let kind = fields.need("kind")?.text()?;
    let target = |fields: &mut Fields| -> Parsed<usize> {
        let name = fields.need("step")?.text()?;
        let named = |step: &Step| match &step.action {
            Action::Send(send) => send.name.as_deref() == Some(name.as_str()) && send.times == ONCE,
            Action::Login(login) => login.name.as_deref() == Some(name.as_str()),
            _ => false,
        };
        steps
            .iter()
            .position(named)
            .ok_or_else(|| Fault::new(line, format!("no single send is named {name:?}")))
    };
    let sweep = match kind.as_str() {
        "split" => Sweep::Split {
            step: target(&mut fields)?,
        },
        "truncate" => Sweep::Truncate {
            step: target(&mut fields)?,
        },
        "bits" => {
            let step = target(&mut fields)?;
            let first = fields.need("first")?.size()?;
            let last = fields.need("last")?.size()?;
            // A header has ten bytes.
            if first > last || last >= 80 {
                return Err(Fault::new(
                    line,
                    "bits go from `first` to `last`, which is at most 79",
                ));
            }
            let allow = fields
                .need("allow")?
                .list()?
                .into_iter()
                .map(outcome)
                .collect::<Parsed<_>>()?;
            Sweep::Bits {
                step,
                first,
                last,
                allow,
            }
        }
        "values" => {
            let values = match fields.take("range") {
                Some(range) => numbers(range)?,
                None => fields
                    .need("values")?
                    .list()?
                    .into_iter()
                    .map(untyped_expr)
                    .collect::<Parsed<Vec<_>>>()?,
            };
            if values.is_empty() {
                return Err(Fault::new(line, "a sweep over no values"));
            }
            let mut variables = 0;
            values
                .iter()
                .for_each(|value| value.visit(&mut |_| variables += 1));
            if variables > 0 {
                return Err(Fault::new(line, "the values of a sweep are literals"));
            }
            Sweep::Values(values)
        }
        _ => return Err(Fault::new(line, format!("unknown kind of sweep {kind:?}"))),
    };
    fields.finish("a sweep")?;
    Ok(sweep)
}

/// `[first, last]` as every number from one to the other.
fn numbers(node: Node) -> Parsed<Vec<Expr>> {
    let line = node.line;
    let ends: Vec<i128> = node
        .list()?
        .into_iter()
        .map(Node::int)
        .collect::<Parsed<_>>()?;
    match ends[..] {
        [first, last] if first <= last && last - first < MAX_RANGE => Ok((first..=last)
            .map(|number| Expr::Literal(Val::Int(number)))
            .collect()),
        _ => Err(Fault::new(
            line,
            "a range has its first and its last number",
        )),
    }
}

/// More results than this are no case.
const MAX_RANGE: i128 = 10_000;

fn outcome(node: Node) -> Parsed<Outcome> {
    let line = node.line;
    let text = node.text()?;
    let bad = || {
        Fault::new(
            line,
            format!("{text:?} is neither FRAME, FRAME:CODE nor NOTHING"),
        )
    };
    match text.split_once(':') {
        None if text == "NOTHING" => Ok(Outcome::Nothing),
        None => names::frame_type(&text).map(Outcome::Frame).ok_or_else(bad),
        Some((frame, code)) => match (names::frame_type(frame), names::code(code)) {
            (Some(frame), Some(code)) => Ok(Outcome::Coded(frame, code)),
            _ => Err(bad()),
        },
    }
}
