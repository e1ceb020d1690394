//! What a baseline and repeats make of a verdict.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// What the baseline says of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// How entry and verdict agree.
    pub kind: OverlayKind,
    /// Why the entry is there, as its author wrote it.
    pub reason: String,
    /// Where that is followed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
    /// The last day on which the entry holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// How an entry of a baseline and what came agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverlayKind {
    /// It failed, as the entry says.
    ExpectedFail,
    /// It failed not more often than the entry allows.
    Flaky,
    /// The entry says that it fails, and it passed.
    UnexpectedPass,
    /// It failed, and not as the entry says.
    NoMatch,
}

impl OverlayKind {
    /// The name, as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            OverlayKind::ExpectedFail => "expected-fail",
            OverlayKind::Flaky => "flaky",
            OverlayKind::UnexpectedPass => "unexpected-pass",
            OverlayKind::NoMatch => "no-match",
        }
    }

    /// True if what came is what the entry allows.
    #[must_use]
    pub const fn excuses(self) -> bool {
        matches!(self, OverlayKind::ExpectedFail | OverlayKind::Flaky)
    }
}

/// How a case fared that was played several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// How often it was played.
    pub runs: usize,
    /// How often it did not pass.
    pub failed: usize,
}

impl Repeats {
    /// The share of the runs that did not pass.
    #[must_use]
    pub fn rate(self) -> f64 {
        let count = |number: usize| u32::try_from(number).map_or(f64::MAX, f64::from);
        if self.runs == 0 {
            0.0
        } else {
            count(self.failed) / count(self.runs)
        }
    }
}

/// What became of the baseline as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineOutcome {
    /// The file.
    pub file: String,
    /// How many entries excuse a case.
    pub excused: usize,
    /// Entries that are stale, expired or no longer match, a sentence each.
    pub problems: Vec<String>,
}
