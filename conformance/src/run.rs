//! A run: all chosen cases against one testee, in parallel where they leave each other alone, and what they came to.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::adapter::Role;
use crate::mutant::Mutant;
use crate::pcap::Pcap;
use crate::player::{Mutation, Probe, Stage, Witness};
use crate::report::{CaseReport, Report};
use crate::sdk::{self, Sdk};
use crate::session::{Session, Sessions, Transport};
use crate::spec::Requirements;
use crate::testee::{AdminError, Testee};
use crate::verdict::Verdict;

mod bench;
mod case;
mod dry;

pub(crate) use bench::{Bench, Round};
use case::play_case;
pub(crate) use dry::{Planned, plan};

/// The shortest budget where none is given: room for a store that takes its time.
const MIN_BUDGET: Duration = Duration::from_secs(1);
/// The budget is so many round trips.
const BUDGET_ROUND_TRIPS: u32 = 50;
/// What timed out alone, too, is played a last time with so much more budget: the machine may be busy with other things.
const PATIENCE: u32 = 10;
/// So many cases are played with patience; where more time out, it is not for the machine.
const PATIENT_CASES: usize = 5;
/// The budget of the first login, before a round trip was measured.
const PROBE_BUDGET: Duration = Duration::from_secs(5);

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The cases, by id; empty for all.
    pub cases: BTreeSet<String>,
    /// How many at once.
    pub jobs: usize,
    /// Makes keys and device ids.
    pub seed: u64,
    /// How long a step waits; default: a multiple of the measured round trip.
    pub budget: Option<Duration>,
    /// What actors use that do not say.
    pub transport: Transport,
    /// Play negative cases although their twin did not pass: to see whether a peer that does nothing right passes any.
    pub ignore_blocks: bool,
    /// Play beside the others also what changes the testee for everybody: only for peers without a state.
    pub all_parallel: bool,
    /// Repeat what timed out, alone.
    pub repeat_inconclusive: bool,
    /// One wrong result of a sweep is enough: the rest is not played.
    pub first_failure: bool,
    /// Keep the frames of cases that pass, too.
    pub trace_all: bool,
    /// The SDKs under test, which play the actors of the cases; none where a server is tested.
    pub sdks: Vec<Sdk>,
    /// Where to wait for a person.
    pub pause: Option<Pause>,
    /// Where what goes over the connections is written down.
    pub pcap: Option<Pcap>,
    /// A mutant that stands between the runner and the testee: to see what its failures look like.
    pub mutant: Option<Arc<Mutant>>,
}

/// A step before which a run waits until somebody presses Enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The id of the case.
    pub case: String,
    /// The line of the step in its file.
    pub line: usize,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        RunOptions {
            cases: BTreeSet::new(),
            jobs: (4 * cores).clamp(1, 16),
            seed: fresh_seed(),
            budget: None,
            transport: Transport::Tcp,
            ignore_blocks: false,
            all_parallel: false,
            repeat_inconclusive: true,
            first_failure: false,
            trace_all: false,
            sdks: Vec::new(),
            pause: None,
            pcap: None,
            mutant: None,
        }
    }
}

/// A seed that no other run had.
#[must_use]
pub fn fresh_seed() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap_or_default();
    nanos ^ u64::from(std::process::id()).rotate_left(40)
}

/// What is tested: one testee, and where it is to be had more of the same kind.
pub struct Testees {
    /// Plays everything, or all that cases may share.
    pub shared: Testee,
    /// Play the cases that change a testee for everybody, one at a time each. Without any, `shared` plays these too, at
    /// the end.
    pub lanes: Vec<Testee>,
}

