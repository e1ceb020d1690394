//! An actor that an SDK plays: its adapter, its gate, and what passed or was told and is not yet looked at.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tempfile::TempDir;
use tidewire_codec::{Feature, Flags, Frame, FrameType, Kind, RawFrame};
use tokio::time::{Instant, sleep_until};

use super::link::Refs;
use super::mutated::Mutated;
use super::sdk_ops::broke;
use super::{Cast, Miss, Player};
use crate::adapter::{Adapter, AdapterFault, AdapterPool, ClientEvents, Event as Told};
use crate::ladder::{Event, Ladder};
use crate::mutant::Mutant;
use crate::report::Direction;
use crate::sdk::gate::{End, Gate, Seen};
use crate::session::Session;
use crate::verdict::FailureClass;

/// An actor that an SDK plays.
pub(super) struct SdkLink {
    pub(super) pool: Arc<AdapterPool>,
    /// The case kills the adapter, so it has one of its own.
    pub(super) is_own: bool,
    /// The actor of a case for servers: the app does only what the file says, and so must the SDK.
    pub(super) is_led: bool,
    pub(super) client: Option<Client>,
    pub(super) gate: Option<Gate>,
    pub(super) store: Option<TempDir>,
    pub(super) opened: usize,
    /// A session is up as far as the wire tells.
    pub(super) connected: bool,
    /// How many PONGs came for it.
    pub(super) pongs: usize,
    /// It was told FRESH, and may tell its app that entries are missing.
    pub(super) may_miss: bool,
    /// A connection is there, logged in or not.
    pub(super) is_open: bool,
    /// How often this client knocked.
    pub(super) arrivals: u64,
    pub(super) manual_clock: bool,
    pub(super) from_sdk: VecDeque<RawFrame>,
    pub(super) to_sdk: VecDeque<Passed>,
    pub(super) told: VecDeque<Told>,
    pub(super) refs: Refs,
    /// The `ref` of every request on this connection that has no answer.
    unanswered: HashSet<u32>,
    /// How many there may be, once LOGIN_OK said it.
    max_inflight: Option<u32>,
    /// It sent something that nobody knows on this connection.
    pub(super) is_greased: bool,
    /// The names that the adapter knows requests by, by their `ref` on this connection.
    pub(super) labels: HashMap<u32, String>,
    /// The same by the name of the step.
    pub(super) named: HashMap<String, String>,
    next_label: usize,
    /// What a mutant does to the lines of the adapter.
    pub(super) mutant: Option<Mutated>,
}

/// What came for the SDK.
#[derive(Clone, Debug)]
pub(super) enum Passed {
    Frame(RawFrame),
    Closed(End),
}

/// A client of the adapter that is open.
pub(super) struct Client {
    pub(super) adapter: Adapter,
    pub(super) name: String,
    pub(super) events: ClientEvents,
}

impl SdkLink {
    /// The links of a case, one for each actor that an SDK plays.
    pub(super) fn cast(
        session: &Session,
        cast: &Cast,
        mutant: Option<&Arc<Mutant>>,
    ) -> Vec<Option<SdkLink>> {
        let is_own = crate::sdk::bind::crashes(session);
        let link = |pool: &Option<Arc<AdapterPool>>| {
            pool.as_ref().map(|pool| SdkLink {
                pool: Arc::clone(pool),
                is_own,
                is_led: !session.is_client(),
                client: None,
                gate: None,
                store: None,
                opened: 0,
                connected: false,
                pongs: 0,
                may_miss: false,
                is_open: false,
                arrivals: 0,
                manual_clock: false,
                from_sdk: VecDeque::new(),
                to_sdk: VecDeque::new(),
                told: VecDeque::new(),
                refs: Refs::default(),
                unanswered: HashSet::new(),
                max_inflight: None,
                is_greased: false,
                labels: HashMap::new(),
                named: HashMap::new(),
                next_label: 1,
                mutant: mutant.cloned().map(Mutated::new),
            })
        };
        cast.0.iter().map(link).collect()
    }

    /// A name for a message or a request, which the adapter repeats.
    pub(super) fn new_label(&mut self, step: Option<&str>) -> String {
        let label = format!("n{}", self.next_label);
        self.next_label += 1;
        if let Some(step) = step {
            self.named.insert(step.to_owned(), label.clone());
        }
        label
    }

