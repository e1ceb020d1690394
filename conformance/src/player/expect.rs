//! Frames that have to come: reading the next one, what is let pass, and holding it against a step.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, Value};
use tidewire_codec::{Code, Flags, Frame, FrameType, Kind, RawFrame, limits};
use tokio::time::Instant;

use super::link::Refs;
use super::{Miss, Player};
use crate::ladder::Event;
use crate::matcher::{Binds, show_message};
use crate::names;
use crate::session::{Expect, Known};
use crate::transport::Incoming;
use crate::value::{Expr, Scope, Val};
use crate::verdict::FailureClass;

/// What came when a frame was waited for.
#[derive(Clone, Debug)]
pub(super) enum Came {
    Frame(RawFrame),
    Closed,
    Nothing,
}

impl Player<'_> {
    /// The next thing on this connection that is not tolerated everywhere. `wanted` types are never let pass.
    pub(super) async fn next(
        &mut self,
        actor: usize,
        wanted: &[FrameType],
        deadline: Instant,
    ) -> Result<Came, Miss> {
        loop {
            let Some(Some(link)) = self.links.get_mut(actor) else {
                return Err(Miss::new(
                    FailureClass::Harness,
                    "a frame",
                    "this actor has no connection",
                ));
            };
            let frame = match link.connection.receive(deadline).await {
                Incoming::Nothing => return Ok(Came::Nothing),
                Incoming::Closed => {
                    self.note(Some(actor), "the server closed");
                    self.drop_link(actor);
                    return Ok(Came::Closed);
                }
                Incoming::Broken(what) => {
                    self.note(Some(actor), what.clone());
                    self.drop_link(actor);
                    return Err(Miss::new(
                        FailureClass::BrokenFraming,
                        "whole frames within the limit",
                        what,
                    ));
                }
                Incoming::Frame(frame) => frame,
            };
            self.ladder.push(Event::Received {
                actor,
                frame: frame.clone(),
            });
            well_formed(&frame)?;
            if wanted.contains(&frame.frame_type) || !self.tolerate(actor, &frame).await {
                return Ok(Came::Frame(frame));
            }
        }
    }

    /// True for what may come at any time; a PING of the server gets its PONG.
    async fn tolerate(&mut self, actor: usize, frame: &RawFrame) -> bool {
        if frame.frame_type == FrameType::NOTICE {
            return true;
        }
        if frame.frame_type == FrameType::PING && frame.reference != 0 {
            let pong = RawFrame {
                flags: Flags::REPLY,
                frame_type: FrameType::PONG,
                ..frame.clone()
            };
            return self.send_frame(actor, &pong).await.is_ok();
        }
        frame.frame_type.info().is_none()
            && frame.reference == 0
            && !frame.flags.contains(Flags::CRITICAL)
    }

    /// Waits for one frame that fits one of the expectations, and returns which. `open` says which may still be used.
    pub(super) async fn one_of(
        &mut self,
        actor: usize,
        expects: &[&Expect],
    ) -> Result<usize, Miss> {
        let mut types = Vec::with_capacity(expects.len());
        for expect in expects {
            types.push(self.frame_type(&expect.frame)?);
        }
        let wanted = describe_all(expects, &types);
        let deadline = Instant::now() + self.stage.budget;
        let frame = match self.next(actor, &types, deadline).await? {
            Came::Frame(frame) => frame,
            Came::Closed => {
                return Err(Miss::new(
                    FailureClass::ClosedInsteadOfAnswering,
                    wanted,
                    "the server closed the connection",
                ));
            }
            Came::Nothing => return Err(self.nothing_came(actor, &wanted).await),
        };
        self.fits_one_of(actor, expects, &types, &frame, wanted)
    }

    /// Holds a frame against expectations and their types, and returns which it fits; of several misses the nearest.
    pub(super) fn fits_one_of(
        &mut self,
        actor: usize,
        expects: &[&Expect],
        types: &[FrameType],
        frame: &RawFrame,
        wanted: String,
    ) -> Result<usize, Miss> {
        let mut nearest: Option<Miss> = None;
        for (index, (expect, frame_type)) in expects.iter().zip(types).enumerate() {
            match self.fits(actor, expect, *frame_type, frame) {
                Ok(()) => return Ok(index),
                // The miss of an expectation of the same type says more than that of another.
                Err(miss) if nearest.is_none() || miss.class != FailureClass::WrongFrame => {
                    nearest = Some(miss);
                }
                Err(_) => {}
            }
        }
        let miss = nearest.unwrap_or_else(|| Miss::harness("an empty list of frames"));
        if expects.len() > 1 && miss.class == FailureClass::WrongFrame {
            return Err(Miss {
                expected: wanted,
                ..miss
            });
        }
        Err(miss)
    }

    /// Holds a frame against an expectation; if it fits, what it binds is bound.
    pub(super) fn fits(
        &mut self,
        actor: usize,
        expect: &Expect,
        frame_type: FrameType,
        frame: &RawFrame,
    ) -> Result<(), Miss> {
        if frame.frame_type != frame_type {
            let class = match frame.frame_type {
                FrameType::GOAWAY => FailureClass::ClosedInsteadOfAnswering,
                _ => FailureClass::WrongFrame,
            };
            return Err(Miss::new(class, frame_type.to_string(), describe(frame)));
        }
        let reference = self.fits_header(actor, expect, frame_type, frame)?;
        let body = body_of(frame)?;
        if let Some(code) = &expect.code {
            let code = self.code(code)?;
            let found = body
                .as_ref()
                .and_then(|body| body.get_field_by_name("code")?.as_u32())
                .unwrap_or_default();
            if found != u32::from(code.0) {
                return Err(Miss::new(
                    FailureClass::WrongCode,
                    format!("{frame_type} {code}"),
                    describe(frame),
                ));
            }
        }
        let mut binds = Binds::new(&self.world);
        if let (Some(matcher), Some(body)) = (&expect.body, &body) {
            let found = matcher.check(body, expect.exact, &mut binds);
            found.map_err(|found| Miss {
                at: format!("{} of {frame_type}", found.path),
                ..Miss::new(FailureClass::WrongField, found.expected, found.got)
            })?;
        }
        let bound = binds.into_new();
        self.world.set_all(bound);
        if let (Some(name), Some(reference), Some(refs)) =
            (&expect.to, reference, self.refs_mut(actor))
        {
            refs.answered(name, reference);
        }
        if frame_type == FrameType::LOGIN_OK
            && let Some(body) = body
        {
            self.logged_in(actor, &body);
        }
        Ok(())
    }

    /// Flags and `ref`; returns the `ref` of the request that is answered.
    fn fits_header(
        &self,
        actor: usize,
        expect: &Expect,
        frame_type: FrameType,
        frame: &RawFrame,
    ) -> Result<Option<u32>, Miss> {
        let wrong = |at: &str, expected: String, got: String| Miss {
            at: format!("{at} of {frame_type}"),
            ..Miss::new(FailureClass::WrongHeader, expected, got)
        };
        let is_reply = frame_type
            .info()
            .is_some_and(|info| info.kind == Kind::Reply);
        if let Some(flags) = &expect.flags {
            let flags = flags.eval_int(&self.world).map_err(Miss::harness)?;
            let expected =
                Flags(u8::try_from(flags).map_err(Miss::harness)?).difference(Flags::GREASE);
            let found = frame.flags.difference(Flags::GREASE);
            if found != expected {
                return Err(wrong("flags", expected.to_string(), found.to_string()));
            }
        } else if frame.flags.contains(Flags::REPLY) != is_reply {
            let expected = if is_reply {
                "REPLY is set"
            } else {
                "REPLY is clear"
            };
            return Err(wrong("flags", expected.to_owned(), frame.flags.to_string()));
        }
        if let Some(reference) = &expect.reference {
            let expected = reference.eval_int(&self.world).map_err(Miss::harness)?;
            if i128::from(frame.reference) != expected {
                return Err(wrong(
                    "ref",
                    expected.to_string(),
                    frame.reference.to_string(),
                ));
            }
        } else if is_reply {
            let open: Vec<u32> = match (&expect.to, self.refs(actor)) {
                (Some(name), Some(refs)) => refs.unanswered(name).to_vec(),
                (None, Some(refs)) => refs.last_ref().into_iter().collect(),
                (_, None) => Vec::new(),
            };
            // A frame that was sent as raw bytes has a `ref` that only its author knows.
            let unknown = expect.to.is_none() && open.is_empty();
            if !unknown && !open.contains(&frame.reference) {
                let expected = open
                    .iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join(" or ");
                let expected = if open.is_empty() {
                    "no second answer".to_owned()
                } else {
                    expected
                };
                return Err(wrong("ref", expected, frame.reference.to_string()));
            }
        } else if frame.reference != 0 && frame_type != FrameType::PING {
            return Err(wrong("ref", "0".to_owned(), frame.reference.to_string()));
        }
        Ok(is_reply.then_some(frame.reference))
    }

    fn refs(&self, actor: usize) -> Option<&Refs> {
        let own = self.links.get(actor).and_then(Option::as_ref);
        own.map(|link| &link.refs)
            .or_else(|| self.sdk(actor).map(|sdk| &sdk.refs))
    }

    fn refs_mut(&mut self, actor: usize) -> Option<&mut Refs> {
        match self.links.get_mut(actor).and_then(Option::as_mut) {
            Some(link) => Some(&mut link.refs),
            None => self.sdks.get_mut(actor)?.as_mut().map(|sdk| &mut sdk.refs),
        }
    }

    /// The type that a step names.
    pub(super) fn frame_type(&self, known: &Known<FrameType>) -> Result<FrameType, Miss> {
        match known {
            Known::Now(frame_type) => Ok(*frame_type),
            Known::Later(expr) => self.later(expr, names::frame_type, FrameType),
        }
    }

    /// The code that a step names.
    pub(super) fn code(&self, known: &Known<Code>) -> Result<Code, Miss> {
        match known {
            Known::Now(code) => Ok(*code),
            Known::Later(expr) => self.later(expr, names::code, Code),
        }
    }

    fn later<T>(
        &self,
        expr: &Expr,
        named: fn(&str) -> Option<T>,
        number: fn(u16) -> T,
    ) -> Result<T, Miss> {
        let scope: &dyn Scope = &self.world;
        let value = expr.eval(scope).map_err(Miss::harness)?;
        let found = match &value {
            Val::Text(name) => named(name),
            Val::Int(value) => u16::try_from(*value).ok().map(number),
            _ => None,
        };
        found.ok_or_else(|| Miss::harness(format!("{value} is no name of the registry")))
    }
}

