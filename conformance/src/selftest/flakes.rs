//! The eighth proof: however often the suite runs, and however busy the machine is, the verdicts are the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::{Ground, Proof, Which};
use crate::run::{RunOptions, fresh_seed};
use crate::verdict::Verdict;

/// Servers for cases that run alone.
const LANES: usize = 2;

/// Runs the suite again and again, with a thread for each core that does nothing but keep it busy.
pub(super) async fn prove(ground: &Ground<'_>) -> Proof {
    let mut proof = Proof::new(Which::Flakes);
    let load = Load::new();
    let mut first: Option<BTreeMap<String, Verdict>> = None;
    let (mut runs, mut played, mut changed) = (0, 0, 0);
    for number in 1..=ground.repeats {
        let verdicts = match once(ground).await {
            Ok(verdicts) => verdicts,
            Err(error) => {
                proof.fault(format!("repeat {number}: {error}"));
                break;
            }
        };
        runs += 1;
        played += verdicts.len();
        let before = first.get_or_insert_with(|| verdicts.clone());
        for (case, verdict) in &verdicts {
            let known = before.get(case);
            if known != Some(verdict) {
                changed += 1;
                proof.fault(format!(
                    "repeat {number}: {case} is {verdict}, and was {}",
                    known.map_or("not there", |known| known.name())
                ));
            }
        }
    }
    drop(load);
    let green = first
        .iter()
        .flat_map(BTreeMap::values)
        .filter(|verdict| **verdict == Verdict::Pass);
    proof.figure("repeats", runs);
    proof.figure("cases played", played);
    proof.figure("cases that pass", green.count());
    proof.figure("verdicts changed", changed);
    proof
}

async fn once(ground: &Ground<'_>) -> Result<BTreeMap<String, Verdict>, String> {
    let options = RunOptions {
        // Other keys and devices each time: what depends on them would show.
        seed: fresh_seed(),
        ..RunOptions::default()
    };
    let testees = ground.testees(LANES).await?;
    let report = ground.play(testees, &options).await?;
    Ok(report
        .cases
        .into_iter()
        .map(|case| (case.id, case.verdict))
        .collect())
}

/// Threads that keep every core busy until this is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn new() -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (0..cores).map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        Load {
            threads: threads.collect(),
            stop,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that only counts has nothing to say at its end.
            let _ = thread.join();
        }
    }
}
