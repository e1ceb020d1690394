//! `explain`: a case as a ladder, or a requirement with the cases that prove it.

use std::io::{self, Write};

use super::{EXIT_USAGE, Folders, Suite, complain, tidy};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The id of a case, or of a requirement.
    #[arg(value_name = "CASE|REQ")]
    what: String,
}

pub(super) fn run(args: &ExplainArgs, folders: &Folders) -> u8 {
    let suite = match folders.read() {
        Ok(suite) => suite,
        Err(code) => return code,
    };
    let mut out = io::stdout().lock();
    let written = if let Some(session) = suite.sessions.get(&args.what) {
        case(&mut out, &suite, session)
    } else if suite.requirements.get(&args.what).is_some() {
        requirement(&mut out, &suite, &args.what)
    } else {
        return complain(&format!(
            "{} is neither a case nor a requirement",
            args.what
        ));
    };
    written.map_or_else(
        |error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                0
            } else {
                EXIT_USAGE
            }
        },
        |()| 0,
    )
}

fn requirement(out: &mut dyn Write, suite: &Suite, id: &str) -> io::Result<()> {
    sentence(out, suite, id)?;
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
    writeln!(out, "proved by {count} steps")
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

fn case(out: &mut dyn Write, suite: &Suite, session: &Session) -> io::Result<()> {
    writeln!(out, "{}: {}", session.id, session.title)?;
    writeln!(out, "file: {}", tidy(&session.path).display())?;
    if !session.needs.is_empty() {
        let needs: Vec<String> = session.needs.iter().map(ToString::to_string).collect();
        writeln!(out, "needs: {}", needs.join(", "))?;
    }
    if let Some(twin) = &session.twin {
        writeln!(out, "twin: {twin}")?;
    }
    if session.is_sweep() {
        writeln!(out, "sweep: its steps run once for each variant")?;
    }
    writeln!(out)?;
    // The lines of the file say best what a step asks for; the ladder puts them in order.
    let width = session
        .actors
        .iter()
        .map(|actor| actor.name.len())
        .max()
        .unwrap_or(0);
    for step in &session.steps {
        let name = step
            .actor
            .and_then(|actor| session.actors.get(actor))
            .map_or("", |actor| &actor.name);
        for (number, line) in session.source_of(step.line).enumerate() {
            let lead = if number == 0 { name } else { "" };
            let arrow = if number == 0 { arrow(line) } else { "   " };
            writeln!(
                out,
                "{:5}  {lead:width$} {arrow} {line}",
                if number == 0 {
                    step.line.to_string()
                } else {
                    String::new()
                }
            )?;
        }
        for id in step.proofs() {
            writeln!(out, "       {:width$}     proves {id}", "")?;
        }
    }
    writeln!(out)?;
    for id in session.covers() {
        sentence(out, suite, id)?;
    }
    Ok(())
}

fn arrow(line: &str) -> &'static str {
    let verb = line.split([' ', '=']).next().unwrap_or_default();
    match verb {
        "send" | "raw" | "connect" => "-->",
        "login" => "<->",
        "expect" | "error" | "goaway" | "closed" | "expect_set" | "one_of" => "<--",
        "quiet" => "<->",
        _ => " * ",
    }
}
