//! The report as Markdown, short enough for the summary of a job.

use std::fmt::Write;

use super::text::{in_line, visible};
use super::{CaseReport, Report};
use crate::verdict::Verdict;

/// Failures that are shown; a summary that has to be searched is none.
const SHOWN: usize = 20;

/// A section for each report: what it came to, and each failure with its sentence.
#[must_use]
pub fn to_markdown(reports: &[Report]) -> String {
    let sections: Vec<String> = reports.iter().map(section).collect();
    sections.join("\n")
}

fn section(report: &Report) -> String {
    let mut text = String::new();
    let mark = if report.exit_code() == 0 {
        "✅"
    } else {
        "❌"
    };
    let title = prose(&report.testee.title());
    let _ = writeln!(
        text,
        "## {mark} {title} ({}): {}\n",
        report.testee.role,
        report.headline()
    );
    text.push_str("| verdict | cases |\n|---|---:|\n");
    for verdict in Verdict::ALL {
        let count = report.count(verdict);
        if count > 0 {
            let _ = writeln!(text, "| {verdict} | {count} |");
        }
    }
    let coverage = report.coverage;
    let _ = writeln!(
        text,
        "\nRequirements: {} claimed, {} executed, of {} observable. {:.2} s, seed {}, runner {}.",
        coverage.claimed,
        coverage.executed,
        coverage.observable,
        report.duration.as_secs_f64(),
        report.seed,
        prose(&report.runner),
    );
    if let Some(baseline) = &report.baseline {
        let _ = writeln!(
            text,
            "\nBaseline {}: {} excused.",
            code(&baseline.file),
            baseline.excused
        );
        for problem in &baseline.problems {
            let _ = writeln!(text, "- {}", prose(problem));
        }
    }
    let bad: Vec<&CaseReport> = report.unexpected().collect();
    if !bad.is_empty() {
        text.push_str("\n### What did not pass\n");
    }
    for case in bad.iter().take(SHOWN) {
        failure(&mut text, report, case);
    }
    if bad.len() > SHOWN {
        let _ = writeln!(text, "\n… and {} more.", bad.len() - SHOWN);
    }
    text
}

fn failure(text: &mut String, report: &Report, case: &CaseReport) {
    let verdict = case
        .overlay
        .as_ref()
        .filter(|overlay| !overlay.kind.excuses());
    let verdict = verdict.map_or(case.verdict.name(), |overlay| overlay.kind.name());
    let _ = writeln!(
        text,
        "\n**{verdict}** {} · {}\n",
        code(&case.id),
        prose(&case.title)
    );
    if let Some(reason) = &case.reason {
        let _ = writeln!(text, "{}\n", prose(reason));
    }
    if let Some(failure) = &case.failure {
        for (_, requirement) in report.sentences(case) {
            let _ = writeln!(
                text,
                "> [{}] {}\n",
                requirement.id,
                prose(&requirement.sentence)
            );
        }
        let at = match failure.at.as_str() {
            "" => String::new(),
            at => format!(" at {}", code(at)),
        };
        let _ = writeln!(text, "{}{at}", failure.class.text());
        if !failure.expected.is_empty() {
            let _ = writeln!(text, "- expected {}", code(&failure.expected));
        }
        let _ = writeln!(text, "- got {}", code(&failure.got));
        let step = format!("{}:{}", case.file.display(), failure.line);
        let _ = writeln!(text, "- step {}", code(&step));
    }
    let _ = writeln!(text, "- repeat {}", code(&report.command_for(case)));
}

/// Text in which nothing is markup.
fn prose(text: &str) -> String {
    let mut escaped = String::new();
    for sign in in_line(text, 600).chars() {
        match sign {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => {
                escaped.push('\\');
                escaped.push(sign);
            }
            sign => escaped.push(sign),
        }
    }
    escaped
}

/// Code in a line: between more backticks than it has in a row.
fn code(text: &str) -> String {
    let shown = visible(text, 300).replace('\n', "⏎");
    let longest = shown.split(|sign| sign != '`').map(str::len).max();
    let ticks = "`".repeat(longest.unwrap_or(0) + 1);
    if shown.starts_with('`') || shown.ends_with('`') {
        format!("{ticks} {shown} {ticks}")
    } else if shown.is_empty() {
        "(nothing)".to_owned()
    } else {
        format!("{ticks}{shown}{ticks}")
    }
}
