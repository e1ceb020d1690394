//! The command `tidewire`, as a person or a script uses it.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server};

fn tidewire(server: &Server, user: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command
        .args([
            "--users",
            server.users_file().to_str().unwrap(),
            "--as",
            user,
        ])
        .args(arguments)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

async fn run(server: &Server, user: &str, arguments: &[&str]) -> Output {
    timeout(PATIENCE, tidewire(server, user, arguments).output())
        .await
        .unwrap()
        .unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// A `listen` that is up to date.
async fn listen(
    server: &Server,
    user: &str,
    more: &[&str],
) -> (Child, Lines<BufReader<ChildStdout>>) {
    let arguments = [&["listen", "--json"], more].concat();
    let mut child = tidewire(server, user, &arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    until(&mut lines, "synced").await;
    (child, lines)
}

async fn until(lines: &mut Lines<BufReader<ChildStdout>>, event: &str) -> Value {
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let value: Value = serde_json::from_str(&line.expect("it goes on")).unwrap();
        if value["event"] == event {
            return value;
        }
    }
}

#[tokio::test]
async fn what_one_sends_the_other_sees() {
    let server = Server::start();
    let (mut listening, mut of_bob) = listen(&server, "bob", &["--count", "1", "--mark"]).await;
    let (_alice, mut of_alice) = listen(&server, "alice", &[]).await;
    let sent = done(
        &run(
            &server,
            "alice",
            &["send", "--to", "bob", "--receipts", "hi \u{1f40c}"],
        )
        .await,
    );
    assert!(sent.contains("accepted"), "{sent}");
    let got = until(&mut of_bob, "message").await;
    assert_eq!(
        (got["from"].as_str(), got["text"].as_str()),
        (Some("alice"), Some("hi \u{1f40c}"))
    );
    assert!(
        timeout(PATIENCE, listening.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );
    until(&mut of_alice, "message").await;
}

#[tokio::test]
async fn groups_devices_and_history() {
    let server = Server::start();
    let store = server.folder.path().join("alice");
    let store = ["--store", store.to_str().unwrap()];
    let made = done(&run(&server, "alice", &["group", "team", "bob"]).await);
    assert!(
        made.contains("team") && made.contains("2 members"),
        "{made}"
    );
    assert_eq!(done(&run(&server, "bob", &["groups"]).await), made);
    for _ in 0..10 {
        let devices = done(&run(&server, "bob", &["devices"]).await);
        assert_eq!(
            devices.lines().count(),
            1,
            "devices for one call are forgotten: {devices}"
        );
    }
    let send = [&store[..], &["send", "--to", "bob", "kept"]].concat();
    done(&run(&server, "alice", &send).await);
    let history = [&store[..], &["history", "--with", "bob"]].concat();
    assert!(done(&run(&server, "alice", &history).await).contains("kept"));
}

#[tokio::test]
async fn failures_have_codes() {
    let server = Server::start();
    let fails = async |arguments: &[&str], code: i32, word: &str| {
        let output = run(&server, "alice", arguments).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(word), "{text}");
    };
    fails(&["send", "--to", "nobody", "x"], 1, "UNKNOWN_USER").await;
    fails(
        &["send", "--to", "bob", "--online-only", "x"],
        1,
        "RECIPIENT_OFFLINE",
    )
    .await;
    fails(&["--token", "wrong", "groups"], 1, "TOKEN_INVALID").await;
    fails(&["send", "x"], 2, "--to").await;
    fails(&["--users", "no such file", "groups"], 2, "--dev").await;
    fails(
        &["--url", "http://x", "--token", "t", "groups"],
        2,
        "scheme",
    )
    .await;
    fails(&["history"], 2, "--store").await;
    fails(
        &["--url", "tcp://127.0.0.1:1", "--timeout", "1", "groups"],
        3,
        "no session",
    )
    .await;
}
