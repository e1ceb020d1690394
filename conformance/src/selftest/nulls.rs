//! The second proof: peers that do nothing right pass no case.

use futures_util::future::join_all;
use serde_json::json;

use super::{Ground, Proof, Which};
use crate::null::{self, NullAdapter, NullKind, NullServer};
use crate::report::Report;
use crate::run::RunOptions;
use crate::sdk::Sdk;

/// A proof by fewer cases would be none.
const LEAST_PLAYED: usize = 200;

/// Plays every case against each of them, also those whose twin did not pass.
pub(super) async fn prove(ground: &Ground<'_>) -> Proof {
    let mut proof = Proof::new(Which::Nulls);
    let mut rows = Vec::new();
    // They mostly let one wait, so they are played side by side.
    let servers = join_all(NullKind::ALL.map(|kind| of_server(ground, kind))).await;
    for (kind, report) in NullKind::ALL.into_iter().zip(servers) {
        match report {
            Ok(report) => rows.push(look(&mut proof, &format!("server {kind:?}"), &report)),
            Err(error) => proof.fault(format!("server {kind:?}: {error}")),
        }
    }
    proof.figure("null servers", rows.len());
    let (mut refused, mut played) = (0, 0);
    let adapters = join_all(NullAdapter::ALL.map(|kind| of_client(ground, kind))).await;
    for (kind, report) in NullAdapter::ALL.into_iter().zip(adapters) {
        match report {
            Ok(Some(report)) => {
                played += 1;
                rows.push(look(&mut proof, &format!("adapter {kind:?}"), &report));
            }
            // It says no hello, or is not honest: nothing is scored at all.
            Ok(None) => refused += 1,
            Err(error) => proof.fault(format!("adapter {kind:?}: {error}")),
        }
    }
    proof.figure("null adapters played", played);
    proof.figure("null adapters refused before any score", refused);
    proof.detail = rows.into();
    proof
}

fn options(ground: &Ground<'_>) -> RunOptions {
    RunOptions {
        seed: ground.seed,
        ..null::options()
    }
}

/// With a correct server behind the adapter; nothing where the adapter does not even start.
async fn of_client(ground: &Ground<'_>, kind: NullAdapter) -> Result<Option<Report>, String> {
    let runner = std::env::current_exe().map_err(|error| error.to_string())?;
    let command = vec![
        runner.to_string_lossy().into_owned(),
        "null-adapter".to_owned(),
        kind.name(),
    ];
    let Ok(sdk) = Sdk::of_command("the adapter", command).await else {
        return Ok(None);
    };
    let options = RunOptions {
        sdks: vec![sdk],
        ..options(ground)
    };
    let report = ground.play(ground.testees(0).await?, &options).await;
    report.map(Some)
}

async fn of_server(ground: &Ground<'_>, kind: NullKind) -> Result<Report, String> {
    let server = NullServer::start(kind).await;
    let server = server.map_err(|error| error.to_string())?;
    ground.play(server.testees(), &options(ground)).await
}

fn look(proof: &mut Proof, who: &str, report: &Report) -> serde_json::Value {
    let passed = report.passed();
    for case in &passed {
        proof.fault(format!("{who} passes {case}"));
    }
    // A case that is not played proves nothing about whether it could be passed.
    if report.executed() < LEAST_PLAYED {
        proof.fault(format!(
            "{who}: only {} of {} cases were played",
            report.executed(),
            report.cases.len()
        ));
    }
    json!({ "who": who, "played": report.executed(), "passed": passed })
}
