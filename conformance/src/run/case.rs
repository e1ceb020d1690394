//! One case of a run: what it needs, its twin, its variants, its verdict.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::Shared;
use crate::player::{Cast, Played, Player, Probe, Stage, Variant};
use crate::report::CaseReport;
use crate::session::{Need, Session, Sweep, Transport};
use crate::spec::{Requirement, Requirements};
use crate::testee::Testee;
use crate::value::Scope;
use crate::verdict::{Failure, Verdict};

/// How binding a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Must,
    Should,
    May,
}

impl Severity {
    pub(super) fn of(sentence: &str) -> Severity {
        if sentence.contains(" MUST ") {
            Severity::Must
        } else if sentence.contains(" SHOULD ") {
            Severity::Should
        } else {
            Severity::May
        }
    }
}

/// How binding each requirement is.
pub(super) fn severities(requirements: &Requirements) -> HashMap<String, Severity> {
    let severity = |one: &Requirement| (one.id.clone(), Severity::of(&one.sentence));
    requirements.iter().map(severity).collect()
}

/// Why the testee cannot play the case, if it cannot, whatever became of its twin.
pub(super) fn unplayable(
    session: &Session,
    testee: &Testee,
    transport: Transport,
    probe: Option<&Probe>,
) -> Option<(Verdict, String)> {
    let reason = testee.lacks(session, transport, probe)?;
    let is_feature = session
        .needs
        .iter()
        .any(|need| matches!(need, Need::Feature(_)) && reason.ends_with(&need.to_string()));
    let verdict = if is_feature {
        Verdict::NotClaimed
    } else {
        Verdict::NotRun
    };
    Some((verdict, reason))
}

/// Plays a case with all its variants.
pub(super) async fn play_case(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    stage: &Stage,
) -> CaseReport {
    let by_server = unplayable(
        session,
        &stage.testee,
        stage.transport,
        shared.probe.as_ref(),
    );
    if let Some((verdict, reason)) = by_server.or_else(|| stage.sdks_lack(session)) {
        return CaseReport::unplayed(session, verdict, reason);
    }
    if let Some(twin) = &session.twin
        && !shared.options.ignore_blocks
        && shared.is_played(twin)
    {
        match shared.verdict_of(twin).await {
            Some(Verdict::Pass | Verdict::NonStrict | Verdict::Observed) => {}
            Some(Verdict::NotRun | Verdict::NotClaimed) => {
                return CaseReport::unplayed(
                    session,
                    Verdict::NotRun,
                    format!("its twin {twin} could not run"),
                );
            }
            _ => {
                return CaseReport::unplayed(
                    session,
                    Verdict::Blocked,
                    format!("its twin {twin} did not pass"),
                );
            }
        }
    }
    let started = Instant::now();
    let (played, expected) = play_variants(shared, session, stage).await;
    if played.is_empty() || played.len() < expected {
        // Nothing played must never look like nothing wrong.
        let reason = format!(
            "{} of {expected} results of its sweep are there",
            played.len()
        );
        return CaseReport::harness(session, &reason);
    }
    let mut report = CaseReport::new(session, started.elapsed());
    report.variants = played.len();
    // A requirement is proved by a sweep only if every variant proves it.
    let mut proved: Option<Vec<String>> = None;
    for one in &played {
        proved = Some(match proved {
            None => one.proved.clone(),
            Some(all) => all
                .into_iter()
                .filter(|id| one.proved.contains(id))
                .collect(),
        });
    }
    report.proved = proved.unwrap_or_default().into_iter().collect();
    report.failed_variants = played.iter().filter(|one| one.failure.is_some()).count();
    let rank = |one: &Played| {
        one.failure
            .as_ref()
            .map_or(0, |failure| rank(shared, failure))
    };
    // Of those that are equally bad the last.
    let told = played.into_iter().max_by_key(rank);
    let (worst, evidence) = told.map_or((None, None), |one| (one.failure, one.evidence));
    report.verdict = worst
        .as_ref()
        .map_or(Verdict::Pass, |failure| verdict(shared, failure));
    report.failure = worst;
    report.evidence = evidence;
    report
}

