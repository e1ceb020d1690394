//! The command line of `cargo xtask`: reads arguments, calls the library, prints what it found.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::files::Output;
use xtask::gate::{Evidence, RunReport};
use xtask::mutants::Killed;
use xtask::problem::Problems;
use xtask::spec::Spec;
use xtask::{fixtures, gate, generate, quotes, root, table};

/// Automation of the Tidewire repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes what follows from `spec/`: prost types, the descriptor set, the list of requirements, Wireshark's dissector.
    Generate {
        /// Writes nothing and fails when a file is not fresh.
        #[arg(long)]
        check: bool,
    },
    /// Writes the derived fixtures: frames, invalid, negotiation, corpus.
    Fixtures {
        /// Writes nothing and fails when a file is not fresh.
        #[arg(long)]
        check: bool,
    },
    /// Completes marks such as `//# [SND-014]` and refreshes quotes of the specification.
    Quote {
        /// Writes nothing and fails when a quote is not exact.
        #[arg(long)]
        check: bool,
        /// Files and folders to write in, as seen from the root; all where none is named.
        below: Vec<PathBuf>,
    },
    /// Holds specification, code, cases and mutants against each other: every MUST is quoted, proven and broken, or
    /// excepted.
    Trace {
        /// The runner's report: a session then counts only where its step was executed and passed.
        #[arg(long, value_name = "FILE")]
        run_report: Option<PathBuf>,
        /// What the runner's `selftest` wrote: a mutant then counts only where a case killed it.
        #[arg(long, value_name = "FILE")]
        selftest: Option<PathBuf>,
        /// Writes everything that is known of each requirement.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything is as it should be.
fn run(command: Command) -> Result<bool> {
    let root = root();
    let mut problems = Problems::default();
    let mut out = String::new();
    match command {
        Command::Generate { check } => {
            settle(
                &generate::output(&root)?,
                &[],
                check,
                &mut problems,
                &mut out,
            )?;
        }
        Command::Fixtures { check } => {
            settle(
                &fixtures::output(&root)?,
                &fixtures::OWNED,
                check,
                &mut problems,
                &mut out,
            )?;
        }
        Command::Quote { check, below } => {
            let spec = Spec::load(&root, &mut problems)?;
            if check {
                let found = quotes::scan(&root, &mut problems)?;
                quotes::check(&found, &spec, &mut problems);
            } else {
                for (file, text) in quotes::refresh(&root, &below, &spec, &mut problems)? {
                    std::fs::write(root.join(&file), text)?;
                    writeln!(out, "wrote {}", file.display())?;
                }
            }
        }
        Command::Trace {
            run_report,
            selftest,
            json,
        } => {
            let report = run_report.as_deref().map(RunReport::load).transpose()?;
            let killed = selftest.as_deref().map(Killed::load).transpose()?;
            let evidence = Evidence {
                run: report.as_ref(),
                selftest: killed.as_ref(),
            };
            let trace = gate::run(&root, evidence, &mut problems)?;
            if let Some(path) = json {
                std::fs::write(path, serde_json::to_string_pretty(&trace)?)?;
            }
            out.push_str(&table::render(&trace));
        }
    }
    for problem in problems.iter() {
        writeln!(out, "{problem}")?;
    }
    // A reader that closes the pipe early, as `head` does, has seen what it wanted.
    let _ = std::io::stdout().write_all(out.as_bytes());
    Ok(problems.is_empty())
}

/// Writes the files, or compares them.
fn settle(
    output: &Output,
    owned: &[&str],
    check: bool,
    problems: &mut Problems,
    out: &mut String,
) -> Result<()> {
    if check {
        return output.check(&root(), owned, problems);
    }
    for path in output.write(&root(), owned)? {
        writeln!(out, "wrote {}", path.display())?;
    }
    Ok(())
}
