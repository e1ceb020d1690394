//! What a run came to: by case, by family, by requirement; and the exit code.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::RunOptions;
use crate::spec::{Requirement, Requirements};
use crate::verdict::{FailureClass, Verdict};

mod badge;
mod case;
mod check;
mod evidence;
mod facts;
mod format;
mod html;
mod json;
mod junit;
mod markdown;
mod overlay;
mod repeats;
#[cfg(test)]
pub(crate) mod sample;
mod tap;
mod terminal;
mod text;
mod told;

pub use badge::to_badge;
pub use case::CaseReport;
pub use check::{Broken, check};
pub(crate) use check::{bears, texts};
pub use evidence::{Direction, Event, Evidence, Seen, Span};
pub use facts::{Role, TesteeFacts};
pub use format::{Format, RenderError};
pub(crate) use html::STYLE;
pub use html::to_html;
pub use json::{ReadError, VERSION, from_json, to_json};
pub use junit::to_junit;
pub use markdown::to_markdown;
pub use overlay::{BaselineOutcome, Overlay, OverlayKind, Repeats};
pub use repeats::merge;
pub use tap::to_tap;
pub use terminal::{Style, print};
pub(crate) use text::{in_line, xml};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was tested.
    pub testee: TesteeFacts,
    /// The version of the runner.
    pub runner: String,
    /// When it began.
    pub date: Timestamp,
    /// The cases, in the order of their ids.
    pub cases: Vec<CaseReport>,
    /// The seed of the run.
    pub seed: u64,
    /// The middle one of some round trips, if a login succeeded.
    pub round_trip: Option<Duration>,
    /// From start to end.
    pub duration: Duration,
    /// Requirements by what became of them.
    pub coverage: Coverage,
    /// What became of the baseline, if one was held against it.
    pub baseline: Option<BaselineOutcome>,
    /// The requirements, for their sentences.
    pub requirements: Requirements,
    /// The command that made the run, without its filter and seed: a failure adds its own.
    pub repeat: String,
}

/// Counts of the requirements that a testee of this role can be seen to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// All of them.
    pub observable: usize,
    /// Those that a chosen case claims, if the testee claims the features that it needs.
    pub claimed: usize,
    /// Those that an executed step proved.
    pub executed: usize,
}

/// How surely a failure is about a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The step that failed proves it, and nothing else could be meant.
    Step,
    /// The step proves several, and a field of its frame is wrong: any of them may be the one.
    OneOfStep,
    /// The step proves nothing itself: it is one of those that the case is about.
    Case,
}

/// How many cases claim a requirement, and how many proved it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proofs {
    /// Cases whose steps would prove it, those left out that need what the testee does not claim.
    pub claimed: usize,
    /// Cases of which an executed step proved it.
    pub executed: usize,
}

impl Report {
    pub(crate) fn new(
        mut cases: Vec<CaseReport>,
        requirements: &Requirements,
        options: &RunOptions,
        testee: TesteeFacts,
        round_trip: Option<Duration>,
        duration: Duration,
    ) -> Report {
        let now = Timestamp::now();
        for case in &mut cases {
            case.duration = whole_micros(case.duration);
        }
        let mut report = Report {
            testee,
            runner: env!("CARGO_PKG_VERSION").to_owned(),
            date: now.checked_sub(duration).unwrap_or(now),
            cases,
            seed: options.seed,
            round_trip: round_trip.map(whole_micros),
            duration: whole_micros(duration),
            coverage: Coverage::default(),
            baseline: None,
            requirements: requirements.clone(),
            repeat: "tidewire-conformance run".to_owned(),
        };
        report.coverage = report.cover();
        report
    }

    fn cover(&self) -> Coverage {
        let proofs = self.proofs();
        let mut coverage = Coverage::default();
        let role = self.testee.role;
        for requirement in self
            .requirements
            .iter()
            .filter(|one| one.is_observable_of(role))
        {
            let proofs = proofs
                .get(requirement.id.as_str())
                .copied()
                .unwrap_or_default();
            coverage.observable += 1;
            coverage.claimed += usize::from(proofs.claimed > 0);
            coverage.executed += usize::from(proofs.executed > 0);
        }
        coverage
    }

    /// What the cases claim and prove, by requirement.
    #[must_use]
    pub fn proofs(&self) -> BTreeMap<&str, Proofs> {
        let mut proofs: BTreeMap<&str, Proofs> = BTreeMap::new();
        for case in &self.cases {
            if case.verdict != Verdict::NotClaimed {
                for id in &case.claims {
                    proofs.entry(id).or_default().claimed += 1;
                }
            }
            for id in &case.proved {
                proofs.entry(id).or_default().executed += 1;
            }
        }
        proofs
    }