/// Plays the cases and reports. `progress` is told of each case as it ends.
///
/// # Errors
/// If a testee's back door does not even make the witness.
pub async fn run(
    sessions: &Sessions,
    requirements: &Requirements,
    testees: Testees,
    options: &RunOptions,
    progress: impl Fn(&CaseReport) + Send + Sync + 'static,
) -> Result<Report, AdminError> {
    let started = Instant::now();
    let mut stage = set_up(testees.shared, options).await?;
    let probe = Arc::clone(&stage.witness).probe(&stage).await;
    let round_trip = probe.as_ref().map(|probe| probe.round_trip);
    stage.budget = options.budget.unwrap_or_else(|| {
        round_trip.map_or(MIN_BUDGET, |round_trip| {
            (round_trip * BUDGET_ROUND_TRIPS).max(MIN_BUDGET)
        })
    });
    let mut lanes = Vec::new();
    for testee in testees.lanes {
        lanes.push(Stage {
            budget: stage.budget,
            ..set_up(testee, options).await?
        });
    }
    let mut facts = match options.sdks.as_slice() {
        [] => stage.testee.facts(probe.as_ref()),
        [first, rest @ ..] => {
            let mut facts = first.facts();
            for other in rest {
                facts.name += &format!(" with {}", other.name());
            }
            facts
        }
    };
    if let Some(mutant) = &options.mutant {
        facts.name += &format!(" with the mutant {}", mutant.id);
    }
    let plan = Plan::new(sessions, options);
    let shared = Shared {
        stage,
        probe,
        options: options.clone(),
        permits: Semaphore::new(options.jobs.max(1)),
        numbers: Arc::new(AtomicUsize::new(1)),
        verdicts: plan
            .order
            .iter()
            .map(|session| (session.id.clone(), watch::Sender::new(None)))
            .collect(),
        severities: Arc::new(case::severities(requirements)),
        progress: Box::new(progress),
        chosen: plan.chosen.clone(),
    };
    let mut reports = play_all(&plan, Arc::new(shared), lanes).await;
    reports.retain(|id, _| plan.chosen.contains(id));
    for report in reports.values_mut() {
        report.role = options.role();
    }
    Ok(Report::new(
        reports.into_values().collect(),
        requirements,
        options,
        facts,
        round_trip,
        started.elapsed(),
    ))
}

async fn set_up(testee: Testee, options: &RunOptions) -> Result<Stage, AdminError> {
    // Ids of a run differ from those of every other, whatever the seed: the testee may keep what an earlier one left.
    let run: Arc<str> = format!("c{:09x}-", fresh_seed() & 0xf_ffff_ffff).into();
    let witness = Witness::new(&testee, &run).await?;
    Ok(Stage {
        testee: Arc::new(testee),
        witness: Arc::new(witness),
        transport: options.transport,
        budget: options.budget.unwrap_or(PROBE_BUDGET),
        seed: options.seed,
        run,
        is_alone: false,
        trace_all: options.trace_all,
        pause: options.pause.clone().map(Arc::new),
        mutation: options
            .mutant
            .as_ref()
            .map(|mutant| Arc::new(Mutation::new(Arc::clone(mutant)))),
        sdks: options.sdks.clone(),
        pcap: options.pcap.clone(),
    })
}

/// What the jobs of a run have in common.
struct Shared {
    stage: Stage,
    probe: Option<Probe>,
    options: RunOptions,
    permits: Semaphore,
    /// Numbers the results of sweeps and cases, so that each has names of its own.
    numbers: Arc<AtomicUsize>,
    verdicts: HashMap<String, watch::Sender<Option<Verdict>>>,
    severities: Arc<HashMap<String, case::Severity>>,
    progress: Box<dyn Fn(&CaseReport) + Send + Sync>,
    chosen: BTreeSet<String>,
}

impl RunOptions {
    /// Whether a run with these options plays this case where nobody chose: cases for SDKs need one, and of the others an
    /// SDK can play those that ask nothing odd of an actor.
    #[must_use]
    pub fn takes(&self, session: &Session) -> bool {
        match self.sdks.is_empty() {
            true => !session.is_client(),
            false => !sdk::casts(&self.sdks, session).is_empty(),
        }
    }

    /// Who is tested.
    pub(crate) fn role(&self) -> Role {
        match self.sdks.is_empty() {
            true => Role::Server,
            false => Role::Client,
        }
    }
}

impl Shared {
    /// True if this twin is part of the run: what no SDK can play says nothing about one.
    fn is_played(&self, twin: &str) -> bool {
        self.verdicts.contains_key(twin)
    }

    fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells the cases that wait for this one, and whoever watches.
    fn done(&self, report: &CaseReport) {
        if let Some(sender) = self.verdicts.get(&report.id) {
            sender.send_replace(Some(report.verdict));
        }
        if self.chosen.contains(&report.id) {
            (self.progress)(report);
        }
    }

    /// The verdict of a twin, once it is there.
    async fn verdict_of(&self, twin: &str) -> Option<Verdict> {
        let mut receiver = self.verdicts.get(twin)?.subscribe();
        let found = receiver.wait_for(Option::is_some).await.ok()?;
        *found
    }
}

/// Which cases run, and in which order.
struct Plan {
    chosen: BTreeSet<String>,
    /// The chosen cases and their twins, twins first.
    order: Vec<Arc<Session>>,
    /// Those that run one by one.
    alone: BTreeSet<String>,
}

impl Plan {
    fn new(sessions: &Sessions, options: &RunOptions) -> Plan {
        let is_chosen = |session: &&Session| match options.cases.is_empty() {
            true => options.takes(session),
            false => options.cases.contains(&session.id),
        };
        let mut plan = Plan {
            chosen: BTreeSet::new(),
            order: Vec::new(),
            alone: BTreeSet::new(),
        };
        let mut placed = BTreeSet::new();
        for session in sessions.iter().filter(is_chosen) {
            plan.chosen.insert(session.id.clone());
            plan.place(sessions, session, options, &mut placed);
        }
        if options.all_parallel {
            plan.alone.clear();
        }
        plan
    }

