//! Several runs of the same cases as one report: the worst that came, and how often.

use super::{CaseReport, Repeats, Report};

/// One report of several runs of the same cases against the same testee. `None` without a run.
///
/// Of each case the worst run is shown, and what is proved was proved every time.
#[must_use]
pub fn merge(runs: Vec<Report>) -> Option<Report> {
    let count = runs.len();
    let mut runs = runs.into_iter();
    let mut merged = runs.next()?;
    if count == 1 {
        return Some(merged);
    }
    for case in &mut merged.cases {
        case.repeats = Some(Repeats {
            runs: 1,
            failed: usize::from(case.verdict.is_bad()),
        });
    }
    for run in runs {
        merged.duration += run.duration;
        for (old, new) in merged.cases.iter_mut().zip(run.cases) {
            add(old, new);
        }
    }
    merged.coverage = merged.cover();
    Some(merged)
}

fn add(old: &mut CaseReport, new: CaseReport) {
    let mut repeats = old.repeats.unwrap_or_default();
    repeats.runs += 1;
    repeats.failed += usize::from(new.verdict.is_bad());
    let proved = old.proved.intersection(&new.proved).cloned().collect();
    if new.verdict.badness() > old.verdict.badness() {
        *old = new;
    }
    old.proved = proved;
    old.repeats = Some(repeats);
}
