//! One rule: when it applies, and what it does.

use bytes::Bytes;
use prost::Message as _;
use tidewire_codec::{Flags, FrameType, Kind, RawFrame};

use super::Side;
use super::edit::{Edits, bytes, frame_type};
use super::pattern::{Pattern, Seen, flags, side};
use crate::body::Body;
use crate::names;
use crate::tree::{Data, Fault, Fields, Node};
use crate::value::{Expr, Scope, bytes_expr};

/// A rule of a tap.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) line: usize,
    pub(super) on: On,
    pub(super) reply_to: Option<Pattern>,
    pub(super) after: Vec<After>,
    pub(super) actor: Option<String>,
    /// The first match that counts, from 1.
    pub(super) first: usize,
    /// The last match that counts.
    pub(super) last: usize,
    /// Matches are counted over all connections of a case together.
    pub(super) per_case: bool,
    /// Later rules look at the frame, too.
    pub(super) go_on: bool,
    pub(super) action: Action,
}

/// What a rule waits for.
#[derive(Clone, Debug)]
pub(super) enum On {
    Frame(Pattern),
    Preface(Side),
    /// This side ends the connection.
    Close(Side),
    /// What this side says of the subprotocol when WebSocket is opened.
    Upgrade(Side),
}

/// What has to have happened before.
#[derive(Clone, Debug)]
pub(super) enum After {
    Restart,
    Clock,
    Reconnect,
    Login,
    Frame {
        pattern: Pattern,
        /// On any connection of the case.
        anywhere: bool,
    },
}

/// What is done with the frame.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Drop,
    /// More of the same, changed if there is something to change.
    Repeat(usize, Edits),
    /// Until so many later frames of the same side have passed.
    Delay(usize),
    Change(Edits),
    /// Instead of being forwarded, the request gets this reply.
    Answer(Made),
    Before(Made),
    Behind(Made),
    Back(Made),
    /// The other connections of the case get a copy, or this.
    Leak(Option<Made>),
    Close,
    CloseAfter,
    /// Only so many bytes of the frame go, then both sides are cut off.
    Cut(usize),
    /// Other bytes instead of the preface.
    Bytes(Expr),
    /// Whoever wants to upgrade may.
    Agree,
}

/// A frame that a rule makes.
#[derive(Clone, Debug)]
pub(super) struct Made {
    frame_type: FrameType,
    body: Option<Body>,
    raw_body: Option<Expr>,
    extra: Option<Expr>,
    flags: Option<Flags>,
    reference: Option<u32>,
}

/// The `ref` of a request that a rule makes, far from what anybody counts up to.
const MADE_REF: u32 = 0x7fff_0001;

impl Rule {
    /// Reads a table.
    pub(super) fn parse(node: Node) -> Result<Rule, Fault> {
        let mut table = node.fields()?;
        let line = table.line;
        let on = table.need("on")?;
        let on = match &on.data {
            Data::Text(text) if text == "preface" => On::Preface(side(table.need("from")?)?),
            Data::Text(text) if text == "close" => On::Close(side(table.need("from")?)?),
            Data::Text(text) if text == "upgrade" => On::Upgrade(side(table.need("from")?)?),
            _ => On::Frame(Pattern::parse(on, &mut table)?),
        };
        let reply_to = table
            .take("reply_to")
            .map(|node| Pattern::whole(node, "`reply_to`"))
            .transpose()?;
        let after = table.take("after").map_or(Ok(Vec::new()), afters)?;
        let actor = table.take("actor").map(Node::text).transpose()?;
        let (first, last) = counts(&mut table)?;
        let per_case = match table.take("per") {
            None => false,
            Some(node) => match node.text()?.as_str() {
                "connection" => false,
                "case" => true,
                other => return Err(Fault::new(line, format!("`per` is case, not {other:?}"))),
            },
        };
        let go_on = table.take("go_on").map_or(Ok(false), Node::boolean)?;
        let action = action(&on, &mut table)?;
        table.finish("a rule")?;
        Ok(Rule {
            line,
            on,
            reply_to,
            after,
            actor,
            first,
            last,
            per_case,
            go_on,
            action,
        })
    }
}

/// Which matches count: the first and the last of them, from 1.
pub(crate) fn counts(table: &mut Fields) -> Result<(usize, usize), Fault> {
    let line = table.line;
    let mut count = |key: &str| -> Result<Option<usize>, Fault> {
        let found = table.take(key).map(Node::size).transpose()?;
        match found {
            Some(0) => Err(Fault::new(line, format!("`{key}` counts from 1"))),
            found => Ok(found),
        }
    };
    match (count("nth")?, count("from_nth")?, count("times")?) {
        (Some(nth), None, None) => Ok((nth, nth)),
        (None, first, times) => {
            let first = first.unwrap_or(1);
            let last = times.map_or(usize::MAX, |times| first.saturating_add(times - 1));
            Ok((first, last))
        }
        (Some(_), _, _) => Err(Fault::new(line, "`nth` excludes `from_nth` and `times`")),
    }
}

fn afters(node: Node) -> Result<Vec<After>, Fault> {
    match node.data {
        Data::List(items) => items.into_iter().map(after).collect(),
        _ => after(node).map(|one| vec![one]),
    }
}

