//! The report as JSON, for machines, and back: the form that every other can be made from later.
//!
//! `fixtures/schemas/report.schema.json` says what is in it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BaselineOutcome, CaseReport, Coverage, Report, TesteeFacts};
use crate::spec::{Requirement, Requirements};
use crate::verdict::Verdict;

/// Rises when the format changes so that a reader of the old one goes wrong.
pub const VERSION: u32 = 1;

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON, or not as the schema says.
    #[error("not a report of this runner: {0}")]
    Format(#[from] serde_json::Error),
    /// It is of another time.
    #[error("a report of version {0}, and this runner reads version {VERSION}")]
    Version(u64),
}

/// A report as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    report: u32,
    runner: Runner,
    testee: TesteeFacts,
    date: Timestamp,
    /// A text, because numbers of JSON do not hold every u64.
    seed: String,
    repeat: String,
    exit_code: u8,
    duration_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    round_trip_us: Option<f64>,
    counts: BTreeMap<Verdict, usize>,
    coverage: Coverage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline: Option<BaselineOutcome>,
    requirements: Vec<Row>,
    cases: Vec<CaseReport>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Runner {
    name: String,
    version: String,
}

/// A requirement with what became of it.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    requirement: Requirement,
    /// How many cases claim it.
    claimed: usize,
    /// How many cases proved it.
    executed: usize,
}

/// The whole report: one line for each requirement and for each case.
///
/// # Errors
/// None in practice: every part of a report can be written as JSON.
pub fn to_json(report: &Report) -> Result<String, serde_json::Error> {
    let Value::Object(fields) = serde_json::to_value(Document::from(report))? else {
        return Ok(String::new());
    };
    // The order of the keys is the one in which somebody reads them.
    let order = [
        "report",
        "runner",
        "testee",
        "date",
        "seed",
        "repeat",
        "exit_code",
        "duration_ms",
        "round_trip_us",
        "counts",
        "coverage",
        "baseline",
        "requirements",
        "cases",
    ];
    let mut lines = Vec::new();
    for key in order {
        match fields.get(key) {
            Some(Value::Array(items)) => {
                let items: Vec<String> = items.iter().map(|item| format!("    {item}")).collect();
                lines.push(format!("  \"{key}\": [\n{}\n  ]", items.join(",\n")));
            }
            Some(value) => lines.push(format!("  \"{key}\": {value}")),
            None => {}
        }
    }
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// If the text is no report, or of another version.
pub fn from_json(text: &str) -> Result<Report, ReadError> {
    let value: Value = serde_json::from_str(text)?;
    if let Some(version) = value.get("report").and_then(Value::as_u64)
        && version != u64::from(VERSION)
    {
        return Err(ReadError::Version(version));
    }
    let document: Document = serde_json::from_value(value)?;
    let seed = document.seed.parse();
    let seed = seed.map_err(|_| serde::de::Error::custom("the seed is no number"));
    let rows = document.requirements.into_iter();
    Ok(Report {
        testee: document.testee,
        runner: document.runner.version,
        date: document.date,
        cases: document.cases,
        seed: seed.map_err(ReadError::Format)?,
        round_trip: document
            .round_trip_us
            .map(|time| from_millis(time / 1_000.0)),
        duration: from_millis(document.duration_ms),
        coverage: document.coverage,
        baseline: document.baseline,
        requirements: rows.map(|row| row.requirement).collect::<Requirements>(),
        repeat: document.repeat,
    })
}

impl From<&Report> for Document {
    fn from(report: &Report) -> Document {
        let proofs = report.proofs();
        let rows = report.requirements.iter().filter_map(|requirement| {
            let proofs = proofs.get(requirement.id.as_str()).copied();
            // What neither concerns the testee nor is cited would only make the file long.
            let is_told = proofs.is_some() || requirement.is_observable_of(report.testee.role);
            is_told.then(|| Row {
                requirement: requirement.clone(),
                claimed: proofs.unwrap_or_default().claimed,
                executed: proofs.unwrap_or_default().executed,
            })
        });
        Document {
            report: VERSION,
            runner: Runner {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: report.runner.clone(),
            },
            testee: report.testee.clone(),
            date: report.date,
            seed: report.seed.to_string(),
            repeat: report.repeat.clone(),
            exit_code: report.exit_code(),
            duration_ms: to_millis(report.duration),
            round_trip_us: report.round_trip.map(|time| to_millis(time) * 1_000.0),
            counts: Verdict::ALL
                .into_iter()
                .map(|verdict| (verdict, report.count(verdict)))
                .collect(),
            coverage: report.coverage,
            baseline: report.baseline.clone(),
            requirements: rows.collect(),
            cases: report.cases.clone(),
        }
    }
}

fn to_millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

fn from_millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or_default()
}

/// A duration as milliseconds.
pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::report) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(super::to_millis(*duration))
    }

    pub(in crate::report) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        f64::deserialize(deserializer).map(super::from_millis)
    }
}
