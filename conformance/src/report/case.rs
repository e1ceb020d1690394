//! What one case came to.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Evidence, Overlay, Repeats, Role, json};
use crate::session::Session;
use crate::verdict::{Failure, Verdict};

/// What one case came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseReport {
    /// The id.
    pub id: String,
    /// The family: the first part of the id.
    pub family: String,
    /// Whose side of the protocol it judges.
    pub role: Role,
    /// One line that says what is shown.
    pub title: String,
    /// The file.
    pub file: PathBuf,
    /// What it came to.
    pub verdict: Verdict,
    /// What the baseline says of it, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// How it fared, where it was played several times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// Why it was not played, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The valid case that it spoils.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<String>,
    /// The first divergence, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The requirements that its steps would prove.
    pub claims: BTreeSet<String>,
    /// Those that executed steps proved.
    pub proved: BTreeSet<String>,
    /// How often its steps ran: more than once in a sweep.
    pub variants: usize,
    /// How many of them failed.
    pub failed_variants: usize,
    /// How long it took.
    #[serde(rename = "duration_ms", with = "json::millis")]
    pub duration: Duration,
    /// What went over its connections: of failures always, of all cases where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl CaseReport {
    pub(crate) fn new(session: &Session, duration: Duration) -> CaseReport {
        CaseReport {
            id: session.id.clone(),
            family: session.family().to_owned(),
            role: Role::Server,
            title: session.title.clone(),
            file: crate::cli::tidy(&session.path),
            verdict: Verdict::Pass,
            overlay: None,
            repeats: None,
            reason: None,
            twin: session.twin.clone(),
            failure: None,
            claims: session.covers().into_iter().map(str::to_owned).collect(),
            proved: BTreeSet::new(),
            variants: 1,
            failed_variants: 0,
            duration,
            evidence: None,
        }
    }

    pub(crate) fn unplayed(
        session: &Session,
        verdict: Verdict,
        reason: impl Into<String>,
    ) -> CaseReport {
        let reason = Some(reason.into());
        CaseReport {
            verdict,
            reason,
            variants: 0,
            ..CaseReport::new(session, Duration::ZERO)
        }
    }

    pub(crate) fn harness(session: &Session, reason: &str) -> CaseReport {
        CaseReport::unplayed(session, Verdict::HarnessError, reason)
    }
}
