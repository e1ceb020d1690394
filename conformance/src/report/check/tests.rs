#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use super::hostile::report;
use super::*;
use crate::report::{BaselineOutcome, Direction, Event, Repeats};
use crate::verdict::Verdict;

#[test]
fn every_form_bears_every_text() {
    for text in texts() {
        if let Err(error) = bears(&text) {
            let name: String = text.chars().take(20).collect();
            panic!("{name:?}: {error}");
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

/// The schema for others says what the runner writes, with every part of a report there.
#[test]
fn json_is_as_the_schema_says() {
    let schema = include_str!("../../../../fixtures/schemas/report.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut whole = report("a text");
    whole.baseline = Some(BaselineOutcome::default());
    whole.round_trip = Some(Duration::from_micros(90));
    let all = Direction::Received;
    let (actor, text) = ("a".to_owned(), "b".to_owned());
    for case in &mut whole.cases {
        case.repeats = Some(Repeats { runs: 2, failed: 1 });
        let evidence = case.evidence.as_mut().unwrap();
        evidence.events.extend([
            Event::Step {
                line: 1,
                text: text.clone(),
            },
            Event::Bytes {
                actor: actor.clone(),
                direction: all,
                length: 1,
                hex: "00".to_owned(),
            },
            Event::Adapter {
                actor: actor.clone(),
                direction: all,
                name: text.clone(),
                text: text.clone(),
            },
        ]);
    }
    let written = Format::Json.render(&[whole]).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&written).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&value)
        .map(|fault| fault.to_string().chars().take(300).collect())
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    value["cases"][0]["verdict"] = "fine".into();
    assert!(!validator.is_valid(&value));
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
