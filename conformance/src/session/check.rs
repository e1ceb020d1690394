//! What a file has to keep beside its grammar: names that exist, variables that have a value, twins, requirements.

use std::collections::{BTreeMap, BTreeSet};

use super::client::variables;
use super::{
    Action, Admin, Expect, Known, Login, Need, Payload, SdkAction, Send, Session, Step, Sweep,
};
use crate::matcher::{Matcher, Use};
use crate::spec::Requirements;
use crate::tree::Fault;
use crate::value::Expr;
use tidewire_codec::FrameType;

/// Everything that is wrong with this case, given the others.
pub(super) fn check(
    session: &Session,
    all: &BTreeMap<String, Session>,
    requirements: &Requirements,
) -> Vec<Fault> {
    let mut checker = Checker {
        session,
        names: BTreeSet::new(),
        sends: Vec::new(),
        faults: Vec::new(),
    };
    checker.head(all);
    if let Some(Sweep::Values(_)) = session.sweep {
        checker.names.insert("sweep".to_owned());
    }
    for step in &session.steps {
        checker.step(step);
        for id in step.proofs() {
            match requirements.get(id) {
                None => checker.fault(step.line, format!("there is no requirement {id}")),
                Some(found) if !found.is_of(session.role) => {
                    let whose = &found.role;
                    checker.fault(
                        step.line,
                        format!("{id} is the {whose}'s: this case cannot prove it"),
                    );
                }
                Some(_) => {}
            }
        }
    }
    checker.faults
}

/// True if following the twins does not end.
fn comes_back(session: &Session, all: &BTreeMap<String, Session>) -> bool {
    let mut next = session.twin.as_ref();
    for _ in 0..=all.len() {
        match next {
            None => return false,
            Some(id) if *id == session.id => return true,
            Some(id) => next = all.get(id).and_then(|twin| twin.twin.as_ref()),
        }
    }
    true
}

struct Checker<'a> {
    session: &'a Session,
    /// Variables that have a value by now.
    names: BTreeSet<String>,
    /// Actor and name of the requests so far.
    sends: Vec<(usize, &'a str)>,
    faults: Vec<Fault>,
}

impl<'a> Checker<'a> {
    fn fault(&mut self, line: usize, message: impl Into<String>) {
        self.faults.push(Fault::new(line, message));
    }

    fn head(&mut self, all: &BTreeMap<String, Session>) {
        let session = self.session;
        if !session.id.contains('/') || session.id.matches('/').count() > 1 {
            self.fault(1, "a case lies in the folder of its family");
        }
        match &session.twin {
            None if session.is_negative() => {
                self.fault(
                    1,
                    "a case whose last proof is an ERROR or a GOAWAY, or that spoils the wire, names its `twin`",
                );
            }
            Some(twin) => match all.get(twin) {
                None => self.fault(1, format!("there is no case {twin} to be the twin")),
                Some(_) if comes_back(session, all) => {
                    self.fault(1, "the twins of this case lead back to it")
                }
                Some(_) => {}
            },
            None => {}
        }
        let needs = |need: &Need| session.needs.contains(need);
        for step in &session.steps {
            let lacking = match &step.action {
                Action::Clock(_) if !needs(&Need::Clock) => "clock",
                Action::Restart {
                    down_ms: Some(_), ..
                } if !needs(&Need::Clock) => "clock",
                Action::Restart { .. } if !needs(&Need::Restart) => "restart",
                Action::Admin(_) if !needs(&Need::Provision) => "provision",
                Action::Fault(switch) if !needs(&Need::Fault(switch.name().to_owned())) => {
                    switch.name()
                }
                _ => continue,
            };
            self.fault(step.line, format!("`needs` does not name {lacking:?}"));
        }
    }

