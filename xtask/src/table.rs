//! The trace as text: one line a chapter.

use std::fmt::Write as _;

use crate::gate::{Counts, Trace};

/// The table that `cargo xtask trace` prints.
pub fn render(trace: &Trace) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<26}{:>13}{:>7}{:>8}{:>11}{:>13}{:>10}{:>9}",
        "chapter",
        "requirements",
        "MUST",
        "quoted",
        "with case",
        "with mutant",
        "excepted",
        "missing"
    );
    for (chapter, counts) in trace.counts() {
        let Counts {
            requirements,
            musts,
            quoted,
            with_case,
            with_mutant,
            excepted,
            missing,
        } = counts;
        let _ = writeln!(
            out,
            "{chapter:<26}{requirements:>13}{musts:>7}{quoted:>8}{with_case:>11}{with_mutant:>13}{excepted:>10}{missing:>9}"
        );
    }
    for row in trace.loose() {
        let requirement = &row.requirement;
        let code = if row.code.is_empty() {
            "no quote"
        } else {
            "quoted"
        };
        let _ = writeln!(
            out,
            "{} {}: {code}, {} cases, {} mutants",
            requirement.level,
            requirement.id,
            row.cases.len(),
            row.mutants.len()
        );
    }
    out
}
