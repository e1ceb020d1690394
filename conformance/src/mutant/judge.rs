//! Whether the suite sees a mutant: the cases that cite what it breaks are played against it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;

use super::Mutant;
use crate::player::Mutation;
use crate::report::CaseReport;
use crate::run::{Bench, Round};
use crate::session::{Session, Sessions};
use crate::spec::Requirements;
use crate::verdict::Verdict;

/// The budget of a step in the first attempt: a fence after it proves that nothing would have come.
const SHORT: Duration = Duration::from_millis(200);
/// The budget where the first attempt was not sure.
const LONG: Duration = Duration::from_millis(1_500);

/// A case that fails with a mutant, and passes without.
#[derive(Clone, Debug, Serialize)]
pub struct Kill {
    /// The case.
    pub case: String,
    /// The line of the step that failed; 0 for what follows the last step.
    pub line: usize,
    /// What the mutant breaks and the case cites.
    pub cites: BTreeSet<String>,
    /// What the mutant breaks and the step that failed proves.
    pub strict: BTreeSet<String>,
    /// What the step saw.
    pub got: String,
    /// What it asks for.
    pub expected: String,
}

/// What became of a mutant.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The mutant.
    pub id: String,
    /// What it does wrong.
    pub title: String,
    /// What it breaks.
    pub breaks: BTreeSet<String>,
    /// The cases that see it.
    pub kills: Vec<Kill>,
    /// What it breaks without any case that cites it and fails.
    pub alive: BTreeSet<String>,
    /// Why nobody can see it, if its file says so.
    pub equivalent: Option<String>,
    /// Cases that fail with it although they cite nothing of what it breaks.
    pub flips: Vec<String>,
    /// Cases that fail with it, and do not pass without it either.
    pub anyway: Vec<String>,
    /// The cases that were played.
    pub played: Vec<(String, Verdict)>,
    /// How often each rule did what it does, with its line.
    pub rules: Vec<(usize, usize)>,
    /// What is wrong with the mutant itself.
    pub fault: Option<String>,
    /// How long it took.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
}

impl Judgement {
    /// True if each requirement that it breaks is cited by a case that fails.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.alive.is_empty() && self.fault.is_none()
    }

    /// True if for each requirement the very step fails that proves it.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.is_killed()
            && self
                .breaks
                .iter()
                .all(|id| self.kills.iter().any(|kill| kill.strict.contains(id)))
    }

    /// True if all is as its file says.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.fault.is_none() && self.is_killed() != self.equivalent.is_some()
    }
}

/// How much is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The cases that cite what is broken, until each sentence has a step that fails.
    Enough,
    /// All cases, to see which fail besides.
    All,
}

impl Reach {
    /// How many servers there are for cases that run alone. These wait more than they work, and of all cases many are such.
    pub(crate) fn lanes(self, jobs: usize) -> usize {
        match self {
            Reach::Enough => jobs.min(3),
            Reach::All => jobs,
        }
    }
}

/// Plays mutants.
pub(crate) struct Judge {
    bench: Arc<Bench>,
    sessions: Sessions,
    requirements: Requirements,
    reach: Reach,
    /// Whether a case passes without a mutant.
    passes: Mutex<HashMap<String, bool>>,
}

impl Judge {
    pub(crate) fn new(
        bench: Arc<Bench>,
        sessions: &Sessions,
        requirements: &Requirements,
        reach: Reach,
    ) -> Judge {
        Judge {
            bench,
            sessions: sessions.clone(),
            requirements: requirements.clone(),
            reach,
            passes: Mutex::default(),
        }
    }

    /// Plays one mutant.
    pub(crate) async fn judge(&self, mutant: &Arc<Mutant>) -> Judgement {
        let started = Instant::now();
        let first = self.attempt(mutant, SHORT).await;
        let is_sure = |(_, verdict): &(String, Verdict)| {
            !matches!(
                verdict,
                Verdict::Inconclusive | Verdict::HarnessError | Verdict::Blocked
            )
        };
        // What was not sure with a short budget may be with a long one.
        let judgement = if first.is_right() || first.played.iter().all(is_sure) {
            first
        } else {
            self.attempt(mutant, LONG).await
        };
        Judgement {
            duration: started.elapsed(),
            ..judgement
        }
    }

