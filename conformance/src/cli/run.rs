//! `run`: plays the cases and reports.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::baseline;
use super::progress::Progress;
use super::report::{Outputs, save};
use super::target::{CaseArgs, REACH_BUDGET, TargetArgs};
use super::{EXIT_HARNESS, EXIT_USAGE, Folders, Suite, complain, report_faults};
use crate::mutant::{Mutant, Mutants};
use crate::pcap::Pcap;
use crate::report::{Format, Report, Style, merge, print};
use crate::run::{RunOptions, fresh_seed, run as run_suite};
use crate::session::Session;

pub(super) mod codec;
mod pause;
pub(super) mod repeat;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    cases: CaseArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// How many cases at once; default: four times the cores, at most 16.
    #[arg(long)]
    jobs: Option<usize>,
    /// Makes the same keys and devices as another run with it.
    #[arg(long)]
    seed: Option<u64>,
    /// How long a step waits, in milliseconds; default: 50 measured round trips, at least a second.
    #[arg(long)]
    budget_ms: Option<u64>,
    /// Waits before the step in this line of the case's file until Enter is pressed; for one case.
    #[arg(long, value_name = "LINE")]
    pause_at: Option<usize>,
    /// Puts this mutant between the runner and the testee: to see how the report tells of a fault that one knows.
    #[arg(long, value_name = "ID")]
    mutant: Option<String>,
    /// Which cases are printed with all their frames.
    #[arg(long, default_value = "fail")]
    trace: Trace,
    /// Writes the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes what goes over the connections to this file, as a capture for Wireshark.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
    /// Excuses the failures that this file knows; an entry that is no longer right is an error.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Plays everything so many times, and says how often each case did not pass.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trace {
    /// Those that did not pass, with their last frames.
    Fail,
    /// All.
    All,
}

pub(super) fn run(args: &RunArgs, folders: &Folders) -> u8 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    // All runs of `--repeat` have one seed, so that the command of a failure repeats it.
    let args = &RunArgs {
        seed: Some(args.seed.unwrap_or_else(fresh_seed)),
        ..args.clone()
    };
    let done = match runtime {
        Ok(runtime) => runtime.block_on(play_often(args, folders)),
        Err(error) => return complain(&error.to_string()),
    };
    let done = done.and_then(|mut report| {
        let program = std::env::current_exe().ok();
        report.repeat = repeat::command(program.as_deref(), args, folders);
        if let Some(file) = &args.baseline {
            baseline::hold(file, &mut report, folders)?;
        }
        Ok(finish(args, &report))
    });
    done.unwrap_or_else(|code| code)
}

/// Plays as often as was asked for; of each case the worst that came is in the report.
async fn play_often(args: &RunArgs, folders: &Folders) -> Result<Report, u8> {
    if let Some(file) = &args.baseline {
        // What is wrong with it is said before anything is played.
        baseline::load(file)?;
    }
    let mut reports = Vec::new();
    for _ in 0..args.repeat {
        reports.push(play(args, folders).await?);
    }
    merge(reports).ok_or_else(|| complain("nothing was played"))
}

async fn play(args: &RunArgs, folders: &Folders) -> Result<Report, u8> {
    if let Some(file) = codec::file(&args.target)? {
        return codec::play(file, args, folders, options(args)).await;
    }
    let mut suite = folders.read()?;
    let cases = args.cases.choose(&mut suite)?;
    play_sessions(args, folders, &suite, cases).await
}

/// What the arguments say, whatever is tested.
fn options(args: &RunArgs) -> RunOptions {
    let defaults = RunOptions::default();
    RunOptions {
        jobs: args.jobs.unwrap_or(defaults.jobs),
        seed: args.seed.unwrap_or(defaults.seed),
        budget: args.budget_ms.map(Duration::from_millis),
        transport: args.target.transport,
        trace_all: args.trace == Trace::All,
        ..defaults
    }
}

async fn play_sessions(
    args: &RunArgs,
    folders: &Folders,
    suite: &Suite,
    cases: BTreeSet<String>,
) -> Result<Report, u8> {
    let options = RunOptions {
        pause: pause::of(args.pause_at, &cases, suite)?,
        mutant: args
            .mutant
            .as_deref()
            .map(|id| mutant(id, folders, suite))
            .transpose()?,
        cases,
        sdks: args.target.sdks().await?,
        pcap: args.pcap.as_deref().map(capture).transpose()?,
        ..options(args)
    };
    let takes = |session: &&Session| match options.cases.is_empty() {
        true => options.takes(session),
        false => options.cases.contains(&session.id),
    };
    let alone = suite.sessions.iter().filter(takes);
    let alone = alone.filter(|session| session.is_exclusive()).count();
    // A start costs as much as a few cases.
    let lanes = MAX_LANES.min(alone / CASES_PER_LANE);
    let testees = args
        .target
        .starter()?
        .start_all(lanes)
        .await
        .map_err(|error| {
            complain(&format!("the testee did not start: {error}"));
            EXIT_HARNESS
        })?;
    let reached = testees.shared.reach(options.transport, REACH_BUDGET).await;
    reached.map_err(|error| {
        complain(&error.to_string());
        EXIT_HARNESS
    })?;
    let total = suite.sessions.iter().filter(takes).count();
    let progress = Arc::new(Progress::new(total, options.pause.is_none()));
    let teller = Arc::clone(&progress);
    let report = run_suite(
        &suite.sessions,
        &suite.requirements,
        testees,
        &options,
        move |case| teller.tell(case),
    )
    .await;
    progress.end();
    let report = report.map_err(|error| {
        complain(&format!("the testee's back door: {error}"));
        EXIT_HARNESS
    })?;
    if let (Some(pcap), Some(path)) = (&options.pcap, &args.pcap) {
        pcap.finish().map_err(|error| unwritten(path, &error))?;
    }
    Ok(report)
}

fn capture(path: &Path) -> Result<Pcap, u8> {
    Pcap::create(path).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &io::Error) -> u8 {
    complain(&format!("{}: {error}", path.display()));
    EXIT_HARNESS
}

/// The mutant with this id.
fn mutant(id: &str, folders: &Folders, suite: &Suite) -> Result<Arc<Mutant>, u8> {
    let mutants = Mutants::read(&folders.fixtures, &suite.requirements)
        .map_err(|errors| report_faults(&errors, "the mutants"))?;
    let found = mutants.get(id).cloned();
    found.ok_or_else(|| complain(&format!("{id} is no mutant")))
}

/// More reference servers for the cases that need one alone than this would only fight for the cores.
const MAX_LANES: usize = 2;
/// What makes another server worth its start.
const CASES_PER_LANE: usize = 8;

fn finish(args: &RunArgs, report: &Report) -> u8 {
    let mut out = anstream::AutoStream::auto(io::stdout());
    let printed = print(
        &mut out,
        report,
        Style {
            trace_all: args.trace == Trace::All,
        },
    );
    if let Err(error) = printed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return complain(&error.to_string());
    }
    let reports = std::slice::from_ref(report);
    let json = args.json.as_deref();
    let is_saved = json.is_none_or(|path| save(Format::Json, reports, path));
    if !(args.outputs.write(reports) && is_saved) {
        return EXIT_HARNESS;
    }
    let code = report.exit_code();
    if code == EXIT_USAGE {
        complain("no case was executed");
    }
    code
}