    /// A case whose twin runs alone runs alone too, because it comes after it.
    fn place(
        &mut self,
        sessions: &Sessions,
        session: &Session,
        options: &RunOptions,
        placed: &mut BTreeSet<String>,
    ) {
        if !placed.insert(session.id.clone()) {
            return;
        }
        let mut alone = session.is_exclusive();
        let twin = session.twin.as_deref().and_then(|twin| sessions.get(twin));
        if let Some(twin) = twin.filter(|twin| options.takes(twin)) {
            self.place(sessions, twin, options, placed);
            alone |= self.alone.contains(&twin.id);
        }
        if alone {
            self.alone.insert(session.id.clone());
        }
        self.order.push(Arc::new(session.clone()));
    }
}

async fn play_all(
    plan: &Plan,
    shared: Arc<Shared>,
    lanes: Vec<Stage>,
) -> BTreeMap<String, CaseReport> {
    let mut reports = BTreeMap::new();
    let mut jobs = JoinSet::new();
    let alone = plan
        .order
        .iter()
        .filter(|session| plan.alone.contains(&session.id))
        .cloned();
    // Twins stand first in the queue, so a case never waits for one that nobody has begun.
    let queue: Arc<Mutex<VecDeque<Arc<Session>>>> = Arc::new(Mutex::new(alone.collect()));
    let mut workers = JoinSet::new();
    for stage in lanes {
        workers.spawn(lane(stage, Arc::clone(&queue), Arc::clone(&shared)));
    }
    for session in plan
        .order
        .iter()
        .filter(|session| !plan.alone.contains(&session.id))
    {
        let (session, shared) = (Arc::clone(session), Arc::clone(&shared));
        jobs.spawn(async move {
            let report = play_case(&shared, &session, &shared.stage).await;
            shared.done(&report);
            report
        });
    }
    while let Some(report) = jobs.join_next().await {
        if let Ok(report) = report {
            reports.insert(report.id.clone(), report);
        }
    }
    if workers.is_empty() {
        workers.spawn(lane(shared.stage.clone(), queue, Arc::clone(&shared)));
    }
    while let Some(done) = workers.join_next().await {
        reports.extend(
            done.unwrap_or_default()
                .into_iter()
                .map(|report| (report.id.clone(), report)),
        );
    }
    if shared.options.repeat_inconclusive {
        repeat(plan, &shared, &mut reports).await;
    }
    for session in &plan.order {
        // A job that panicked left no report; a case must never vanish.
        reports
            .entry(session.id.clone())
            .or_insert_with(|| CaseReport::harness(session, "the job did not end"));
    }
    reports
}

/// Plays cases that change a testee for everybody, one after the other.
async fn lane(
    stage: Stage,
    queue: Arc<Mutex<VecDeque<Arc<Session>>>>,
    shared: Arc<Shared>,
) -> Vec<CaseReport> {
    let mut reports = Vec::new();
    loop {
        let next = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some(session) = next else { return reports };
        let report = play_case(&shared, &session, &stage).await;
        shared.done(&report);
        reports.push(report);
    }
}

/// What timed out is played once more, alone, and a few of those with patience; what was blocked by it, too.
async fn repeat(plan: &Plan, shared: &Arc<Shared>, reports: &mut BTreeMap<String, CaseReport>) {
    let alone = Stage {
        is_alone: true,
        ..shared.stage.clone()
    };
    repeat_at(&alone, plan, shared, reports).await;
    let left = reports
        .values()
        .filter(|case| case.verdict == Verdict::Inconclusive);
    if shared.options.budget.is_none() && (1..=PATIENT_CASES).contains(&left.count()) {
        let patient = Stage {
            budget: alone.budget * PATIENCE,
            ..alone
        };
        repeat_at(&patient, plan, shared, reports).await;
    }
}

async fn repeat_at(
    stage: &Stage,
    plan: &Plan,
    shared: &Arc<Shared>,
    reports: &mut BTreeMap<String, CaseReport>,
) {
    let mut changed = BTreeSet::new();
    for session in &plan.order {
        let verdict = reports.get(&session.id).map(|report| report.verdict);
        let is_freed = verdict == Some(Verdict::Blocked)
            && session
                .twin
                .as_ref()
                .is_some_and(|twin| changed.contains(twin));
        if verdict != Some(Verdict::Inconclusive) && !is_freed {
            continue;
        }
        let report = play_case(shared, session, stage).await;
        changed.insert(session.id.clone());
        shared.done(&report);
        reports.insert(report.id.clone(), report);
    }
}
