//! The trace gate: each MUST has code that quotes it, a case that proves it and a mutant that breaks it, or an exception
//! that says why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::citations::{self, Citation, Kind};
use crate::exceptions::{self, Exception, Missing};
use crate::mutants::{self, Killed};
use crate::problem::Problems;
use crate::quotes::{self, Quote};
use crate::spec::{Level, Observability, Requirement, Role, Spec};

/// What is known of one requirement.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The requirement itself.
    #[serde(flatten)]
    pub requirement: Requirement,
    /// Code that quotes it: file and line.
    pub code: Vec<String>,
    /// Tests that quote it.
    pub tests: Vec<String>,
    /// Cases that prove it.
    pub cases: Vec<String>,
    /// Mutants that break it; with what a self-test saw, those that a case kills which cites it.
    pub mutants: Vec<String>,
    /// Reasons why something may be missing.
    pub exceptions: Vec<String>,
    /// What is missing without a reason: `code`, `case`, `mutant`.
    pub missing: Vec<&'static str>,
}

/// The result of the gate.
#[derive(Debug, Serialize)]
pub struct Trace {
    /// One row for each requirement, in the order of the text.
    pub requirements: Vec<Row>,
}

/// The part of the runner's report that the gate reads.
#[derive(Debug, Deserialize)]
pub struct RunReport {
    /// What became of each case.
    pub cases: Vec<RunCase>,
}

/// A case that the runner dealt with.
#[derive(Debug, Deserialize)]
pub struct RunCase {
    /// The id: path below `fixtures/sessions` without extension.
    pub id: String,
    /// What it came to; only `pass` counts.
    pub verdict: String,
    /// The requirements that executed steps proved.
    #[serde(default)]
    pub proved: BTreeSet<String>,
}

impl RunReport {
    /// Reads the report that `tidewire-conformance run --json FILE` writes.
    ///
    /// # Errors
    /// When the file cannot be read or has no list of cases.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no run report", path.display()))
    }

    /// Whether an executed step of a case that passed proved the requirement.
    fn proves(&self, citation: &Citation) -> bool {
        let case = self.cases.iter().find(|case| case.id == citation.case);
        case.is_some_and(|case| case.verdict == "pass" && case.proved.contains(&citation.id))
    }
}

/// What was seen, and takes the place of trust.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// A session counts only where its step was executed and passed.
    pub run: Option<&'a RunReport>,
    /// A mutant counts only where it was killed.
    pub selftest: Option<&'a Killed>,
}

/// Runs the gate over the tree at `root`.
///
/// # Errors
/// When a file cannot be read or does not parse; broken rules go to `problems`.
pub fn run(root: &Path, evidence: Evidence<'_>, problems: &mut Problems) -> Result<Trace> {
    let report = evidence.run;
    let spec = Spec::load(root, problems)?;
    let exceptions = exceptions::load(root, &spec, problems)?;
    let quotes = quotes::scan(root, problems)?;
    quotes::check(&quotes, &spec, problems);
    let citations = citations::scan(root, &spec, problems)?;
    let mutants = mutants::scan(root, &spec, problems)?;

    let mut rows = Vec::new();
    for requirement in spec.iter() {
        let id = &requirement.id;
        let mine = citations
            .iter()
            .filter(|c| c.id == *id && c.counts_for(requirement.role));
        let proven = mine
            .filter(|c| c.kind == Kind::Derived || report.is_none_or(|report| report.proves(c)));
        let cases = proven.map(|citation| citation.case.clone()).collect();
        let breaks = mutants.iter().filter(|mutant| mutant.breaks.contains(id));
        let killed = breaks.filter(|mutant| {
            evidence
                .selftest
                .is_none_or(|selftest| selftest.has(&mutant.id, id))
        });
        let (code, tests) = places(&quotes, requirement);
        let mut row = Row {
            requirement: requirement.clone(),
            code,
            tests,
            cases,
            mutants: killed.map(|mutant| mutant.id.clone()).collect(),
            exceptions: vec![],
            missing: vec![],
        };
        judge(&mut row, &exceptions, evidence, problems);
        rows.push(row);
    }
    Ok(Trace { requirements: rows })
}

