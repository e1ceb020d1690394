//! A run that plays nothing: what a testee can do, and which cases it would therefore play.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::case::unplayable;
use super::{Plan, RunOptions, set_up};
use crate::player::{Probe, Stage};
use crate::session::{Session, Sessions};
use crate::testee::{AdminError, Testee};
use crate::verdict::Verdict;

/// Which of the chosen cases a run would play.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Those that it would play, by id.
    pub(crate) played: BTreeSet<String>,
    /// Those that it would leave out, with the verdict and the reason.
    pub(crate) left_out: BTreeMap<String, (Verdict, String)>,
    /// False if no login succeeded: then the features of the testee are not known, and are taken for granted.
    pub(crate) is_probed: bool,
}

/// Logs in once, to learn the features, and holds the needs of each case against what the testee can do.
///
/// # Errors
/// If the testee's back door does not even make a user.
pub(crate) async fn plan(
    sessions: &Sessions,
    testee: Testee,
    options: &RunOptions,
) -> Result<Planned, AdminError> {
    let stage = set_up(testee, options).await?;
    let probe = Arc::clone(&stage.witness).probe(&stage).await;
    let plan = Plan::new(sessions, options);
    Ok(hold(&plan, &stage, probe.as_ref()))
}

fn hold(plan: &Plan, stage: &Stage, probe: Option<&Probe>) -> Planned {
    // Twins come first in the order, so what became of a twin is known when its case is due.
    let mut left_out: BTreeMap<String, (Verdict, String)> = BTreeMap::new();
    for session in &plan.order {
        let reason = unplayable(session, &stage.testee, stage.transport, probe)
            .or_else(|| stage.sdks_lack(session))
            .or_else(|| without_twin(session, &left_out));
        if let Some(reason) = reason {
            left_out.insert(session.id.clone(), reason);
        }
    }
    left_out.retain(|id, _| plan.chosen.contains(id));
    Planned {
        played: plan
            .chosen
            .iter()
            .filter(|id| !left_out.contains_key(*id))
            .cloned()
            .collect(),
        left_out,
        is_probed: probe.is_some(),
    }
}

fn without_twin(
    session: &Session,
    left_out: &BTreeMap<String, (Verdict, String)>,
) -> Option<(Verdict, String)> {
    let twin = session.twin.as_ref()?;
    left_out.get(twin)?;
    Some((Verdict::NotRun, format!("its twin {twin} could not run")))
}