/// What holds for every frame that a server sends, whatever the case is about.
fn well_formed(frame: &RawFrame) -> Result<(), Miss> {
    let wrong = |expected: &str, got: String| {
        Err(Miss {
            at: format!("the header of {}", frame.frame_type),
            ..Miss::new(FailureClass::WrongHeader, expected, got)
        })
    };
    if frame.flags.0 & Flags::RESERVED.0 != 0 {
        return wrong("flag bits 3 to 6 are clear", frame.flags.to_string());
    }
    match frame.frame_type.info().map(|info| info.kind) {
        Some(Kind::Event) if frame.reference != 0 || frame.flags.contains(Flags::REPLY) => wrong(
            "an event has ref 0 and REPLY clear",
            format!("ref {} flags {}", frame.reference, frame.flags),
        ),
        Some(Kind::Reply) if frame.reference == 0 || !frame.flags.contains(Flags::REPLY) => wrong(
            "a reply has a ref and REPLY set",
            format!("ref {} flags {}", frame.reference, frame.flags),
        ),
        Some(_) => Frame::decode(frame.frame_type, &frame.body)
            .map(drop)
            .map_err(|error| {
                let at = format!("the body of {}", frame.frame_type);
                Miss {
                    at,
                    ..Miss::new(
                        FailureClass::WrongField,
                        "a body that decodes",
                        error.to_string(),
                    )
                }
            }),
        None => Ok(()),
    }
}

