//! The report as JUnit XML, for the pages of build servers. `fixtures/schemas/junit.xsd` says what is in it.

use std::fmt::Write;
use std::time::Duration;

use super::text::{LONGEST, visible, xml};
use super::told::{Told, told};
use super::{CaseReport, Report};
use crate::verdict::Verdict;

/// The characters that the text of a failure may take up.
const DESCRIPTION: usize = 10 * LONGEST;

/// What one case is for a build server.
enum Outcome<'c> {
    Success,
    /// With its type and its reason.
    Skipped(&'static str, &'c str),
    /// `failure` or `error`, and the message.
    Wrong(&'static str, &'c str),
}

/// The reports as one document: a suite for each family of each testee.
#[must_use]
pub fn to_junit(reports: &[Report]) -> String {
    let mut suites = String::new();
    let all = reports
        .iter()
        .flat_map(|report| report.cases.iter().map(move |case| (report, case)));
    let counts = counts(all.collect());
    for report in reports {
        for (family, cases) in report.families() {
            let name = if reports.len() > 1 {
                format!("{}/{family}", report.testee.title())
            } else {
                family.to_owned()
            };
            suite(&mut suites, report, &escaped(&name), &cases);
        }
    }
    let time = seconds(reports.iter().map(|report| report.duration).sum());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"tidewire-conformance\" {counts} time=\"{time}\">\n{suites}</testsuites>\n"
    )
}

fn suite(text: &mut String, report: &Report, name: &str, cases: &[&CaseReport]) {
    let counts = counts(cases.iter().map(|case| (report, *case)).collect());
    let skipped = cases
        .iter()
        .filter(|case| matches!(outcome(report, case), Outcome::Skipped(..)))
        .count();
    let time = seconds(cases.iter().map(|case| case.duration).sum());
    let date = report.date.strftime("%Y-%m-%dT%H:%M:%SZ");
    let _ = writeln!(
        text,
        "  <testsuite name=\"{name}\" {counts} skipped=\"{skipped}\" time=\"{time}\" timestamp=\"{date}\">"
    );
    for case in cases {
        let (id, time) = (escaped(&case.id), seconds(case.duration));
        let _ = write!(
            text,
            "    <testcase name=\"{id}\" classname=\"tidewire.{name}\" time=\"{time}\""
        );
        match outcome(report, case) {
            Outcome::Success => text.push_str("/>\n"),
            Outcome::Skipped(kind, reason) => {
                let reason = escaped(reason);
                let _ = writeln!(
                    text,
                    "><skipped message=\"{reason}\" type=\"{kind}\"/></testcase>"
                );
            }
            Outcome::Wrong(element, message) => {
                let lines: Vec<String> = told(report, case).iter().map(Told::plain).collect();
                let lines = lines.join("\n");
                let (message, lines) = (escaped(message), xml(&visible(&lines, DESCRIPTION)));
                let kind = case.verdict;
                let _ = writeln!(
                    text,
                    "><{element} message=\"{message}\" type=\"{kind}\">{lines}</{element}></testcase>"
                );
            }
        }
    }
    text.push_str("  </testsuite>\n");
}

fn outcome<'c>(report: &Report, case: &'c CaseReport) -> Outcome<'c> {
    let reason = case.reason.as_deref().unwrap_or_default();
    let failure = case.failure.as_ref().map(|failure| failure.class.text());
    match (&case.overlay, case.verdict) {
        (Some(overlay), _) if overlay.kind.excuses() => {
            Outcome::Skipped(overlay.kind.name(), &overlay.reason)
        }
        (Some(overlay), _) => Outcome::Wrong("failure", overlay.kind.name()),
        (None, Verdict::NotClaimed | Verdict::NotRun | Verdict::Blocked) => {
            Outcome::Skipped(case.verdict.name(), reason)
        }
        (None, Verdict::Fail) => Outcome::Wrong("failure", failure.unwrap_or(reason)),
        _ if report.is_unexpected(case) => Outcome::Wrong("error", failure.unwrap_or(reason)),
        _ => Outcome::Success,
    }
}

fn counts(cases: Vec<(&Report, &CaseReport)>) -> String {
    let with = |wanted: &str| {
        let is_it = |case: &&(&Report, &CaseReport)| matches!(outcome(case.0, case.1), Outcome::Wrong(element, _) if element == wanted);
        cases.iter().filter(is_it).count()
    };
    let (failures, errors) = (with("failure"), with("error"));
    format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\"",
        cases.len()
    )
}

fn escaped(text: &str) -> String {
    xml(&visible(text, LONGEST).replace('\n', " "))
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}
