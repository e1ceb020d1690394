#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::report::{Repeats, merge, sample};

const TODAY: Date = jiff::civil::date(2026, 11, 22);

fn entry(text: &str) -> String {
    format!("baseline = 1\n[[case]]\nid = \"send/a\"\nreason = \"known\"\n{text}")
}

/// Holds a baseline with one entry against a run of one case, and gives the exit code, the overlay and the problems.
fn held(text: &str, verdict: Verdict) -> (u8, Option<OverlayKind>, Vec<String>) {
    let mut report = sample::report([
        sample::case("send/a", verdict),
        sample::case("send/b", Verdict::Pass),
    ]);
    Baseline::parse(&entry(text))
        .unwrap()
        .apply(&mut report, "known.toml", TODAY, |id| id == "send/a");
    let kind = report
        .cases
        .first()
        .unwrap()
        .overlay
        .as_ref()
        .map(|overlay| overlay.kind);
    (report.exit_code(), kind, report.baseline.unwrap().problems)
}

#[test]
fn a_known_failure_is_excused() {
    let text =
        "status = \"fail\"\nfingerprint = \"wrong-field: duplicate\"\nuntil = \"2026-11-22\"";
    assert_eq!(
        held(text, Verdict::Fail),
        (0, Some(OverlayKind::ExpectedFail), vec![])
    );
}

#[test]
fn an_unexpected_pass_fails_the_run() {
    assert_eq!(
        held("status = \"fail\"", Verdict::Pass),
        (1, Some(OverlayKind::UnexpectedPass), vec![])
    );
}

#[test]
fn another_failure_does_not_match() {
    let problem = vec!["no longer matching, it fails otherwise: send/a".to_owned()];
    let text = "status = \"fail\"\nfingerprint = \"wrong-code\"";
    assert_eq!(
        held(text, Verdict::Fail),
        (4, Some(OverlayKind::NoMatch), problem.clone())
    );
    assert_eq!(
        held("status = \"inconclusive\"", Verdict::Fail),
        (4, Some(OverlayKind::NoMatch), problem)
    );
}

#[test]
fn an_expired_entry_is_told() {
    let text = "status = \"fail\"\nuntil = \"2026-11-21\"";
    let problem = vec!["expired: send/a was to hold until 2026-11-21".to_owned()];
    assert_eq!(
        held(text, Verdict::Fail),
        (4, Some(OverlayKind::ExpectedFail), problem)
    );
}

#[test]
fn an_entry_of_no_case_is_stale_unless_a_filter_left_it_out() {
    let mut report = sample::report([sample::case("send/b", Verdict::Pass)]);
    let baseline = Baseline::parse(&entry("status = \"fail\"")).unwrap();
    baseline.apply(&mut report, "known.toml", TODAY, |_| true);
    assert_eq!(report.exit_code(), 0);
    baseline.apply(&mut report, "known.toml", TODAY, |_| false);
    assert_eq!(report.exit_code(), 4);
}

#[test]
fn a_case_that_is_not_run_any_more_makes_its_entry_stale() {
    let (code, kind, problems) = held("status = \"fail\"", Verdict::NotRun);
    assert_eq!((code, kind), (4, None));
    assert_eq!(problems, ["stale, it is not run any more: send/a"]);
}

#[test]
fn an_unknown_failure_is_no_less_one() {
    let mut report = sample::report([
        sample::case("send/a", Verdict::Fail),
        sample::case("send/b", Verdict::Fail),
    ]);
    Baseline::parse(&entry("status = \"fail\"")).unwrap().apply(
        &mut report,
        "known.toml",
        TODAY,
        |_| true,
    );
    assert_eq!(report.exit_code(), 1);
    assert_eq!(report.unexpected().count(), 1);
}

#[test]
fn a_flaky_case_may_fail_as_often_as_it_may() {
    let runs = |verdicts: &[Verdict]| {
        let runs = verdicts.iter().map(|verdict| {
            sample::report([
                sample::case("send/a", *verdict),
                sample::case("send/b", Verdict::Pass),
            ])
        });
        merge(runs.collect()).unwrap()
    };
    let text = "status = \"flaky\"\nmax_rate = 0.25";
    let baseline = Baseline::parse(&entry(text)).unwrap();
    let [good, bad] = [Verdict::Pass, Verdict::Fail];
    let mut rare = runs(&[good, bad, good, good]);
    baseline.apply(&mut rare, "known.toml", TODAY, |_| true);
    let case = rare.cases.first().unwrap();
    assert_eq!(case.repeats, Some(Repeats { runs: 4, failed: 1 }));
    assert_eq!(case.overlay.as_ref().unwrap().kind, OverlayKind::Flaky);
    assert_eq!(rare.exit_code(), 0);
    let mut often = runs(&[good, bad, bad, good]);
    baseline.apply(&mut often, "known.toml", TODAY, |_| true);
    assert_eq!(often.exit_code(), 1);
    let mut never = runs(&[good, good]);
    baseline.apply(&mut never, "known.toml", TODAY, |_| true);
    assert_eq!(never.exit_code(), 0);
}

#[test]
fn what_was_proved_at_times_is_not_proved() {
    let one = |verdict| sample::report([sample::case("send/a", verdict)]);
    let merged = merge(vec![one(Verdict::Pass), one(Verdict::Fail)]).unwrap();
    let case = merged.cases.first().unwrap();
    assert_eq!((case.verdict, case.proved.len()), (Verdict::Fail, 0));
}

#[test]
fn what_is_written_excuses_the_run_that_it_was_written_from() {
    let report = sample::report([
        sample::case("send/a", Verdict::Fail),
        sample::case("send/b", Verdict::Pass),
    ]);
    let known = Baseline::parse(&entry("status = \"fail\"\nissue = \"i\"")).unwrap();
    let text = Baseline::of(&report, &known, "new").to_toml().unwrap();
    let again = Baseline::parse(&text).unwrap();
    let entry = again.entries.first().unwrap();
    assert_eq!((entry.reason.as_str(), again.entries.len()), ("known", 1));
    let mut report = report;
    again.apply(&mut report, "known.toml", TODAY, |_| true);
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn what_no_baseline_says_is_refused() {
    let wrong = [
        "status = \"pass\"",
        "status = \"broken\"",
        "status = \"flaky\"",
        "status = \"flaky\"\nmax_rate = 1.5",
        "status = \"fail\"\nmax_rate = 0.5",
        "status = \"fail\"\nuntil = \"soon\"",
        "status = \"fail\"\nwhy = \"x\"",
        "status = \"fail\"\n[[case]]\nid = \"send/a\"\nstatus = \"fail\"\nreason = \"twice\"",
    ];
    for text in wrong {
        assert!(Baseline::parse(&entry(text)).is_err(), "{text}");
    }
    assert!(Baseline::parse("baseline = 2").is_err());
    assert!(
        Baseline::parse("baseline = 1\n[[case]]\nid = \"a\"\nstatus = \"fail\"\nreason = \" \"")
            .is_err()
    );
}
