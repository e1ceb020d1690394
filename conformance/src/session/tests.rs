//! Malformed files: each is refused with the line and the reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use super::Sessions;
use crate::spec::Requirements;

const GOOD: &str =
    "title = 'good'\n[actors.alice]\n[[step]]\nactor = 'alice'\nlogin = {}\nproves = ['LGN-001']\n";

/// What is wrong with a case `x/bad`, beside a good one `x/good`.
fn faults(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let family = folder.path().join("sessions/x");
    fs::create_dir_all(&family).unwrap();
    fs::write(family.join("good.toml"), GOOD).unwrap();
    fs::write(family.join("bad.toml"), text).unwrap();
    let spec = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec"));
    match Sessions::read(folder.path(), &Requirements::read(spec).unwrap()) {
        Ok(_) => "fine".to_owned(),
        Err(errors) => errors
            .iter()
            .map(|error| format!("{}: {}", error.line, error.message))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

/// A step of alice after her login.
fn step(text: &str) -> String {
    faults(&format!("{GOOD}[[step]]\nactor = 'alice'\n{text}\n"))
}

#[test]
fn a_good_file_is_fine() {
    assert_eq!(faults(GOOD), "fine");
    assert_eq!(
        step("send = 'PING'\nas = 'p'\n[[step]]\nactor = 'alice'\nexpect = 'PONG'\nto = 'p'"),
        "fine"
    );
}

#[test]
fn heads_are_strict() {
    insta::assert_snapshot!(faults("title = 1"), @"1: expected a string, found an integer");
    insta::assert_snapshot!(faults("title = 'x'\n[[step]]"), @"1: key `actors` is missing");
    insta::assert_snapshot!(faults(&format!("needs = ['magic']\n{GOOD}")), @r#"1: unknown need "magic""#);
    insta::assert_snapshot!(faults(&format!("colour = 1\n{GOOD}")), @"1: unknown key `colour` in a session file");
    insta::assert_snapshot!(faults(&format!("twin = 'x/none'\n{GOOD}")), @"1: there is no case x/none to be the twin");
    insta::assert_snapshot!(faults(&format!("twin = 'x/bad'\n{GOOD}")), @"1: the twins of this case lead back to it");
    insta::assert_snapshot!(faults(&format!("loose_end = true\n{GOOD}")), @"1: loose_end needs a `note` that says why");
}

#[test]
fn steps_are_strict() {
    insta::assert_snapshot!(step("sing = true"), @"7: a step without a verb");
    insta::assert_snapshot!(step("cut = true\nquiet = true"), @"7: a step has one verb, and this has quiet and cut");
    insta::assert_snapshot!(step("send = 'SENT'"), @r#"9: unknown frame "SENT""#);
    insta::assert_snapshot!(step("send = 'PING'\nproves = ['CTL-001']"), @"7: `send` observes nothing: `proves` belongs on the step that sees it");
    insta::assert_snapshot!(step("quiet = true\nproves = ['CTL-999']"), @"7: there is no requirement CTL-999");
    insta::assert_snapshot!(step("quiet = true\nproves = ['CTL-012']"), @"7: CTL-012 is the client's: this case cannot prove it");
    insta::assert_snapshot!(step("expect = 'PONG'\nto = 'p'"), @r#"9: this actor sent nothing that is named "p""#);
    insta::assert_snapshot!(step("error = 'BAD_TOKEN'\nproves = ['LGN-043']"), @"1: a case whose last proof is an ERROR or a GOAWAY, or that spoils the wire, names its `twin`");
    insta::assert_snapshot!(step("expect = 'SYNCED'\nbody = { pos = '$q' }"), @"9: $q has no value here");
    insta::assert_snapshot!(step("send = 'SEND'\nbody = { idem = 'abc' }"), @r#"10: bytes start with `hex:`, `text:`, `fill:` or `$`, and "abc" does not"#);
    insta::assert_snapshot!(step("send = 'ACK'\nbody = { position = 1 }"), @"10: Ack has no field `position`, but pos");
    insta::assert_snapshot!(step("send = 'ACK'\nbody = { pos = -1 }"), @"10: -1 does not fit pos");
    insta::assert_snapshot!(step("expect = 'SYNCED'\nbody = { pos = { above = 1 } }"), @"10: unknown matcher `above` for pos");
}

#[test]
fn verbs_without_actors_need_their_capability() {
    let text =
        format!("{GOOD}[[step]]\nclock = '1d'\n[[step]]\nactor = 'alice'\nrestart = 'crash'\n");
    insta::assert_snapshot!(faults(&text), @"9: `restart` has no `actor`");
    insta::assert_snapshot!(faults(&format!("{GOOD}[[step]]\nclock = '1d'\n")), @r#"7: `needs` does not name "clock""#);
}
