//! What an SDK sends and is given: LOGIN, what its app asks for, what passes by itself, and frames that no server sent.

use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use serde_json::{Map, json};
use tidewire_codec::{Flags, FrameType, Kind, RawFrame};
use tokio::time::Instant;

use super::expect::{body_of, describe};
use super::login::plain;
use super::sdk::{SdkLink, is_at_any_time};
use super::sdk_expect::line_of;
use super::{Miss, Player};
use crate::json::to_json;
use crate::sdk::events;
use crate::session::{Expect, Login, Payload, Send};
use crate::value::{Expr, Scope, Val, hex};
use crate::verdict::FailureClass;

/// How far the SDK's clock goes on in one stride while it is awaited, and how often.
const STRIDE_MS: u64 = 1_000;
const STRIDES: u32 = 24;
const LONGEST_STRIDE_MS: u64 = 60_000;

impl Player<'_> {
    /// LOGIN, LOGIN_OK and SYNCED pass, and the app hears of it.
    pub(super) async fn sdk_login(&mut self, actor: usize, login: &Login) -> Result<(), Miss> {
        if self.sdk_mut(actor)?.client.is_none() {
            self.sdk_open(actor, Map::new()).await?;
        } else if let Some(gate) = &self.sdk_mut(actor)?.gate {
            gate.refuse(false);
        }
        self.awaits_login(actor).await?;
        let frame = self.next_sent(actor, FrameType::LOGIN).await?;
        self.is_own_login(actor, login, &frame)?;
        let link = self.sdk_mut(actor)?;
        link.refs.rename(login.name.as_deref());
        link.refs.asked(login.name.as_deref(), frame.reference);
        let ok = Expect {
            body: login.ok.clone(),
            ..plain(FrameType::LOGIN_OK)
        };
        self.sdk_one_of(actor, &[&ok]).await?;
        if login.synced {
            self.sdk_one_of(actor, &[&plain(FrameType::SYNCED)]).await?;
            self.told(actor, &["synced"], None).await?;
        }
        Ok(())
    }

    /// The device is the one that it was opened with, and what the case asks for is there.
    fn is_own_login(&mut self, actor: usize, login: &Login, frame: &RawFrame) -> Result<(), Miss> {
        let body = body_of(frame)?.ok_or_else(|| Miss::harness("no message Login"))?;
        let name = self
            .session
            .actors
            .get(actor)
            .map(|actor| actor.name.clone());
        let device = self
            .world
            .lookup(&format!("d.{}", name.unwrap_or_default()));
        let sent = body.get_field_by_name("device_id");
        let sent = sent.as_deref().and_then(Value::as_bytes).cloned();
        if let (Some(Val::Bytes(device)), Some(sent)) = (device, sent)
            && device != sent
        {
            let miss = Miss::new(FailureClass::WrongField, hex(&device), hex(&sent));
            return Err(Miss {
                at: "device_id of LOGIN".to_owned(),
                ..miss
            });
        }
        match &login.seen {
            Some(seen) => self.matches(seen, &body, "LOGIN", FailureClass::WrongField),
            None => Ok(()),
        }
    }

    /// Moves the SDK's clock on until it tries to connect. Nothing is waited for where time is its own.
    async fn awaits_login(&mut self, actor: usize) -> Result<(), Miss> {
        let mut stride = STRIDE_MS;
        for _ in 0..STRIDES {
            self.catch_up(actor)?;
            let link = self.sdk_mut(actor)?;
            let is_there = link
                .from_sdk
                .iter()
                .any(|frame| frame.frame_type == FrameType::LOGIN);
            if is_there || !link.manual_clock || !link.pool.hello().can("state") {
                return Ok(());
            }
            let state = self.op(actor, "state", json!({})).await?;
            let attempts = state.get("attempts").and_then(events::number);
            // It is connected, or began to be: LOGIN is on its way.
            let link = self.sdk_mut(actor)?;
            if link.is_open || attempts.is_none_or(|attempts| attempts > link.arrivals) {
                return Ok(());
            }
            self.op(actor, "clock", json!({ "advance_ms": stride }))
                .await?;
            stride = (stride * 2).min(LONGEST_STRIDE_MS);
        }
        Ok(())
    }

    /// What the app asks for is taken, and passes the wire as it was asked for.
    pub(super) async fn sdk_send(&mut self, actor: usize, send: &Send) -> Result<(), Miss> {
        let frame_type = self.frame_type(&send.frame)?;
        let times = send.times.eval_int(&self.world).map_err(Miss::harness)?;
        self.sdk_mut(actor)?.refs.rename(send.name.as_deref());
        for number in 0..usize::try_from(times).map_err(Miss::harness)? {
            let mut body = match &send.body {
                Payload::Empty => None,
                Payload::Fields(body) => Some(
                    body.build(&self.world.each(number))
                        .map_err(Miss::harness)?,
                ),
                Payload::Raw(_) => return Err(Miss::harness("an SDK sends no raw body")),
            };
            let key = send_key(send, number);
            if let Some(body) = &mut body {
                body.clear_field_by_name("idem");
            }
            let fields = body.as_ref().map_or_else(|| json!({}), to_json);
            let label = self.sdk_mut(actor)?.new_label(send.name.as_deref());
            match frame_type {
                FrameType::SEND => {
                    let arguments = json!({ "message": label, "body": fields });
                    self.op(actor, "send", arguments).await?;
                }
                FrameType::ACK => {
                    let pos = fields.get("pos").cloned().unwrap_or_else(|| "0".into());
                    self.op(actor, "ack", json!({ "pos": pos })).await?;
                }
                _ => {
                    let arguments =
                        json!({ "request": label, "type": frame_type.to_string(), "body": fields });
                    self.op(actor, "request", arguments).await?;
                }
            }
            if send.offline {
                continue;
            }
            let frame = self.next_sent(actor, frame_type).await?;
            let sent = body_of(&frame)?.ok_or_else(|| Miss::harness("a frame without fields"))?;
            self.sent_as_asked(frame_type, body, &sent, key)?;
            let link = self.sdk_mut(actor)?;
            link.refs.asked(send.name.as_deref(), frame.reference);
            link.labels.insert(frame.reference, label);
        }
        Ok(())
    }

    /// The fields are those that the app gave; the key is the SDK's own, and gets its name.
    fn sent_as_asked(
        &mut self,
        frame_type: FrameType,
        asked: Option<DynamicMessage>,
        sent: &DynamicMessage,
        key: Option<String>,
    ) -> Result<(), Miss> {
        let mut rest = sent.clone();
        if let Some(key) = key
            && let Some(Value::Bytes(idem)) = sent.get_field_by_name("idem").as_deref()
        {
            self.world.set(key, Val::Bytes(idem.clone()));
        }
        rest.clear_field_by_name("idem");
        let asked = asked.unwrap_or_else(|| DynamicMessage::new(rest.descriptor()));
        // Through the wire once, where what is zero is not there.
        let asked = DynamicMessage::decode(rest.descriptor(), &asked.encode_to_vec()[..])
            .map_err(Miss::harness)?;
        for field in rest.descriptor().fields() {
            if rest.has_field(&field) == asked.has_field(&field)
                && rest.get_field(&field) == asked.get_field(&field)
            {
                continue;
            }
            return Err(Miss {
                at: format!("{} of {frame_type}", field.name()),
                ..Miss::new(FailureClass::WrongField, line_of(&asked), line_of(&rest))
            });
        }
        Ok(())
    }

    /// The next frame of the SDK that it may not send at any time, which has to be of this type.
    pub(super) async fn next_sent(
        &mut self,
        actor: usize,
        frame_type: FrameType,
    ) -> Result<RawFrame, Miss> {
        let deadline = Instant::now() + self.stage.budget;
        let look = |link: &mut SdkLink| {
            loop {
                let frame = link.from_sdk.pop_front()?;
                if frame.frame_type == frame_type || !is_at_any_time(&frame) {
                    return Some(frame);
                }
            }
        };
        let expected = format!("the SDK sends {frame_type}");
        match self.watch(actor, deadline, look).await? {
            Some(frame) if frame.frame_type == frame_type => Ok(frame),
            Some(frame) => Err(Miss::new(
                FailureClass::WrongFrame,
                expected,
                describe(&frame),
            )),
            None => Err(self.sdk_nothing(actor, &expected).await),
        }
    }

    pub(super) async fn sees(
        &mut self,
        actor: usize,
        expect: &Expect,
        name: Option<&str>,
    ) -> Result<(), Miss> {
        let frame_type = self.frame_type(&expect.frame)?;
        let frame = self.next_sent(actor, frame_type).await?;
        if let Some(flags) = &expect.flags {
            let flags = flags.eval_int(&self.world).map_err(Miss::harness)?;
            let found = frame.flags.difference(Flags::GREASE);
            if i128::from(found.0) != flags {
                let expected = u8::try_from(flags)
                    .map_or_else(|_| flags.to_string(), |flags| Flags(flags).to_string());
                return Err(Miss {
                    at: format!("flags of {frame_type}"),
                    ..Miss::new(FailureClass::WrongHeader, expected, found.to_string())
                });
            }
        }
        let wanted = match (&expect.to, &expect.reference) {
            (Some(to), _) => self.sdk_mut(actor)?.refs.unanswered(to).first().copied(),
            (None, Some(reference)) => {
                let reference = reference.eval_int(&self.world).map_err(Miss::harness)?;
                u32::try_from(reference).ok()
            }
            (None, None) => Some(frame.reference),
        };
        if wanted != Some(frame.reference) {
            let expected =
                wanted.map_or_else(|| "no answer".to_owned(), |wanted| wanted.to_string());
            return Err(Miss {
                at: format!("ref of {frame_type}"),
                ..Miss::new(
                    FailureClass::WrongHeader,
                    expected,
                    frame.reference.to_string(),
                )
            });
        }
        let body = body_of(&frame)?;
        if let (Some(matcher), Some(body)) = (&expect.body, &body) {
            self.matches(
                matcher,
                body,
                &frame_type.to_string(),
                FailureClass::WrongField,
            )?;
        }
        let link = self.sdk_mut(actor)?;
        if let Some(to) = &expect.to {
            link.refs.answered(to, frame.reference);
        }
        if let Some(name) = name {
            link.refs.rename(Some(name));
            link.refs.asked(Some(name), frame.reference);
            // A repeat on a new connection is the same message under another ref.
            if let Some(label) = link.named.get(name).cloned() {
                link.labels.insert(frame.reference, label);
            }
        } else if frame_type
            .info()
            .is_some_and(|info| info.kind == Kind::Request)
        {
            link.refs.asked(None, frame.reference);
        }
        if frame_type == FrameType::LOGIN {
            link.connected = false;
        }
        Ok(())
    }

    pub(super) async fn sees_any(&mut self, actor: usize) -> Result<(), Miss> {
        let deadline = Instant::now() + self.stage.budget;
        let look = |link: &mut SdkLink| link.from_sdk.pop_front();
        match self.watch(actor, deadline, look).await? {
            Some(_) => Ok(()),
            None => Err(Miss::new(
                FailureClass::NothingCameAlive,
                "a frame of any kind from the SDK",
                "nothing, although its clock went on",
            )),
        }
    }

    pub(super) async fn unseen(&mut self, actor: usize, types: &[FrameType]) -> Result<(), Miss> {
        let link = self.sdk_mut(actor)?;
        if link.connected && !link.is_full() {
            self.sdk_fence(actor).await?;
        } else if link.pool.hello().can("state") {
            self.op(actor, "state", json!({})).await?;
        }
        self.catch_up(actor)?;
        let link = self.sdk_mut(actor)?;
        let found = link
            .from_sdk
            .iter()
            .find(|frame| types.contains(&frame.frame_type));
        match found {
            None => Ok(()),
            Some(frame) => Err(Miss::new(
                FailureClass::ExtraFrame,
                format!("no {}", list(types)),
                describe(frame),
            )),
        }
    }

    pub(super) async fn inject(
        &mut self,
        actor: usize,
        send: &Send,
        to: Option<&str>,
        close: bool,
    ) -> Result<(), Miss> {
        let frame_type = self.frame_type(&send.frame)?;
        let info = frame_type.info();
        let flags = match &send.flags {
            // What the step does not say is what the registry has for the type.
            None => match info {
                Some(info) if info.kind == Kind::Reply => Flags::REPLY,
                Some(info) if info.logged => Flags::LOGGED,
                _ => Flags::NONE,
            },
            Some(flags) => {
                let flags = flags.eval_int(&self.world).map_err(Miss::harness)?;
                Flags(u8::try_from(flags).map_err(Miss::harness)?)
            }
        };
        let reference = match (to, &send.reference) {
            (Some(to), _) => {
                let known = self.sdk_mut(actor)?.refs.unanswered(to).first().copied();
                known.ok_or_else(|| Miss::harness(format!("{to} has no ref yet")))?
            }
            (None, Some(expr)) => {
                let reference = expr.eval_int(&self.world).map_err(Miss::harness)?;
                u32::try_from(reference).map_err(Miss::harness)?
            }
            (None, None) if info.is_some_and(|info| info.kind == Kind::Request) => INJECTED_REF,
            (None, None) => 0,
        };
        let frame = RawFrame {
            flags,
            frame_type,
            reference,
            body: self.payload(send, 0)?.into(),
        };
        self.note(
            Some(actor),
            format!("the tap gives the SDK: {}", describe(&frame)),
        );
        let link = self.sdk_mut(actor)?;
        if let Some(name) = &send.name {
            link.refs.rename(Some(name));
            link.refs.asked(Some(name), reference);
        }
        if flags.contains(Flags::REPLY) {
            link.is_answered(reference);
        }
        let gate = link.gate.as_ref().ok_or_else(|| Miss::harness("no gate"))?;
        if gate.inject(frame, close).await {
            Ok(())
        } else {
            Err(Miss::harness("there is no connection to give it to"))
        }
    }
}

/// The `ref` of a request that the server did not make: far above what an SDK counts to.
const INJECTED_REF: u32 = 0x7000_0001;

/// The variable that the key of a SEND gets, where the case names one.
fn send_key(send: &Send, number: usize) -> Option<String> {
    let Payload::Fields(body) = &send.body else {
        return None;
    };
    match body.single("idem") {
        Some(Expr::Var { name, add: 0 }) if name.starts_with("new.") && number == 0 => {
            Some(name.clone())
        }
        _ => None,
    }
}

fn list(types: &[FrameType]) -> String {
    types
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" or ")
}