    fn step(&mut self, step: &'a Step) {
        let line = step.line;
        match &step.action {
            Action::Connect { preface, .. } => {
                preface.iter().for_each(|expr| self.read(expr, line))
            }
            Action::Login(login) => self.login(login, step),
            Action::Send(send) => {
                self.sent(send, line);
                if let (Some(name), Some(actor)) = (&send.name, step.actor) {
                    self.sends.push((actor, name));
                }
            }
            Action::Expect { expect, times } => {
                self.read(times, line);
                self.expect(expect, step);
            }
            Action::ExpectSet(all) | Action::OneOf(all) => {
                all.iter().for_each(|expect| self.expect(expect, step))
            }
            Action::Goaway(expect) => self.expect(expect, step),
            Action::Raw { bytes, .. } => self.read(bytes, line),
            Action::Clock(ms) => self.read(ms, line),
            Action::Restart { down_ms, .. } => {
                down_ms.iter().for_each(|expr| self.read(expr, line))
            }
            Action::Admin(admin) => self.admin(admin, line),
            Action::Bind(binds) => {
                for (name, expr) in binds {
                    self.read(expr, line);
                    self.define(name, line);
                }
            }
            Action::Sdk(action) => self.sdk(action, step),
            Action::Quiet
            | Action::Closed
            | Action::Reading(_)
            | Action::Cut
            | Action::Close
            | Action::Fault(_) => {}
        }
    }

    fn sent(&mut self, send: &'a Send, line: usize) {
        self.known(&send.frame, line);
        match &send.body {
            Payload::Empty => {}
            Payload::Fields(body) => body.visit(&mut |expr| self.read_in_send(expr, line, true)),
            Payload::Raw(expr) => self.read(expr, line),
        }
        [&send.extra, &send.reference, &send.flags]
            .into_iter()
            .flatten()
            .for_each(|expr| self.read(expr, line));
        self.read(&send.times, line);
    }

    fn sdk(&mut self, action: &'a SdkAction, step: &Step) {
        let line = step.line;
        match action {
            SdkAction::Open(arguments) | SdkAction::App { arguments, .. } => {
                arguments.iter().for_each(|(_, expr)| self.read(expr, line));
            }
            SdkAction::Sees {
                expect,
                times,
                name,
            } => {
                self.read(times, line);
                self.expect(expect, step);
                if let (Some(name), Some(actor)) = (name, step.actor) {
                    self.sends.push((actor, name));
                }
            }
            SdkAction::Inject { send, to, .. } => {
                self.sent(send, line);
                if let Some(actor) = step.actor {
                    self.is_answerable(to.as_deref(), actor, line);
                    self.sends
                        .extend(send.name.as_deref().map(|name| (actor, name)));
                }
            }
            SdkAction::Wire(rules) => {
                let mut used = Vec::new();
                for rule in rules {
                    variables(rule, &mut |name, line| used.push((name.to_owned(), line)));
                }
                for (name, line) in used {
                    if !self.is_known(&name, false) {
                        self.fault(line, format!("${name} has no value here"));
                    }
                }
            }
            SdkAction::Event { to, matcher, .. } => {
                if let Some(actor) = step.actor {
                    self.is_answerable(to.as_deref(), actor, line);
                }
                if let Some(matcher) = matcher {
                    self.matcher(matcher, line);
                }
            }
            SdkAction::State(matcher) => self.matcher(matcher, line),
            SdkAction::Clock { ms, times } => {
                self.read(ms, line);
                self.read(times, line);
            }
            SdkAction::Unseen(_)
            | SdkAction::SeesAny
            | SdkAction::SeesGrease
            | SdkAction::Refuse(_)
            | SdkAction::NoEvent(_)
            | SdkAction::Crash => {}
        }
    }

    fn is_answerable(&mut self, to: Option<&str>, actor: usize, line: usize) {
        if let Some(to) = to
            && !self.sends.contains(&(actor, to))
        {
            self.fault(line, format!("nothing of this actor is named {to:?}"));
        }
    }

    fn login(&mut self, login: &'a Login, step: &Step) {
        login.body.visit(&mut |expr| self.read(expr, step.line));
        let Some(actor) = step.actor else { return };
        if let Some(name) = &login.name {
            self.sends.push((actor, name));
        }
        if let Some(matcher) = &login.seen {
            self.matcher(matcher, step.line);
        }
        if let Some(matcher) = &login.ok {
            self.matcher(matcher, step.line);
        }
        // After a raw login LOGIN_OK may come in a later step; its values are there from then on.
        if let Some(actor) = self.session.actors.get(actor) {
            for field in ["epoch", "head", "oldest", "max_frame", "keepalive"] {
                self.names.insert(format!("{}.{field}", actor.name));
            }
        }
    }

