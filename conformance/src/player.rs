//! Plays one case: its steps in order, each actor on its connection.

use std::sync::Arc;
use std::time::Duration;

use crate::adapter::AdapterPool;
use crate::ladder::{Event, Ladder};
use crate::pcap::{Pcap, PcapCase};
use crate::report::Evidence;
use crate::run::Pause;
use crate::sdk::Sdk;
use crate::session::{Action, FaultSwitch, Session, Step, Transport};
use crate::tap::TapCase;
use crate::testee::Testee;
use crate::value::Val;
use crate::verdict::{Failure, FailureClass, Verdict};

mod expect;
mod fence;
mod link;
mod login;
mod mutated;
mod pause;
mod pooled;
mod sdk;
mod sdk_expect;
mod sdk_ops;
mod sdk_steps;
mod sdk_wire;
mod send;
mod steps;
mod witness;
mod world;

pub(crate) use expect::describe;
use link::Link;
pub(crate) use login::{EVENT_LIMIT, login_message};
pub(crate) use mutated::Mutation;
use mutated::Taps;
use sdk::SdkLink;
pub(crate) use send::payload;
pub(crate) use witness::{Probe, Witness};
use world::World;

/// What is the same for all cases of a run.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) testee: Arc<Testee>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) transport: Transport,
    /// How long a step waits.
    pub(crate) budget: Duration,
    /// Makes random values; the same for the same seed.
    pub(crate) seed: u64,
    /// Told apart from other runs against the same testee.
    pub(crate) run: Arc<str>,
    /// After a time-out, a fence proves that nothing would have come: only where nothing else slows the testee down.
    pub(crate) is_alone: bool,
    /// Keep the whole ladder of cases that pass, too.
    pub(crate) trace_all: bool,
    /// Where to wait for a person.
    pub(crate) pause: Option<Arc<Pause>>,
    /// What stands between the player and the testee, where the suite itself is put to the proof.
    pub(crate) mutation: Option<Arc<Mutation>>,
    /// The SDKs under test; none where a server is.
    pub(crate) sdks: Vec<Sdk>,
    /// Where the bytes of all connections of actors are written down, if anywhere.
    pub(crate) pcap: Option<Pcap>,
}

impl Stage {
    /// Who plays whom, once for each time that the case is played.
    pub(crate) fn casts(&self, session: &Session) -> Vec<Cast> {
        crate::sdk::casts(&self.sdks, session)
    }

    /// Why the case cannot be played with these SDKs, if it cannot.
    pub(crate) fn sdks_lack(&self, session: &Session) -> Option<(Verdict, String)> {
        crate::sdk::lack(&self.sdks, session, self.testee.pool.is_some())
    }
}

/// Who plays which actor: the adapter of an SDK, or the runner where there is none.
#[derive(Clone, Default)]
pub(crate) struct Cast(pub(crate) Vec<Option<Arc<AdapterPool>>>);

impl Cast {
    /// As a report says who plays whom; a case for SDKs says it itself.
    pub(crate) fn variant(&self, session: &Session) -> Variant {
        let bound = session.actors.iter().zip(&self.0);
        let bound: Vec<String> = bound
            .filter_map(|(actor, pool)| {
                pool.as_ref()
                    .map(|pool| format!("{} is {}", actor.name, pool.name()))
            })
            .collect();
        match bound.is_empty() || session.is_client() {
            true => Variant::Plain,
            false => Variant::Bound(bound.join(", ")),
        }
    }
}

/// Which of the results of a sweep this is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Variant {
    Plain,
    Split(usize),
    Truncate(usize),
    Bit(usize),
    Value(Val),
    /// This actor is the SDK.
    Bound(String),
}

impl Variant {
    /// As a report says it.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Variant::Plain => None,
            Variant::Split(at) => Some(format!("split after {at} bytes")),
            Variant::Truncate(at) => Some(format!("cut after {at} bytes")),
            Variant::Bit(bit) => Some(format!("bit {bit} of the header flipped")),
            Variant::Value(value) => Some(format!("$sweep = {value}")),
            Variant::Bound(who) => Some(who.clone()),
        }
    }
}

/// What playing came to.
#[derive(Debug)]
pub(crate) struct Played {
    /// `None` if everything came true.
    pub(crate) failure: Option<Failure>,
    /// The requirements that executed steps proved.
    pub(crate) proved: Vec<String>,
    /// The length of the frame that a sweep is about, once it was built.
    pub(crate) swept_len: Option<usize>,
    /// What went over its connections: if it failed, or where it was asked for.
    pub(crate) evidence: Option<Evidence>,
}

/// A step that did not come true.
#[derive(Clone, Debug)]
pub(crate) struct Miss {
    pub(crate) class: FailureClass,
    pub(crate) at: String,
    pub(crate) expected: String,
    pub(crate) got: String,
    /// The actor, where it is not the step's own.
    pub(crate) actor: Option<usize>,
}

