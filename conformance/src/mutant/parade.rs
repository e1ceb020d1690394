//! Many mutants at once on one bench.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Judge, Judgement, Mutant};

/// Judges them all, so many at once; `progress` is told of each as it is done.
///
/// # Errors
/// If a judge panicked.
pub(crate) async fn judge_all(
    judge: Judge,
    mutants: Vec<Arc<Mutant>>,
    jobs: usize,
    mut progress: impl FnMut(&Judgement),
) -> Result<Vec<Judgement>, String> {
    let judge = Arc::new(judge);
    let permits = Arc::new(Semaphore::new(jobs.max(1)));
    let mut tasks = JoinSet::new();
    for mutant in mutants {
        let (judge, permits) = (Arc::clone(&judge), Arc::clone(&permits));
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            judge.judge(&mutant).await
        });
    }
    let mut judgements = Vec::new();
    while let Some(judgement) = tasks.join_next().await {
        let judgement = judgement.map_err(|error| error.to_string())?;
        progress(&judgement);
        judgements.push(judgement);
    }
    judgements.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(judgements)
}
