//! Which actors of a case an SDK can play, and what its adapter has to be able to do for that.
//!
//! A case for servers has its actors do what no SDK lets its app do: raw bytes, odd fields of LOGIN, keys used twice.
//! What an SDK cannot do is known from the file alone, before anything is played.

use std::collections::BTreeSet;

use tidewire_codec::{Code, FrameType, Kind};

use crate::session::{Action, Expect, Known, Payload, SdkAction, Send, Session};
use crate::value::{Expr, Val};

/// What an SDK asks of the server is at most so much in one step.
const MAX_TIMES: i128 = 64;

/// The actors that an SDK can play.
pub(crate) fn bindable(session: &Session) -> Vec<usize> {
    if session.is_client() || session.is_sweep() {
        return Vec::new();
    }
    (0..session.actors.len())
        .filter(|actor| why_not(session, *actor).is_none())
        .collect()
}

/// Why no SDK can play this actor, if none can.
pub(crate) fn why_not(session: &Session, actor: usize) -> Option<&'static str> {
    let this = session.actors.get(actor)?;
    if this.transport.is_some() {
        return Some("its transport is part of the case");
    }
    let is_shared = |(index, other): (usize, &crate::session::Actor)| {
        index != actor && other.user == this.user && other.device == this.device
    };
    if session.actors.iter().enumerate().any(is_shared) {
        return Some("its device is on two connections");
    }
    let mut logins = 0;
    let mut acks: Vec<&Expr> = Vec::new();
    for step in session
        .steps
        .iter()
        .filter(|step| step.actor == Some(actor))
    {
        let problem = match &step.action {
            Action::Login(login) => {
                logins += 1;
                let is_odd = login.body.names().next().is_some() || !login.absent.is_empty();
                (is_odd || login.raw).then_some("its LOGIN is not an SDK's own")
            }
            Action::Send(send) if send.frame_type() == Some(FrameType::ACK) => {
                acks_rise(send, &mut acks)
            }
            Action::Send(send) => odd_send(session, send),
            Action::Expect { expect, .. } => odd_expect(expect),
            Action::ExpectSet(all) | Action::OneOf(all) => all.iter().find_map(odd_expect),
            Action::Quiet | Action::Goaway(_) | Action::Cut => None,
            _ => Some("an SDK does no such step"),
        };
        if problem.is_some() {
            return problem;
        }
    }
    match logins {
        0 => Some("it never logs in"),
        1 => None,
        // An SDK resumes where it stored, and not where a case says.
        _ => Some("it logs in more than once"),
    }
}

/// An SDK acknowledges positions that came, each once.
fn acks_rise<'a>(send: &'a Send, earlier: &mut Vec<&'a Expr>) -> Option<&'static str> {
    let Payload::Fields(body) = &send.body else {
        return Some("its ACK is raw");
    };
    match body.single("pos") {
        Some(pos @ Expr::Var { add: 0, .. }) if !earlier.contains(&pos) && is_plain(send) => {
            earlier.push(pos);
            None
        }
        _ => Some("its ACK is not an SDK's"),
    }
}

fn is_plain(send: &Send) -> bool {
    let is_few = matches!(&send.times, Expr::Literal(Val::Int(times)) if *times <= MAX_TIMES);
    is_few && send.flags.is_none() && send.reference.is_none() && send.extra.is_none()
}

fn odd_send(session: &Session, send: &Send) -> Option<&'static str> {
    let Some(frame_type) = send.frame_type() else {
        return Some("what it sends is known only while it is played");
    };
    let is_request = frame_type
        .info()
        .is_some_and(|info| info.kind == Kind::Request);
    if !is_request
        || matches!(
            frame_type,
            FrameType::PING | FrameType::LOGIN | FrameType::SYNC
        )
    {
        return Some("an SDK sends such a frame by itself, or never");
    }
    if !is_plain(send) {
        return Some("what it sends has flags, bytes or a ref of its own");
    }
    let body = match &send.body {
        Payload::Empty => return None,
        Payload::Fields(body) => body,
        Payload::Raw(_) => return Some("what it sends is raw"),
    };
    if body.names().any(|name| name == "requires") {
        return Some("what it sends requires features");
    }
    match body.single("idem") {
        None if frame_type == FrameType::SEND => Some("its SEND has no key"),
        None => None,
        Some(key) if is_fresh(session, key, send) => None,
        Some(_) => Some("a key is used twice, or is odd"),
    }
}

