//! What has to come for an actor that an SDK plays: the frame on the wire, and what its app is told of it.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use serde_json::Value as Json;
use tidewire_codec::{Code, Flags, FrameType, RawFrame};
use tokio::time::Instant;

use super::expect::{body_of, describe, describe_all};
use super::sdk::{Passed, SdkLink};
use super::{Miss, Player};
use crate::adapter::Event as Told;
use crate::json::{from_json, to_json};
use crate::matcher::{Matcher, show, show_message};
use crate::names;
use crate::sdk::events;
use crate::session::{Expect, Heard};
use crate::verdict::FailureClass;

impl Player<'_> {
    /// The next thing that comes for the SDK and is not tolerated everywhere; `None` if nothing comes in time.
    pub(super) async fn next_passed(
        &mut self,
        actor: usize,
        wanted: &[FrameType],
    ) -> Result<Option<Passed>, Miss> {
        let deadline = Instant::now() + self.stage.budget;
        let look = |link: &mut SdkLink| {
            loop {
                match link.to_sdk.pop_front()? {
                    Passed::Frame(frame)
                        if !wanted.contains(&frame.frame_type) && is_let_pass(&frame) => {}
                    other => return Some(other),
                }
            }
        };
        self.watch(actor, deadline, look).await
    }

    /// Waits for one frame that fits one of the expectations and for what the app hears of it; returns which.
    pub(super) async fn sdk_one_of(
        &mut self,
        actor: usize,
        expects: &[&Expect],
    ) -> Result<usize, Miss> {
        let mut types = Vec::with_capacity(expects.len());
        for expect in expects {
            types.push(self.frame_type(&expect.frame)?);
        }
        let wanted = describe_all(expects, &types);
        let frame = match self.next_passed(actor, &types).await? {
            Some(Passed::Frame(frame)) => frame,
            Some(Passed::Closed(end)) => {
                return Err(Miss::new(
                    FailureClass::ClosedInsteadOfAnswering,
                    wanted,
                    format!("the end of the connection ({end:?} ended it)"),
                ));
            }
            None => return Err(self.sdk_nothing(actor, &wanted).await),
        };
        let index = self.fits_one_of(actor, expects, &types, &frame, wanted)?;
        if let Some(expect) = expects.get(index) {
            self.hears(actor, expect, &frame).await?;
        }
        Ok(index)
    }

    /// The app is told what the frame means, and nothing else.
    async fn hears(&mut self, actor: usize, expect: &Expect, frame: &RawFrame) -> Result<(), Miss> {
        match expect.heard {
            Heard::Now => {}
            Heard::Later => return Ok(()),
            Heard::Never => return self.hears_nothing(actor, &["entry"]).await,
        }
        let Some(body) = body_of(frame)? else {
            return Ok(());
        };
        let code = body.get_field_by_name("code");
        let code = code.as_deref().and_then(Value::as_u32).unwrap_or_default();
        match frame.frame_type {
            FrameType::LOGIN_OK => {
                let link = self.sdk_mut(actor)?;
                link.connected = true;
                if let Some(gate) = link.gate.as_ref().filter(|_| link.is_led) {
                    // Who plays a case for servers comes back only where the case says so.
                    gate.refuse(true);
                }
                let told = self.told(actor, &["connected"], None).await?;
                let result = to_json(&body).get("resume").cloned();
                let is_fresh = result == Some("FRESH".into());
                self.sdk_mut(actor)?.may_miss = is_fresh;
                // To an app that had entries, a log that starts anew is one with a gap.
                if is_fresh && told.text("result") == Some("GAP") {
                    return Ok(());
                }
                agrees(&told, "result", result)
            }
            FrameType::GOAWAY => Ok(()),
            FrameType::SEND_ACK => {
                let label = self.label(actor, frame.reference);
                let label =
                    label.ok_or_else(|| Miss::harness("an answer to no message of the app"))?;
                let told = self
                    .told(actor, &["accepted", "failed"], Some(&label))
                    .await?;
                if told.name == "failed" && code == 0 {
                    return Err(wrong("accepted", &told));
                }
                if told.name == "failed" {
                    return agrees_code(&told, code);
                }
                for field in ["msg_id", "duplicate"] {
                    let value = body.get_field_by_name(field);
                    agrees(&told, field, value.as_deref().and_then(plain_json))?;
                }
                Ok(())
            }
            // It is tried again, and the app need not know.
            FrameType::ERROR if class_of(code) == 5 => Ok(()),
            FrameType::ERROR => {
                // What the SDK asked by itself is of no concern to its app.
                let Some(label) = self.label(actor, frame.reference) else {
                    return Ok(());
                };
                let told = self
                    .told(actor, &["refused", "failed"], Some(&label))
                    .await?;
                agrees_code(&told, code)
            }
            frame_type if frame_type.info().is_some_and(|info| info.logged) => {
                let told = self.told(actor, &["entry"], None).await?;
                agrees_body(&told, frame_type, &body, expect.body.as_ref())
            }
            frame_type if frame.flags.contains(Flags::REPLY) && frame.reference != 0 => {
                let Some(label) = self.label(actor, frame.reference) else {
                    return Ok(());
                };
                let told = self.told(actor, &["reply"], Some(&label)).await?;
                agrees_body(&told, frame_type, &body, expect.body.as_ref())
            }
            _ => Ok(()),
        }
    }

    /// The next event of one of these names, of this message or request.
    pub(super) async fn told(
        &mut self,
        actor: usize,
        names: &[&str],
        label: Option<&str>,
    ) -> Result<Told, Miss> {
        let is_it = |told: &Told| {
            let about = told.text("message").or_else(|| told.text("request"));
            names.contains(&told.name.as_str()) && (label.is_none() || about == label)
        };
        let look = |link: &mut SdkLink| {
            let at = link.told.iter().position(is_it)?;
            link.told.remove(at)
        };
        let deadline = Instant::now() + self.stage.budget;
        if let Some(told) = self.watch(actor, deadline, look).await? {
            return Ok(told);
        }
        let wanted = format!("the app is told: {}", names.join(" or "));
        let miss = self.sdk_nothing(actor, &wanted).await;
        // It may have come while the fence was on its way.
        match self.sdk_mut(actor).ok().and_then(look) {
            Some(_) => Err(Miss::new(
                FailureClass::NothingCame,
                wanted,
                "it, but not within the budget",
            )),
            None => Err(miss),
        }
    }

    /// Behind a fence, the app heard nothing of these.
    pub(super) async fn hears_nothing(&mut self, actor: usize, names: &[&str]) -> Result<(), Miss> {
        if self.sdk_mut(actor)?.connected {
            self.sdk_fence(actor).await?;
        }
        self.catch_up(actor)?;
        let heard = self.sdk_mut(actor)?;
        let heard = heard
            .told
            .iter()
            .find(|told| names.contains(&told.name.as_str()));
        match heard {
            None => Ok(()),
            Some(told) => Err(Miss::new(
                FailureClass::ExtraEvent,
                "the app is told nothing of it",
                told.describe(),
            )),
        }
    }

    /// Nothing came in time: a fence tells whether it might still come.
    pub(super) async fn sdk_nothing(&mut self, actor: usize, expected: &str) -> Miss {
        let miss = Miss::new(
            FailureClass::NothingCame,
            expected,
            "nothing, within the budget",
        );
        let is_up = self.sdk(actor).is_some_and(|link| link.connected);
        match self.sdk_fence(actor).await {
            Ok(()) => Miss {
                class: FailureClass::NothingCameAlive,
                got: "nothing, and a fence behind it was answered".to_owned(),
                ..miss
            },
            Err(broken) if broken.class == FailureClass::Adapter => broken,
            // An SDK that says that it is not connected has nothing left to say either.
            Err(refused) if refused.class == FailureClass::RefusedByClient && !is_up => Miss {
                class: FailureClass::NothingCameAlive,
                got: "nothing, and the SDK answers that it is not connected".to_owned(),
                ..miss
            },
            Err(refused) if refused.class == FailureClass::RefusedByClient => Miss {
                class: FailureClass::ClosedInsteadOfAnswering,
                got: format!("nothing, and to a fence: {}", refused.got),
                ..miss
            },
            Err(_) => miss,
        }
    }

    fn label(&self, actor: usize, reference: u32) -> Option<String> {
        self.sdk(actor)?.labels.get(&reference).cloned()
    }
}