    /// How many cases came to this.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases
            .iter()
            .filter(|case| case.verdict == verdict)
            .count()
    }

    /// How many cases were played.
    #[must_use]
    pub fn executed(&self) -> usize {
        self.cases
            .iter()
            .filter(|case| case.verdict.is_executed())
            .count()
    }

    /// The cases in which the testee kept what it must.
    #[must_use]
    pub fn passed(&self) -> Vec<&str> {
        let good = self.cases.iter().filter(|case| case.verdict.is_good());
        good.map(|case| case.id.as_str()).collect()
    }

    /// True if the case came to what neither the specification nor the baseline allows.
    #[must_use]
    pub fn is_unexpected(&self, case: &CaseReport) -> bool {
        let is_bad = case.verdict.is_bad();
        let kind = case.overlay.as_ref().map(|overlay| overlay.kind);
        kind.map_or(is_bad, |kind| !kind.excuses())
    }

    /// Those cases.
    pub fn unexpected(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| self.is_unexpected(case))
    }

    /// The cases, the worst verdicts first, and of each verdict the simple before the special: what many others spoil
    /// explains them when it fails.
    #[must_use]
    pub fn simplest_first(&self) -> Vec<&CaseReport> {
        let mut spoilers: BTreeMap<&str, usize> = BTreeMap::new();
        for twin in self.cases.iter().filter_map(|case| case.twin.as_deref()) {
            *spoilers.entry(twin).or_default() += 1;
        }
        let mut cases: Vec<&CaseReport> = self.cases.iter().collect();
        cases.sort_by_key(|case| {
            let spoilers = spoilers.get(case.id.as_str()).copied().unwrap_or_default();
            (
                Reverse(case.verdict.badness()),
                Reverse(spoilers),
                case.id.as_str(),
            )
        });
        cases
    }

    /// 0 nothing that ran failed; 1 an unexpected failure or pass; 2 nothing was executed; 3 an adapter or harness error;
    /// 4 the baseline is stale, expired or matches no longer; 5 only inconclusive or blocked.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let any = |wanted: &[Verdict]| {
            let counts = |case: &&CaseReport| case.overlay.is_none();
            let mut counted = self.unexpected().filter(counts);
            counted.any(|case| wanted.contains(&case.verdict))
        };
        let is_new = |case: &CaseReport| {
            let kind = case.overlay.as_ref().map(|overlay| overlay.kind);
            kind == Some(OverlayKind::UnexpectedPass)
        };
        let baseline = self.baseline.as_ref();
        if self.executed() == 0 {
            2
        } else if any(&[Verdict::Fail]) || self.cases.iter().any(is_new) {
            1
        } else if any(&[Verdict::AdapterError, Verdict::HarnessError]) {
            3
        } else if baseline.is_some_and(|baseline| !baseline.problems.is_empty()) {
            4
        } else if any(&[Verdict::Inconclusive, Verdict::Blocked]) {
            5
        } else {
            0
        }
    }

    /// What it came to in a few words.
    #[must_use]
    pub fn headline(&self) -> String {
        let count =
            |is: &dyn Fn(&CaseReport) -> bool| self.cases.iter().filter(|case| is(case)).count();
        let good = count(&|case| case.verdict.is_good());
        let bad = self.unexpected().count();
        match self.exit_code() {
            0 => {
                let unplayed = count(&|case| !case.verdict.is_executed());
                let excused = count(&|case| case.verdict.is_bad());
                let mut parts = vec![format!("{good} pass")];
                if excused > 0 {
                    parts.push(format!("{excused} expected to fail"));
                }
                if unplayed > 0 {
                    parts.push(format!("{unplayed} not run"));
                }
                parts.join(", ")
            }
            2 => "nothing ran".to_owned(),
            4 => "the baseline is out of date".to_owned(),
            _ => format!("{bad} of {} did not pass", self.cases.len()),
        }
    }

    /// The requirements that a failure is about, with how surely it is about them.
    pub fn sentences(&self, case: &CaseReport) -> impl Iterator<Item = (About, &Requirement)> {
        let (about, ids): (About, Vec<&String>) = match &case.failure {
            None => (About::Case, Vec::new()),
            // A step that prepares what others prove has no sentence of its own: then it is one of the case's.
            Some(failure) if failure.proves.is_empty() => {
                (About::Case, case.claims.iter().collect())
            }
            // One field is wrong, and the step alone does not tell which of its sentences speaks of it.
            Some(failure)
                if failure.class == FailureClass::WrongField && failure.proves.len() > 1 =>
            {
                (About::OneOfStep, failure.proves.iter().collect())
            }
            Some(failure) => (About::Step, failure.proves.iter().collect()),
        };
        ids.into_iter()
            .filter_map(move |id| Some((about, self.requirements.get(id)?)))
    }

    /// The command that plays this case again as it was played.
    #[must_use]
    pub fn command_for(&self, case: &CaseReport) -> String {
        format!(
            "{} --filter '{}' --seed {}",
            self.repeat, case.id, self.seed
        )
    }

    /// The cases by family.
    #[must_use]
    pub fn families(&self) -> BTreeMap<&str, Vec<&CaseReport>> {
        let mut families: BTreeMap<&str, Vec<&CaseReport>> = BTreeMap::new();
        for case in &self.cases {
            families.entry(&case.family).or_default().push(case);
        }
        families
    }
}

/// As much of a time as JSON keeps, so that a report says the same before and after.
fn whole_micros(time: Duration) -> Duration {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
