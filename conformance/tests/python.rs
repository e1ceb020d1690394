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

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// The reference server with demo users, until it is dropped.
struct Server {
    child: Child,
    home: TempDir,
    /// Kept open: a server must not stumble over a reader that is gone.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Server {
        let home = tempfile::tempdir().expect("a folder for the server");
        let log = File::create(home.path().join("log")).expect("a file for the log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire-conformance"));
        command.args([
            "reference-server",
            "--dev",
            "--virtual-clock",
            "--testing",
            "--log",
            "warn",
        ]);
        for door in ["--listen", "--ws-listen", "--tls-listen", "--admin-listen"] {
            command.args([door, "127.0.0.1:0"]);
        }
        command.arg("--data").arg(home.path().join("data"));
        command
            .arg("--users-out")
            .arg(home.path().join("users.toml"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        // What it says when it listens ends with the path of the users file, which is written by then.
        let ready = stdout
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .any(|line| line.ends_with("users.toml"));
        let server = Server {
            child,
            home,
            _stdout: stdout,
        };
        assert!(
            ready && server.users().exists(),
            "the server is not ready:\n{}",
            server.log()
        );
        server
    }

    fn users(&self) -> PathBuf {
        self.home.path().join("users.toml")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