/// What a server may send at any time without a word to the app.
pub(super) fn is_let_pass(frame: &RawFrame) -> bool {
    match frame.frame_type {
        FrameType::PONG | FrameType::NOTICE | FrameType::PING => true,
        _ => {
            frame.frame_type.info().is_none()
                && frame.reference == 0
                && !frame.flags.contains(Flags::CRITICAL)
        }
    }
}

fn class_of(code: u32) -> u8 {
    u16::try_from(code).map_or(0, |code| Code(code).class().number())
}

fn wrong(expected: &str, told: &Told) -> Miss {
    Miss::new(FailureClass::WrongEvent, expected, told.describe())
}

/// A field of the event is this.
fn agrees(told: &Told, field: &str, wanted: Option<Json>) -> Result<(), Miss> {
    let found = told.fields.get(field);
    let default = matches!(&wanted, Some(Json::Bool(false)));
    let same = match (&wanted, found) {
        (Some(wanted), Some(found)) => {
            wanted == found
                || (events::number(wanted).is_some()
                    && events::number(wanted) == events::number(found))
        }
        (Some(_), None) => default,
        (None, _) => true,
    };
    if same {
        return Ok(());
    }
    let expected = wanted.map_or_else(|| "absent".to_owned(), |wanted| wanted.to_string());
    Err(Miss {
        at: format!("{field} of {}", told.name),
        ..Miss::new(FailureClass::WrongEvent, expected, told.describe())
    })
}

