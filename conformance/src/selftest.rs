//! The self-test: proofs that the suite can fail, each with what it saw.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::cli::Suite;
use crate::mutant::{Judgement, Reach};
use crate::report::Report;
use crate::run::{RunOptions, Testees, run};
use crate::testee::Starter;

mod change;
mod changes;
mod codec_b;
mod flakes;
mod hostile;
mod liars;
mod mutants;
mod nulls;
mod page;
mod sample;
#[cfg(test)]
mod tests;

pub(crate) use page::to_html;

/// The version of the artefact's form.
pub(crate) const VERSION: u32 = 1;

/// A proof by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Which {
    /// Wrong implementations are seen, by a case that cites what they break.
    Mutants,
    /// Peers that do nothing right pass nothing.
    Nulls,
    /// Changed cases are not passed by a correct testee.
    Changes,
    /// Adapters that lie get their verdict.
    Liars,
    /// Reports can be read, whatever stands in them.
    Hostile,
    /// A second codec derives every fixture again.
    CodecB,
    /// Repeats under load change no verdict.
    Flakes,
    /// Mutants of the code are seen by the fixtures alone: a job of the night.
    Code,
}

impl Which {
    /// All of them, in the order in which they are made.
    pub(crate) const ALL: [Which; 8] = [
        Which::Mutants,
        Which::Nulls,
        Which::Changes,
        Which::Liars,
        Which::Hostile,
        Which::CodecB,
        Which::Flakes,
        Which::Code,
    ];

    const fn title(self) -> &'static str {
        match self {
            Which::Mutants => "Wrong implementations are seen",
            Which::Nulls => "Peers that do nothing right pass nothing",
            Which::Changes => "Every expectation bears load",
            Which::Liars => "Adapters that lie are found out",
            Which::Hostile => "Reports survive hostile text",
            Which::CodecB => "A second codec agrees on every byte",
            Which::Flakes => "Repeats under load change no verdict",
            Which::Code => "Mutants of the code are seen",
        }
    }
}

/// How a proof came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Holds,
    Fails,
    /// It was not made, for the reason that is given.
    NotMade,
}

/// What one proof showed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Proof {
    pub(crate) name: Which,
    pub(crate) title: &'static str,
    pub(crate) outcome: Outcome,
    /// Why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) figures: Vec<Figure>,
    /// What speaks against it.
    pub(crate) faults: Vec<String>,
    /// Whatever else is worth keeping.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) detail: Value,
    pub(crate) duration_ms: u64,
}

/// A figure with its name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: Value,
}

impl Proof {
    fn new(name: Which) -> Proof {
        Proof {
            name,
            title: name.title(),
            outcome: Outcome::Holds,
            reason: None,
            figures: Vec::new(),
            faults: Vec::new(),
            detail: Value::Null,
            duration_ms: 0,
        }
    }

    fn not_made(name: Which, reason: impl Into<String>) -> Proof {
        Proof {
            outcome: Outcome::NotMade,
            reason: Some(reason.into()),
            ..Proof::new(name)
        }
    }

    fn fault(&mut self, what: impl Into<String>) {
        self.outcome = Outcome::Fails;
        self.faults.push(what.into());
    }

    fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.push(Figure {
            name: name.to_owned(),
            value: value.into(),
        });
    }
}

/// What the proofs are made on.
pub(crate) struct Ground<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) fixtures: &'a Path,
    /// How to come by a correct server.
    pub(crate) starter: Starter,
    /// The testee file of a correct client SDK.
    pub(crate) client: Option<&'a Path>,
    /// A bounded sample instead of everything.
    pub(crate) quick: bool,
    /// How often the whole suite is repeated under load.
    pub(crate) repeats: usize,
    pub(crate) jobs: usize,
    pub(crate) seed: u64,
}

impl Ground<'_> {
    /// How much is played against each mutant.
    fn reach(&self) -> Reach {
        match self.quick {
            true => Reach::Enough,
            false => Reach::All,
        }
    }

    /// Correct servers: one for all, and so many for cases that run alone.
    async fn testees(&self, lanes: usize) -> Result<Testees, String> {
        let started = self.starter.start_all(lanes).await;
        started.map_err(|error| error.to_string())
    }

    /// Plays the suite.
    async fn play(&self, testees: Testees, options: &RunOptions) -> Result<Report, String> {
        let Suite {
            sessions,
            requirements,
            ..
        } = self.suite;
        let report = run(sessions, requirements, testees, options, |_| ()).await;
        report.map_err(|error| error.to_string())
    }
}

/// The artefact.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Selftest {
    pub(crate) version: u32,
    pub(crate) suite: &'static str,
    pub(crate) date: String,
    pub(crate) quick: bool,
    pub(crate) seed: u64,
    pub(crate) holds: bool,
    pub(crate) duration_ms: u64,
    pub(crate) proofs: Vec<Proof>,
    /// Every requirement that can be seen, with the mutants that break it and the cases that kill them.
    pub(crate) matrix: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    pub(crate) mutants: Vec<Judgement>,
}

/// Makes the proofs that are asked for; `progress` is told of each as it is done.
pub(crate) async fn prove(
    ground: &Ground<'_>,
    which: &[Which],
    mut progress: impl FnMut(&Proof),
) -> Selftest {
    let started = Instant::now();
    let mut proofs = Vec::new();
    let mut judgements = Vec::new();
    for name in which {
        let start = Instant::now();
        let mut proof = match name {
            Which::Mutants => {
                let (proof, judged) = mutants::prove(ground).await;
                judgements = judged;
                proof
            }
            Which::Nulls => nulls::prove(ground).await,
            Which::Changes => changes::prove(ground).await,
            Which::Liars => liars::prove(ground).await,
            Which::Hostile => hostile::prove(ground),
            Which::CodecB => codec_b::prove(ground).await,
            Which::Flakes => flakes::prove(ground).await,
            Which::Code => Proof::not_made(
                Which::Code,
                "it takes hours: `cargo mutants` runs at night, see .cargo/mutants.toml",
            ),
        };
        proof.duration_ms = millis(start.elapsed());
        progress(&proof);
        proofs.push(proof);
    }
    Selftest {
        version: VERSION,
        suite: env!("CARGO_PKG_VERSION"),
        date: jiff::Timestamp::now()
            .strftime("%Y-%m-%d %H:%M UTC")
            .to_string(),
        quick: ground.quick,
        seed: ground.seed,
        holds: proofs.iter().all(|proof| proof.outcome != Outcome::Fails),
        duration_ms: millis(started.elapsed()),
        matrix: mutants::matrix(ground, &judgements),
        proofs,
        mutants: judgements,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
