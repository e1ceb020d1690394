//! Small reports for tests.

use std::time::Duration;

use jiff::Timestamp;

use super::{CaseReport, Coverage, Report, Role, TesteeFacts};
use crate::spec::Requirements;
use crate::verdict::{Failure, FailureClass, Verdict};

/// A report of these cases.
pub(crate) fn report(cases: impl IntoIterator<Item = CaseReport>) -> Report {
    Report {
        testee: TesteeFacts {
            name: "sample".to_owned(),
            ..TesteeFacts::default()
        },
        runner: "0.1.0".to_owned(),
        date: Timestamp::UNIX_EPOCH,
        cases: cases.into_iter().collect(),
        seed: 7,
        round_trip: None,
        duration: Duration::from_millis(5),
        coverage: Coverage::default(),
        baseline: None,
        requirements: Requirements::default(),
        repeat: "tidewire-conformance run".to_owned(),
    }
}

/// A case that came to this; of one that failed the duplicate of a SEND was answered as new.
pub(crate) fn case(id: &str, verdict: Verdict) -> CaseReport {
    let failure = Failure {
        class: FailureClass::WrongField,
        line: 7,
        step: Vec::new(),
        actor: None,
        proves: vec!["SND-020".to_owned()],
        at: "duplicate of SEND_ACK".to_owned(),
        expected: "true".to_owned(),
        got: "absent".to_owned(),
        variant: None,
        stderr: Vec::new(),
    };
    let claims = ["SND-020".to_owned()];
    CaseReport {
        id: id.to_owned(),
        family: "send".to_owned(),
        role: Role::Server,
        title: "a title".to_owned(),
        file: "a.toml".into(),
        verdict,
        overlay: None,
        repeats: None,
        reason: None,
        twin: None,
        failure: (verdict == Verdict::Fail).then_some(failure),
        proved: claims
            .clone()
            .into_iter()
            .filter(|_| verdict.is_good())
            .collect(),
        claims: claims.into(),
        variants: 1,
        failed_variants: 0,
        duration: Duration::from_millis(1),
        evidence: None,
    }
}