fn agrees_code(told: &Told, code: u32) -> Result<(), Miss> {
    let found = match told.fields.get("code") {
        Some(Json::String(name)) => names::code(name).map(|code| u32::from(code.0)),
        Some(number) => events::number(number).and_then(|number| u32::try_from(number).ok()),
        None => None,
    };
    if found == Some(code) {
        return Ok(());
    }
    let expected =
        u16::try_from(code).map_or_else(|_| code.to_string(), |code| Code(code).to_string());
    Err(Miss {
        at: format!("code of {}", told.name),
        ..Miss::new(FailureClass::WrongEvent, expected, told.describe())
    })
}

fn plain_json(value: &Value) -> Option<Json> {
    match value {
        Value::Bool(yes) => Some(Json::Bool(*yes)),
        Value::U64(number) => Some(number.to_string().into()),
        Value::U32(number) => Some((*number).into()),
        _ => None,
    }
}

/// How old an entry is and what came before it are the SDK's concern, and not its app's.
const UNTOLD: [&str; 2] = ["age_ms", "prev_pos"];

/// What the app is told of a frame is what stands in it: nothing is changed, and nothing is missing that the case is about.
pub(super) fn agrees_body(
    told: &Told,
    frame_type: FrameType,
    body: &DynamicMessage,
    listed: Option<&Matcher>,
) -> Result<(), Miss> {
    let found_type = told.text("type").and_then(names::frame_type);
    if found_type != Some(frame_type) {
        return Err(wrong(&format!("{} {frame_type}", told.name), told));
    }
    let Some(message) = names::message_of(frame_type) else {
        return Ok(());
    };
    let given = told
        .fields
        .get("body")
        .cloned()
        .unwrap_or_else(|| Json::Object(Default::default()));
    let given = from_json(given, &message).map_err(|error| Miss {
        at: format!("body of {}", told.name),
        ..Miss::new(
            FailureClass::WrongEvent,
            format!("a body of {frame_type}"),
            error,
        )
    })?;
    for field in message.fields() {
        let is_listed = listed.is_some_and(|listed| listed.mentions(field.name()));
        let must = (is_listed || matches!(field.name(), "pos" | "msg_id"))
            && !UNTOLD.contains(&field.name());
        let (wanted, found) = (body.has_field(&field), given.has_field(&field));
        let differs = if found {
            !wanted || body.get_field(&field) != given.get_field(&field)
        } else {
            must && wanted
        };
        let is_unknown = wanted && is_unnamed(&field, &body.get_field(&field));
        if differs && !is_unknown && !(field.name() == "age_ms" && wanted) {
            let text = |message: &DynamicMessage, there: bool| match there {
                true => show(&message.get_field(&field)),
                false => "absent".to_owned(),
            };
            return Err(Miss {
                at: format!("{} of {} {frame_type}", field.name(), told.name),
                ..Miss::new(
                    FailureClass::WrongEvent,
                    text(body, wanted),
                    text(&given, found),
                )
            });
        }
    }
    Ok(())
}

/// True for an enum value without a name, which an SDK takes for none.
fn is_unnamed(field: &FieldDescriptor, value: &Value) -> bool {
    match (field.kind(), value) {
        (Kind::Enum(kind), Value::EnumNumber(number)) => kind.get_value(*number).is_none(),
        _ => false,
    }
}

/// The body of an `entry`, `reply` or `refused` as a message; the facts of the other events.
pub(super) fn message_in(
    told: &Told,
    frame_type: Option<FrameType>,
) -> Result<DynamicMessage, Miss> {
    let bad = |error: String| Miss {
        at: told.name.clone(),
        ..Miss::new(
            FailureClass::WrongEvent,
            "an event as the protocol has it",
            error,
        )
    };
    let message = match (told.name.as_str(), frame_type) {
        ("refused", _) => names::message_of(FrameType::ERROR),
        ("entry" | "reply", Some(frame_type)) => names::message_of(frame_type),
        _ => return events::message_of(&told.name, &told.fields).map_err(bad),
    };
    let message = message.ok_or_else(|| bad("a type without fields".to_owned()))?;
    let body = told.fields.get("body").cloned();
    from_json(
        body.unwrap_or_else(|| Json::Object(Default::default())),
        &message,
    )
    .map_err(bad)
}

/// A frame that came, or the message in an event, in a line.
pub(super) fn passed(passed: &Passed) -> String {
    match passed {
        Passed::Frame(frame) => describe(frame),
        Passed::Closed(end) => format!("the end of the connection ({end:?} ended it)"),
    }
}

/// The message in a line, for what does not fit.
pub(super) fn line_of(message: &DynamicMessage) -> String {
    show_message(message)
}
