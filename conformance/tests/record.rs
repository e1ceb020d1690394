//! What was recorded through the proxy plays again, and passes.

#![cfg(all(feature = "reference-server", unix))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

mod common;

use common::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidewire-conformance");

/// Runs the program and gives back what it printed; it has to succeed.
#[track_caller]
fn program(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .output()
        .expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{arguments:?}:\n{text}");
    text
}

/// Plays a case through the proxy, and gives back the session file that this makes.
#[track_caller]
fn record(server: &Server, case: &str, out: &Path) -> String {
    let users = server.users();
    let written = fs::read_to_string(&users).expect("the users file");
    let address = written
        .lines()
        .find_map(|line| line.strip_prefix("tcp = "))
        .expect("an address")
        .trim_matches('"');
    let mut proxy = Command::new(PROGRAM)
        .args(["record", "--server", address, "--title", case, "--out"])
        .arg(out)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the proxy starts");
    let mut said = BufReader::new(proxy.stdout.take().expect("its output is a pipe"));
    let mut line = String::new();
    said.read_line(&mut line)
        .expect("the proxy says where it listens");
    let listening = line
        .strip_prefix("listening on ")
        .and_then(|rest| rest.split(',').next())
        .unwrap_or_else(|| panic!("{line}"));
    let users = users.to_string_lossy();
    program(&[
        "run", "--server", listening, "--users", &users, "--filter", case,
    ]);
    let stopped = Command::new("kill")
        .args(["-TERM", &proxy.id().to_string()])
        .status();
    assert!(stopped.expect("kill runs").success());
    assert!(proxy.wait().expect("it ends").success());
    fs::read_to_string(out).expect("it wrote the file")
}

/// Records what the runner's own players do in a case, and plays it against a server that never saw it.
#[test]
fn a_recording_passes() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    for case in [
        "send/plain",
        "send/duplicate",
        "send/own-devices-get-a-copy",
        "status/plain",
        "group/plain",
        "login/resume-after-cut",
        "login/gap",
        "login/one-device-id-two-users",
        "login/ref-of-zero",
        "control/unknown-requests",
        "send/ack-above-what-was-sent",
    ] {
        let out = folder
            .path()
            .join(case.replace('/', "-"))
            .with_extension("toml");
        let text = record(&server, case, &out);
        let played = program(&["run", "--session", &out.to_string_lossy()]);
        assert!(played.contains("1 pass"), "{case}:\n{text}\n{played}");
    }
}

#[test]
fn what_was_made_up_has_a_name() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let text = record(&server, "send/plain", &folder.path().join("plain.toml"));
    for part in [
        "idem = \"$new.k1\"",
        "content = \"text:hi\"",
        "bind = \"m1\"",
        "msg_id = \"$m1\"",
        "to_user = \"$u.",
        "expect = \"SEND_ACK\"\nto = \"s1\"",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // Nothing of what the server counts or what the clock says stands there as it was.
    for part in ["server_time_ms", "ttl_ms", "age_ms", "token"] {
        assert!(!text.contains(part), "{part} is in\n{text}");
    }
}