    fn expect(&mut self, expect: &'a Expect, step: &Step) {
        let line = expect.line;
        self.known(&expect.frame, line);
        if let Some(code) = &expect.code {
            self.known(code, line);
        }
        [&expect.reference, &expect.flags]
            .into_iter()
            .flatten()
            .for_each(|expr| self.read(expr, line));
        if let (Some(to), Some(actor)) = (&expect.to, step.actor)
            && !self.sends.contains(&(actor, to))
        {
            self.fault(
                line,
                format!("this actor sent nothing that is named {to:?}"),
            );
        }
        if let Some(matcher) = &expect.body {
            self.matcher(matcher, line);
        }
    }

    fn admin(&mut self, admin: &Admin, line: usize) {
        match admin {
            Admin::NewToken { ttl_ms, bind, .. } => {
                ttl_ms.iter().for_each(|expr| self.read(expr, line));
                bind.iter().for_each(|name| self.define(name, line));
            }
            Admin::RevokeToken { token } => self.read(token, line),
            Admin::DeleteUser { .. } => {}
            Admin::NewUser { user, bind } => {
                self.names.insert(format!("t.{user}"));
                bind.iter().for_each(|name| self.define(name, line));
            }
            Admin::NewUsers { count, bind } => {
                self.read(count, line);
                self.define(bind, line);
            }
        }
    }

    fn matcher(&mut self, matcher: &Matcher, line: usize) {
        let mut bound = Vec::new();
        let mut read = Vec::new();
        matcher.visit(&mut |found| match found {
            Use::Bind(name) => bound.push(name.to_owned()),
            Use::Read(expr) => read.push(expr.clone()),
        });
        bound.iter().for_each(|name| self.define(name, line));
        read.iter().for_each(|expr| self.read(expr, line));
    }

    fn define(&mut self, name: &str, line: usize) {
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.fault(
                line,
                format!("{name:?} is no name for a value: letters, digits and _ only"),
            );
        }
        self.names.insert(name.to_owned());
    }

    fn known<T>(&mut self, known: &Known<T>, line: usize) {
        if let Known::Later(expr) = known {
            self.read(expr, line);
        }
    }

    fn read(&mut self, expr: &Expr, line: usize) {
        self.read_in_send(expr, line, false);
    }

    fn read_in_send(&mut self, expr: &Expr, line: usize, many: bool) {
        let mut unknown = Vec::new();
        expr.visit(&mut |name| {
            if !self.is_known(name, many) {
                unknown.push(name.to_owned());
            }
        });
        for name in unknown {
            self.fault(line, format!("${name} has no value here"));
        }
    }

    fn is_known(&self, name: &str, many: bool) -> bool {
        let actors = &self.session.actors;
        match name.split_once('.') {
            Some(("u" | "new" | "g", alias)) => !alias.is_empty(),
            Some(("each", _)) => many,
            Some(("t", user)) => {
                actors.iter().any(|actor| actor.user == user) || self.names.contains(name)
            }
            Some(("d", device)) => actors
                .iter()
                .any(|actor| actor.name == device || actor.device == device),
            _ => self.names.contains(name),
        }
    }
}

impl Session {
    /// True if what the case shows last is an ERROR or a GOAWAY.
    fn is_negative(&self) -> bool {
        let is_spoilt = |step: &Step| match &step.action {
            Action::Cut => self.is_client(),
            Action::Sdk(action) => matches!(
                action,
                SdkAction::Inject { .. }
                    | SdkAction::Wire(_)
                    | SdkAction::Refuse(_)
                    | SdkAction::Crash
            ),
            _ => false,
        };
        if self.steps.iter().any(is_spoilt) {
            return true;
        }
        let is_error = |expect: &Expect| matches!(&expect.frame, Known::Now(frame) if matches!(*frame, FrameType::ERROR | FrameType::GOAWAY));
        let proofs = self
            .steps
            .iter()
            .filter(|step| step.proofs().next().is_some());
        let mut negative = false;
        for step in proofs {
            match &step.action {
                Action::Goaway(_) | Action::Closed => negative = true,
                Action::Expect { expect, .. } => negative = is_error(expect),
                Action::ExpectSet(all) | Action::OneOf(all) => negative = all.iter().any(is_error),
                Action::Login(_) => negative = false,
                _ => {}
            }
        }
        negative
    }
}
