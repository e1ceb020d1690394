//! What changed from one run to another: verdicts, cases, requirements.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::baseline::fingerprint;
use crate::report::{CaseReport, Report, in_line};
use crate::verdict::Verdict;

/// The longest text of a report that a line shows.
const LONGEST: usize = 160;

/// The differences between two reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Cases that came to something worse.
    pub regressions: Vec<Change>,
    /// Cases that came to something better.
    pub improvements: Vec<Change>,
    /// Cases that fail as before by name, and otherwise by what went wrong.
    pub other_failures: Vec<String>,
    /// Cases that only the new report has, with their verdict.
    pub new: Vec<(String, Verdict)>,
    /// Cases that only the old report has, with their verdict.
    pub gone: Vec<(String, Verdict)>,
    /// Requirements that were proved, and are not any more.
    pub lost: BTreeSet<String>,
    /// Requirements that are proved only now.
    pub gained: BTreeSet<String>,
}

/// A case whose verdict changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The case.
    pub id: String,
    /// What it came to.
    pub old: Verdict,
    /// What it comes to.
    pub new: Verdict,
    /// Why, where the new report says it.
    pub why: String,
}

impl Diff {
    /// Compares two reports case by case.
    #[must_use]
    pub fn of(old: &Report, new: &Report) -> Diff {
        let mut diff = Diff::default();
        let before: BTreeMap<&str, &CaseReport> = by_id(old);
        let after: BTreeMap<&str, &CaseReport> = by_id(new);
        for (id, case) in &after {
            match before.get(id) {
                None => diff.new.push(((*id).to_owned(), case.verdict)),
                Some(earlier) => diff.compare(earlier, case),
            }
        }
        let is_gone = |(id, case): (&&str, &&CaseReport)| {
            (!after.contains_key(id)).then(|| ((*id).to_owned(), case.verdict))
        };
        diff.gone = before.iter().filter_map(is_gone).collect();
        let (proved, proves) = (proved(old), proved(new));
        diff.lost = proved.difference(&proves).cloned().collect();
        diff.gained = proves.difference(&proved).cloned().collect();
        diff
    }

    fn compare(&mut self, old: &CaseReport, new: &CaseReport) {
        let change = || Change {
            id: new.id.clone(),
            old: old.verdict,
            new: new.verdict,
            why: why(new),
        };
        if new.verdict.badness() > old.verdict.badness() {
            self.regressions.push(change());
        } else if new.verdict.badness() < old.verdict.badness() {
            self.improvements.push(change());
        } else if new.verdict.is_bad() && fingerprint(old) != fingerprint(new) {
            self.other_failures.push(new.id.clone());
        }
    }

    /// True if something is worse than it was: a verdict, or a requirement that nothing proves any more. A new case that
    /// does not pass is worse too, for its kind of run was green without it.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let is_bad = |(_, verdict): &(String, Verdict)| verdict.is_bad();
        !self.regressions.is_empty() || !self.lost.is_empty() || self.new.iter().any(is_bad)
    }

    /// Prints the differences, the bad ones first.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        changes(out, "worse", &self.regressions)?;
        changes(out, "better", &self.improvements)?;
        for id in &self.other_failures {
            writeln!(out, "fails otherwise  {}", in_line(id, LONGEST))?;
        }
        for (word, cases) in [("new", &self.new), ("gone", &self.gone)] {
            for (id, verdict) in cases {
                writeln!(out, "{word:6}  {}: {verdict}", in_line(id, LONGEST))?;
            }
        }
        for (word, ids) in [
            ("no longer proved", &self.lost),
            ("now proved", &self.gained),
        ] {
            if !ids.is_empty() {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                writeln!(out, "{word}: {}", in_line(&ids.join(" "), 4_000))?;
            }
        }
        if *self == Diff::default() {
            return writeln!(out, "no difference");
        }
        writeln!(
            out,
            "{} worse, {} better, {} fail otherwise, {} new, {} gone; requirements: {} lost, {} gained",
            self.regressions.len(),
            self.improvements.len(),
            self.other_failures.len(),
            self.new.len(),
            self.gone.len(),
            self.lost.len(),
            self.gained.len()
        )
    }
}

