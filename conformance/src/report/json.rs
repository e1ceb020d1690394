//! The report as JSON, for machines.

use std::path::Path;
use std::time::Duration;

use serde::Serializer;
use serde_json::{Value, json};

use super::Report;
use crate::verdict::Verdict;

/// The whole report. The format is described in the README of this crate; `format` rises when it changes.
///
/// # Errors
/// None in practice: every part of a report can be written as JSON.
pub fn to_json(report: &Report) -> Result<Value, serde_json::Error> {
    let counts: serde_json::Map<String, Value> = Verdict::ALL
        .into_iter()
        .map(|verdict| {
            (
                verdict.name().to_owned(),
                Value::from(report.count(verdict)),
            )
        })
        .collect();
    Ok(json!({
        "format": 1,
        "suite": env!("CARGO_PKG_VERSION"),
        "seed": report.seed.to_string(),
        "exit_code": report.exit_code(),
        "duration_ms": to_millis(report.duration),
        "round_trip_us": report.round_trip.map(|time| time.as_secs_f64() * 1_000_000.0),
        "counts": counts,
        "requirements": report.coverage,
        "cases": serde_json::to_value(&report.cases)?,
    }))
}

fn to_millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// A path as the report for people shows it.
pub(super) fn tidied<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&crate::cli::tidy(path).display())
}

pub(super) fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(to_millis(*duration))
}
