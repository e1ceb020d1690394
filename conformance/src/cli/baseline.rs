//! `baseline`: writes known failures down, and holds them against a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::report::read;
use super::{EXIT_HARNESS, Folders, complain};
use crate::baseline::Baseline;
use crate::report::{Report, Style, print};

#[derive(Debug, clap::Args)]
pub(super) struct BaselineArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Writes an entry for each case of a run that did not pass; reasons that the file has already are kept.
    Write(WriteArgs),
    /// Holds a baseline against a run, as `run --baseline` does.
    Check(CheckArgs),
}

#[derive(Debug, clap::Args)]
struct WriteArgs {
    /// The JSON report of the run.
    #[arg(value_name = "RUN.JSON")]
    run: PathBuf,
    /// The file of the baseline.
    #[arg(value_name = "BASELINE.TOML")]
    file: PathBuf,
    /// The reason of entries that are new.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The JSON report of the run.
    #[arg(value_name = "RUN.JSON")]
    run: PathBuf,
    /// The file of the baseline.
    #[arg(value_name = "BASELINE.TOML")]
    file: PathBuf,
}

pub(super) fn run(args: &BaselineArgs, folders: &Folders) -> u8 {
    let done = match &args.command {
        Command::Write(args) => write(args),
        Command::Check(args) => check(args, folders),
    };
    done.unwrap_or_else(|code| code)
}

fn write(args: &WriteArgs) -> Result<u8, u8> {
    let report = read(&args.run)?;
    let known = if args.file.exists() {
        load(&args.file)?
    } else {
        Baseline::default()
    };
    let baseline = Baseline::of(&report, &known, &args.reason);
    let fail = |error: String| {
        complain(&format!("{}: {error}", args.file.display()));
        EXIT_HARNESS
    };
    let text = baseline
        .to_toml()
        .map_err(|error| fail(error.to_string()))?;
    fs::write(&args.file, text).map_err(|error| fail(error.to_string()))?;
    Ok(0)
}

fn check(args: &CheckArgs, folders: &Folders) -> Result<u8, u8> {
    let mut report = read(&args.run)?;
    hold(&args.file, &mut report, folders)?;
    let mut out = anstream::AutoStream::auto(io::stdout());
    match print(&mut out, &report, Style::default()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(complain(&error.to_string()))
        }
        _ => Ok(report.exit_code()),
    }
}

/// Reads a baseline; what is wrong with it goes to stderr.
pub(super) fn load(file: &Path) -> Result<Baseline, u8> {
    Baseline::read(file).map_err(|error| complain(&format!("{}: {error}", file.display())))
}

/// Holds the baseline of a file against a report.
pub(super) fn hold(file: &Path, report: &mut Report, folders: &Folders) -> Result<(), u8> {
    let baseline = load(file)?;
    let suite = folders.read()?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let name = super::tidy(file).display().to_string();
    baseline.apply(report, &name, today, |id| suite.sessions.get(id).is_some());
    Ok(())
}
