//! Baselines: failures that are known, with the reason, where they are followed up, and until when that holds.
//!
//! ```toml
//! baseline = 1
//!
//! [[case]]
//! id = "send/duplicate"
//! status = "fail"                                   # or any other verdict that is not good, or "flaky"
//! fingerprint = "wrong-field: duplicate of SEND_ACK" # as the failure begins
//! reason = "keys are forgotten after a reconnect"
//! issue = "https://example.org/issues/17"
//! until = "2027-03-31"
//!
//! [[case]]
//! id = "control/keepalive"
//! status = "flaky"
//! max_rate = 0.05                                   # of the runs of `--repeat`
//! reason = "the timer of the host is coarse"
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::report::{BaselineOutcome, CaseReport, Overlay, OverlayKind, Report};
use crate::verdict::Verdict;

mod fingerprint;

pub use fingerprint::fingerprint;

/// Known failures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The version of the format: 1.
    baseline: u32,
    /// The entries.
    #[serde(default, rename = "case", skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
}

/// One known failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The exact id of the case.
    pub id: String,
    /// What it comes to.
    pub status: Status,
    /// How the failure begins, in the words of [`fingerprint`]; empty for any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// The highest share of runs that may fail, of a flaky case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<f64>,
    /// Why it is known.
    pub reason: String,
    /// Where it is followed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
    /// The last day on which the entry holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// What an entry expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// It passes at times.
    Flaky(Flaky),
    /// It comes to this each time.
    Always(Verdict),
}

/// The word `flaky`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaky {
    /// It passes at times.
    Flaky,
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is no TOML, or holds what no baseline has.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// It says what cannot be.
    #[error("{0}")]
    Content(String),
}

impl Baseline {
    /// Reads a file strictly.
    ///
    /// # Errors
    /// If it cannot be read, is of another version, names a case twice, has an entry without a reason, expects what is
    /// no failure, or has a flaky entry without a rate between 0 and 1.
    pub fn read(path: &Path) -> Result<Baseline, BaselineError> {
        Baseline::parse(&fs::read_to_string(path)?)
    }

    fn parse(text: &str) -> Result<Baseline, BaselineError> {
        let baseline: Baseline = toml::from_str(text)?;
        let fail = |what: String| Err(BaselineError::Content(what));
        if baseline.baseline != 1 {
            return fail(format!("version {} is not known", baseline.baseline));
        }
        let mut ids = BTreeSet::new();
        for entry in &baseline.entries {
            let id = &entry.id;
            if !ids.insert(id) {
                return fail(format!("{id} stands there twice"));
            }
            if entry.reason.trim().is_empty() {
                return fail(format!("{id} has no reason"));
            }
            let rate = entry.max_rate;
            match entry.status {
                Status::Always(verdict) if !verdict.is_bad() => {
                    return fail(format!("{id}: {verdict} is no failure"));
                }
                Status::Always(_) if rate.is_some() => {
                    return fail(format!("{id}: only a flaky case has a max_rate"));
                }
                Status::Flaky(_) if !rate.is_some_and(|rate| rate > 0.0 && rate <= 1.0) => {
                    return fail(format!(
                        "{id}: a flaky case has a max_rate above 0, at most 1"
                    ));
                }
                _ => {}
            }
        }
        Ok(baseline)
    }

    /// Entries for all that did not pass in a report; what was already known keeps its words.
    #[must_use]
    pub fn of(report: &Report, known: &Baseline, reason: &str) -> Baseline {
        let bad = report.cases.iter().filter(|case| case.verdict.is_bad());
        let entries = bad.map(|case| {
            let old = known.entries.iter().find(|entry| entry.id == case.id);
            let new = Entry {
                id: case.id.clone(),
                status: Status::Always(case.verdict),
                fingerprint: fingerprint(case),
                max_rate: None,
                reason: reason.to_owned(),
                issue: None,
                until: None,
            };
            match old {
                Some(old) if matches!(old.status, Status::Flaky(_)) => old.clone(),
                Some(old) => Entry {
                    reason: old.reason.clone(),
                    issue: old.issue.clone(),
                    until: old.until,
                    ..new
                },
                None => new,
            }
        });
        Baseline {
            baseline: 1,
            entries: entries.collect(),
        }
    }

    /// The baseline as a file.
    ///
    /// # Errors
    /// None in practice: every entry can be written as TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Holds the baseline against a report: excuses what is known, and says which entries are no longer right.
    ///
    /// `known` tells of each case whether the suite has it, so that a filter does not make an entry stale.
    pub fn apply(
        &self,
        report: &mut Report,
        file: &str,
        today: Date,
        known: impl Fn(&str) -> bool,
    ) {
        let mut problems = Vec::new();
        let mut excused = 0;
        for entry in &self.entries {
            let id = &entry.id;
            if let Some(until) = entry.until.filter(|until| *until < today) {
                problems.push(format!("expired: {id} was to hold until {until}"));
            }
            let Some(case) = report.cases.iter_mut().find(|case| case.id == *id) else {
                if !known(id) {
                    problems.push(format!("stale: there is no case {id}"));
                }
                continue;
            };
            let (kind, problem) = entry.judge(case);
            if let Some(problem) = problem {
                problems.push(format!("{problem}: {id}"));
            }
            if let Some(kind) = kind {
                excused += usize::from(kind.excuses());
                case.overlay = Some(Overlay {
                    kind,
                    reason: entry.reason.clone(),
                    issue: entry.issue.clone(),
                    until: entry.until,
                });
            }
        }
        report.baseline = Some(BaselineOutcome {
            file: file.to_owned(),
            excused,
            problems,
        });
    }
}

impl Entry {
    /// How the case and the entry agree, and what is wrong with the entry.
    fn judge(&self, case: &CaseReport) -> (Option<OverlayKind>, Option<&'static str>) {
        if matches!(case.verdict, Verdict::NotRun | Verdict::NotClaimed) {
            return (None, Some("stale, it is not run any more"));
        }
        let is_alike = || fingerprint(case).starts_with(&self.fingerprint);
        match self.status {
            Status::Always(_) if case.verdict.is_good() => {
                (Some(OverlayKind::UnexpectedPass), None)
            }
            Status::Always(verdict) if case.verdict == verdict && is_alike() => {
                (Some(OverlayKind::ExpectedFail), None)
            }
            // A blocked case says nothing about the failure that its entry knows; its twin does.
            Status::Always(_) if case.verdict == Verdict::Blocked => (None, None),
            Status::Always(_) => (
                Some(OverlayKind::NoMatch),
                Some("no longer matching, it fails otherwise"),
            ),
            Status::Flaky(_) if case.verdict.is_good() => (None, None),
            Status::Flaky(_) if !is_alike() => (
                Some(OverlayKind::NoMatch),
                Some("no longer matching, it fails otherwise"),
            ),
            Status::Flaky(_) => {
                // A single failure of a single run is no rate.
                let rate = case.repeats.map_or(0.0, |repeats| repeats.rate());
                let is_allowed = rate <= self.max_rate.unwrap_or_default();
                (is_allowed.then_some(OverlayKind::Flaky), None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