fn after(node: Node) -> Result<After, Fault> {
    let line = node.line;
    let Data::Text(text) = &node.data else {
        let mut table = node.fields()?;
        let anywhere = table.take("anywhere").map_or(Ok(false), Node::boolean)?;
        let on = table.need("on")?;
        let pattern = Pattern::parse(on, &mut table)?;
        table.finish("`after`")?;
        return Ok(After::Frame { pattern, anywhere });
    };
    match text.as_str() {
        "restart" => Ok(After::Restart),
        "clock" => Ok(After::Clock),
        "reconnect" => Ok(After::Reconnect),
        "login" => Ok(After::Login),
        other => Err(Fault::new(
            line,
            format!("`after` is restart, clock, reconnect, login or a frame, not {other:?}"),
        )),
    }
}

fn action(on: &On, table: &mut Fields) -> Result<Action, Fault> {
    let node = table.need("do")?;
    let line = node.line;
    let verb = node.text()?;
    let bad = |what: &str| Err(Fault::new(line, format!("`{verb}` {what}")));
    let pattern = match on {
        On::Frame(pattern) => pattern,
        On::Preface(_) => {
            return match verb.as_str() {
                "drop" => Ok(Action::Drop),
                "close" => Ok(Action::Close),
                "change" => bytes_expr(table.need("raw")?).map(Action::Bytes),
                _ => bad("cannot be done with a preface: drop, close, or change with `raw`"),
            };
        }
        On::Upgrade(from) => {
            return match (verb.as_str(), from) {
                ("drop", _) => Ok(Action::Drop),
                ("answer", Side::Server) => Ok(Action::Agree),
                _ => {
                    bad("cannot be done with an upgrade: drop, or answer where it is the server's")
                }
            };
        }
        On::Close(_) => {
            return match verb.as_str() {
                "drop" => Ok(Action::Drop),
                "insert-before" => made(table).map(Action::Before),
                _ => bad("cannot be done with a close: drop or insert-before"),
            };
        }
    };
    let count = |table: &mut Fields, key: &str| table.take(key).map_or(Ok(1), Node::size);
    Ok(match verb.as_str() {
        "drop" => Action::Drop,
        "repeat" => {
            let copies = count(table, "copies")?;
            Action::Repeat(copies, Edits::parse(pattern, table)?)
        }
        "delay" => Action::Delay(count(table, "frames")?),
        "change" => {
            let edits = Edits::parse(pattern, table)?;
            if edits.is_empty() {
                return bad("changes nothing");
            }
            Action::Change(edits)
        }
        "answer" if !pattern.can_come_from(Side::Server) => Action::Answer(made(table)?),
        "answer" => return bad("is for what a client asks"),
        "insert" => Action::Behind(made(table)?),
        "insert-before" => Action::Before(made(table)?),
        "insert-back" => Action::Back(made(table)?),
        "leak" if table.has("frame") => Action::Leak(Some(made(table)?)),
        "leak" => Action::Leak(None),
        "close" => Action::Close,
        "close-after" => Action::CloseAfter,
        "cut" => Action::Cut(table.need("at")?.size()?),
        _ => return bad("is nothing that a rule does"),
    })
}

fn made(table: &mut Fields) -> Result<Made, Fault> {
    let mut fields = table.need("frame")?.fields()?;
    let line = fields.line;
    let frame_type = frame_type(fields.need("type")?)?;
    let body = match fields.take("body") {
        None => None,
        Some(node) => {
            let message = names::message_of(frame_type).ok_or_else(|| {
                Fault::new(line, format!("{frame_type} has no fields that are known"))
            })?;
            Some(Body::parse(message, node.fields()?)?)
        }
    };
    let reference = fields.take("ref").map(Node::int).transpose()?;
    let reference = reference
        .map(u32::try_from)
        .transpose()
        .map_err(|_| Fault::new(line, "`ref` has 32 bits"))?;
    let made = Made {
        frame_type,
        body,
        raw_body: fields.take("raw_body").map(bytes_expr).transpose()?,
        extra: fields.take("extra").map(bytes_expr).transpose()?,
        flags: fields.take("flags").map(flags).transpose()?,
        reference,
    };
    fields.finish("a frame")?;
    if made.body.is_some() && made.raw_body.is_some() {
        return Err(Fault::new(line, "`body` and `raw_body` exclude each other"));
    }
    Ok(made)
}

impl Made {
    /// The frame. What is not said follows from the type: a reply answers what the rule matched.
    pub(super) fn build(
        &self,
        matched: Option<&Seen>,
        scope: &dyn Scope,
    ) -> Result<RawFrame, String> {
        let info = self.frame_type.info();
        let mut body = match (&self.body, &self.raw_body) {
            (Some(body), _) => body.build(scope)?.encode_to_vec(),
            (None, Some(raw)) => bytes(raw, scope)?.to_vec(),
            (None, None) => Vec::new(),
        };
        if let Some(extra) = &self.extra {
            body.extend_from_slice(&bytes(extra, scope)?);
        }
        let (default_flags, default_ref) = match info.map(|info| info.kind) {
            Some(Kind::Reply) => (
                Flags::REPLY,
                matched.map_or(0, |matched| matched.frame.reference),
            ),
            Some(Kind::Request) => (Flags::NONE, MADE_REF),
            Some(Kind::Event) if info.is_some_and(|info| info.logged) => (Flags::LOGGED, 0),
            Some(Kind::Event) | None => (Flags::NONE, 0),
        };
        Ok(RawFrame {
            flags: self.flags.unwrap_or(default_flags),
            frame_type: self.frame_type,
            reference: self.reference.unwrap_or(default_ref),
            body: Bytes::from(body),
        })
    }
}
