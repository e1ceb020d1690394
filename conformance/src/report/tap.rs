//! The report as TAP 14, for everything that reads test results line by line.

use std::fmt::Write;

use serde_json::{Value, json};

use super::text::{LONGEST, in_line, visible};
use super::{CaseReport, Report};
use crate::verdict::Verdict;

/// The reports as one TAP 14 document. What a baseline expects to fail is a TODO, what did not run is skipped.
#[must_use]
pub fn to_tap(reports: &[Report]) -> String {
    let count: usize = reports.iter().map(|report| report.cases.len()).sum();
    let mut text = format!("TAP version 14\n1..{count}\n");
    let mut number = 0;
    for report in reports {
        let testee = in_line(&report.testee.title(), 200);
        let _ = writeln!(
            text,
            "# {testee} ({}), seed {}",
            report.testee.role, report.seed
        );
        let lead = if reports.len() > 1 {
            testee + ": "
        } else {
            String::new()
        };
        for case in &report.cases {
            number += 1;
            point(&mut text, number, &lead, report, case);
        }
    }
    text
}

fn point(text: &mut String, number: usize, lead: &str, report: &Report, case: &CaseReport) {
    let is_ok = match case.verdict {
        // Skipping is no success, and TAP has no third word for it.
        Verdict::NotClaimed | Verdict::NotRun => true,
        verdict => verdict.is_good() && !report.is_unexpected(case),
    };
    let word = if is_ok { "ok" } else { "not ok" };
    let _ = write!(
        text,
        "{word} {number} - {}",
        description(&format!("{lead}{}", case.id))
    );
    let reason = in_line(case.reason.as_deref().unwrap_or_default(), 300);
    match (&case.overlay, case.verdict) {
        (Some(overlay), _) if overlay.kind.excuses() => {
            let _ = write!(
                text,
                " # TODO {}",
                description(&in_line(&overlay.reason, 300))
            );
        }
        (_, Verdict::NotClaimed | Verdict::NotRun) => {
            let _ = write!(text, " # SKIP {}", description(&reason));
        }
        _ => {}
    }
    text.push('\n');
    if !is_ok {
        text.push_str("  ---\n");
        for (key, value) in diagnostics(report, case) {
            // What is a line of JSON is a line of YAML.
            let _ = writeln!(text, "  {key}: {value}");
        }
        text.push_str("  ...\n");
    }
}

/// `#` begins a directive and `\` escapes it.
fn description(text: &str) -> String {
    in_line(text, LONGEST)
        .replace('\\', "\\\\")
        .replace('#', "\\#")
}

fn diagnostics(report: &Report, case: &CaseReport) -> Vec<(&'static str, Value)> {
    let text = |text: &str| json!(visible(text, LONGEST));
    let mut pairs = vec![
        ("verdict", json!(case.verdict)),
        ("title", text(&case.title)),
    ];
    if let Some(reason) = &case.reason {
        pairs.push(("reason", text(reason)));
    }
    if let Some(failure) = &case.failure {
        let file = case.file.display();
        pairs.push(("at", text(&format!("{file}:{}", failure.line))));
        let sentences = report.sentences(case).map(|(_, requirement)| {
            visible(
                &format!("[{}] {}", requirement.id, requirement.sentence),
                LONGEST,
            )
        });
        pairs.push(("sentences", json!(sentences.collect::<Vec<_>>())));
        pairs.push(("likely", text(failure.class.text())));
        pairs.push(("field", text(&failure.at)));
        pairs.push(("wanted", text(&failure.expected)));
        pairs.push(("found", text(&failure.got)));
    }
    pairs.push(("repeat", text(&report.command_for(case))));
    pairs
}