impl Miss {
    pub(crate) fn new(
        class: FailureClass,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Miss {
        Miss {
            class,
            at: String::new(),
            expected: expected.into(),
            got: got.into(),
            actor: None,
        }
    }

    pub(crate) fn harness(error: impl ToString) -> Miss {
        Miss::new(FailureClass::Harness, "", error.to_string())
    }

    pub(crate) fn of(mut self, actor: usize) -> Miss {
        self.actor = Some(actor);
        self
    }
}

/// A case that is being played.
pub(crate) struct Player<'a> {
    stage: &'a Stage,
    session: &'a Session,
    variant: Variant,
    world: World,
    links: Vec<Option<Link>>,
    /// The actors that an SDK plays.
    sdks: Vec<Option<SdkLink>>,
    /// What the rules of the wire between SDKs and the server have in common.
    wire: Arc<TapCase>,
    ladder: Ladder,
    proved: Vec<String>,
    swept_len: Option<usize>,
    /// An actor that a sweep took out of the case.
    silenced: Option<usize>,
    needs_witness: bool,
    /// The taps of this case, where a mutant is played.
    taps: Option<Taps>,
    /// What is written down of this case.
    pcap: Option<PcapCase>,
}

impl<'a> Player<'a> {
    /// Plays the case once.
    pub(crate) async fn play(
        stage: &'a Stage,
        session: &'a Session,
        variant: Variant,
        number: usize,
        cast: &Cast,
    ) -> Played {
        let mut world = World::new(stage, session, number);
        if let Variant::Value(value) = &variant {
            world.set("sweep", value.clone());
        }
        let pcap = stage.pcap.as_ref().map(|pcap| {
            let variant = variant.text().map(|text| format!(" [{text}]"));
            pcap.case(format!("{}{}", session.id, variant.unwrap_or_default()))
        });
        let mut player = Player {
            stage,
            session,
            variant,
            world,
            links: session.actors.iter().map(|_| None).collect(),
            sdks: SdkLink::cast(
                session,
                cast,
                stage.mutation.as_ref().map(|one| &one.mutant),
            ),
            wire: TapCase::new(),
            ladder: Ladder::default(),
            proved: Vec::new(),
            swept_len: None,
            silenced: None,
            needs_witness: false,
            taps: stage.taps(),
            pcap,
        };
        let failure = player.run().await;
        player.end_sdks().await;
        player.lift_faults().await;
        let is_told = failure.is_some() || stage.trace_all;
        Played {
            failure,
            proved: player.proved,
            swept_len: player.swept_len,
            evidence: is_told.then(|| player.ladder.evidence(session)),
        }
    }

    async fn run(&mut self) -> Option<Failure> {
        let loan = match self.prepare().await {
            Ok(loan) => loan,
            Err(miss) => return Some(self.failure(miss, None)),
        };
        for (index, step) in self.session.steps.iter().enumerate() {
            if step.actor.is_some() && step.actor == self.silenced {
                continue;
            }
            self.ladder.push(Event::Step { line: step.line });
            if let Some(pcap) = &self.pcap {
                let text = self.session.source_of(step.line).next();
                pcap.step(&format!(":{} {}", step.line, text.unwrap_or_default()));
            }
            self.pause_before(step).await;
            match self.step(index, step).await {
                Ok(()) => self.proved.extend(step.proves.iter().cloned()),
                Err(miss) => {
                    let miss = self.blame(miss).await;
                    let failure = self.failure(miss, Some(step));
                    self.give_back(loan.is_some()).await;
                    return Some(failure);
                }
            }
        }
        let ended = self
            .end()
            .await
            .map_err(|miss| self.failure(miss, None))
            .err();
        self.give_back(loan.is_some()).await;
        ended
    }

    /// What follows the last step: nothing unexpected is left, and others are still served.
    async fn end(&mut self) -> Result<(), Miss> {
        if let Some(pcap) = &self.pcap {
            pcap.step(": the fence at the end");
        }
        if !self.session.loose_end {
            self.end_fences().await?;
        }
        if self.needs_witness {
            self.stage.witness.check(self.stage).await?;
        }
        Ok(())
    }

    fn failure(&self, miss: Miss, step: Option<&Step>) -> Failure {
        let actor = miss.actor.or_else(|| step.and_then(|step| step.actor));
        Failure {
            class: miss.class,
            line: step.map_or(0, |step| step.line),
            step: step
                .map(|step| {
                    self.session
                        .source_of(step.line)
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default(),
            actor: actor
                .and_then(|actor| self.session.actors.get(actor))
                .map(|actor| actor.name.clone()),
            proves: step
                .map(|step| step.proofs().cloned().collect())
                .unwrap_or_default(),
            at: miss.at,
            expected: miss.expected,
            got: miss.got,
            variant: self.variant.text(),
            stderr: self.stderr(),
        }
    }

    fn note(&mut self, actor: Option<usize>, text: impl Into<String>) {
        self.ladder.push(Event::Note {
            actor,
            text: text.into(),
        });
    }

    /// Faults hold for everybody, so they end with the case, whatever it came to.
    async fn lift_faults(&self) {
        for step in &self.session.steps {
            if let Action::Fault(switch) = &step.action {
                let off = match switch {
                    FaultSwitch::StoreFull(_) => FaultSwitch::StoreFull(false),
                    FaultSwitch::MaxInbox(_) => FaultSwitch::MaxInbox(None),
                    FaultSwitch::MaxGroupMembers(_) => FaultSwitch::MaxGroupMembers(None),
                };
                // A testee that cannot do this any more shows it in the next case.
                let _ = self.stage.testee.fault(off).await;
            }
        }
    }
}
