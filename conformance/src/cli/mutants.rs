//! `mutants`: plays wrong implementations against the cases that cite what they break, and lists those that no case sees.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::target::{TargetArgs, start_sdk};
use super::{Folders, Suite, broken, complain, matches, report_faults, written};
use crate::mutant::{Judge, Judgement, Mutant, Mutants, Reach, judge_all};
use crate::report::Role;
use crate::run::{Bench, RunOptions};
use crate::sdk::Sdk;

#[derive(Debug, clap::Args)]
pub(super) struct MutantsArgs {
    /// Only the mutants whose id holds this text, fits this pattern with `*`, or that break this requirement.
    #[arg(long)]
    filter: Vec<String>,
    /// Only mutants of this role.
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// Plays all cases, and lists those that fail although they cite nothing of what is broken.
    #[arg(long)]
    full: bool,
    /// How many at once; default: four times the cores, at most 16.
    #[arg(long)]
    jobs: Option<usize>,
    /// Reads the files strictly and lists them, and plays nothing.
    #[arg(long)]
    list: bool,
    /// Shows of each mutant what was played, and how often each rule applied.
    #[arg(long, short)]
    verbose: bool,
    /// Writes what became of each as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
}

fn role(text: &str) -> Result<Role, String> {
    [Role::Server, Role::Client]
        .into_iter()
        .find(|role| role.name() == text)
        .ok_or_else(|| "server or client".to_owned())
}

