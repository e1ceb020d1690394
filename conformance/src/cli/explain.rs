//! `explain`: a case, with its picture, its steps and its bytes; or a requirement, with all that proves it.

use std::io::{self, Write};
use std::path::Path;

use super::{Folders, Suite, complain, tidy, written};
use crate::mutant::{Mutant, Mutants};
use crate::vectors::Vectors;

mod case;
mod diagram;
mod sample;
mod vector;

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The id of a case of servers, clients or codecs, or of a requirement; or a session file.
    #[arg(value_name = "CASE|REQ")]
    what: String,
}

/// As many names as one reads through.
const SUGGESTIONS: usize = 12;

pub(super) fn run(args: &ExplainArgs, folders: &Folders) -> u8 {
    let mut suite = match folders.read() {
        Ok(suite) => suite,
        Err(code) => return code,
    };
    let file = Path::new(&args.what);
    let added = if file.is_file() {
        match suite.add(file) {
            Ok(id) => Some(id),
            Err(code) => return code,
        }
    } else {
        None
    };
    // What is wrong with a mutant is the business of the command that plays it.
    let mutants = Mutants::read(&folders.fixtures, &suite.requirements).unwrap_or_default();
    // The same holds for what is wrong in a fixture of codecs.
    let vectors = Vectors::read(&folders.fixtures, &suite.requirements).unwrap_or_default();
    let mut out = anstream::AutoStream::auto(io::stdout());
    let what = added.as_deref().unwrap_or(&args.what).trim();
    let requirement = what.to_uppercase();
    if let Some(session) = suite
        .sessions
        .get(what)
        .or_else(|| suite.sessions.get(&what.to_lowercase()))
    {
        written(case::explain(&mut out, &suite, session, &mutants))
    } else if suite.requirements.get(&requirement).is_some() {
        written(explain(&mut out, &suite, &vectors, &requirement, &mutants))
    } else if let Some(vector) = vectors.iter().find(|vector| vector.id == what) {
        written(vector::explain(&mut out, &suite, vector))
    } else {
        let like = suggestions(&suite, &vectors, what);
        let hint = match like.len() {
            0 => "`list` and `list --requirements` show what there is".to_owned(),
            count if count > SUGGESTIONS => format!(
                "{count} begin like it: {} ...",
                like.get(..SUGGESTIONS).unwrap_or_default().join(", ")
            ),
            _ => format!("is it {}?", like.join(", or ")),
        };
        complain(&format!(
            "{} is neither a case nor a requirement; {hint}",
            args.what
        ))
    }
}

/// The names that begin like this one; without any, those that hold it; without any, those that are one slip away.
fn suggestions<'a>(suite: &'a Suite, vectors: &'a Vectors, what: &str) -> Vec<&'a str> {
    let what = what.to_lowercase();
    let cases = suite.sessions.iter().map(|session| session.id.as_str());
    let ids = suite
        .requirements
        .iter()
        .map(|requirement| requirement.id.as_str());
    let of_codecs = vectors.iter().map(|vector| vector.id.as_str());
    let all: Vec<&str> = cases.chain(ids).chain(of_codecs).collect();
    let picked = |fits: &dyn Fn(&str) -> bool| -> Vec<&'a str> {
        all.iter()
            .copied()
            .filter(|id| fits(&id.to_lowercase()))
            .collect()
    };
    [
        picked(&|id| id.starts_with(&what)),
        picked(&|id| id.contains(&what)),
        picked(&|id| is_near(id, &what)),
    ]
    .into_iter()
    .find(|found| !found.is_empty())
    .unwrap_or_default()
}

/// True if at most two letters were left out, added or mistaken.
fn is_near(one: &str, other: &str) -> bool {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, sign) in one.chars().enumerate() {
        let mut corner = std::mem::replace(row.first_mut().unwrap_or(&mut 0), line + 1);
        let mut left = line + 1;
        for (cell, known) in row.iter_mut().skip(1).zip(&other) {
            let best = (corner + usize::from(*known != sign))
                .min(left + 1)
                .min(*cell + 1);
            corner = std::mem::replace(cell, best);
            left = best;
        }
    }
    row.last().is_some_and(|distance| *distance <= 2)
}

fn explain(
    out: &mut dyn Write,
    suite: &Suite,
    vectors: &Vectors,
    id: &str,
    mutants: &Mutants,
) -> io::Result<()> {
    sentence(out, suite, id)?;
    writeln!(out)?;
    let mut count = 0;
    for session in suite.sessions.iter() {
        for step in session
            .steps
            .iter()
            .filter(|step| step.proofs().any(|proof| proof == id))
        {
            count += 1;
            writeln!(
                out,
                "  {}  ({}:{})  {}",
                session.id,
                tidy(&session.path).display(),
                step.line,
                session.title
            )?;
        }
    }
    writeln!(out, "proved by {count} steps")?;
    let of_codecs: Vec<&str> = vectors
        .iter()
        .filter(|vector| vector.claims().contains(id))
        .map(|vector| vector.id.as_str())
        .collect();
    if let Some(first) = of_codecs.first() {
        let all = of_codecs.len();
        writeln!(out, "and by {all} cases of codecs, as {first}")?;
    }
    killed(out, mutants, &|mutant| mutant.breaks.contains(id))
}

/// The mutants that have to be caught.
fn killed(
    out: &mut dyn Write,
    mutants: &Mutants,
    concerns: &dyn Fn(&Mutant) -> bool,
) -> io::Result<()> {
    let found: Vec<_> = mutants.iter().filter(|mutant| concerns(mutant)).collect();
    if found.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nmutants, which must not pass:")?;
    for mutant in found {
        let breaks: Vec<&str> = mutant.breaks.iter().map(String::as_str).collect();
        writeln!(
            out,
            "  {}: {} (breaks {})",
            mutant.id,
            mutant.title,
            breaks.join(", ")
        )?;
    }
    Ok(())
}

fn sentence(out: &mut dyn Write, suite: &Suite, id: &str) -> io::Result<()> {
    let Some(requirement) = suite.requirements.get(id) else {
        return writeln!(out, "[{id}] unknown");
    };
    writeln!(
        out,
        "[{id}] ({}; {}) {}\n  spec/{}#{}, line {}",
        requirement.role,
        requirement.observed,
        requirement.sentence,
        requirement.file,
        requirement.anchor,
        requirement.line
    )
}

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn a_slip_is_forgiven() {
        assert!(is_near("send/plain", "send/plian"));
        assert!(is_near("send/plain", "sendplain"));
        assert!(is_near("snd-020", "snd-20"));
        assert!(!is_near("snd-020", "lgn-300"));
        assert!(!is_near("send/plain", ""));
    }
}