    async fn attempt(&self, mutant: &Arc<Mutant>, budget: Duration) -> Judgement {
        let cites = |session: &&Session| {
            let covers = session.covers();
            self.reach == Reach::All || mutant.breaks.iter().any(|id| covers.contains(id.as_str()))
        };
        let chosen: Vec<&str> = self
            .sessions
            .iter()
            .filter(cites)
            .map(|session| session.id.as_str())
            .collect();
        let order = self.bench.order(&self.sessions, chosen.iter().copied());
        let mutation = Arc::new(Mutation::new(Arc::clone(mutant)));
        let round = Round {
            order: &order,
            mutation: Some(Arc::clone(&mutation)),
            budget,
        };
        let mut open = mutant.breaks.clone();
        let reports = self
            .bench
            .play(&round, |report| {
                if let Some(failure) = report
                    .failure
                    .as_ref()
                    .filter(|_| self.fails(report, mutant))
                {
                    open.retain(|id| !failure.proves.contains(id));
                }
                self.reach == Reach::Enough && open.is_empty()
            })
            .await;
        let mut judgement = Judgement {
            id: mutant.id.clone(),
            title: mutant.title.clone(),
            breaks: mutant.breaks.clone(),
            kills: Vec::new(),
            alive: mutant.breaks.clone(),
            equivalent: mutant.equivalent.clone(),
            flips: Vec::new(),
            anyway: Vec::new(),
            played: reports
                .iter()
                .map(|report| (report.id.clone(), report.verdict))
                .collect(),
            rules: mutant.rules.lines().zip(mutation.fired()).collect(),
            fault: mutation.fault(),
            duration: Duration::ZERO,
        };
        for report in &reports {
            if !self.fails(report, mutant) {
                continue;
            }
            if self.passes_without(report, &order, budget).await {
                judgement.take(report, mutant);
            } else {
                judgement.anyway.push(report.id.clone());
            }
        }
        judgement
    }

    /// A failure; where all that is broken is a SHOULD, what only a SHOULD can bring counts as one.
    fn fails(&self, report: &CaseReport, mutant: &Mutant) -> bool {
        let is_should = |id: &String| {
            self.requirements
                .get(id)
                .is_some_and(|found| !found.sentence.contains(" MUST "))
        };
        match report.verdict {
            Verdict::Fail => true,
            Verdict::NonStrict | Verdict::Observed => mutant.breaks.iter().all(is_should),
            _ => false,
        }
    }

    /// Whether the case passes on the testee as it is: looked up once for each.
    async fn passes_without(
        &self,
        report: &CaseReport,
        order: &[Arc<Session>],
        budget: Duration,
    ) -> bool {
        if let Some(known) = self.passes.lock().await.get(&report.id) {
            return *known;
        }
        let mut passes = false;
        for budget in [budget, LONG] {
            let needed = Round {
                order: &twins(order, &report.id),
                mutation: None,
                budget,
            };
            let reports = self.bench.play(&needed, |_| false).await;
            passes = reports
                .iter()
                .any(|plain| plain.id == report.id && plain.verdict == Verdict::Pass);
            if passes {
                break;
            }
        }
        self.passes.lock().await.insert(report.id.clone(), passes);
        passes
    }
}

impl Judgement {
    /// A case failed.
    fn take(&mut self, report: &CaseReport, mutant: &Mutant) {
        let broken = |ids: &BTreeSet<String>| -> BTreeSet<String> {
            mutant.breaks.intersection(ids).cloned().collect()
        };
        let cites = broken(&report.claims);
        if cites.is_empty() {
            if !mutant.expects(&report.id) {
                self.flips.push(report.id.clone());
            }
            return;
        }
        let Some(failure) = &report.failure else {
            return;
        };
        self.alive.retain(|id| !cites.contains(id));
        self.kills.push(Kill {
            case: report.id.clone(),
            line: failure.line,
            strict: broken(&failure.proves.iter().cloned().collect()),
            cites,
            got: failure.got.clone(),
            expected: format!("{} {}", failure.at, failure.expected)
                .trim()
                .to_owned(),
        });
    }
}

/// The case with the twins that have to pass before it.
fn twins(order: &[Arc<Session>], id: &str) -> Vec<Arc<Session>> {
    let mut needed = Vec::new();
    let mut next = Some(id);
    while let Some(session) = next.and_then(|id| order.iter().find(|session| session.id == id)) {
        needed.insert(0, Arc::clone(session));
        next = session.twin.as_deref();
    }
    needed
}

fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
