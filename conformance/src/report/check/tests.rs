#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use super::*;
use crate::report::{
    CaseReport, Coverage, Direction, Event, Evidence, Overlay, OverlayKind, Report, Role, Seen,
    Span, TesteeFacts,
};
use crate::spec::{Requirement, Requirements};
use crate::verdict::{Failure, FailureClass, Verdict};

/// Texts that break a report that is written without care.
fn hostile() -> Vec<String> {
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
fn report(text: &str) -> Report {
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
        date: "2026-11-22T21:00:00Z".parse().unwrap(),
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

#[test]
fn every_form_bears_every_text() {
    for text in hostile() {
        let name: String = text.chars().take(20).collect();
        let several = text.len() < 1_000;
        let mut reports = vec![report(&text)];
        if several {
            reports.push(report(&text));
        } else {
            // One that fails and one that is excused: more would only take longer.
            reports[0].cases.drain(..3);
            reports[0].cases.truncate(2);
        }
        for format in Format::ALL {
            let written = format.render(&reports).unwrap();
            if let Err(error) = check(format, &written) {
                panic!("{format:?} of {name:?}: {error}");
            }
        }
    }
}

#[test]
fn the_page_of_many_failures_stays_small() {
    let mut large = report("a text as it may well come");
    let case = large.cases.first().unwrap().clone();
    let frame = case
        .evidence
        .as_ref()
        .unwrap()
        .events
        .first()
        .unwrap()
        .clone();
    large.cases = (0..400)
        .map(|number| {
            let mut case = case.clone();
            case.id = format!("x/{number}");
            case.verdict = Verdict::Fail;
            case.evidence.as_mut().unwrap().events = vec![frame.clone(); 40];
            case
        })
        .collect();
    let html = Format::Html.render(&[large]).unwrap();
    check(Format::Html, &html).unwrap();
    assert!(html.len() < 1_500_000, "{} bytes", html.len());
}

#[test]
fn json_comes_back_as_it_went() {
    let first = Format::Json.render(&[report("a\0b")]).unwrap();
    let again = Format::Json.render(&[from_json(&first).unwrap()]).unwrap();
    assert_eq!(first, again);
    let other = first.replacen("\"report\": 1", "\"report\": 2", 1);
    let error = from_json(&other).unwrap_err().to_string();
    assert!(error.contains("version 2"), "{error}");
}

/// A check that finds nothing would not be one.
#[track_caller]
fn breaks(format: Format, from: &str, to: &str) {
    let written = format.render(&[report("plain")]).unwrap();
    let broken = written.replacen(from, to, 1);
    assert_ne!(written, broken, "{from} is not there");
    check(format, &written).unwrap();
    assert!(check(format, &broken).is_err(), "{from} as {to} passes");
}

#[test]
fn what_is_broken_is_seen() {
    breaks(Format::Junit, "classname=", "class=");
    breaks(Format::Junit, "tests=\"30\"", "tests=\"many\"");
    breaks(Format::Junit, "<testcase", "loose text<testcase");
    breaks(Format::Junit, "<failure", "<failing/><failure");
    breaks(Format::Junit, "</testsuite>", "");
    breaks(Format::Junit, "errors=\"", "errors=\"1");
    breaks(Format::Junit, "expected: ", "]]>");
    breaks(Format::Tap, "TAP version 14\n", "");
    breaks(Format::Tap, "1..30", "1..31");
    breaks(Format::Tap, "ok 2 ", "ok 3 ");
    breaks(Format::Tap, "  ...\n", "");
    breaks(Format::Tap, "# TODO ", "# TODAY ");
    breaks(Format::Tap, "  title: ", "  title ");
    breaks(Format::Html, "default-src 'none'", "default-src *");
    breaks(Format::Html, "\"cases\":", "\"cases\":<");
    breaks(Format::Html, "<main>", "<main><img src=x>");
    breaks(Format::Html, "</html>", "");
    breaks(Format::Markdown, "| verdict |", "| verdict | |");
    breaks(Format::Markdown, "plain", "<b>");
    breaks(Format::Badge, "</svg>", "");
    breaks(Format::Badge, "<title>", "<title>&nbsp;");
    breaks(Format::Json, "\"testee\"", "\"tested\"");
}
