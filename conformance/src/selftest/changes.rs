//! The third proof: every changed case fails on a correct testee, so that each leaf of each expectation bears load.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::change::{Change, Kind, changes};
use super::{Ground, Proof, Which, sample};
use crate::report::Role;
use crate::run::{Bench, Round};
use crate::session::Session;
use crate::verdict::Verdict;

/// How long a step waits: what has to come on the loopback is there long before.
const BUDGET: Duration = Duration::from_millis(250);
/// Most changes are seen by something that does not come, so that many can wait at once for each that works.
const WAITING: usize = 4;
/// So many changes are tried when it has to be quick.
const QUICK: usize = 900;
/// The least share of changes that a correct testee does not pass.
const SHARE: f64 = 0.99;
/// Where changes are named that a correct testee passes rightly.
const IDLE: &str = "idle.toml";

/// A change that a correct testee passes rightly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Idle {
    case: String,
    kind: Kind,
    what: String,
    reason: String,
}

/// What became of a change that was passed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Passed {
    case: String,
    line: usize,
    kind: Kind,
    what: String,
    /// Why that is right, if it is.
    reason: Option<String>,
}

/// Tries them all, or a sample.
pub(super) async fn prove(ground: &Ground<'_>) -> Proof {
    let mut proof = Proof::new(Which::Changes);
    let idle = match read_idle(ground.fixtures) {
        Ok(idle) => idle,
        Err(error) => {
            proof.fault(error);
            return proof;
        }
    };
    let bench = match super::mutants::bench(ground, Role::Server).await {
        Ok(bench) => bench,
        Err(error) => {
            proof.fault(error);
            return proof;
        }
    };
    let mut work: Vec<(String, Vec<Change>)> = Vec::new();
    let mut total = 0;
    let mine = |session: &&Session| bench.takes(session);
    for session in ground.suite.sessions.iter().filter(mine) {
        let all = changes(session);
        total += all.len();
        work.push((session.id.clone(), all));
    }
    if ground.quick {
        sample::thin(&mut work, QUICK, ground.seed);
    }
    let permits = Arc::new(Semaphore::new(ground.jobs * WAITING));
    let mut tasks = JoinSet::new();
    for (case, all) in work {
        let (bench, permits) = (Arc::clone(&bench), Arc::clone(&permits));
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            try_all(&bench, &case, all).await
        });
    }
    let (mut tried, mut passed, mut by_kind) = (0, Vec::new(), BTreeMap::new());
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(done) => {
                for kind in &done.tried {
                    *by_kind.entry(*kind).or_insert(0_usize) += 1;
                }
                tried += done.tried.len();
                passed.extend(done.passed);
                for fault in done.faults {
                    proof.fault(fault);
                }
            }
            Err(error) => proof.fault(error.to_string()),
        }
    }
    passed.sort_by(|one: &Passed, other| (&one.case, one.line).cmp(&(&other.case, other.line)));
    judge(&mut proof, &mut passed, idle, tried, ground.quick);
    proof.figure("possible", total);
    for (kind, count) in by_kind {
        let name = match kind {
            Kind::Flip => "leaves turned round",
            Kind::Drop => "expectations left out",
            Kind::Swap => "neighbours swapped",
        };
        proof.figure(name, count);
    }
    proof.detail = serde_json::to_value(&passed).unwrap_or_default();
    proof
}

/// What became of the changes of one case.
#[derive(Default)]
struct Done {
    tried: Vec<Kind>,
    passed: Vec<Passed>,
    faults: Vec<String>,
}

async fn try_all(bench: &Bench, case: &str, all: Vec<Change>) -> Done {
    let mut done = Done::default();
    for change in all {
        let (kind, line, what) = (change.kind, change.line, change.what);
        let round = Round {
            order: &[Arc::new(change.session)],
            mutation: None,
            budget: BUDGET,
        };
        let reports = bench.play(&round, |_| false).await;
        match reports.first().map(|report| report.verdict) {
            Some(Verdict::Pass) => done.passed.push(Passed {
                case: case.to_owned(),
                line,
                kind,
                what,
                reason: None,
            }),
            Some(verdict) if verdict.is_executed() => {}
            _ => done
                .faults
                .push(format!("{case} line {line}: {what} was not played")),
        }
        done.tried.push(kind);
    }
    done
}

fn judge(proof: &mut Proof, passed: &mut [Passed], mut idle: Vec<Idle>, tried: usize, quick: bool) {
    let mut unnamed = 0;
    let mut used = vec![false; idle.len()];
    for one in passed.iter_mut() {
        let fits = |entry: &Idle| {
            entry.kind == one.kind
                && crate::cli::matches(&entry.case, &one.case)
                && crate::cli::matches(&entry.what, &one.what)
        };
        match idle.iter().position(fits) {
            Some(at) => {
                one.reason = idle.get(at).map(|entry| entry.reason.clone());
                if let Some(used) = used.get_mut(at) {
                    *used = true;
                }
            }
            None => {
                unnamed += 1;
                proof.fault(format!(
                    "{} line {}: {:?} of {} is passed, and nothing says why",
                    one.case, one.line, one.kind, one.what
                ));
            }
        }
    }
    if !quick {
        let mut used = used.into_iter();
        idle.retain(|_| !used.next().unwrap_or(false));
        for stale in idle {
            proof.fault(format!(
                "{IDLE}: {} {:?} {} is no longer passed",
                stale.case, stale.kind, stale.what
            ));
        }
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "counts of changes are far below 2^52"
    )]
    let share = if tried == 0 {
        0.0
    } else {
        (tried - passed.len()) as f64 / tried as f64
    };
    if share < SHARE {
        proof.fault(format!(
            "only {:.2} % of the changes are seen",
            share * 100.0
        ));
    }
    proof.figure("tried", tried);
    proof.figure("passed, with a reason", passed.len() - unnamed);
    proof.figure("passed", passed.len());
    proof.figure("load-bearing share", format!("{:.2} %", share * 100.0));
}

fn read_idle(fixtures: &Path) -> Result<Vec<Idle>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        #[serde(default)]
        idle: Vec<Idle>,
    }
    let path = fixtures.join(IDLE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let fail = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
    let list: List = toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
    match list
        .idle
        .iter()
        .find(|entry| entry.reason.trim().is_empty())
    {
        Some(entry) => Err(fail(format!("{} has no reason", entry.case))),
        None => Ok(list.idle),
    }
}
