//! The report for people: one line a family, failures in full, and the counts.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Paint};

use super::{About, CaseReport, Report};
use crate::verdict::Verdict;

/// What to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// The frames of every case, not only of those that failed.
    pub trace_all: bool,
}

const GOOD: Paint = AnsiColor::Green.on_default();
const BAD: Paint = AnsiColor::Red.on_default().bold();
const DIM: Paint = AnsiColor::Yellow.on_default();

fn paint(verdict: Verdict) -> Paint {
    match verdict {
        Verdict::Pass => GOOD,
        Verdict::Fail | Verdict::AdapterError | Verdict::HarnessError => BAD,
        _ => DIM,
    }
}

/// Prints the report. The writer decides whether colours stay: `anstream` strips them where nobody looks.
///
/// # Errors
/// If the writer fails.
pub fn print(out: &mut dyn Write, report: &Report, style: Style) -> io::Result<()> {
    for case in &report.cases {
        let is_bad = matches!(
            case.verdict,
            Verdict::Fail
                | Verdict::Inconclusive
                | Verdict::AdapterError
                | Verdict::HarnessError
                | Verdict::NonStrict
        );
        if is_bad {
            let color = paint(case.verdict);
            writeln!(
                out,
                "{color}{}{color:#} {}",
                case.verdict.name().to_uppercase(),
                case.id
            )?;
            for line in failure_lines(report, case) {
                writeln!(out, "  {line}")?;
            }
            writeln!(out)?;
        } else if let Some(evidence) = case.evidence.as_ref().filter(|_| style.trace_all) {
            writeln!(
                out,
                "{GOOD}{}{GOOD:#} {}",
                case.verdict.name().to_uppercase(),
                case.id
            )?;
            for line in evidence.lines(true) {
                writeln!(out, "    {line}")?;
            }
            writeln!(out)?;
        }
    }
    unplayed(out, report)?;
    families(out, report)?;
    let counts: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| report.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", report.count(verdict), verdict.name()))
        .collect();
    let coverage = report.coverage;
    writeln!(
        out,
        "requirements of {}s: {} claimed / {} executed, of {} observable",
        report.testee.role, coverage.claimed, coverage.executed, coverage.observable
    )?;
    let round_trip = report
        .round_trip
        .map(|time| format!(", round trip {} us", time.as_micros()))
        .unwrap_or_default();
    let unplayed = match report.cases.len() - report.executed() {
        0 => String::new(),
        1 => " (1 case did not run: see above)".to_owned(),
        number => format!(" ({number} cases did not run: see above)"),
    };
    writeln!(
        out,
        "{} in {:.2} s{round_trip}, seed {}{unplayed}",
        counts.join(", "),
        report.duration.as_secs_f64(),
        report.seed
    )
}

fn unplayed(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    for case in report
        .cases
        .iter()
        .filter(|case| !case.verdict.is_executed())
    {
        let color = paint(case.verdict);
        writeln!(
            out,
            "{color}{}{color:#} {}: {}",
            case.verdict,
            case.id,
            case.reason.as_deref().unwrap_or("?")
        )?;
    }
    Ok(())
}

fn families(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let families = report.families();
    let width = families.keys().map(|name| name.len()).max().unwrap_or(0);
    for (family, cases) in families {
        let mut parts = Vec::new();
        for verdict in Verdict::ALL {
            let count = cases.iter().filter(|case| case.verdict == verdict).count();
            if count > 0 {
                let color = paint(verdict);
                parts.push(format!("{color}{count} {}{color:#}", verdict.name()));
            }
        }
        writeln!(
            out,
            "{family:width$}  {:4} cases  {}",
            cases.len(),
            parts.join(", ")
        )?;
    }
    Ok(())
}

/// All that there is to say about a case that did not pass.
pub(super) fn failure_lines(report: &Report, case: &CaseReport) -> Vec<String> {
    let mut lines = vec![case.title.clone()];
    let file = case.file.display();
    if let Some(reason) = &case.reason {
        lines.push(reason.clone());
    }
    let Some(failure) = &case.failure else {
        lines.push(format!("file:     {}", file));
        return lines;
    };
    match failure.line {
        0 => lines.push(format!("step:     {}: after the last step", file)),
        line => lines.push(format!("step:     {}:{line}", file)),
    }
    if let Some(actor) = &failure.actor {
        lines.push(format!("actor:    {actor}"));
    }
    if let Some(variant) = &failure.variant {
        let of = format!(
            "{} of {} results failed",
            case.failed_variants, case.variants
        );
        lines.push(format!("variant:  {variant} ({of})"));
    }
    for (about, requirement) in report.sentences(case) {
        let label = match about {
            About::Step => "sentence:",
            About::OneOfStep => "proves:  ",
            About::Case => "about:   ",
        };
        lines.push(format!(
            "{label} [{}] ({}; {}) {} (spec/{}#{})",
            requirement.id,
            requirement.role,
            requirement.observed,
            requirement.sentence,
            requirement.file,
            requirement.anchor
        ));
    }
    lines.push(format!("likely:   {}", failure.class.text()));
    if !failure.at.is_empty() {
        lines.push(format!("at:       {}", failure.at));
    }
    if !failure.expected.is_empty() {
        lines.push(format!("expected: {}", failure.expected));
    }
    lines.push(format!("got:      {}", failure.got));
    if let Some(evidence) = &case.evidence {
        lines.push("frames:".to_owned());
        lines.extend(evidence.lines(false).iter().map(|line| format!("  {line}")));
    }
    lines.push(format!("repeat:   {}", report.command_for(case)));
    lines
}
