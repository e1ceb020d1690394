//! The command line of `cargo xtask`: reads arguments, calls the library, prints what it found.
#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::problem::Problems;
use xtask::spec::Spec;
use xtask::{generate, quotes, root};

/// Automation of the Tidewire repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes what follows from `spec/`: prost types, the descriptor set, the list of requirements.
    Generate {
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
    match command {
        Command::Generate { check } => {
            let output = generate::output(&root)?;
            if check {
                output.check(&root, &[], &mut problems)?;
            } else {
                for path in output.write(&root, &[])? {
                    println!("wrote {}", path.display());
                }
            }
        }
        Command::Quote { check, below } => {
            let spec = Spec::load(&root, &mut problems)?;
            if check {
                let found = quotes::scan(&root, &mut problems)?;
                quotes::check(&found, &spec, &mut problems);
            } else {
                for (file, text) in quotes::refresh(&root, &below, &spec, &mut problems)? {
                    std::fs::write(root.join(&file), text)?;
                    println!("wrote {}", file.display());
                }
            }
        }
    }
    for problem in problems.iter() {
        println!("{problem}");
    }
    Ok(problems.is_empty())
}
