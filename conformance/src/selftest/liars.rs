//! The fifth proof: adapters that lie get the verdict that is theirs.

use std::path::Path;

use serde_json::json;

use super::{Ground, Proof, Which};
use crate::adapter::AdapterFile;
use crate::null::Lie;
use crate::run::RunOptions;
use crate::sdk::Sdk;
use crate::verdict::Verdict;

/// The case that is played through them: an SDK that is told the truth about passes it.
const CASE: &str = "send/client-plain";

/// What a lie has to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is found out before any score.
    NotHonest,
    Verdict(Verdict),
}

/// Plays a case through each of them, and through the adapter as it is.
pub(super) async fn prove(ground: &Ground<'_>) -> Proof {
    let Some(client) = ground.client else {
        return Proof::not_made(Which::Liars, "no client SDK is given: --client FILE");
    };
    let mut proof = Proof::new(Which::Liars);
    let honest = match honest(client) {
        Ok(honest) => honest,
        Err(error) => {
            proof.fault(error);
            return proof;
        }
    };
    let runner = std::env::current_exe().unwrap_or_default();
    let runner = runner.to_string_lossy();
    let truth = (None, honest.clone(), Fate::Verdict(Verdict::Pass));
    let lies = Lie::ALL.into_iter().map(|lie| {
        let mut command: Vec<String> = [&*runner, "lying-adapter", &lie.name(), "--"]
            .map(str::to_owned)
            .into();
        command.extend(honest.iter().cloned());
        (Some(lie), command, fate(lie))
    });
    let mut rows = Vec::new();
    for (lie, command, expected) in std::iter::once(truth).chain(lies) {
        let who = lie.map_or_else(|| "the truth".to_owned(), Lie::name);
        let found = match play(ground, command).await {
            Ok(found) => found,
            Err(error) => {
                proof.fault(format!("{who}: {error}"));
                continue;
            }
        };
        if found != expected {
            proof.fault(format!("{who} comes to {found:?}, and not to {expected:?}"));
        }
        rows.push(json!({ "who": who, "came to": format!("{found:?}") }));
    }
    proof.figure("lying adapters", rows.len().saturating_sub(1));
    proof.detail = rows.into();
    proof
}

/// What says no to nothing is not honest; what only spoils events looks like a wrong SDK; the rest breaks the protocol.
fn fate(lie: Lie) -> Fate {
    match lie {
        Lie::ClaimsEverything => Fate::NotHonest,
        Lie::SwallowsEvents | Lie::RepeatsEvents => Fate::Verdict(Verdict::Fail),
        Lie::DiesMidCase
        | Lie::Hangs
        | Lie::PrintsGarbage
        | Lie::AnswersTwice
        | Lie::TellsOfStrangers => Fate::Verdict(Verdict::AdapterError),
    }
}

/// The command of the adapter in this testee file.
fn honest(client: &Path) -> Result<Vec<String>, String> {
    let file = AdapterFile::read(client).map_err(|error| error.to_string())?;
    match file.adapter.command.is_empty() {
        true => Err("an adapter that dials in cannot be made to lie".to_owned()),
        false => Ok(file.adapter.command),
    }
}

async fn play(ground: &Ground<'_>, command: Vec<String>) -> Result<Fate, String> {
    let sdk = match Sdk::of_command("the adapter", command).await {
        Ok(sdk) => sdk,
        Err(error) if error.to_string().contains("not honest") => return Ok(Fate::NotHonest),
        Err(error) => return Err(error.to_string()),
    };
    let options = RunOptions {
        cases: [CASE.to_owned()].into(),
        seed: ground.seed,
        ignore_blocks: true,
        sdks: vec![sdk],
        ..RunOptions::default()
    };
    let report = ground.play(ground.testees(0).await?, &options).await?;
    let case = report.cases.first();
    case.map(|case| Fate::Verdict(case.verdict))
        .ok_or_else(|| format!("there is no case {CASE}"))
}
