//! Reports of failing runs in which every text is one that breaks careless writers.

use std::time::Duration;

use super::{Broken, check};
use crate::report::{
    CaseReport, Coverage, Direction, Event, Evidence, Format, Overlay, OverlayKind, Report, Role,
    Seen, Span, TesteeFacts,
};
use crate::spec::{Requirement, Requirements};
use crate::verdict::{Failure, FailureClass, Verdict};

/// Writes reports full of this text in every form, and reads them as strictly as anybody would; gives how many there
/// were.
///
/// # Errors
/// What a reader would stumble over.
pub(crate) fn bears(text: &str) -> Result<usize, Broken> {
    let mut reports = vec![report(text)];
    if text.len() < 1_000 {
        reports.push(report(text));
    } else if let Some(only) = reports.first_mut() {
        // One that fails and one that is excused: more would only take longer.
        only.cases.drain(..3);
        only.cases.truncate(2);
    }
    for format in Format::ALL {
        let written = format.render(&reports);
        let written = written.map_err(|error| Broken::new(error.to_string()))?;
        check(format, &written).map_err(|error| Broken::new(format!("{format:?}: {error}")))?;
    }
    Ok(Format::ALL.len())
}

/// Texts that break a report that is written without care.
pub(crate) fn texts() -> Vec<String> {
    let texts = [
        "",
        "\0",
        "]]>",
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "\u{1b}[2J\u{7}",
        "👩‍👩‍👧‍👦 \u{202e}gnirts",
        "\u{fffe}\u{ffff}\u{85}\u{2028}",
        "# SKIP not me",
        "\\# TODO\\",
        "```\n\n# h\n| a | b |\n<img src=x onerror=alert(1)>",
        "`\n  ---\n  ...\nnot ok 1 - x\nBail out!",
        "a: \"b\"\n- [x](javascript:alert(1))",
        "{{data}} {{script}}",
        "&lt;&#0;&nosuch;",
        "'\"><svg onload=1>",
    ];
    let mut texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
    texts.push("x\u{1}👾<".repeat(1 << 17));
    texts
}

/// A report in which every text that may come from a testee is this one.
pub(crate) fn report(text: &str) -> Report {
    let text = text.to_owned();
    let failure = Failure {
        class: FailureClass::WrongField,
        line: 7,
        step: vec![text.clone()],
        actor: Some(text.clone()),
        proves: vec!["SND-001".to_owned()],
        at: text.clone(),
        expected: text.clone(),
        got: text.clone(),
        variant: Some(text.clone()),
        stderr: vec![text.clone()],
    };
    let seen = Seen {
        actor: text.clone(),
        direction: Direction::Received,
        name: text.clone(),
        reference: 1,
        flags: text.clone(),
        length: 2,
        summary: text.clone(),
        hex: "00000202040000000008".to_owned(),
        spans: vec![Span {
            at: 0,
            len: 3,
            depth: 0,
            text: text.clone(),
        }],
    };
    let note = Event::Note {
        actor: None,
        text: text.clone(),
    };
    let evidence = Evidence {
        actors: vec![text.clone()],
        earlier: 1,
        events: vec![Event::Frame(seen), note],
    };
    let overlay = |kind| Overlay {
        kind,
        reason: text.clone(),
        issue: Some(text.clone()),
        until: None,
    };
    let mut cases = Vec::new();
    let kinds = [
        None,
        Some(OverlayKind::ExpectedFail),
        Some(OverlayKind::UnexpectedPass),
    ];
    for (number, (verdict, kind)) in Verdict::ALL
        .into_iter()
        .flat_map(|verdict| kinds.map(|kind| (verdict, kind)))
        .enumerate()
    {
        cases.push(CaseReport {
            id: format!("x/{number}{text}"),
            family: text.clone(),
            role: Role::Client,
            title: text.clone(),
            file: text.clone().into(),
            verdict,
            overlay: kind.map(overlay),
            repeats: None,
            reason: (number % 2 == 0).then(|| text.clone()),
            twin: Some(text.clone()),
            failure: verdict.is_bad().then(|| failure.clone()),
            claims: ["SND-001".to_owned()].into(),
            proved: [].into(),
            variants: 2,
            failed_variants: 1,
            duration: Duration::from_micros(1_500),
            evidence: Some(evidence.clone()),
        });
    }
    let requirement = Requirement {
        id: "SND-001".to_owned(),
        role: "client".to_owned(),
        observed: "wire".to_owned(),
        sentence: format!("It MUST {text}"),
        file: "30-send.md".to_owned(),
        line: 3,
        anchor: text.clone(),
    };
    Report {
        testee: TesteeFacts {
            name: text.clone(),
            version: Some(text.clone()),
            role: Role::Client,
            features: vec![text.clone()],
            transports: vec![text.clone()],
            capabilities: vec![text.clone()],
        },
        runner: "0".to_owned(),
        date: jiff::Timestamp::UNIX_EPOCH,
        cases,
        seed: u64::MAX,
        round_trip: None,
        duration: Duration::from_millis(12),
        coverage: Coverage::default(),
        baseline: None,
        requirements: Requirements::from_iter([requirement]),
        repeat: text.clone(),
    }
}
