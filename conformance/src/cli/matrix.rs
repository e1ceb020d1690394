//! `matrix`: SDK against SDK. The actors of a case are played by two of them at once, in every order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::target::{CaseArgs, TargetArgs, start_sdk};
use super::{EXIT_HARNESS, EXIT_USAGE, Folders, Suite, complain};
use crate::report::Report;
use crate::run::{RunOptions, run as run_suite};
use crate::sdk::Sdk;
use crate::verdict::Verdict;

#[derive(Debug, clap::Args)]
pub(super) struct MatrixArgs {
    /// A testee file of a client SDK; give at least two.
    #[arg(long, value_name = "FILE", required = true)]
    testee: Vec<PathBuf>,
    #[command(flatten)]
    cases: CaseArgs,
    /// The server between them, where it runs already: its host and port for plain TCP. Needs --users. Without it, the
    /// reference server.
    #[arg(long, requires = "users", value_name = "HOST:PORT")]
    server: Option<String>,
    /// The users file of a server that runs already.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// How many cases at once; default: four times the cores, at most 16.
    #[arg(long)]
    jobs: Option<usize>,
    /// Writes the grid as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What one pair came to.
struct Pair {
    first: String,
    second: String,
    report: Report,
}

pub(super) fn run(args: &MatrixArgs, folders: &Folders) -> u8 {
    if args.testee.len() < 2 {
        return complain("a matrix takes two testee files or more");
    }
    let mut suite = match folders.read() {
        Ok(suite) => suite,
        Err(code) => return code,
    };
    let cases = match args.cases.choose(&mut suite) {
        Ok(cases) => cases,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    match runtime.block_on(play(args, &suite, &cases)) {
        Ok(pairs) => finish(args, &pairs),
        Err(code) => code,
    }
}

async fn play(args: &MatrixArgs, suite: &Suite, cases: &BTreeSet<String>) -> Result<Vec<Pair>, u8> {
    let target = TargetArgs {
        server: args.server.clone(),
        users: args.users.clone(),
        ..TargetArgs::reference()
    };
    let mut sdks: Vec<Sdk> = Vec::new();
    for file in &args.testee {
        sdks.push(start_sdk(file).await?);
    }
    let mut pairs = Vec::new();
    for first in &sdks {
        for second in &sdks {
            let defaults = RunOptions::default();
            let options = RunOptions {
                cases: cases.clone(),
                jobs: args.jobs.unwrap_or(defaults.jobs),
                sdks: vec![first.clone(), second.clone()],
                ..defaults
            };
            let starting = target.starter()?.start_all(1).await;
            let testees = starting.map_err(|error| {
                complain(&format!("the server did not start: {error}"));
                EXIT_HARNESS
            })?;
            let played = run_suite(
                &suite.sessions,
                &suite.requirements,
                testees,
                &options,
                |_| (),
            );
            let report = played.await.map_err(|error| {
                complain(&format!("the server's back door: {error}"));
                EXIT_HARNESS
            })?;
            pairs.push(Pair {
                first: first.name().to_owned(),
                second: second.name().to_owned(),
                report,
            });
        }
    }
    Ok(pairs)
}

fn finish(args: &MatrixArgs, pairs: &[Pair]) -> u8 {
    if let Some(path) = &args.json {
        let saved = fs::write(path, format!("{:#}\n", to_json(pairs)));
        if let Err(error) = saved {
            return complain(&format!("{}: {error}", path.display()));
        }
    }
    // Whoever closed the pipe has seen enough.
    let _ = write!(anstream::stdout(), "{}", grid(pairs));
    if pairs.iter().all(|pair| pair.report.executed() == 0) {
        return complain("no case has two actors that SDKs can play");
    }
    let worst = pairs.iter().map(|pair| pair.report.exit_code());
    // A failure says more than that something else could not be decided.
    worst
        .filter(|code| *code != EXIT_USAGE)
        .min_by_key(|code| match code {
            1 => 0,
            3 => 1,
            5 => 2,
            _ => 3,
        })
        .unwrap_or_default()
}

/// The verdict of each case with each pair.
fn rows(pairs: &[Pair]) -> BTreeMap<&str, Vec<Verdict>> {
    let mut rows: BTreeMap<&str, Vec<Verdict>> = BTreeMap::new();
    for (column, pair) in pairs.iter().enumerate() {
        for case in &pair.report.cases {
            let row = rows.entry(&case.id).or_default();
            row.resize(column, Verdict::NotRun);
            row.push(case.verdict);
        }
    }
    for row in rows.values_mut() {
        row.resize(pairs.len(), Verdict::NotRun);
    }
    rows
}

/// Families by pairs, and each case that is not green with every one.
fn grid(pairs: &[Pair]) -> String {
    let mut text = String::new();
    for (column, pair) in pairs.iter().enumerate() {
        let _ = writeln!(text, "{}  {} to {}", column + 1, pair.first, pair.second);
    }
    let rows = rows(pairs);
    let mut families: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (id, verdicts) in &rows {
        let family = id.split_once('/').map_or(*id, |(family, _)| family);
        let counts = families
            .entry(family)
            .or_insert_with(|| vec![(0, 0); pairs.len()]);
        for (count, verdict) in counts.iter_mut().zip(verdicts) {
            count.0 += usize::from(*verdict == Verdict::Pass);
            count.1 += usize::from(verdict.is_executed());
        }
    }
    let width = rows.keys().map(|id| id.len()).max().unwrap_or(0).max(8);
    let _ = write!(text, "\n{:width$}", "passed");
    for column in 1..=pairs.len() {
        let _ = write!(text, "  {column:>9}");
    }
    text.push('\n');
    for (family, counts) in families {
        let _ = write!(text, "{family:width$}");
        for (passed, executed) in counts {
            let _ = write!(text, "  {:>9}", format!("{passed}/{executed}"));
        }
        text.push('\n');
    }
    for (id, verdicts) in &rows {
        let is_green = verdicts.iter().all(|verdict| *verdict == Verdict::Pass);
        // What a filter chose without two actors for SDKs says nothing of a pair.
        if is_green || !verdicts.iter().any(|verdict| verdict.is_executed()) {
            continue;
        }
        let _ = write!(text, "{id:width$}");
        for verdict in verdicts {
            let _ = write!(text, "  {verdict:>9}");
        }
        text.push('\n');
    }
    for pair in pairs {
        for case in &pair.report.cases {
            if let Some(failure) = &case.failure {
                let _ = writeln!(
                    text,
                    "\n{} ({} to {}), line {}: {}\n  expected {}\n  got      {}",
                    case.id,
                    pair.first,
                    pair.second,
                    failure.line,
                    failure.class.text(),
                    failure.expected,
                    failure.got
                );
            }
        }
    }
    text
}

fn to_json(pairs: &[Pair]) -> serde_json::Value {
    let columns: Vec<serde_json::Value> = pairs
        .iter()
        .map(|pair| json!({ "first": pair.first, "second": pair.second }))
        .collect();
    let cases: Vec<serde_json::Value> = rows(pairs)
        .into_iter()
        .map(|(id, verdicts)| {
            let verdicts: Vec<&str> = verdicts.iter().map(|verdict| verdict.name()).collect();
            json!({ "id": id, "verdicts": verdicts })
        })
        .collect();
    json!({ "format": 1, "pairs": columns, "cases": cases })
}
