//! `repro`: plays cases of a report again, with what the report says of the run: its options, its seed, its testee.

use std::fs;
use std::path::PathBuf;

use clap::Parser;

use super::run::repeat;
use super::{Cli, Command, EXIT_USAGE, complain};
use crate::report::{Report, from_json};
use crate::verdict::Verdict;

#[derive(Debug, clap::Args)]
pub(super) struct ReproArgs {
    /// A report in JSON, as `run --json` writes it.
    #[arg(value_name = "REPORT")]
    report: PathBuf,
    /// The cases; default: all that failed.
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// More options of `run`, which win over those of the report.
    #[arg(last = true, value_name = "OPTION")]
    more: Vec<String>,
}

pub(super) fn run(args: &ReproArgs) -> u8 {
    let path = args.report.display();
    let report = fs::read_to_string(&args.report)
        .map_err(|error| error.to_string())
        .and_then(|text| from_json(&text).map_err(|error| error.to_string()));
    let report = match report {
        Ok(report) => report,
        Err(error) => return complain(&format!("{path}: {error}")),
    };
    let cases = match cases(args, &report) {
        Ok(cases) => cases,
        Err(error) => return complain(&format!("{path}: {error}")),
    };
    let words = words(&report, &cases, &args.more);
    match Cli::try_parse_from(&words) {
        Ok(Cli {
            folders,
            command: Command::Run(run),
        }) => super::run::run(&run, &super::Folders::find(folders)),
        Ok(_) => complain(&format!(
            "{path}: it was not made by `run`, but by: {}",
            report.repeat
        )),
        Err(error) => {
            // What is wrong with the options is told best by who reads them; that stderr is gone is no news.
            let _ = error.print();
            EXIT_USAGE
        }
    }
}

/// The cases that were asked for, with what they came to; else all that failed.
fn cases(args: &ReproArgs, report: &Report) -> Result<Vec<String>, String> {
    let failed = || {
        let bad = |verdict| {
            matches!(
                verdict,
                Verdict::Fail
                    | Verdict::Inconclusive
                    | Verdict::NonStrict
                    | Verdict::AdapterError
                    | Verdict::HarnessError
            )
        };
        report
            .cases
            .iter()
            .filter(move |case| bad(case.verdict))
            .map(|case| case.id.clone())
    };
    if args.cases.is_empty() {
        let found: Vec<String> = failed().collect();
        return if found.is_empty() {
            Err("nothing failed in it: say which case to play".to_owned())
        } else {
            Ok(found)
        };
    }
    for id in &args.cases {
        if !report.cases.iter().any(|case| case.id == *id) {
            let failed: Vec<String> = failed().take(12).collect();
            let hint = if failed.is_empty() {
                String::new()
            } else {
                format!("; failed: {}", failed.join(", "))
            };
            return Err(format!("there is no case {id} in it{hint}"));
        }
    }
    Ok(args.cases.clone())
}

/// The command line of the run, for these cases alone.
fn words(report: &Report, cases: &[String], more: &[String]) -> Vec<String> {
    let repeated = repeat::words(&report.repeat);
    // What stands before `run` is how the program was started there; here it runs already.
    let program = match repeated.first().map(String::as_str) {
        Some("cargo") => repeated
            .iter()
            .position(|word| word == "--")
            .map_or(0, |at| at + 1),
        _ => 1,
    };
    let mut words = vec!["tidewire-conformance".to_owned()];
    words.extend(repeated.into_iter().skip(program));
    for case in cases {
        words.extend(["--filter".to_owned(), case.clone()]);
    }
    words.extend(["--seed".to_owned(), report.seed.to_string()]);
    words.extend(more.iter().cloned());
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::time::Duration;

    use super::*;
    use crate::cli::{FolderArgs, Folders};
    use crate::report::{CaseReport, TesteeFacts};
    use crate::run::RunOptions;

    fn report() -> Report {
        let suite = Folders::find(FolderArgs::default()).read().unwrap();
        let case = |id: &str, verdict| CaseReport {
            verdict,
            ..CaseReport::new(suite.sessions.get(id).unwrap(), Duration::ZERO)
        };
        let cases = vec![
            case("control/fence", Verdict::Fail),
            case("send/plain", Verdict::Pass),
        ];
        let options = RunOptions::default();
        let facts = TesteeFacts::default();
        Report::new(
            cases,
            &suite.requirements,
            &options,
            facts,
            None,
            Duration::ZERO,
        )
    }

    fn asked(cases: &[&str]) -> ReproArgs {
        ReproArgs {
            report: PathBuf::new(),
            cases: cases.iter().map(|case| (*case).to_owned()).collect(),
            more: vec!["--jobs".to_owned(), "1".to_owned()],
        }
    }

    #[test]
    fn the_options_of_the_run_come_back() {
        let mut report = report();
        for (repeat, words) in [
            (
                "cargo run --release -p tidewire-conformance -- run --users 'my users.toml' --kill",
                "run|--users|my users.toml|--kill",
            ),
            (
                "tidewire-conformance run --transport ws",
                "run|--transport|ws",
            ),
            (
                "tidewire-conformance run --testee 'it'\\''s'",
                "run|--testee|it's",
            ),
        ] {
            report.repeat = repeat.to_owned();
            let args = asked(&["send/plain"]);
            let found = super::words(&report, &cases(&args, &report).unwrap(), &args.more);
            let expected = format!(
                "tidewire-conformance|{words}|--filter|send/plain|--seed|{}|--jobs|1",
                report.seed
            );
            assert_eq!(found.join("|"), expected);
        }
    }

    #[test]
    fn without_a_name_it_is_what_failed() {
        let report = report();
        assert_eq!(cases(&asked(&[]), &report).unwrap(), ["control/fence"]);
        let error = cases(&asked(&["send/none"]), &report).unwrap_err();
        assert!(error.ends_with("failed: control/fence"), "{error}");
    }
}
