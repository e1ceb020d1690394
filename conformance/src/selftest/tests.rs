#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::change::{Kind, changes};
use super::*;
use crate::mutant::Kill;
use crate::session::Sessions;
use crate::spec::Requirements;
use crate::verdict::Verdict;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn selftest() -> Selftest {
    let mut proof = Proof::new(Which::Mutants);
    proof.figure("killed", 1);
    proof.fault("<b>a fault</b>");
    let kill = Kill {
        case: "send/plain".to_owned(),
        line: 7,
        cites: ["SND-001".to_owned()].into(),
        strict: ["SND-001".to_owned()].into(),
        got: "nothing".to_owned(),
        expected: "MESSAGE".to_owned(),
    };
    let judgement = Judgement {
        id: "send/mute".to_owned(),
        title: "it says </script>".to_owned(),
        breaks: ["SND-001".to_owned()].into(),
        kills: vec![kill],
        alive: [].into(),
        equivalent: None,
        flips: vec!["send/other".to_owned()],
        anyway: vec![],
        played: vec![("send/plain".to_owned(), Verdict::Fail)],
        rules: vec![(4, 2)],
        fault: None,
        duration: Duration::from_millis(3),
    };
    let cases = [("send/mute".to_owned(), vec!["send/plain".to_owned()])];
    Selftest {
        version: VERSION,
        suite: "0",
        date: "2026-11-22".to_owned(),
        quick: true,
        seed: 7,
        holds: false,
        duration_ms: 12_345,
        proofs: vec![proof, Proof::not_made(Which::Code, "not today")],
        matrix: [
            ("SND-001".to_owned(), cases.into()),
            ("SND-002".to_owned(), BTreeMap::new()),
        ]
        .into(),
        mutants: vec![judgement],
    }
}

#[test]
fn the_artefact_is_valid_by_its_schema() {
    let path = Path::new(ROOT).join("fixtures/schemas/selftest.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut artefact = serde_json::to_value(selftest()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&artefact)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    artefact["proofs"][0]["outcome"] = "maybe".into();
    assert!(!validator.is_valid(&artefact));
}

#[test]
fn the_page_shows_every_requirement_and_fetches_nothing() {
    let requirements = Requirements::read(&Path::new(ROOT).join("spec")).unwrap();
    let page = to_html(&selftest(), &requirements);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("{{"), "a place is not filled");
    assert!(!page.contains("<b>a fault</b>") && page.contains("&lt;b&gt;a fault"));
    assert!(page.contains("it says &lt;/script&gt;"));
    assert!(page.contains("◆ send/plain"));
    // One is seen by a case, the other is a hole.
    assert_eq!(page.matches("<details class=\"need\">").count(), 1);
    assert_eq!(page.matches("<details class=\"need hole\">").count(), 1);
    for outside in ["<img", "<link", "<script src", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

const CASE: &str = r#"
title = "t"
[actors.a]

[[step]]
actor = "a"
login = {}

[[step]]
actor = "a"
send = "SEND"
as = "s"
body = { to_user = "$u.a", idem = "$new.k", delivery = "STORE" }

[[step]]
actor = "a"
expect = "SEND_ACK"
to = "s"
body = { msg_id = { gt = 0, bind = "m" }, duplicate = false }

[[step]]
actor = "a"
expect = "MESSAGE"
body = { msg_id = "$m" }
"#;

#[test]
fn each_leaf_is_turned_round_once() {
    let session = Sessions::parse("send/t", Path::new("t.toml"), CASE).unwrap();
    let all = changes(&session);
    let of = |kind: Kind| -> Vec<&str> {
        all.iter()
            .filter(|change| change.kind == kind)
            .map(|change| change.what.as_str())
            .collect()
    };
    assert_eq!(
        of(Kind::Flip),
        [
            "synced",
            "type",
            "ref",
            "duplicate",
            "msg_id",
            "times",
            "type",
            "msg_id",
            "times"
        ]
    );
    assert_eq!(of(Kind::Drop), ["SEND_ACK", "MESSAGE"]);
    assert_eq!(
        of(Kind::Swap),
        ["SEND_ACK before the request", "MESSAGE before SEND_ACK"]
    );
}

#[test]
fn every_case_has_something_to_change() {
    let requirements = Requirements::read(&Path::new(ROOT).join("spec")).unwrap();
    let sessions = Sessions::read(&Path::new(ROOT).join("fixtures"), &requirements).unwrap();
    let without: Vec<&str> = sessions
        .iter()
        .filter(|session| !session.is_client() && changes(session).is_empty())
        .map(|session| session.id.as_str())
        .collect();
    assert_eq!(without, Vec::<&str>::new());
}
