//! The second proof: peers that do nothing right pass no case.

use std::time::Duration;

use serde_json::json;

use super::{Ground, Proof, Which};
use crate::null::{NullKind, NullServer};
use crate::report::Report;
use crate::run::{RunOptions, run};
use crate::verdict::Verdict;

/// Nothing that comes later than this is worth waiting for: these peers answer at once or never.
const BUDGET: Duration = Duration::from_millis(150);
/// They have no state, so that cases do not disturb each other.
const JOBS: usize = 128;

/// Plays every case against each of them, also those whose twin did not pass.
pub(super) async fn prove(ground: &Ground<'_>) -> Proof {
    let mut proof = Proof::new(Which::Nulls);
    let mut rows = Vec::new();
    for kind in NullKind::ALL {
        match of_server(ground, kind).await {
            Ok(report) => rows.push(look(&mut proof, &format!("server {kind:?}"), &report)),
            Err(error) => proof.fault(format!("server {kind:?}: {error}")),
        }
    }
    proof.figure("null servers", rows.len());
    proof.detail = rows.into();
    proof
}

async fn of_server(ground: &Ground<'_>, kind: NullKind) -> Result<Report, String> {
    let options = RunOptions {
        jobs: JOBS,
        seed: ground.seed,
        budget: Some(BUDGET),
        ignore_blocks: true,
        all_parallel: true,
        repeat_inconclusive: false,
        ..RunOptions::default()
    };
    let server = NullServer::start(kind)
        .await
        .map_err(|error| error.to_string())?;
    let suite = ground.suite;
    let report = run(
        &suite.sessions,
        &suite.requirements,
        server.testees(),
        &options,
        |_| (),
    );
    report.await.map_err(|error| error.to_string())
}

fn look(proof: &mut Proof, who: &str, report: &Report) -> serde_json::Value {
    let green = [Verdict::Pass, Verdict::NonStrict, Verdict::Observed];
    let passed: Vec<&str> = report
        .cases
        .iter()
        .filter(|case| green.contains(&case.verdict))
        .map(|case| case.id.as_str())
        .collect();
    for case in &passed {
        proof.fault(format!("{who} passes {case}"));
    }
    // A case that is not played proves nothing about whether it could be passed.
    if report.executed() * 10 < report.cases.len() * 9 {
        proof.fault(format!(
            "{who}: only {} of {} cases were played",
            report.executed(),
            report.cases.len()
        ));
    }
    json!({ "who": who, "played": report.executed(), "passed": passed })
}