/// True if the key is new, and named once in the whole case.
fn is_fresh(session: &Session, key: &Expr, send: &Send) -> bool {
    let Expr::Var { name, add: 0 } = key else {
        return false;
    };
    let is_once = send.times == Expr::Literal(Val::Int(1));
    let is_new = name.starts_with("each.") || (is_once && name.starts_with("new."));
    if !is_new {
        return false;
    }
    let mut uses = 0;
    for step in &session.steps {
        if let Action::Send(send) = &step.action
            && let Payload::Fields(body) = &send.body
        {
            body.visit(&mut |expr| {
                expr.visit(&mut |used| uses += usize::from(used == name));
            });
        }
    }
    uses == 1
}

/// What an SDK may find by itself before it sends, and what it answers by trying again.
const UNSEEN: [Code; 6] = [
    Code::MALFORMED_BODY,
    Code::INVALID_FIELD,
    Code::TOO_MANY_ITEMS,
    Code::IDEM_CONFLICT,
    Code::CONTENT_TOO_LARGE,
    Code::UNSUPPORTED_FRAME,
];

fn odd_expect(expect: &Expect) -> Option<&'static str> {
    let Known::Now(frame_type) = &expect.frame else {
        return Some("what it gets is known only while it is played");
    };
    if expect.reference.is_some() {
        return Some("a ref is an SDK's own affair");
    }
    match (*frame_type, &expect.code) {
        (FrameType::PONG | FrameType::NOTICE | FrameType::PING, _) => {
            Some("an SDK does not show such a frame")
        }
        (FrameType::ERROR, Some(Known::Now(code))) => {
            let is_again = code.class().number() == 5;
            (UNSEEN.contains(code) || is_again).then_some("an SDK deals with such an error itself")
        }
        (FrameType::ERROR, _) => Some("the code is known only while it is played"),
        (frame_type, _) if frame_type.info().is_none() => Some("an SDK does not show such a frame"),
        _ => None,
    }
}

/// True if the case kills the SDK's process.
pub(crate) fn crashes(session: &Session) -> bool {
    let is_crash =
        |step: &crate::session::Step| matches!(step.action, Action::Sdk(SdkAction::Crash));
    session.steps.iter().any(is_crash)
}

/// The ops that playing these actors takes.
pub(crate) fn ops(session: &Session, bound: &[usize]) -> BTreeSet<String> {
    let mut ops: BTreeSet<String> = ["open", "close", "fence"].map(str::to_owned).into();
    let mut add = |op: &str| ops.insert(op.to_owned());
    for step in &session.steps {
        let Some(actor) = step.actor else { continue };
        if !bound.contains(&actor) {
            continue;
        }
        match &step.action {
            Action::Send(send) => match send.frame_type() {
                Some(FrameType::SEND) => add("send"),
                Some(FrameType::ACK) => add("ack"),
                _ => add("request"),
            },
            Action::Sdk(SdkAction::State(_)) => add("state"),
            Action::Sdk(SdkAction::Clock { .. }) => add("clock"),
            Action::Sdk(SdkAction::App { op, .. }) => add(op),
            _ => continue,
        };
    }
    ops
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::path::Path;

    use super::*;
    use crate::session::Sessions;
    use crate::spec::Requirements;

    fn reason(steps: &str) -> Option<&'static str> {
        let text =
            format!("title = \"t\"\n[actors.a]\n[[step]]\nactor = \"a\"\nlogin = {{}}\n{steps}");
        let session = Sessions::parse("x/y", Path::new("x.toml"), &text).unwrap();
        why_not(&session, 0)
    }

    #[test]
    fn what_an_sdk_does_is_told_from_what_it_does_not() {
        let send = |body: &str| {
            format!(
                "[[step]]\nactor = \"a\"\nsend = \"SEND\"\nbody = {{ to_user = \"b\", delivery = \"STORE\"{body} }}\n"
            )
        };
        let plain = send(", idem = \"$new.k\"");
        assert_eq!(reason(&plain), None);
        assert_eq!(
            reason(&format!("{plain}{plain}")),
            Some("a key is used twice, or is odd")
        );
        assert_eq!(reason(&send("")), Some("its SEND has no key"));
        assert!(reason("[[step]]\nactor = \"a\"\nraw = \"hex:00\"\n").is_some());
        assert!(reason("[[step]]\nactor = \"a\"\nlogin = {}\n").is_some());
        assert!(reason("[[step]]\nactor = \"a\"\nerror = \"STORE_FULL\"\n").is_some());
        assert!(reason("[[step]]\nactor = \"a\"\nerror = \"UNKNOWN_USER\"\n").is_none());
    }

    #[test]
    fn many_cases_have_an_actor_that_an_sdk_can_play() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let requirements = Requirements::read(&root.join("spec")).unwrap();
        let sessions = Sessions::read(&root.join("fixtures"), &requirements).unwrap();
        let found = sessions
            .iter()
            .filter(|session| !bindable(session).is_empty())
            .count();
        assert!(found > 100, "{found} of {}", sessions.len());
    }
}