/// What a failure of this kind means for the case.
fn verdict(shared: &Shared, failure: &Failure) -> Verdict {
    let verdict = failure.class.verdict();
    let severity = |id: &String| shared.severities.get(id).copied().unwrap_or(Severity::Must);
    let all = |wanted: Severity| {
        !failure.proves.is_empty() && failure.proves.iter().all(|id| severity(id) == wanted)
    };
    match verdict {
        Verdict::Fail if all(Severity::Should) => Verdict::NonStrict,
        Verdict::Fail if all(Severity::May) => Verdict::Observed,
        verdict => verdict,
    }
}

fn rank(shared: &Shared, failure: &Failure) -> u8 {
    match verdict(shared, failure) {
        Verdict::Fail => 4,
        Verdict::HarnessError => 3,
        Verdict::Inconclusive => 2,
        _ => 1,
    }
}

/// What was played, and how many results there have to be.
async fn play_variants(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    stage: &Stage,
) -> (Vec<Played>, usize) {
    let casts = stage.casts(session);
    let [cast] = &casts[..] else {
        return (
            play_casts(shared, session, stage, &casts).await,
            casts.len(),
        );
    };
    let one = |variant| {
        play_one(
            Arc::clone(shared),
            Arc::clone(session),
            stage.clone(),
            match variant {
                Variant::Plain => cast.variant(session),
                variant => variant,
            },
            cast.clone(),
        )
    };
    let (mut played, rest): (Vec<Played>, Vec<Variant>) = match &session.sweep {
        None => return (vec![one(Variant::Plain).await], 1),
        Some(Sweep::Split { .. }) => {
            // How long the frame is shows when it is built; on WebSocket a frame cannot be split, and goes whole.
            let first = one(Variant::Split(1)).await;
            let len = first.swept_len.unwrap_or(0);
            (vec![first], (2..len).map(Variant::Split).collect())
        }
        Some(Sweep::Truncate { .. }) => {
            let first = one(Variant::Truncate(0)).await;
            let len = first.swept_len.unwrap_or(0);
            (vec![first], (1..len).map(Variant::Truncate).collect())
        }
        Some(Sweep::Bits { first, last, .. }) => {
            (Vec::new(), (*first..=*last).map(Variant::Bit).collect())
        }
        Some(Sweep::Values(values)) => {
            let known = values.iter().filter_map(|value| value.eval(&Nothing).ok());
            (Vec::new(), known.map(Variant::Value).collect())
        }
    };
    if played.first().is_some_and(|first| first.failure.is_some()) {
        return (played, 1);
    }
    let expected = played.len() + rest.len();
    if stage.is_alone || (session.is_exclusive() && !shared.options.all_parallel) {
        for variant in rest {
            let result = one(variant).await;
            let is_enough = shared.options.first_failure && result.failure.is_some();
            played.push(result);
            if is_enough {
                let count = played.len();
                return (played, count);
            }
        }
        return (played, expected);
    }
    let mut jobs = JoinSet::new();
    for variant in rest {
        jobs.spawn(one(variant));
    }
    while let Some(result) = jobs.join_next().await {
        if let Ok(result) = result {
            played.push(result);
        }
    }
    (played, expected)
}

/// Plays a case once for each cast of it.
async fn play_casts(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    stage: &Stage,
    casts: &[Cast],
) -> Vec<Played> {
    let mut played = Vec::new();
    for cast in casts {
        let (shared, session) = (Arc::clone(shared), Arc::clone(session));
        let variant = cast.variant(&session);
        played.push(play_one(shared, session, stage.clone(), variant, cast.clone()).await);
    }
    played
}

async fn play_one(
    shared: Arc<Shared>,
    session: Arc<Session>,
    stage: Stage,
    variant: Variant,
    cast: Cast,
) -> Played {
    let _permit = shared.permits.acquire().await;
    Player::play(&stage, &session, variant, shared.number(), &cast).await
}

/// Values of a sweep are literals.
struct Nothing;

impl Scope for Nothing {
    fn lookup(&self, _: &str) -> Option<crate::value::Val> {
        None
    }
}
