//! The line that shows how far a run is, on a terminal; nothing where nobody looks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::CaseReport;
use crate::verdict::Verdict;

/// A bar that counts the cases and their verdicts.
pub(super) struct Progress {
    bar: ProgressBar,
    /// By case, because what timed out is played again and told twice.
    verdicts: Mutex<BTreeMap<String, Verdict>>,
}

impl Progress {
    /// A bar for so many cases. It draws to stderr, and only to a terminal.
    pub(super) fn new(cases: usize, is_wanted: bool) -> Progress {
        let bar = if is_wanted {
            ProgressBar::new(u64::try_from(cases).unwrap_or(u64::MAX))
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) =
            ProgressStyle::with_template("{bar:24.green} {pos}/{len} {wide_msg} {eta:>4}")
        {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Progress {
            bar,
            verdicts: Mutex::default(),
        }
    }

    /// A case ended.
    pub(super) fn tell(&self, case: &CaseReport) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(case.id.clone(), case.verdict);
        let text = message(&verdicts, &case.id);
        self.bar
            .set_position(u64::try_from(verdicts.len()).unwrap_or(u64::MAX));
        self.bar.set_message(text);
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The counts so far, and the case that ended last.
fn message(verdicts: &BTreeMap<String, Verdict>, last: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for verdict in Verdict::ALL {
        let count = verdicts.values().filter(|one| **one == verdict).count();
        if count > 0 {
            parts.push(format!("{count} {verdict}"));
        }
    }
    format!("{}  {last}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_case_counts_once() {
        let mut verdicts = BTreeMap::new();
        for (id, verdict) in [
            ("a", Verdict::Inconclusive),
            ("b", Verdict::Pass),
            ("a", Verdict::Pass),
            ("c", Verdict::Fail),
        ] {
            verdicts.insert(id.to_owned(), verdict);
        }
        assert_eq!(message(&verdicts, "c"), "2 pass, 1 fail  c");
    }
}
