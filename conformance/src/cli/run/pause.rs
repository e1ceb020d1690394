//! `--pause-at`: the step that it means.

use std::collections::BTreeSet;

use crate::cli::{Suite, complain};
use crate::run::Pause;

/// The step in this line of the one case that was chosen.
pub(super) fn of(
    line: Option<usize>,
    cases: &BTreeSet<String>,
    suite: &Suite,
) -> Result<Option<Pause>, u8> {
    let Some(line) = line else { return Ok(None) };
    let mut chosen = cases.iter();
    let session = match (chosen.next(), chosen.next()) {
        (Some(case), None) => suite.sessions.get(case),
        _ => None,
    };
    let Some(session) = session else {
        return Err(complain(
            "--pause-at is about one case: choose it with --filter",
        ));
    };
    // Any line of a step will do: that of its verb is the one that people look at.
    let step = session.steps.iter().rev().find(|step| step.line <= line);
    match step {
        Some(step) => Ok(Some(Pause {
            case: session.id.clone(),
            line: step.line,
        })),
        None => {
            let lines: Vec<String> = session
                .steps
                .iter()
                .map(|step| step.line.to_string())
                .collect();
            Err(complain(&format!(
                "no step of {} begins in line {line} or before; they begin in {}",
                session.id,
                lines.join(", ")
            )))
        }
    }
}
