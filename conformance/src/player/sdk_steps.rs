//! The steps of an actor that an SDK plays.

use prost_reflect::DynamicMessage;
use serde_json::{Map, Value as Json, json};
use tidewire_codec::FrameType;
use tokio::time::Instant;

use super::expect::describe;
use super::sdk::{Passed, is_at_any_time};
use super::sdk_expect::{is_let_pass, line_of, message_in, passed};
use super::sdk_ops::{OP_BUDGET, broke};
use super::{Miss, Player};
use crate::adapter::{AdapterFault, Answer};
use crate::matcher::{Binds, Matcher};
use crate::names;
use crate::sdk::events;
use crate::session::{Action, Expect, SdkAction, Step};
use crate::tap::Rules;
use crate::tree::{Data, Entry, Node};
use crate::value::{Expr, Scope, Val, hex, variable};
use crate::verdict::FailureClass;

impl Player<'_> {
    /// Plays a step of such an actor.
    pub(super) async fn sdk_step(&mut self, actor: usize, step: &Step) -> Result<(), Miss> {
        match &step.action {
            Action::Login(login) => self.sdk_login(actor, login).await,
            Action::Send(send) => self.sdk_send(actor, send).await,
            Action::Expect { expect, times } => {
                let times = times.eval_int(&self.world).map_err(Miss::harness)?;
                for _ in 0..times {
                    self.sdk_one_of(actor, &[expect]).await?;
                }
                Ok(())
            }
            Action::ExpectSet(all) => {
                let mut left: Vec<&Expect> = all.iter().collect();
                while !left.is_empty() {
                    let found = self.sdk_one_of(actor, &left).await?;
                    let expect = left.remove(found);
                    self.credit(Some(expect));
                }
                Ok(())
            }
            Action::OneOf(all) => {
                let expects: Vec<&Expect> = all.iter().collect();
                let found = self.sdk_one_of(actor, &expects).await?;
                self.credit(all.get(found));
                Ok(())
            }
            Action::Quiet => {
                self.sdk_fence(actor).await?;
                self.sdk_is_quiet(actor)
            }
            Action::Goaway(expect) => self.sdk_goaway(actor, expect).await,
            Action::Closed => self.sdk_closed(actor, "the connection ends").await,
            Action::Cut => self.sdk_cut(actor).await,
            Action::Close => {
                self.op(actor, "close", json!({})).await?;
                self.sdk_closed(actor, "the SDK closes").await
            }
            Action::Sdk(action) => self.sdk_action(actor, action).await,
            _ => Err(Miss::harness("no SDK can do this")),
        }
    }

    async fn sdk_action(&mut self, actor: usize, action: &SdkAction) -> Result<(), Miss> {
        match action {
            SdkAction::Open(arguments) => {
                let given = self.arguments(arguments)?;
                self.sdk_open(actor, given).await
            }
            SdkAction::Sees {
                expect,
                times,
                name,
            } => {
                let times = times.eval_int(&self.world).map_err(Miss::harness)?;
                for _ in 0..times {
                    self.sees(actor, expect, name.as_deref()).await?;
                }
                Ok(())
            }
            SdkAction::SeesAny => self.sees_any(actor).await,
            SdkAction::SeesGrease => match self.sdk_mut(actor)?.is_greased {
                true => Ok(()),
                false => Err(Miss::new(
                    FailureClass::WrongField,
                    "a flag, field, feature or frame that nobody knows",
                    "none on this connection",
                )),
            },
            SdkAction::Unseen(types) => self.unseen(actor, types).await,
            SdkAction::Inject { send, to, close } => {
                self.inject(actor, send, to.as_deref(), *close).await
            }
            SdkAction::Wire(rules) => {
                let known = |rule| filled(rule, &self.world);
                let rules: Vec<Node> = rules.iter().map(known).collect::<Result<_, _>>()?;
                self.note(Some(actor), format!("{} rules for the wire", rules.len()));
                let rules = Rules::parse(rules).map_err(|fault| Miss::harness(fault.message))?;
                self.sdk_gate(actor).await?.rules(rules).await;
                Ok(())
            }
            SdkAction::Refuse(yes) => {
                self.note(Some(actor), format!("connections are refused: {yes}"));
                if let Some(gate) = &self.sdk_mut(actor)?.gate {
                    gate.refuse(*yes);
                }
                Ok(())
            }
            SdkAction::Event {
                name,
                to,
                frame_type,
                matcher,
            } => {
                let label = match to {
                    Some(to) => Some(self.named(actor, to)?),
                    None => None,
                };
                let told = self.told(actor, &[name.as_str()], label.as_deref()).await?;
                if let Some(frame_type) = frame_type
                    && told.text("type").and_then(names::frame_type) != Some(*frame_type)
                {
                    let expected = format!("{name} {frame_type}");
                    return Err(Miss::new(
                        FailureClass::WrongEvent,
                        expected,
                        told.describe(),
                    ));
                }
                match matcher {
                    Some(matcher) => {
                        let message = message_in(&told, *frame_type)?;
                        self.matches(matcher, &message, name, FailureClass::WrongEvent)
                    }
                    None => Ok(()),
                }
            }
            SdkAction::NoEvent(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.hears_nothing(actor, &names).await
            }
            SdkAction::State(matcher) => {
                let mut fields = self.op(actor, "state", json!({})).await?;
                let knocks = self.sdk_mut(actor)?.arrivals;
                fields.insert("knocks".to_owned(), knocks.into());
                let state = events::message_of("state", &fields)
                    .map_err(|error| Miss::new(FailureClass::WrongEvent, "a state", error))?;
                self.matches(matcher, &state, "state", FailureClass::WrongEvent)
            }
            SdkAction::Clock { ms, times } => {
                let ms = self.millis(ms)?;
                let times = times.eval_int(&self.world).map_err(Miss::harness)?;
                // A sign of life is one that comes from here on.
                let link = self.sdk_mut(actor)?;
                link.from_sdk.retain(|frame| !is_at_any_time(frame));
                for _ in 0..times {
                    self.op(actor, "clock", json!({ "advance_ms": ms })).await?;
                }
                Ok(())
            }
            SdkAction::Crash => self.sdk_crash(actor).await,
            SdkAction::App { op, arguments } => {
                let arguments = self.arguments(arguments)?;
                self.op(actor, op, Json::Object(arguments)).await.map(drop)
            }
        }
    }

    pub(super) fn matches(
        &mut self,
        matcher: &Matcher,
        message: &DynamicMessage,
        what: &str,
        class: FailureClass,
    ) -> Result<(), Miss> {
        let mut binds = Binds::new(&self.world);
        matcher
            .check(message, false, &mut binds)
            .map_err(|found| Miss {
                at: format!("{} of {what}", found.path),
                ..Miss::new(
                    class,
                    found.expected,
                    format!("{} in {}", found.got, line_of(message)),
                )
            })?;
        let bound = binds.into_new();
        self.world.set_all(bound);
        Ok(())
    }

    fn arguments(&self, given: &[(String, Expr)]) -> Result<Map<String, Json>, Miss> {
        let mut arguments = Map::new();
        for (name, expr) in given {
            let value = expr.eval(&self.world).map_err(Miss::harness)?;
            // A token is text, whatever it came from.
            let value = match value {
                Val::Bytes(bytes) if name == "token" => {
                    Json::String(String::from_utf8_lossy(&bytes).into_owned())
                }
                value => json_of(&value)?,
            };
            arguments.insert(name.clone(), value);
        }
        Ok(arguments)
    }

    async fn sdk_cut(&mut self, actor: usize) -> Result<(), Miss> {
        let link = self.sdk_mut(actor)?;
        let was_up = link.connected;
        let gate = link.gate.as_ref().ok_or_else(|| Miss::harness("no gate"))?;
        if !gate.cut().await {
            return Err(Miss::harness("there is no connection to cut"));
        }
        self.sdk_closed(actor, "the connection is cut").await?;
        if !was_up {
            // Of what never was a session the app need not hear.
            return Ok(());
        }
        self.told(actor, &["disconnected"], None).await.map(drop)
    }

    /// GOAWAY with this code comes, then the end of the connection, and the app hears of both.
    pub(super) async fn sdk_goaway(&mut self, actor: usize, expect: &Expect) -> Result<(), Miss> {
        self.sdk_one_of(actor, &[expect]).await?;
        self.sdk_closed(actor, "the connection ends after GOAWAY")
            .await?;
        self.told(actor, &["disconnected"], None).await.map(drop)
    }

    /// The server behind was stopped: its connections are gone.
    pub(super) async fn sdks_lose_server(&mut self) -> Result<(), Miss> {
        for actor in 0..self.sdks.len() {
            let until = Instant::now() + self.stage.budget;
            if self.sdk(actor).is_none() {
                continue;
            }
            let gone = self
                .watch(actor, until, |link| (!link.is_open).then_some(()))
                .await?;
            if gone.is_none() {
                return Err(Miss::harness("the server behind the gate is still there"));
            }
            let link = self.sdk_mut(actor)?;
            // Unlike a frame, the end is what the step is about.
            link.to_sdk
                .retain(|passed| matches!(passed, Passed::Frame(_)));
        }
        Ok(())
    }

    /// The connection ends, and nothing comes before.
    async fn sdk_closed(&mut self, actor: usize, expected: &str) -> Result<(), Miss> {
        match self.next_passed(actor, &[]).await? {
            Some(Passed::Closed(_)) => Ok(()),
            Some(other) => Err(Miss::new(
                FailureClass::ExtraFrame,
                expected,
                passed(&other),
            )),
            None => Err(Miss::new(
                FailureClass::NotClosed,
                expected,
                "nothing, within the budget",
            )),
        }
    }

    /// All that came is reported.
    pub(super) async fn sdk_fence(&mut self, actor: usize) -> Result<(), Miss> {
        let pongs = self.sdk_mut(actor)?.pongs;
        let mut answer = self.ask_fence(actor, self.stage.budget).await?;
        // The server did its part: what is left is an op like any other.
        let is_late = answer.is_none() && self.sdk_mut(actor)?.pongs > pongs;
        if is_late {
            answer = self.ask_fence(actor, OP_BUDGET).await?;
        }
        match answer {
            Some(Answer::Ok(_)) => Ok(()),
            Some(answer) => Err(Miss::new(
                FailureClass::RefusedByClient,
                "the SDK does fence",
                format!("{answer:?}"),
            )),
            None if is_late => Err(broke(AdapterFault::new(
                "the adapter hangs: the PONG of a fence came, and no answer to the fence",
            ))),
            None => Err(Miss::new(
                FailureClass::NothingCame,
                "the answer to a fence",
                "nothing, within the budget",
            )),
        }
    }

    /// Nothing is left that nobody expected.
    pub(super) fn sdk_is_quiet(&mut self, actor: usize) -> Result<(), Miss> {
        self.catch_up(actor)?;
        let link = self.sdk_mut(actor)?;
        let came = link.to_sdk.iter().find(|came| match came {
            Passed::Frame(frame) => !is_let_pass(frame),
            Passed::Closed(_) => link.connected,
        });
        if let Some(came) = came {
            return Err(Miss::new(
                FailureClass::ExtraFrame,
                "nothing comes for the SDK",
                passed(came),
            ));
        }
        let is_up = link.connected;
        let sent = link.from_sdk.iter().find(|frame| {
            !is_at_any_time(frame) && (is_up || frame.frame_type != FrameType::LOGIN)
        });
        if let Some(sent) = sent {
            return Err(Miss::new(
                FailureClass::ExtraFrame,
                "the SDK sends nothing more",
                describe(sent),
            ));
        }
        let told = link
            .told
            .iter()
            .filter(|told| !(link.may_miss && told.name == "missing"))
            .find(|told| NEVER_EXTRA.contains(&told.name.as_str()));
        match told {
            None => Ok(()),
            Some(told) => Err(Miss::new(
                FailureClass::ExtraEvent,
                "the app is told nothing more",
                told.describe(),
            )),
        }
    }

    fn named(&mut self, actor: usize, step: &str) -> Result<String, Miss> {
        let label = self.sdk_mut(actor)?.named.get(step).cloned();
        label.ok_or_else(|| Miss::harness(format!("{step} is nothing that the app asked for")))
    }
}

