//! A bench: testees that stay up while many small runs are made on them, each with a mutant in between or with cases
//! that were changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::{RunOptions, Shared, Testees, case, set_up};
use crate::player::{Mutation, Probe, Stage};
use crate::report::CaseReport;
use crate::session::{Session, Sessions};
use crate::spec::Requirements;
use crate::testee::AdminError;

/// Testees that are up, and what is known of them.
pub(crate) struct Bench {
    shared: Stage,
    probe: Option<Probe>,
    lanes: Lanes,
    options: RunOptions,
    severities: Arc<HashMap<String, case::Severity>>,
    numbers: Arc<AtomicUsize>,
}

/// Testees for cases that change one for everybody: each is lent to one case at a time.
struct Lanes {
    free: Mutex<Vec<Stage>>,
    permits: Semaphore,
}

/// One small run.
pub(crate) struct Round<'a> {
    /// The cases in the order in which they are played, twins before those that name them.
    pub(crate) order: &'a [Arc<Session>],
    pub(crate) mutation: Option<Arc<Mutation>>,
    /// How long a step waits before a fence proves that nothing would have come.
    pub(crate) budget: Duration,
}

impl Bench {
    /// Sets the testees up. There is at least one lane, or cases that need one could not be played.
    pub(crate) async fn new(
        testees: Testees,
        requirements: &Requirements,
        options: RunOptions,
    ) -> Result<Bench, AdminError> {
        let shared = set_up(testees.shared, &options).await?;
        let probe = Arc::clone(&shared.witness).probe(&shared).await;
        let mut free = Vec::new();
        for testee in testees.lanes {
            free.push(set_up(testee, &options).await?);
        }
        if free.is_empty() {
            return Err(AdminError(
                "a bench needs a testee for cases that run alone".to_owned(),
            ));
        }
        let permits = Semaphore::new(free.len());
        Ok(Bench {
            shared,
            probe,
            lanes: Lanes {
                free: Mutex::new(free),
                permits,
            },
            options: RunOptions {
                first_failure: true,
                ..options
            },
            severities: Arc::new(case::severities(requirements)),
            numbers: Arc::new(AtomicUsize::new(1)),
        })
    }

    /// True if the case is for whom this bench tests.
    pub(crate) fn takes(&self, session: &Session) -> bool {
        self.options.takes(session)
    }

    /// The cases with these ids in an order in which they can be played one after the other: twins first, and what needs
    /// a testee alone last.
    pub(crate) fn order<'a>(
        &self,
        sessions: &Sessions,
        ids: impl Iterator<Item = &'a str>,
    ) -> Vec<Arc<Session>> {
        let mut placed = BTreeSet::new();
        let mut order = Vec::new();
        for id in ids {
            self.place(sessions, id, &mut placed, &mut order);
        }
        order.sort_by_key(|session: &Arc<Session>| is_alone(sessions, session));
        order
    }

    fn place(
        &self,
        sessions: &Sessions,
        id: &str,
        placed: &mut BTreeSet<String>,
        order: &mut Vec<Arc<Session>>,
    ) {
        let Some(session) = sessions.get(id).filter(|session| self.takes(session)) else {
            return;
        };
        if !placed.insert(id.to_owned()) {
            return;
        }
        if let Some(twin) = &session.twin {
            self.place(sessions, twin, placed, order);
        }
        order.push(Arc::new(session.clone()));
    }

    /// Plays the cases one after the other, until `enough` says so. What was not reached is not in the answer.
    pub(crate) async fn play(
        &self,
        round: &Round<'_>,
        mut enough: impl FnMut(&CaseReport) -> bool,
    ) -> Vec<CaseReport> {
        let stage = |stage: &Stage| Stage {
            budget: round.budget,
            // What does not come in time is asked for with a fence: so the budget can be short.
            is_alone: true,
            mutation: round.mutation.clone(),
            ..stage.clone()
        };
        let verdicts = round
            .order
            .iter()
            .map(|session| (session.id.clone(), watch::Sender::new(None)));
        let shared = Arc::new(Shared {
            stage: stage(&self.shared),
            probe: self.probe.clone(),
            options: self.options.clone(),
            permits: Semaphore::new(1),
            numbers: Arc::clone(&self.numbers),
            verdicts: verdicts.collect(),
            severities: Arc::clone(&self.severities),
            progress: Box::new(|_| ()),
            chosen: Default::default(),
        });
        // A mutant that empties the store must not empty that of others.
        let needs_lane = |session: &Session| {
            session.is_exclusive()
                || round
                    .mutation
                    .as_ref()
                    .is_some_and(|mutation| mutation.mutant.forgets)
        };
        let mut reports = Vec::new();
        for session in round.order {
            let report = if needs_lane(session) {
                let lane = self.lanes.lend().await;
                case::play_case(&shared, session, &stage(&lane.stage)).await
            } else {
                case::play_case(&shared, session, &shared.stage).await
            };
            shared.done(&report);
            let is_enough = enough(&report);
            reports.push(report);
            if is_enough {
                break;
            }
        }
        reports
    }
}

/// A lane in use; it goes back when this is dropped.
struct Lent<'a> {
    lanes: &'a Lanes,
    stage: Stage,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Lanes {
    async fn lend(&self) -> Lent<'_> {
        loop {
            if let Ok(permit) = self.permits.acquire().await {
                let free = self
                    .free
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop();
                if let Some(stage) = free {
                    return Lent {
                        lanes: self,
                        stage,
                        _permit: permit,
                    };
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Before the permit is given back, so that whoever gets it finds the lane.
        self.lanes
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.stage.clone());
    }
}

/// True if the case, or one of its twins, needs a testee alone: then it comes after its twin in any order.
fn is_alone(sessions: &Sessions, session: &Session) -> bool {
    session.is_exclusive()
        || session
            .twin
            .as_deref()
            .and_then(|twin| sessions.get(twin))
            .is_some_and(|twin| is_alone(sessions, twin))
}