    /// Takes in what passed and what was told, without waiting.
    fn catch_up(&mut self, actor: usize, ladder: &mut Ladder) -> Result<(), Miss> {
        while let Some(seen) = self
            .gate
            .as_mut()
            .and_then(|gate| gate.seen.try_recv().ok())
        {
            self.pass(actor, seen, ladder)?;
        }
        while let Some(told) = self
            .client
            .as_mut()
            .and_then(|client| client.events.try_recv().ok())
        {
            self.hear(actor, told, ladder);
        }
        Ok(())
    }

    pub(super) fn pass(
        &mut self,
        actor: usize,
        seen: Seen,
        ladder: &mut Ladder,
    ) -> Result<(), Miss> {
        let note = |text: String| Event::Note {
            actor: Some(actor),
            text,
        };
        match seen {
            Seen::Opened => {
                ladder.push(note("the SDK connects".to_owned()));
                self.labels.clear();
                self.unanswered.clear();
                self.max_inflight = None;
                self.is_greased = false;
                self.is_open = true;
                self.arrivals += 1;
            }
            Seen::Refused => {
                ladder.push(note("the SDK connects, and is turned away".to_owned()));
                self.arrivals += 1;
            }
            Seen::Note(text) => ladder.push(note(text)),
            Seen::Broken(what) => {
                ladder.push(note(format!("the SDK sent no frames: {what}")));
                return Err(Miss::new(
                    FailureClass::BrokenFraming,
                    "a preface, then whole frames",
                    what,
                ));
            }
            Seen::Closed(end) => {
                let who = match end {
                    End::Sdk => "the SDK closes",
                    End::Server => "the server closes",
                    End::Tap => "the connection is cut",
                };
                ladder.push(note(who.to_owned()));
                self.connected = false;
                self.is_open = false;
                self.to_sdk.push_back(Passed::Closed(end));
            }
            Seen::ToSdk(frame) => {
                ladder.push(Event::Received {
                    actor,
                    frame: frame.clone(),
                });
                self.pongs += usize::from(frame.frame_type == FrameType::PONG);
                if frame.flags.contains(Flags::REPLY) {
                    self.is_answered(frame.reference);
                }
                if let Ok(Frame::LoginOk(ok)) = Frame::decode(frame.frame_type, &frame.body) {
                    self.max_inflight = ok.limits.and_then(|limits| limits.max_inflight);
                }
                self.to_sdk.push_back(Passed::Frame(frame));
            }
            Seen::FromSdk(frame) => {
                ladder.push(Event::Sent {
                    actor,
                    frame: frame.clone(),
                });
                let wrong = ill_formed(&frame).or_else(|| self.asks_anew(&frame));
                self.is_greased |= is_greased(&frame);
                self.from_sdk.push_back(frame);
                if let Some(miss) = wrong {
                    return Err(miss);
                }
            }
        }
        Ok(())
    }

    /// A request has a `ref` that no unanswered one has, and there are no more of them than allowed.
    fn asks_anew(&mut self, frame: &RawFrame) -> Option<Miss> {
        if !frame.is_request() {
            return None;
        }
        if self.unanswered.insert(frame.reference) {
            let open = self.unanswered.len();
            let limit = self.max_inflight?;
            let is_too_many = open > usize::try_from(limit).unwrap_or(usize::MAX);
            return is_too_many.then(|| {
                Miss::new(
                    FailureClass::ExtraFrame,
                    format!("at most {limit} unanswered requests"),
                    format!("{open} of them"),
                )
            });
        }
        let got = format!(
            "ref {} again, whose request has no answer yet",
            frame.reference
        );
        Some(Miss {
            at: format!("ref of {}", frame.frame_type),
            ..Miss::new(FailureClass::WrongHeader, "a ref that is not in use", got)
        })
    }

    /// A request has its answer.
    pub(super) fn is_answered(&mut self, reference: u32) {
        self.unanswered.remove(&reference);
    }

    /// True if the SDK may not even ask for the PONG of a fence.
    pub(super) fn is_full(&self) -> bool {
        let open = u32::try_from(self.unanswered.len()).unwrap_or(u32::MAX);
        self.max_inflight.is_some_and(|limit| open >= limit)
    }

    fn hear(&mut self, actor: usize, told: Told, ladder: &mut Ladder) {
        let heard = match &mut self.mutant {
            Some(mutant) => mutant.hear(told),
            None => vec![told],
        };
        for told in heard {
            ladder.push(Event::Adapter {
                actor,
                direction: Direction::Sent,
                text: told.describe(),
            });
            self.told.push_back(told);
        }
    }

