//! The report for people: failures, the simplest first and in full; what did not run; one line a family; the counts.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style as Paint};

use super::text::in_line;
use super::told::{in_short, told};
use super::{CaseReport, Report};
use crate::verdict::Verdict;

/// What to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// The frames of every case, not only of those that failed.
    pub trace_all: bool,
}

/// So many failures are printed in full: who has more mends the first ones first.
const IN_FULL: usize = 5;

const GOOD: Paint = AnsiColor::Green.on_default();
const BAD: Paint = AnsiColor::Red.on_default().bold();
const WARN: Paint = AnsiColor::Yellow.on_default();
const LABEL: Paint = AnsiColor::Cyan.on_default();
const DIM: Paint = Paint::new().dimmed();
const BOLD: Paint = Paint::new().bold();

fn paint(verdict: Verdict) -> Paint {
    match verdict {
        Verdict::Pass => GOOD,
        Verdict::Fail | Verdict::AdapterError | Verdict::HarnessError => BAD,
        _ => WARN,
    }
}

/// Prints the report. The writer decides whether colours stay: `anstream` strips them where nobody looks.
///
/// # Errors
/// If the writer fails.
pub fn print(out: &mut dyn Write, report: &Report, style: Style) -> io::Result<()> {
    if style.trace_all {
        traces(out, report)?;
    }
    failures(out, report, style)?;
    unplayed(out, report)?;
    families(out, report)?;
    baseline(out, report)?;
    let coverage = report.coverage;
    writeln!(
        out,
        "requirements of {}s: {} claimed / {} executed, of {} observable",
        report.testee.role, coverage.claimed, coverage.executed, coverage.observable
    )?;
    let counts: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| report.count(*verdict) > 0)
        .map(|verdict| format!("{} {}", report.count(verdict), verdict.name()))
        .collect();
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

/// What passed, with all its frames.
fn traces(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    for case in report.cases.iter().filter(|case| case.verdict.is_good()) {
        let Some(evidence) = &case.evidence else {
            continue;
        };
        heading(out, case)?;
        writeln!(out)?;
        for line in evidence.lines(true) {
            ladder_line(out, &in_line(&line, 400))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn heading(out: &mut dyn Write, case: &CaseReport) -> io::Result<()> {
    let overlay = case.overlay.as_ref().map(|overlay| overlay.kind.name());
    let word = overlay.unwrap_or(case.verdict.name()).to_uppercase();
    let color = match overlay {
        Some(_) => BAD,
        None => paint(case.verdict),
    };
    let id = in_line(&case.id, 200);
    write!(out, "{color}{word}{color:#} {BOLD}{id}{BOLD:#}")
}

fn failures(out: &mut dyn Write, report: &Report, style: Style) -> io::Result<()> {
    let is_told = |case: &&CaseReport| {
        let is_unexpected = report.is_unexpected(case) && case.verdict.is_executed();
        is_unexpected || case.verdict == Verdict::NonStrict
    };
    let bad: Vec<&CaseReport> = report
        .simplest_first()
        .into_iter()
        .filter(is_told)
        .collect();
    let full = if style.trace_all { bad.len() } else { IN_FULL };
    for case in bad.iter().take(full) {
        heading(out, case)?;
        writeln!(out)?;
        for line in told(report, case) {
            let text = &line.text;
            let color = match line.label {
                "expected" => GOOD,
                "got" => BAD,
                _ => Paint::new(),
            };
            if line.label.is_empty() {
                ladder_line(out, text)?;
            } else {
                let label = format!("{}:", line.label);
                writeln!(out, "  {LABEL}{label:10}{LABEL:#}{color}{text}{color:#}")?;
            }
        }
        writeln!(out)?;
    }
    for case in bad.iter().skip(full) {
        heading(out, case)?;
        writeln!(out, ": {}", in_short(case))?;
    }
    if bad.len() > full {
        let more = bad.len() - full;
        writeln!(
            out,
            "{DIM}{more} of them in short: --trace all shows each in full, --html FILE draws them{DIM:#}\n"
        )?;
    }
    Ok(())
}

/// Steps and bytes stand back behind the frames.
fn ladder_line(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let is_frame = [" --> ", " <-- ", " ==> ", " <== "]
        .iter()
        .any(|arrow| text.contains(arrow));
    let is_back = !is_frame && text.starts_with("  ");
    let color = if is_back { DIM } else { Paint::new() };
    writeln!(out, "  {color}{text}{color:#}")
}

/// What did not run, by the reason: each case is named.
fn unplayed(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let mut reasons: BTreeMap<(Verdict, &str), Vec<&str>> = BTreeMap::new();
    let cases = report.cases.iter();
    for case in cases.filter(|case| !case.verdict.is_executed()) {
        let reason = case.reason.as_deref().unwrap_or("?");
        let ids = reasons.entry((case.verdict, reason)).or_default();
        ids.push(&case.id);
    }
    for ((verdict, reason), ids) in reasons {
        let color = paint(verdict);
        let (reason, names) = (in_line(reason, 200), in_line(&ids.join(" "), 20_000));
        match ids.len() {
            1 => writeln!(out, "{color}{verdict}{color:#} {names}: {reason}")?,
            count => writeln!(
                out,
                "{color}{verdict}{color:#} {count} cases: {reason}\n  {DIM}{names}{DIM:#}"
            )?,
        }
    }
    Ok(())
}

fn baseline(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Some(baseline) = &report.baseline else {
        return Ok(());
    };
    let excused = baseline.excused;
    writeln!(
        out,
        "baseline {}: {excused} excused",
        in_line(&baseline.file, 200)
    )?;
    for problem in &baseline.problems {
        writeln!(out, "  {WARN}{}{WARN:#}", in_line(problem, 400))?;
    }
    Ok(())
}

fn families(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let families = report.families();
    let width = families.keys().map(|name| name.len()).max().unwrap_or(0);
    let width = width.min(24);
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
            "{:width$}  {:4} cases  {}",
            in_line(family, 100),
            cases.len(),
            parts.join(", ")
        )?;
    }
    Ok(())
}
