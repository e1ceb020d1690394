//! What several tests need.

#![allow(
    clippy::expect_used,
    unreachable_pub,
    reason = "a test that cannot go on has failed; each test is a crate of its own"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// The reference server with demo users, until it is dropped.
pub struct Server {
    child: Child,
    home: TempDir,
    /// Kept open: a server must not stumble over a reader that is gone.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    pub fn start() -> Server {
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

    pub fn users(&self) -> PathBuf {
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