    /// Ends once something new passed or was told, or the adapter is gone.
    async fn news(&mut self) -> News {
        let (Some(gate), Some(client)) = (&mut self.gate, &mut self.client) else {
            return News::Gone;
        };
        tokio::select! {
            seen = gate.seen.recv() => seen.map_or(News::Gone, News::Seen),
            told = client.events.recv() => told.map_or(News::Gone, News::Told),
        }
    }
}

enum News {
    Seen(Seen),
    Told(Told),
    Gone,
}

/// What holds for every frame of a client.
fn ill_formed(frame: &RawFrame) -> Option<Miss> {
    let wrong = |expected: &str, got: String| {
        Some(Miss {
            at: format!("the header of {}", frame.frame_type),
            ..Miss::new(FailureClass::WrongHeader, expected, got)
        })
    };
    if frame.flags.0 & Flags::RESERVED.0 != 0 {
        return wrong("flag bits 3 to 6 are clear", frame.flags.to_string());
    }
    let is_reply = frame.flags.contains(Flags::REPLY);
    match frame.frame_type.info().map(|info| info.kind) {
        Some(Kind::Event) if frame.reference != 0 || is_reply => wrong(
            "an event has ref 0 and REPLY clear",
            format!("ref {} flags {}", frame.reference, frame.flags),
        ),
        Some(Kind::Request) if frame.reference == 0 || is_reply => wrong(
            "a request has a ref and REPLY clear",
            format!("ref {} flags {}", frame.reference, frame.flags),
        ),
        _ => None,
    }
}

/// True if the frame is or holds something that is never assigned.
fn is_greased(frame: &RawFrame) -> bool {
    if frame.frame_type.is_grease() || frame.flags.contains(Flags::GREASE) {
        return true;
    }
    let Ok(Some(body)) = super::expect::body_of(frame) else {
        return false;
    };
    let features = body.get_field_by_name("features");
    let features = features.as_deref().and_then(|value| value.as_list());
    let is_feature =
        |value: &prost_reflect::Value| value.as_u32().is_some_and(|id| Feature(id).is_grease());
    body.unknown_fields().next().is_some() || features.is_some_and(|ids| ids.iter().any(is_feature))
}

impl Player<'_> {
    /// The link of an actor that an SDK plays.
    pub(super) fn sdk(&self, actor: usize) -> Option<&SdkLink> {
        self.sdks.get(actor)?.as_ref()
    }

    /// The same, for a step of such an actor.
    pub(super) fn sdk_mut(&mut self, actor: usize) -> Result<&mut SdkLink, Miss> {
        let link = self.sdks.get_mut(actor).and_then(Option::as_mut);
        link.ok_or_else(|| Miss::harness("no SDK plays this actor"))
    }

    /// Takes in what is there already.
    pub(super) fn catch_up(&mut self, actor: usize) -> Result<(), Miss> {
        let Some(Some(link)) = self.sdks.get_mut(actor) else {
            return Ok(());
        };
        link.catch_up(actor, &mut self.ladder)
    }

    /// Waits until `look` finds something in what passed and was told; `None` when the time is over.
    pub(super) async fn watch<T>(
        &mut self,
        actor: usize,
        until: Instant,
        mut look: impl FnMut(&mut SdkLink) -> Option<T>,
    ) -> Result<Option<T>, Miss> {
        loop {
            self.catch_up(actor)?;
            let Some(Some(link)) = self.sdks.get_mut(actor) else {
                return Err(Miss::harness("no SDK plays this actor"));
            };
            if let Some(found) = look(link) {
                return Ok(Some(found));
            }
            let news = tokio::select! {
                news = link.news() => news,
                () = sleep_until(until) => return Ok(None),
            };
            match news {
                News::Seen(seen) => link.pass(actor, seen, &mut self.ladder)?,
                News::Told(told) => link.hear(actor, told, &mut self.ladder),
                News::Gone => {
                    let fault = link
                        .client
                        .as_ref()
                        .and_then(|client| client.adapter.fault());
                    return Err(broke(
                        fault.unwrap_or_else(|| AdapterFault::new("no client is open")),
                    ));
                }
            }
        }
    }
}

/// True for what an SDK may send at any time.
pub(super) fn is_at_any_time(frame: &RawFrame) -> bool {
    matches!(
        frame.frame_type,
        FrameType::ACK | FrameType::PING | FrameType::PONG | FrameType::CREDIT
    ) || frame.frame_type.info().is_none()
}