/// What an app must never hear without a reason; the rest are states of the connection and of messages.
const NEVER_EXTRA: [&str; 6] = ["entry", "accepted", "failed", "reply", "refused", "missing"];

/// A rule with its variables filled in; `$f.` and `$r.` are for the tap.
fn filled(node: &Node, world: &dyn Scope) -> Result<Node, Miss> {
    let data = match &node.data {
        Data::Text(text) if text.starts_with("$f.") || text.starts_with("$r.") => node.data.clone(),
        Data::Text(text) => {
            match variable(text, node.line).map_err(|fault| Miss::harness(fault.message))? {
                None => node.data.clone(),
                Some(expr) => match expr.eval(world).map_err(Miss::harness)? {
                    Val::Int(number) => Data::Int(number),
                    Val::Bool(yes) => Data::Bool(yes),
                    Val::Text(text) => Data::Text(text),
                    Val::Bytes(bytes) => Data::Text(format!("hex:{}", hex(&bytes))),
                    Val::List(_) => return Err(Miss::harness("a list stands in no rule")),
                },
            }
        }
        Data::List(items) => Data::List(
            items
                .iter()
                .map(|item| filled(item, world))
                .collect::<Result<_, _>>()?,
        ),
        Data::Table(entries) => Data::Table(
            entries
                .iter()
                .map(|entry| {
                    filled(&entry.node, world).map(|node| Entry {
                        node,
                        ..entry.clone()
                    })
                })
                .collect::<Result<_, _>>()?,
        ),
        Data::Int(_) | Data::Bool(_) => node.data.clone(),
    };
    Ok(Node {
        line: node.line,
        data,
    })
}

fn json_of(value: &Val) -> Result<Json, Miss> {
    Ok(match value {
        Val::Bool(yes) => Json::Bool(*yes),
        Val::Int(number) => match (u32::try_from(*number), u64::try_from(*number)) {
            (Ok(small), _) => small.into(),
            (_, Ok(large)) => large.to_string().into(),
            _ => return Err(Miss::harness(format!("{number} is no argument"))),
        },
        Val::Text(text) => text.clone().into(),
        Val::Bytes(bytes) => hex(bytes).into(),
        Val::List(items) => items.iter().map(json_of).collect::<Result<_, _>>()?,
    })
}