pub(super) fn run(args: &MutantsArgs, folders: &Folders) -> u8 {
    let suite = match folders.read() {
        Ok(suite) => suite,
        Err(code) => return code,
    };
    let mutants = match Mutants::read(&folders.fixtures, &suite.requirements) {
        Ok(mutants) => mutants,
        Err(errors) => return report_faults(&errors, "the mutants"),
    };
    let chosen = match choose(args, &mutants) {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    if args.list {
        return written(list(&mut io::stdout().lock(), &chosen));
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    let started = Instant::now();
    match runtime.block_on(play(args, &suite, chosen)) {
        Ok(judgements) => finish(args, &judgements, started.elapsed()),
        Err(code) => code,
    }
}

fn choose(args: &MutantsArgs, mutants: &Mutants) -> Result<Vec<Arc<Mutant>>, u8> {
    let fits = |mutant: &Mutant, filter: &String| {
        matches(filter, &mutant.id) || mutant.breaks.contains(filter)
    };
    for filter in &args.filter {
        if !mutants.iter().any(|mutant| fits(mutant, filter)) {
            return Err(complain(&format!("no mutant fits the filter {filter}")));
        }
    }
    let is_chosen = |mutant: &&Arc<Mutant>| {
        args.role.is_none_or(|role| role == mutant.role)
            && (args.filter.is_empty() || args.filter.iter().any(|filter| fits(mutant, filter)))
    };
    let chosen: Vec<_> = mutants.iter().filter(is_chosen).cloned().collect();
    if chosen.is_empty() {
        return Err(complain("there is no such mutant"));
    }
    Ok(chosen)
}

fn list(out: &mut impl Write, mutants: &[Arc<Mutant>]) -> io::Result<()> {
    for mutant in mutants {
        let breaks: Vec<&str> = mutant.breaks.iter().map(String::as_str).collect();
        writeln!(
            out,
            "{:32} {:24} {}",
            mutant.id,
            breaks.join(" "),
            mutant.title
        )?;
    }
    Ok(())
}

/// The SDK that is tested: the one that is asked for, or the Rust client where only mutants of clients are chosen.
async fn sdks(args: &MutantsArgs, mutants: &[Arc<Mutant>]) -> Result<Vec<Sdk>, u8> {
    let are_clients = mutants.iter().all(|mutant| mutant.role == Role::Client);
    if args.target.testee.is_none() && are_clients {
        return start_sdk(Path::new(CLIENT)).await.map(|sdk| vec![sdk]);
    }
    args.target.sdks().await
}

/// The client of this repository.
pub(super) const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/adapters/rust/client.toml");

async fn play(
    args: &MutantsArgs,
    suite: &Suite,
    mutants: Vec<Arc<Mutant>>,
) -> Result<Vec<Judgement>, u8> {
    let options = RunOptions {
        transport: args.target.transport,
        sdks: sdks(args, &mutants).await?,
        ..RunOptions::default()
    };
    let is_client = !options.sdks.is_empty();
    let (mine, others): (Vec<_>, Vec<_>) =
        mutants.into_iter().partition(|mutant| match mutant.role {
            Role::Server => !is_client,
            Role::Client => is_client,
            Role::Codec => false,
        });
    if mine.is_empty() {
        return Err(complain(
            "mutants of a client need --testee FILE of an SDK, and those of a server none",
        ));
    }
    if !others.is_empty() {
        // What is left out must not look as if it had been killed.
        let text = format!("{} mutants of other roles are left out", others.len());
        let _ = writeln!(io::stderr(), "{text}");
    }
    let jobs = args.jobs.unwrap_or(options.jobs);
    let reach = if args.full { Reach::All } else { Reach::Enough };
    let testees = args.target.starter()?.start_all(reach.lanes(jobs)).await;
    let testees = testees.map_err(|error| broken(&format!("the testee did not start: {error}")))?;
    let bench = Bench::new(testees, &suite.requirements, options).await;
    let bench = bench.map_err(|error| broken(&format!("the testee's back door: {error}")))?;
    let judge = Judge::new(Arc::new(bench), &suite.sessions, &suite.requirements, reach);
    let judged = judge_all(judge, mine, jobs, |judgement| {
        // A reader that went away is no reason to stop.
        let _ = print_one(&mut io::stdout(), judgement, args.verbose, args.full);
    });
    judged.await.map_err(|error| broken(&error))
}

fn print_one(
    out: &mut impl Write,
    judgement: &Judgement,
    verbose: bool,
    full: bool,
) -> io::Result<()> {
    let id = &judgement.id;
    let ms = judgement.duration.as_millis();
    match (judgement.is_killed(), &judgement.equivalent) {
        (true, None) => {
            let word = if judgement.is_strict() {
                "strict"
            } else {
                "killed"
            };
            writeln!(out, "{word:9} {id} ({ms} ms)")?;
        }
        (false, Some(reason)) if judgement.fault.is_none() => {
            writeln!(out, "equal     {id}: {reason}")?;
        }
        (true, Some(_)) => writeln!(out, "WRONG     {id} is no equivalent: a case sees it")?,
        (false, _) => {
            let alive: Vec<&str> = judgement.alive.iter().map(String::as_str).collect();
            writeln!(
                out,
                "SURVIVED  {id} ({ms} ms): {}; no case sees that it breaks {}",
                judgement.title,
                alive.join(" ")
            )?;
        }
    }
    if let Some(fault) = &judgement.fault {
        writeln!(out, "          its own fault: {fault}")?;
    }
    let is_wrong = !judgement.is_right();
    for kill in &judgement.kills {
        let ids: Vec<&str> = kill.cites.iter().map(String::as_str).collect();
        if verbose || is_wrong {
            writeln!(
                out,
                "          {} line {} ({}): expected {}, got {}",
                kill.case,
                kill.line,
                ids.join(" "),
                kill.expected,
                kill.got
            )?;
        }
    }
    if verbose || is_wrong {
        for (line, fired) in &judgement.rules {
            writeln!(
                out,
                "          the rule in line {line} applied {fired} times"
            )?;
        }
        for case in &judgement.anyway {
            writeln!(out, "          {case} does not pass without it either")?;
        }
        for (case, verdict) in &judgement.played {
            writeln!(out, "          {verdict:12} {case}")?;
        }
    }
    for case in judgement.flips.iter().filter(|_| full) {
        writeln!(out, "          besides: {case}")?;
    }
    Ok(())
}

fn finish(args: &MutantsArgs, judgements: &[Judgement], took: Duration) -> u8 {
    let count = |is: fn(&Judgement) -> bool| judgements.iter().filter(|one| is(one)).count();
    let wrong = count(|one| !one.is_right());
    let killed = count(Judgement::is_killed);
    let strict = count(Judgement::is_strict);
    let flips: usize = judgements.iter().map(|one| one.flips.len()).sum();
    let mut line = format!(
        "{} mutants: {killed} killed ({strict} at the step that proves it), {wrong} wrong, {:.1} s",
        judgements.len(),
        took.as_secs_f64()
    );
    if args.full {
        line.push_str(&format!(", {flips} unrelated failures"));
    }
    // Where stdout is gone nobody reads it, and the exit code says the same.
    let _ = writeln!(io::stdout(), "{line}");
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", json!({ "mutants": judgements }));
        if let Err(error) = std::fs::write(path, text) {
            return broken(&format!("{}: {error}", path.display()));
        }
    }
    u8::from(wrong > 0)
}
