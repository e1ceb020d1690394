//! The bytes that a case sends, as far as they are known without a server: names stand for themselves.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;
use tidewire_codec::{Flags, FrameType, Kind, RawFrame};

use crate::player::{login_message, payload};
use crate::session::{Action, Known, Session, Step, Sweep};
use crate::value::{Scope, Val};

/// What a step sends.
pub(super) enum Sample {
    /// One frame; of many, the first.
    Frame(RawFrame),
    /// Why it cannot be said beforehand.
    Unknown(String),
}

/// Walks through the steps, and knows what an earlier one decided.
pub(super) struct Samples<'a> {
    session: &'a Session,
    names: Names,
    /// The next `ref` of each actor.
    refs: Vec<u32>,
}

struct Names(HashMap<String, Val>);

impl<'a> Samples<'a> {
    pub(super) fn new(session: &'a Session) -> Samples<'a> {
        let mut names = Names(HashMap::new());
        if let Some(Sweep::Values(values)) = &session.sweep
            && let Some(value) = values.first().and_then(|value| value.eval(&names).ok())
        {
            names.0.insert("sweep".to_owned(), value);
        }
        Samples {
            session,
            names,
            refs: vec![1; session.actors.len()],
        }
    }

    /// What this step sends, if it sends a frame.
    pub(super) fn next(&mut self, step: &Step) -> Option<Sample> {
        match &step.action {
            Action::Bind(binds) => {
                for (name, expr) in binds {
                    if let Ok(value) = expr.eval(&self.names) {
                        self.names.0.insert(name.clone(), value);
                    }
                }
                None
            }
            Action::Connect { .. } | Action::Cut => {
                self.restart(step);
                None
            }
            Action::Restart { .. } => {
                self.refs.fill(1);
                None
            }
            Action::Login(login) => {
                let actor = self.session.actors.get(step.actor?)?;
                let reference = self.new_ref(step);
                let body = login_message(actor, login, &self.names, None);
                Some(self.frame(FrameType::LOGIN, Flags::NONE, reference, {
                    body.map(|body| body.encode_to_vec())
                }))
            }
            Action::Send(send) => {
                let Known::Now(frame_type) = send.frame else {
                    return Some(Sample::Unknown("its type is a variable".to_owned()));
                };
                let number = |expr: &crate::value::Expr| {
                    expr.eval_int(&self.names)
                        .map_err(|error| format!("its header: {error}"))
                };
                let flags = match send.flags.as_ref().map(number).transpose() {
                    Ok(flags) => Flags(u8::try_from(flags.unwrap_or_default()).unwrap_or_default()),
                    Err(why) => return Some(Sample::Unknown(why)),
                };
                let given = match send.reference.as_ref().map(number).transpose() {
                    Ok(given) => given.map(|given| u32::try_from(given).unwrap_or_default()),
                    Err(why) => return Some(Sample::Unknown(why)),
                };
                let asks = frame_type
                    .info()
                    .is_none_or(|info| info.kind == Kind::Request);
                let reference = match given {
                    Some(given) => given,
                    None if asks => self.new_ref(step),
                    None => 0,
                };
                let body = payload(send, &self.names);
                Some(self.frame(frame_type, flags, reference, body))
            }
            _ => None,
        }
    }

    fn frame(
        &self,
        frame_type: FrameType,
        flags: Flags,
        reference: u32,
        body: Result<Vec<u8>, String>,
    ) -> Sample {
        match body {
            Ok(body) => Sample::Frame(RawFrame {
                flags,
                frame_type,
                reference,
                body: body.into(),
            }),
            Err(why) => Sample::Unknown(why),
        }
    }

    fn new_ref(&mut self, step: &Step) -> u32 {
        let Some(next) = step.actor.and_then(|actor| self.refs.get_mut(actor)) else {
            return 0;
        };
        *next += 1;
        *next - 1
    }

    fn restart(&mut self, step: &Step) {
        if let Some(next) = step.actor.and_then(|actor| self.refs.get_mut(actor)) {
            *next = 1;
        }
    }
}

impl Scope for Names {
    fn lookup(&self, name: &str) -> Option<Val> {
        if let Some(value) = self.0.get(name) {
            return Some(value.clone());
        }
        let (kind, alias) = name.split_once('.')?;
        match kind {
            "u" | "g" => Some(Val::Text(alias.to_owned())),
            "t" => Some(Val::Bytes(Bytes::from(format!("token of {alias}")))),
            "d" | "new" | "each" => Some(Val::Bytes(sixteen(alias))),
            _ => None,
        }
    }
}

/// Sixteen bytes that show the name.
fn sixteen(name: &str) -> Bytes {
    name.bytes()
        .chain(std::iter::repeat(b'.'))
        .take(16)
        .collect()
}