fn changes(out: &mut dyn Write, word: &str, changes: &[Change]) -> io::Result<()> {
    for change in changes {
        let Change { id, old, new, why } = change;
        let (id, why) = (in_line(id, LONGEST), in_line(why, LONGEST));
        let why = if why.is_empty() {
            why
        } else {
            format!(": {why}")
        };
        writeln!(out, "{word:6}  {id}: {old} -> {new}{why}")?;
    }
    Ok(())
}

fn why(case: &CaseReport) -> String {
    match (&case.failure, &case.reason) {
        (Some(failure), _) if failure.at.is_empty() => failure.class.text().to_owned(),
        (Some(failure), _) => format!("{} at {}", failure.class.text(), failure.at),
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    }
}

fn by_id(report: &Report) -> BTreeMap<&str, &CaseReport> {
    let pairs = report.cases.iter().map(|case| (case.id.as_str(), case));
    pairs.collect()
}

fn proved(report: &Report) -> BTreeSet<String> {
    let cases = report.cases.iter();
    cases.flat_map(|case| case.proved.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn report(cases: &[(&str, Verdict)]) -> Report {
        sample::report(cases.iter().map(|(id, verdict)| sample::case(id, *verdict)))
    }

    fn printed(diff: &Diff) -> String {
        let mut text = Vec::new();
        let _ = diff.print(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn a_report_does_not_differ_from_itself() {
        let one = report(&[("send/plain", Verdict::Pass), ("send/x", Verdict::Fail)]);
        let diff = Diff::of(&one, &one);
        assert!(!diff.is_worse());
        assert_eq!(printed(&diff), "no difference\n");
    }

    #[test]
    fn worse_and_better_are_told_apart() {
        let old = report(&[
            ("a", Verdict::Pass),
            ("b", Verdict::Fail),
            ("c", Verdict::Pass),
        ]);
        let new = report(&[
            ("a", Verdict::Fail),
            ("b", Verdict::Pass),
            ("d", Verdict::Pass),
        ]);
        let diff = Diff::of(&old, &new);
        assert!(diff.is_worse());
        assert_eq!(
            printed(&diff),
            "worse   a: pass -> fail: wrong field at duplicate of SEND_ACK\n\
             better  b: fail -> pass\n\
             new     d: pass\n\
             gone    c: pass\n\
             1 worse, 1 better, 0 fail otherwise, 1 new, 1 gone; requirements: 0 lost, 0 gained\n"
        );
    }

    #[test]
    fn what_is_no_longer_run_or_proved_is_worse() {
        let old = report(&[("a", Verdict::Pass)]);
        let new = report(&[("a", Verdict::NotRun)]);
        let diff = Diff::of(&old, &new);
        assert!(diff.is_worse());
        assert_eq!(diff.lost, BTreeSet::from(["SND-020".to_owned()]));
        assert!(!Diff::of(&new, &old).is_worse());
    }

    #[test]
    fn another_failure_is_named() {
        let old = report(&[("a", Verdict::Fail)]);
        let mut new = old.clone();
        if let Some(failure) = new.cases.first_mut().and_then(|case| case.failure.as_mut()) {
            failure.at = "msg_id of SEND_ACK".to_owned();
        }
        let diff = Diff::of(&old, &new);
        assert_eq!(diff.other_failures, ["a"]);
        assert!(!diff.is_worse());
    }

    #[test]
    fn a_new_case_that_fails_is_worse() {
        let diff = Diff::of(&report(&[]), &report(&[("a", Verdict::Fail)]));
        assert!(diff.is_worse());
    }
}