/// Code and tests that quote a requirement. Only the codec and the server are code that keeps what binds a server, and
/// only an adapter's client keeps what binds clients alone; the runner's own sources may quote but prove nothing.
fn places(quotes: &[Quote], requirement: &Requirement) -> (Vec<String>, Vec<String>) {
    let (mut code, mut tests) = (Vec::new(), Vec::new());
    for quote in quotes
        .iter()
        .filter(|quote| quote.id == requirement.id && !quote.sentence.is_empty())
    {
        let keeps = if requirement.binds_server() {
            quote.file.starts_with("codec") || quote.file.starts_with("reference-server")
        } else {
            quote.file.starts_with("conformance/adapters")
        };
        if quote.test {
            tests.push(quote.place());
        } else if keeps {
            code.push(quote.place());
        }
    }
    (code, tests)
}

fn judge(row: &mut Row, exceptions: &[Exception], evidence: Evidence<'_>, problems: &mut Problems) {
    let requirement = &row.requirement;
    let id = &requirement.id;
    let place = requirement.location();
    for missing in [Missing::Code, Missing::Case, Missing::Mutant] {
        let there = match missing {
            Missing::Code => !row.code.is_empty(),
            Missing::Case => !row.cases.is_empty(),
            Missing::Mutant => !row.mutants.is_empty(),
        };
        let exception = exceptions
            .iter()
            .find(|e| e.id == *id && e.missing == missing);
        let name = missing.name();
        if let Some(exception) = exception {
            row.exceptions.push(format!("{name}: {}", exception.reason));
            if there || !wanted(requirement, missing) {
                let why = if there { "has one" } else { "needs none" };
                problems.add(
                    exceptions::PATH,
                    format!("{id} is excepted from {name} and {why}"),
                );
            }
        } else if !there && wanted(requirement, missing) {
            row.missing.push(name);
            let what = match missing {
                Missing::Code => "is not quoted by code that keeps it",
                Missing::Case if evidence.run.is_some() => {
                    "is not proven by a case that was executed and passed"
                }
                Missing::Case => "is not proven by a case",
                Missing::Mutant if evidence.selftest.is_some() => {
                    "is not broken by a mutant that a case kills which cites it"
                }
                Missing::Mutant => "is not broken by a mutant",
            };
            problems.add(&place, format!("{id} {what}"));
        }
    }
}

/// Whether a requirement needs the thing, or an exception. One that no case can observe needs its case all the same, so
/// that the reason is written down.
fn wanted(requirement: &Requirement, missing: Missing) -> bool {
    requirement.level == Level::Must
        && match missing {
            Missing::Code => true,
            Missing::Case => requirement.role != Role::Client,
            // What binds codecs alone is judged by bytes, and what nobody can see by nothing.
            Missing::Mutant => {
                requirement.role != Role::Codec && requirement.observability != Observability::None
            }
        }
}

/// Counts of one chapter, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requirements of every level.
    pub requirements: usize,
    /// Those that are MUST.
    pub musts: usize,
    /// Quoted by code that keeps them.
    pub quoted: usize,
    /// Proven by a case.
    pub with_case: usize,
    /// Broken by a mutant.
    pub with_mutant: usize,
    /// Having an exception.
    pub excepted: usize,
    /// Lacking something without a reason.
    pub missing: usize,
}

impl Trace {
    /// The counts of each chapter, in order, then of all under the name `total`.
    pub fn counts(&self) -> Vec<(String, Counts)> {
        let mut chapters: BTreeMap<&str, Counts> = BTreeMap::new();
        let mut total = Counts::default();
        for row in &self.requirements {
            let chapter = chapters.entry(&row.requirement.chapter).or_default();
            for counts in [chapter, &mut total] {
                counts.requirements += 1;
                counts.musts += usize::from(row.requirement.level == Level::Must);
                counts.quoted += usize::from(!row.code.is_empty());
                counts.with_case += usize::from(!row.cases.is_empty());
                counts.with_mutant += usize::from(!row.mutants.is_empty());
                counts.excepted += usize::from(!row.exceptions.is_empty());
                counts.missing += usize::from(!row.missing.is_empty());
            }
        }
        let chapters = chapters
            .into_iter()
            .map(|(name, counts)| (name.to_owned(), counts));
        chapters.chain([("total".to_owned(), total)]).collect()
    }

    /// The requirements that bind loosely, with what is known of them: SHOULD and MAY are listed and gate nothing.
    pub fn loose(&self) -> impl Iterator<Item = &Row> {
        self.requirements
            .iter()
            .filter(|row| row.requirement.level != Level::Must)
    }
}
