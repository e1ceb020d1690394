//! What a run came to: by case, by family, by requirement; and the exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::RunOptions;
use crate::session::Session;
use crate::spec::Requirements;
use crate::verdict::{Failure, Verdict};

mod evidence;
mod facts;
mod json;
mod junit;
mod terminal;

pub use evidence::{Direction, Event, Evidence, Seen, Span};
pub use facts::{Role, TesteeFacts};
pub use json::{ReadError, VERSION, from_json, to_json};
pub use junit::to_junit;
pub use terminal::{Style, print};

/// What one case came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseReport {
    /// The id.
    pub id: String,
    /// The family: the first part of the id.
    pub family: String,
    /// Whose side of the protocol it judges.
    pub role: Role,
    /// One line that says what is shown.
    pub title: String,
    /// The file.
    #[serde(serialize_with = "json::tidied")]
    pub file: PathBuf,
    /// What it came to.
    pub verdict: Verdict,
    /// Why it was not played, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The valid case that it spoils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<String>,
    /// The first divergence, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The requirements that its steps would prove.
    pub claims: BTreeSet<String>,
    /// Those that executed steps proved.
    pub proved: BTreeSet<String>,
    /// How often its steps ran: more than once in a sweep.
    pub variants: usize,
    /// How many of them failed.
    pub failed_variants: usize,
    /// How long it took.
    #[serde(rename = "duration_ms", with = "json::millis")]
    pub duration: Duration,
    /// What went over its connections: of failures always, of all cases where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl CaseReport {
    pub(crate) fn new(session: &Session, duration: Duration) -> CaseReport {
        CaseReport {
            id: session.id.clone(),
            family: session.family().to_owned(),
            role: Role::Server,
            title: session.title.clone(),
            file: session.path.clone(),
            verdict: Verdict::Pass,
            reason: None,
            twin: session.twin.clone(),
            failure: None,
            claims: session.covers().into_iter().map(str::to_owned).collect(),
            proved: BTreeSet::new(),
            variants: 1,
            failed_variants: 0,
            duration,
            evidence: None,
        }
    }

    pub(crate) fn unplayed(
        session: &Session,
        verdict: Verdict,
        reason: impl Into<String>,
    ) -> CaseReport {
        let reason = Some(reason.into());
        CaseReport {
            verdict,
            reason,
            variants: 0,
            ..CaseReport::new(session, Duration::ZERO)
        }
    }

    pub(crate) fn harness(session: &Session, reason: &str) -> CaseReport {
        CaseReport::unplayed(session, Verdict::HarnessError, reason)
    }
}

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
        cases: Vec<CaseReport>,
        requirements: &Requirements,
        options: &RunOptions,
        testee: TesteeFacts,
        round_trip: Option<Duration>,
        duration: Duration,
    ) -> Report {
        let now = Timestamp::now();
        let mut report = Report {
            testee,
            runner: env!("CARGO_PKG_VERSION").to_owned(),
            date: now.checked_sub(duration).unwrap_or(now),
            cases,
            seed: options.seed,
            round_trip,
            duration,
            coverage: Coverage::default(),
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

    /// 0 nothing that ran failed; 1 a failure; 2 nothing was executed; 3 an adapter or harness error; 5 only inconclusive or blocked.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let any = |verdict| self.count(verdict) > 0;
        if self.executed() == 0 {
            2
        } else if any(Verdict::Fail) {
            1
        } else if any(Verdict::AdapterError) || any(Verdict::HarnessError) {
            3
        } else if any(Verdict::Inconclusive) || any(Verdict::Blocked) {
            5
        } else {
            0
        }
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
