//! A run: all chosen cases against one testee, in parallel where they leave each other alone, and what they came to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::player::{Probe, Stage, Witness};
use crate::report::{CaseReport, Report};
use crate::session::{Session, Sessions, Transport};
use crate::spec::Requirements;
use crate::testee::{AdminError, Testee};
use crate::verdict::Verdict;

mod case;

use case::play_case;

/// The shortest budget where none is given: room for a store that takes its time.
const MIN_BUDGET: Duration = Duration::from_secs(1);
/// The budget is so many round trips.
const BUDGET_ROUND_TRIPS: u32 = 50;
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
    /// Keep the frames of cases that pass, too.
    pub trace_all: bool,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        RunOptions {
            cases: BTreeSet::new(),
            jobs: (2 * cores).clamp(1, 16),
            seed: fresh_seed(),
            budget: None,
            transport: Transport::Tcp,
            ignore_blocks: false,
            all_parallel: false,
            repeat_inconclusive: true,
            trace_all: false,
        }
    }
}

/// A seed that no other run had.
#[must_use]
pub fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap_or_default();
    nanos ^ u64::from(std::process::id()).rotate_left(40)
}

/// Plays the cases and reports. `progress` is told of each case as it ends.
///
/// # Errors
/// If the testee's back door does not even make the witness.
pub async fn run(
    sessions: &Sessions,
    requirements: &Requirements,
    testee: Testee,
    options: &RunOptions,
    progress: impl Fn(&CaseReport) + Send + Sync + 'static,
) -> Result<Report, AdminError> {
    let started = Instant::now();
    // Ids of a run differ from those of every other, whatever the seed: the testee may keep what an earlier one left.
    let run: Arc<str> = format!("c{:09x}-", fresh_seed() & 0xf_ffff_ffff).into();
    let witness = Witness::new(&testee, &run).await?;
    let mut stage = Stage {
        testee: Arc::new(testee),
        witness: Arc::new(witness),
        transport: options.transport,
        budget: options.budget.unwrap_or(PROBE_BUDGET),
        seed: options.seed,
        run,
        is_alone: false,
        trace_all: options.trace_all,
    };
    let probe = Arc::clone(&stage.witness).probe(&stage).await;
    let round_trip = probe.as_ref().map(|probe| probe.round_trip);
    stage.budget = options
        .budget
        .unwrap_or_else(|| round_trip.map_or(MIN_BUDGET, |round_trip| (round_trip * BUDGET_ROUND_TRIPS).max(MIN_BUDGET)));
    let plan = Plan::new(sessions, options);
    let shared = Shared {
        stage,
        probe,
        options: options.clone(),
        permits: Semaphore::new(options.jobs.max(1)),
        numbers: AtomicUsize::new(1),
        verdicts: plan.order.iter().map(|session| (session.id.clone(), watch::Sender::new(None))).collect(),
        severities: requirements
            .iter()
            .map(|requirement| (requirement.id.clone(), case::Severity::of(&requirement.sentence)))
            .collect(),
        progress: Box::new(progress),
        chosen: plan.chosen.clone(),
    };
    let mut reports = play_all(&plan, Arc::new(shared)).await;
    reports.retain(|id, _| plan.chosen.contains(id));
    Ok(Report::new(reports.into_values().collect(), requirements, options, round_trip, started.elapsed()))
}

/// What the jobs of a run have in common.
struct Shared {
    stage: Stage,
    probe: Option<Probe>,
    options: RunOptions,
    permits: Semaphore,
    /// Numbers the results of sweeps and cases, so that each has names of its own.
    numbers: AtomicUsize,
    verdicts: HashMap<String, watch::Sender<Option<Verdict>>>,
    severities: HashMap<String, case::Severity>,
    progress: Box<dyn Fn(&CaseReport) + Send + Sync>,
    chosen: BTreeSet<String>,
}

impl Shared {
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
        let is_chosen = |session: &&Session| options.cases.is_empty() || options.cases.contains(&session.id);
        let mut plan = Plan { chosen: BTreeSet::new(), order: Vec::new(), alone: BTreeSet::new() };
        let mut placed = BTreeSet::new();
        for session in sessions.iter().filter(is_chosen) {
            plan.chosen.insert(session.id.clone());
            plan.place(sessions, session, &mut placed);
        }
        if options.all_parallel {
            plan.alone.clear();
        }
        plan
    }

    /// A case whose twin runs alone runs alone too, because it comes after it.
    fn place(&mut self, sessions: &Sessions, session: &Session, placed: &mut BTreeSet<String>) {
        if !placed.insert(session.id.clone()) {
            return;
        }
        let mut alone = session.is_exclusive();
        if let Some(twin) = session.twin.as_deref().and_then(|twin| sessions.get(twin)) {
            self.place(sessions, twin, placed);
            alone |= self.alone.contains(&twin.id);
        }
        if alone {
            self.alone.insert(session.id.clone());
        }
        self.order.push(Arc::new(session.clone()));
    }
}

async fn play_all(plan: &Plan, shared: Arc<Shared>) -> BTreeMap<String, CaseReport> {
    let mut reports = BTreeMap::new();
    let mut jobs = JoinSet::new();
    for session in plan.order.iter().filter(|session| !plan.alone.contains(&session.id)) {
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
    for session in plan.order.iter().filter(|session| plan.alone.contains(&session.id)) {
        let report = play_case(&shared, session, &shared.stage).await;
        shared.done(&report);
        reports.insert(report.id.clone(), report);
    }
    if shared.options.repeat_inconclusive {
        repeat(plan, &shared, &mut reports).await;
    }
    for session in &plan.order {
        // A job that panicked left no report; a case must never vanish.
        reports.entry(session.id.clone()).or_insert_with(|| CaseReport::harness(session, "the job did not end"));
    }
    reports
}

/// What timed out is played once more, alone; what was blocked by it, too.
async fn repeat(plan: &Plan, shared: &Arc<Shared>, reports: &mut BTreeMap<String, CaseReport>) {
    let alone = Stage { is_alone: true, ..shared.stage.clone() };
    let mut changed = BTreeSet::new();
    for session in &plan.order {
        let verdict = reports.get(&session.id).map(|report| report.verdict);
        let is_freed = verdict == Some(Verdict::Blocked) && session.twin.as_ref().is_some_and(|twin| changed.contains(twin));
        if verdict != Some(Verdict::Inconclusive) && !is_freed {
            continue;
        }
        let report = play_case(shared, session, &alone).await;
        changed.insert(session.id.clone());
        shared.done(&report);
        reports.insert(report.id.clone(), report);
    }
}
