//! The second implementation: a codec and a client in Python, written from the specification alone, hold against the
//! fixtures and against the reference server.
//!
//! Needs `python3`, 3.11 or newer, and nothing beyond its standard library.

#![cfg(feature = "reference-server")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;
use std::process::Command;

mod common;

use common::Server;

/// Runs Python in the adapter's folder and gives back what it printed.
#[track_caller]
fn python(arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/python");
    let output = Command::new("python3")
        .args(["-B", "-W", "error"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("python3 is there");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{arguments:?}:\n{text}");
    text
}

#[test]
fn the_client_lives_through_a_session() {
    let server = Server::start();
    let users = server.users();
    let text = python(&["session.py", "--users", &users.to_string_lossy()]);
    // This server can do all that a step may ask for.
    assert!(!text.contains("skip"), "{text}");
}

#[test]
fn both_codecs_agree_on_every_fixture() {
    python(&["check_fixtures.py"]);
}

#[test]
fn the_check_notices_spoilt_fixtures() {
    python(&["check_fixtures.py", "--self-test"]);
}

#[test]
fn its_own_tests_pass() {
    python(&["-m", "unittest", "--quiet"]);
}
