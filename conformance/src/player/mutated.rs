//! A case that is played against a mutant: a tap on every connection, and a back door that does not do what it says.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json};

use super::{Miss, Player, Stage};
use crate::adapter::Event;
use crate::mutant::{Asked, LineCounts, Mutant};
use crate::session::Transport;
use crate::tap::{Rules, Tap, TapCase};
use crate::transport::{Connection, OpenError, Opening};
use crate::value::{Scope, Val};

/// A mutant that is being played, and what became of its rules in all cases together.
#[derive(Debug)]
pub(crate) struct Mutation {
    pub(crate) mutant: Arc<Mutant>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    fired: Vec<usize>,
    fault: Option<String>,
}

impl Mutation {
    pub(crate) fn new(mutant: Arc<Mutant>) -> Mutation {
        Mutation {
            mutant,
            log: Mutex::default(),
        }
    }

    /// How often each rule did what it does.
    pub(crate) fn fired(&self) -> Vec<usize> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fired
            .clone()
    }

    /// What is wrong with a rule, if it showed.
    pub(crate) fn fault(&self) -> Option<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fault
            .clone()
    }
}

/// The taps of one case. What they saw is added up when the case is over.
pub(super) struct Taps {
    mutation: Arc<Mutation>,
    case: Arc<TapCase>,
}

impl Taps {
    /// What makes taps where an SDK is tested, and not the server.
    pub(super) fn behind(&self) -> (Arc<TapCase>, Arc<Rules>) {
        (
            Arc::clone(&self.case),
            Arc::clone(&self.mutation.mutant.rules),
        )
    }

    /// A tap for a new connection of this actor.
    pub(super) fn tap(&self, actor: &str) -> Tap {
        self.case.tap(&self.mutation.mutant.rules, actor)
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        let mut log = self
            .mutation
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rules = self.mutation.mutant.rules.lines().count();
        log.fired.resize(rules, 0);
        for (index, fired) in log.fired.iter_mut().enumerate() {
            *fired += self.case.fired(index);
        }
        if log.fault.is_none() {
            log.fault = self.case.fault();
        }
    }
}

/// A mutant of an SDK, for one of its clients.
pub(super) struct Mutated {
    mutant: Arc<Mutant>,
    counts: LineCounts,
}

impl Mutated {
    pub(super) fn new(mutant: Arc<Mutant>) -> Mutated {
        Mutated {
            mutant,
            counts: LineCounts::default(),
        }
    }

    /// What the app hears in place of this event.
    pub(super) fn hear(&mut self, event: Event) -> Vec<Event> {
        self.mutant.lines.hear(&mut self.counts, event)
    }

    /// What becomes of what the app asks.
    pub(super) fn ask(&mut self, op: &str, mut arguments: Map<String, Json>) -> Asked {
        if let Some(ms) = arguments.get("advance_ms").and_then(Json::as_u64)
            && op == "clock"
        {
            arguments.insert("advance_ms".to_owned(), self.mutant.clock.of(ms).into());
        }
        self.mutant.lines.ask(&mut self.counts, op, arguments)
    }

    pub(super) fn loses_store(&self) -> bool {
        self.mutant.loses_store
    }
}

impl Stage {
    /// The taps of a new case, if a mutant is played.
    pub(super) fn taps(&self) -> Option<Taps> {
        self.mutation.as_ref().map(|mutation| Taps {
            mutation: Arc::clone(mutation),
            case: TapCase::new(),
        })
    }
}

impl Player<'_> {
    /// Opens a connection for this actor, with the mutant in between if there is one.
    pub(super) async fn open(
        &self,
        actor: usize,
        transport: Transport,
        opening: &Opening,
    ) -> Result<Connection, OpenError> {
        let name = self
            .session
            .actors
            .get(actor)
            .map_or("", |actor| actor.name.as_str());
        // Where an SDK is tested the mutant stands behind it, and the runner's own actors are left alone.
        let taps = self.taps.as_ref().filter(|_| self.stage.sdks.is_empty());
        let tap = taps.map(|taps| taps.tap(name));
        let testee = &self.stage.testee;
        let opened = testee.open(transport, opening, tap, self.stage.budget);
        let mut connection = opened.await?;
        if let Some(pcap) = &self.pcap {
            connection.record(pcap.client(name, transport), opening);
        }
        Ok(connection)
    }

    /// The mutant of the server that is tested.
    fn mutant(&self) -> Option<&Mutant> {
        let taps = self.taps.as_ref().filter(|_| self.stage.sdks.is_empty());
        taps.map(|taps| &*taps.mutation.mutant)
    }

    /// True if the mutant's back door says yes to this and does nothing.
    pub(super) fn is_ignored(&self, verb: &str) -> bool {
        self.mutant()
            .is_some_and(|mutant| mutant.ignores.contains(verb))
    }

    /// Advances the testee's clock, as far as a mutant lets it.
    pub(super) async fn advance(&self, ms: u64) -> Result<(), Miss> {
        let ms = self.mutant().map_or(ms, |mutant| mutant.clock.of(ms));
        if let Some(taps) = &self.taps {
            taps.case.clock_moved();
        }
        if ms == 0 {
            return Ok(());
        }
        self.stage
            .testee
            .admin
            .advance(ms)
            .await
            .map_err(Miss::harness)
    }

    /// Restarts the testee. One that forgets starts with an empty store; its users are made again, or no login would
    /// show what else is gone.
    pub(super) async fn restart_testee(
        &mut self,
        graceful: bool,
        down_ms: Option<u64>,
    ) -> Result<(), Miss> {
        if let Some(taps) = &self.taps {
            taps.case.restarted();
        }
        let testee = &self.stage.testee;
        if !self.mutant().is_some_and(|mutant| mutant.forgets) {
            return testee
                .restart(graceful, down_ms)
                .await
                .map_err(Miss::harness);
        }
        if graceful {
            // It says goodbye as it should.
            testee
                .restart(graceful, down_ms)
                .await
                .map_err(Miss::harness)?;
        }
        testee.start_empty().await.map_err(Miss::harness)?;
        let witness = self.stage.witness.renew(testee, &self.stage.run).await;
        witness.map_err(Miss::harness)?;
        let mut aliases: Vec<&str> = Vec::new();
        for actor in &self.session.actors {
            let known = self.world.lookup(&format!("t.{}", actor.user)).is_some();
            if known && !aliases.contains(&actor.user.as_str()) {
                aliases.push(&actor.user);
            }
        }
        let ids: Vec<String> = aliases.iter().map(|alias| self.world.user(alias)).collect();
        let mut tokens = testee.provision(&ids).await.map_err(Miss::harness)?;
        for (alias, id) in aliases.iter().zip(&ids) {
            if let Some(token) = tokens.remove(id) {
                self.world
                    .set(format!("t.{alias}"), Val::Bytes(token.into()));
            }
        }
        Ok(())
    }
}
