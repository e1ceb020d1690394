//! The command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::null::{Lie, NullAdapter, NullKind, NullServer};
use crate::session::{FixtureError, Session, Sessions};
use crate::spec::Requirements;

mod baseline;
mod bytes;
mod completions;
mod diff;
mod explain;
mod export;
mod lint;
mod list;
mod matrix;
mod mutants;
mod plan;
mod progress;
mod record;
mod report;
mod repro;
mod run;
mod selftest;
mod target;

/// Usage, an unmatched filter, nothing executed, a malformed fixture.
pub const EXIT_USAGE: u8 = 2;

/// An adapter or harness error.
pub const EXIT_HARNESS: u8 = 3;

/// Plays the session files of the fixtures against a Tidewire implementation.
#[derive(Debug, Parser)]
#[command(name = "tidewire-conformance", version)]
struct Cli {
    #[command(flatten)]
    folders: FolderArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Default, clap::Args)]
struct FolderArgs {
    /// The folder of the fixtures; default: that of the checkout, or else the one that this program carries.
    #[arg(long, global = true, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// The folder of the specification; default: as with --fixtures.
    #[arg(long, global = true, value_name = "DIR")]
    spec: Option<PathBuf>,
}

/// Where the suite lies.
#[derive(Debug)]
struct Folders {
    fixtures: PathBuf,
    spec: PathBuf,
    /// What was asked for in the command line, for the command that repeats it.
    asked: FolderArgs,
    /// Why there is no standard folder although one is needed; commands without files work all the same.
    missing: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the cases, or the requirements; reading all files strictly is part of it.
    List(list::ListArgs),
    /// Writes fixtures, schemas, specification and the adapter protocol as files.
    Export(export::ExportArgs),
    /// Plays the cases against the reference server, a server that runs, or a testee that a file describes.
    #[command(args_override_self = true)]
    Run(Box<run::RunArgs>),
    /// Plays cases of a report again, with the options, the seed and the testee of its run.
    Repro(repro::ReproArgs),
    /// Says what a run would play, what it would leave out and why, and plays nothing.
    Plan(plan::PlanArgs),
    /// Plays mutants, and says which case sees each: one that no case sees is a hole in the suite.
    Mutants(mutants::MutantsArgs),
    /// Proves that the suite can fail: with wrong implementations, peers that do nothing, changed cases and the like.
    Selftest(selftest::SelftestArgs),
    /// Explains a case or a requirement: sentences, steps, proofs.
    Explain(explain::ExplainArgs),
    /// Turns JSON reports of runs into a page, JUnit XML, TAP, Markdown, a badge; without any of these it prints them.
    Report(report::ReportArgs),
    /// Says what changed from one run to another; exit code 1 if something is worse.
    Diff(diff::DiffArgs),
    /// Writes known failures down, or holds them against a run.
    Baseline(baseline::BaselineArgs),
    /// Shows frames in hex with what each byte means.
    Decode(bytes::DecodeArgs),
    /// Makes frames in hex from JSON: {"type", "flags", "ref", "body"}, or a fixture of a frame.
    Encode(bytes::EncodeArgs),
    /// Holds an adapter against its protocol: a whole life of a client, and questions that make no sense.
    LintAdapter(lint::LintArgs),
    /// Plays the actors of a case with two SDKs at once, in every order, and shows the grid.
    Matrix(matrix::MatrixArgs),
    /// Stands between clients and a server, and writes what they do as a session file.
    Record(record::RecordArgs),
    /// Prints what a shell needs to complete commands and options.
    Completions(completions::CompletionsArgs),
    /// Is an adapter without an SDK, until its input ends.
    #[command(hide = true)]
    NullAdapter {
        /// What it does.
        kind: NullAdapter,
    },
    /// Is an adapter that lies about another one, which it starts.
    #[command(hide = true)]
    LyingAdapter {
        /// How it lies.
        lie: Lie,
        /// The adapter.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Is a peer that does nothing right, until it is stopped.
    #[command(hide = true)]
    NullTestee {
        /// What it does.
        kind: NullKind,
    },
    /// Is the reference server: how the runner starts it as a process of its own.
    #[cfg(feature = "reference-server")]
    #[command(hide = true, disable_help_flag = true)]
    ReferenceServer {
        /// The arguments of the server.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let folders = Folders::find(cli.folders);
    let outcome = match cli.command {
        Command::List(args) => list::run(&args, &folders),
        Command::Run(args) => run::run(&args, &folders),
        Command::Repro(args) => repro::run(&args),
        Command::Plan(args) => plan::run(&args, &folders),
        Command::Mutants(args) => mutants::run(&args, &folders),
        Command::Selftest(args) => selftest::run(&args, &folders),
        Command::Explain(args) => explain::run(&args, &folders),
        Command::Export(args) => export::run(&args, &folders),
        Command::Report(args) => report::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Baseline(args) => baseline::run(&args, &folders),
        Command::Decode(args) => bytes::decode(&args),
        Command::Encode(args) => bytes::encode(&args),
        Command::Record(args) => record::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::LintAdapter(args) => lint::run(&args),
        Command::Matrix(args) => matrix::run(&args, &folders),
        Command::NullAdapter { kind } => ended(kind.run()),
        Command::LyingAdapter { lie, command } => ended(lie.run(&command)),
        Command::NullTestee { kind } => null_testee(kind),
        #[cfg(feature = "reference-server")]
        Command::ReferenceServer { arguments } => {
            let name = OsString::from("tidewire-server");
            return tidewire_server::cli::main_from(std::iter::once(name).chain(arguments));
        }
    };
    ExitCode::from(outcome)
}

/// A pipe that breaks is how an adapter learns that nobody needs it any more.
fn ended(result: std::io::Result<()>) -> u8 {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&error.to_string())
        }
        _ => 0,
    }
}

