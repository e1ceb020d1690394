//! `selftest`: proves that the suite can fail.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::mutants::CLIENT;
use super::target::TargetArgs;
use super::{Folders, broken, complain};
use crate::run::{RunOptions, fresh_seed};
use crate::selftest::{Ground, Outcome, Proof, Selftest, Which, prove, to_html};

#[derive(Debug, clap::Args)]
pub(super) struct SelftestArgs {
    /// Only these proofs; default: all.
    #[arg(long, value_name = "PROOF")]
    only: Vec<Which>,
    /// A sample of the changed cases, and few repeats: what a build machine has time for.
    #[arg(long)]
    quick: bool,
    /// How often the suite is repeated under load; default: 200, with --quick 2.
    #[arg(long)]
    repeats: Option<usize>,
    /// The testee file of a client SDK that is correct; default: the Rust client of the checkout.
    #[arg(long, value_name = "FILE")]
    client: Option<PathBuf>,
    /// How many cases or mutants at once; default: four times the cores, at most 16.
    #[arg(long)]
    jobs: Option<usize>,
    /// Chooses the sample.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes what was seen as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes what was seen as a page to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Repeats of the whole suite under load.
const REPEATS: usize = 200;
const QUICK_REPEATS: usize = 2;

pub(super) fn run(args: &SelftestArgs, folders: &Folders) -> u8 {
    let suite = match folders.read() {
        Ok(suite) => suite,
        Err(code) => return code,
    };
    let starter = match TargetArgs::reference().starter() {
        Ok(starter) => starter,
        Err(code) => return code,
    };
    let here = Path::new(CLIENT);
    let here = here.exists().then_some(here);
    let ground = Ground {
        suite: &suite,
        fixtures: &folders.fixtures,
        starter,
        client: args.client.as_deref().or(here),
        quick: args.quick,
        repeats: args
            .repeats
            .unwrap_or(if args.quick { QUICK_REPEATS } else { REPEATS }),
        jobs: args.jobs.unwrap_or_else(|| RunOptions::default().jobs),
        seed: args.seed.unwrap_or_else(fresh_seed),
    };
    let which = if args.only.is_empty() {
        Which::ALL.to_vec()
    } else {
        args.only.clone()
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    let selftest = runtime.block_on(prove(&ground, &which, |proof| {
        // A reader that went away is no reason to stop.
        let _ = print(&mut io::stdout(), proof);
    }));
    finish(args, &selftest, &to_html(&selftest, &suite.requirements))
}

/// Faults of one proof that are printed; the artefact has all.
const FAULTS_SHOWN: usize = 40;

fn print(out: &mut impl Write, proof: &Proof) -> io::Result<()> {
    let word = match proof.outcome {
        Outcome::Holds => "holds   ",
        Outcome::Fails => "FAILS   ",
        Outcome::NotMade => "not made",
    };
    #[allow(clippy::cast_precision_loss, reason = "a duration to be read")]
    let seconds = proof.duration_ms as f64 / 1_000.0;
    writeln!(out, "{word} {} ({seconds:.1} s)", proof.title)?;
    if let Some(reason) = &proof.reason {
        writeln!(out, "         {reason}")?;
    }
    for figure in &proof.figures {
        writeln!(out, "         {}: {}", figure.name, figure.value)?;
    }
    for fault in proof.faults.iter().take(FAULTS_SHOWN) {
        writeln!(out, "         ! {fault}")?;
    }
    let left_out = proof.faults.len().saturating_sub(FAULTS_SHOWN);
    if left_out > 0 {
        writeln!(out, "         ! and {left_out} more")?;
    }
    Ok(())
}

fn finish(args: &SelftestArgs, selftest: &Selftest, page: &str) -> u8 {
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(selftest).map_err(|error| error.to_string());
        let written = text
            .and_then(|text| std::fs::write(path, text + "\n").map_err(|error| error.to_string()));
        if let Err(error) = written {
            return broken(&format!("{}: {error}", path.display()));
        }
    }
    if let Some(path) = &args.html
        && let Err(error) = std::fs::write(path, page)
    {
        return broken(&format!("{}: {error}", path.display()));
    }
    u8::from(!selftest.holds)
}