/// The body by field names; `None` for types without known fields.
pub(super) fn body_of(frame: &RawFrame) -> Result<Option<DynamicMessage>, Miss> {
    let Some(message) = names::message_of(frame.frame_type) else {
        return Ok(None);
    };
    let body: Bytes = frame.body.clone();
    DynamicMessage::decode(message, body)
        .map(Some)
        .map_err(Miss::harness)
}

/// A frame with its body, in a line.
pub(crate) fn describe(frame: &RawFrame) -> String {
    let Ok(Some(body)) = body_of(frame) else {
        return frame.frame_type.to_string();
    };
    let code = body
        .get_field_by_name("code")
        .as_deref()
        .and_then(Value::as_u32);
    let code = code
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| *code != 0);
    let code = code
        .map(|code| format!(" {}", Code(code)))
        .unwrap_or_default();
    format!("{}{code} {}", frame.frame_type, show_message(&body))
}

pub(super) fn describe_all(expects: &[&Expect], types: &[FrameType]) -> String {
    let one = |(expect, frame_type): (&&Expect, &FrameType)| match &expect.code {
        Some(Known::Now(code)) => format!("{frame_type} {code}"),
        _ => frame_type.to_string(),
    };
    expects
        .iter()
        .zip(types)
        .map(one)
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The longest body before LOGIN_OK.
pub(super) const BEFORE_LOGIN: u32 = limits::MAX_FRAME_BEFORE_LOGIN;
