//! `list`: the cases, or the requirements with the cases that prove them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;

use super::{Folders, Suite, complain, matches, selects};
use crate::report::Role;
use crate::vectors::Vectors;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only the cases whose id holds this text, or fits this pattern with `*`.
    #[arg(long)]
    filter: Vec<String>,
    /// The requirements, each with the cases that prove it.
    #[arg(long)]
    requirements: bool,
    /// The cases of codecs: frames, bytes that break a rule, rows of the tables of negotiation.
    #[arg(long, conflicts_with = "requirements")]
    codec: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs, folders: &Folders) -> u8 {
    let suite = match folders.read() {
        Ok(suite) => suite,
        Err(code) => return code,
    };
    if args.codec {
        return codec(&suite, folders, args);
    }
    if !args.filter.is_empty()
        && !suite
            .sessions
            .iter()
            .any(|session| selects(&args.filter, session))
    {
        return complain("no case fits the filter");
    }
    let mut out = io::stdout().lock();
    let written = match (args.requirements, args.json) {
        (false, false) => cases(&mut out, &suite, args),
        (false, true) => cases_json(&mut out, &suite, args),
        (true, json) => requirements(&mut out, &suite, json),
    };
    super::written(written)
}

fn codec(suite: &Suite, folders: &Folders, args: &ListArgs) -> u8 {
    let vectors = match Vectors::read(&folders.fixtures, &suite.requirements) {
        Ok(vectors) => vectors,
        Err(error) => return complain(&error.to_string()),
    };
    let chosen: Vec<_> = vectors
        .iter()
        .filter(|vector| {
            args.filter.is_empty() || args.filter.iter().any(|filter| matches(filter, &vector.id))
        })
        .collect();
    if chosen.is_empty() {
        return complain("no case fits the filter");
    }
    let mut out = io::stdout().lock();
    let mut write = || -> io::Result<()> {
        if args.json {
            let cases: Vec<_> = chosen
                .iter()
                .map(|vector| {
                    json!({
                        "id": vector.id,
                        "title": vector.title,
                        "covers": vector.claims(),
                        "file": super::tidy(&vector.file),
                    })
                })
                .collect();
            return writeln!(out, "{:#}", json!({ "cases": cases }));
        }
        let width = chosen.iter().map(|vector| vector.id.len()).max();
        for vector in &chosen {
            let covers: Vec<String> = vector.claims().into_iter().collect();
            let (id, title, covers) = (&vector.id, &vector.title, covers.join(" "));
            writeln!(out, "{id:0$}  {title}  [{covers}]", width.unwrap_or(0))?;
        }
        writeln!(out, "{} cases", chosen.len())
    };
    super::written(write())
}

fn cases(out: &mut dyn Write, suite: &Suite, args: &ListArgs) -> io::Result<()> {
    let chosen: Vec<_> = suite
        .sessions
        .iter()
        .filter(|session| selects(&args.filter, session))
        .collect();
    let width = chosen
        .iter()
        .map(|session| session.id.len())
        .max()
        .unwrap_or(0);
    for session in &chosen {
        let covers: Vec<&str> = session.covers().into_iter().collect();
        writeln!(
            out,
            "{:width$}  {}  [{}]",
            session.id,
            session.title,
            covers.join(" ")
        )?;
    }
    writeln!(out, "{} cases", chosen.len())
}

fn cases_json(out: &mut dyn Write, suite: &Suite, args: &ListArgs) -> io::Result<()> {
    let chosen = suite
        .sessions
        .iter()
        .filter(|session| selects(&args.filter, session));
    let cases: Vec<_> = chosen
        .map(|session| {
            json!({
                "id": session.id,
                "title": session.title,
                "needs": session.needs.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "twin": session.twin,
                "covers": session.covers(),
                "sweep": session.is_sweep(),
                "file": super::tidy(&session.path),
            })
        })
        .collect();
    writeln!(out, "{:#}", json!({ "cases": cases }))
}

fn requirements(out: &mut dyn Write, suite: &Suite, as_json: bool) -> io::Result<()> {
    let mut proofs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for session in suite.sessions.iter() {
        for id in session.covers() {
            proofs.entry(id).or_default().push(&session.id);
        }
    }
    let cases = |id: &str| proofs.get(id).cloned().unwrap_or_default();
    if as_json {
        let all: Vec<_> = suite
            .requirements
            .iter()
            .map(|requirement| json!({ "requirement": requirement, "cases": cases(&requirement.id) }))
            .collect();
        return writeln!(out, "{:#}", json!({ "requirements": all }));
    }
    let mut observable = 0;
    let mut claimed = 0;
    for requirement in suite.requirements.iter() {
        let cases = cases(&requirement.id);
        if requirement.is_observable_of(Role::Server) {
            observable += 1;
            claimed += usize::from(!cases.is_empty());
        }
        let proved = if cases.is_empty() {
            "-".to_owned()
        } else {
            cases.join(" ")
        };
        writeln!(
            out,
            "{} ({}; {})  {proved}",
            requirement.id, requirement.role, requirement.observed
        )?;
    }
    writeln!(
        out,
        "{claimed} of {observable} observable requirements of servers are proved by a case"
    )
}
