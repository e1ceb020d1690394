//! The first proof: every mutant is killed by a case that cites what it breaks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ground, Proof, Which};
use crate::mutant::{Judge, Judgement, Mutant, Mutants, judge_all};
use crate::report::Role;
use crate::run::{Bench, RunOptions};
use crate::sdk::Sdk;

/// A bench for whom the role says.
pub(super) async fn bench(ground: &Ground<'_>, role: Role) -> Result<Arc<Bench>, String> {
    let mut options = RunOptions {
        seed: ground.seed,
        ..RunOptions::default()
    };
    if role == Role::Client {
        let file = ground
            .client
            .ok_or("no client SDK is given: --client FILE")?;
        let sdk = Sdk::start(file, |_| ()).await;
        options.sdks = vec![sdk.map_err(|error| error.to_string())?];
    }
    let testees = ground.testees(ground.reach().lanes(ground.jobs)).await?;
    let bench = Bench::new(testees, &ground.suite.requirements, options).await;
    bench.map(Arc::new).map_err(|error| error.to_string())
}

/// Judges them all.
pub(super) async fn prove(ground: &Ground<'_>) -> (Proof, Vec<Judgement>) {
    let mut proof = Proof::new(Which::Mutants);
    let mutants = match Mutants::read(ground.fixtures, &ground.suite.requirements) {
        Ok(mutants) => mutants,
        Err(errors) => {
            errors
                .iter()
                .for_each(|error| proof.fault(error.to_string()));
            return (proof, Vec::new());
        }
    };
    let mut judgements = Vec::new();
    for role in [Role::Server, Role::Client] {
        let mine: Vec<Arc<Mutant>> = mutants
            .iter()
            .filter(|mutant| mutant.role == role)
            .cloned()
            .collect();
        if mine.is_empty() {
            continue;
        }
        match judge(ground, role, mine).await {
            Ok(judged) => {
                proof.figure(&format!("of a {role}"), judged.len());
                judgements.extend(judged);
            }
            Err(error) => proof.fault(format!("mutants of a {role} were not played: {error}")),
        }
    }
    if mutants.is_empty() {
        proof.fault("there are no mutants");
    }
    count(&mut proof, &judgements, ground.quick);
    (proof, judgements)
}

async fn judge(
    ground: &Ground<'_>,
    role: Role,
    mutants: Vec<Arc<Mutant>>,
) -> Result<Vec<Judgement>, String> {
    let judge = Judge::new(
        bench(ground, role).await?,
        &ground.suite.sessions,
        &ground.suite.requirements,
        ground.reach(),
    );
    judge_all(judge, mutants, ground.jobs, |_| ()).await
}

fn count(proof: &mut Proof, judgements: &[Judgement], quick: bool) {
    let of = |is: fn(&Judgement) -> bool| judgements.iter().filter(|one| is(one)).count();
    let flips: usize = judgements.iter().map(|one| one.flips.len()).sum();
    proof.figure("killed", of(Judgement::is_killed));
    proof.figure(
        "killed at the step that proves it",
        of(Judgement::is_strict),
    );
    proof.figure(
        "that nobody can tell from a correct one",
        of(|one| one.equivalent.is_some()),
    );
    if !quick {
        proof.figure("unrelated failures", flips);
    }
    for judgement in judgements.iter().filter(|one| !one.is_right()) {
        let alive: Vec<&str> = judgement.alive.iter().map(String::as_str).collect();
        let what = match (&judgement.fault, &judgement.equivalent) {
            (Some(fault), _) => fault.clone(),
            (None, Some(_)) => "it is no equivalent: a case sees it".to_owned(),
            (None, None) => format!("no case sees that it breaks {}", alive.join(" ")),
        };
        proof.fault(format!("{}: {what}", judgement.id));
    }
}

/// Each requirement that can be seen, with the mutants that break it, and the cases that cite it and fail with them.
pub(super) fn matrix(
    ground: &Ground<'_>,
    judgements: &[Judgement],
) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let observable = ground
        .suite
        .requirements
        .iter()
        .filter(|one| one.observed != "none");
    let mut matrix: BTreeMap<String, BTreeMap<String, Vec<String>>> = observable
        .map(|one| (one.id.clone(), BTreeMap::new()))
        .collect();
    for judgement in judgements {
        for id in &judgement.breaks {
            let kills = judgement
                .kills
                .iter()
                .filter(|kill| kill.cites.contains(id));
            let cases = kills.map(|kill| kill.case.clone()).collect();
            matrix
                .entry(id.clone())
                .or_default()
                .insert(judgement.id.clone(), cases);
        }
    }
    matrix
}