fn null_testee(kind: NullKind) -> u8 {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    runtime.block_on(async {
        match NullServer::start(kind).await {
            Ok(server) => {
                // Whoever started it reads the address from here; without a reader it serves all the same.
                let _ = writeln!(std::io::stdout(), "{}", server.address());
                server.wait().await;
                0
            }
            Err(error) => complain(&error.to_string()),
        }
    })
}

/// What every command starts from.
pub(crate) struct Suite {
    pub(crate) requirements: Requirements,
    pub(crate) sessions: Sessions,
}

impl Folders {
    /// The folders that were asked for; for one that was not, the standard one.
    fn find(asked: FolderArgs) -> Folders {
        let mut folders = Folders {
            fixtures: asked.fixtures.clone().unwrap_or_default(),
            spec: asked.spec.clone().unwrap_or_default(),
            missing: None,
            asked,
        };
        if folders.asked.fixtures.is_some() && folders.asked.spec.is_some() {
            return folders;
        }
        match crate::embedded::places() {
            Ok(standard) => {
                if folders.asked.fixtures.is_none() {
                    folders.fixtures = standard.fixtures;
                }
                if folders.asked.spec.is_none() {
                    folders.spec = standard.spec;
                }
            }
            Err(why) => folders.missing = Some(why),
        }
        folders
    }

    /// Says why there are no files, if there are none: for commands that need them.
    fn check(&self) -> Result<(), u8> {
        self.missing
            .as_ref()
            .map_or(Ok(()), |why| Err(complain(why)))
    }

    /// Reads the specification and all session files; what is wrong goes to stderr.
    fn read(&self) -> Result<Suite, u8> {
        self.check()?;
        let requirements =
            Requirements::read(&self.spec).map_err(|error| complain(&error.to_string()))?;
        match Sessions::read(&self.fixtures, &requirements) {
            Ok(sessions) => Ok(Suite {
                requirements,
                sessions,
            }),
            Err(errors) => Err(report_faults(&errors, "the session files")),
        }
    }
}

impl Suite {
    /// Adds a session file from elsewhere; gives the id of its case. What is wrong with it goes to stderr.
    fn add(&mut self, path: &Path) -> Result<String, u8> {
        let added = self.sessions.add(path, &self.requirements);
        added.map_err(|errors| report_faults(&errors, "the session file"))
    }
}

/// Prints what is wrong in files, and returns the exit code for it.
fn report_faults(errors: &[FixtureError], what: &str) -> u8 {
    for error in errors {
        let shown = FixtureError {
            path: tidy(&error.path),
            ..error.clone()
        };
        complain(&shown.to_string());
    }
    complain(&format!("{} faults in {what}", errors.len()))
}

/// A path as one would type it: relative to the current folder where it lies below it.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let here = std::env::current_dir().unwrap_or_default();
    full.strip_prefix(&here).map(Path::to_owned).unwrap_or(full)
}

/// Prints an error and returns the exit code for it.
fn complain(message: &str) -> u8 {
    // Nobody is left to be told if stderr is gone.
    let _ = writeln!(std::io::stderr(), "error: {message}");
    EXIT_USAGE
}

/// Prints an error of the adapter or the harness, and returns the exit code for it.
fn broken(message: &str) -> u8 {
    complain(message);
    EXIT_HARNESS
}

/// The exit code after writing to stdout. A reader that went away, as `head` does, is no failure of ours.
fn written(result: io::Result<()>) -> u8 {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => EXIT_USAGE,
        _ => 0,
    }
}

/// True if the filter, a substring of the id or a pattern with `*`, selects the case.
pub(crate) fn selects(filters: &[String], session: &Session) -> bool {
    filters.is_empty() || filters.iter().any(|filter| matches(filter, &session.id))
}

pub(crate) fn matches(filter: &str, id: &str) -> bool {
    if !filter.contains('*') {
        return id.contains(filter);
    }
    let mut parts = filter.split('*');
    let Some(mut rest) = parts.next().and_then(|first| id.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let (last, middle) = parts.split_last().unwrap_or((&"", &[]));
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_are_substrings_or_patterns() {
        assert!(matches("plain", "send/plain"));
        assert!(matches("send/*", "send/plain"));
        assert!(matches("*/pl*n", "send/plain"));
        assert!(!matches("send/*x", "send/plain"));
        assert!(!matches("login", "send/plain"));
    }
}
