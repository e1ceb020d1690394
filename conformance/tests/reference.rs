//! The other half of the proof: the reference server passes every case.

#![cfg(feature = "reference-server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::ffi::OsString;
use std::path::Path;

use tidewire_conformance::report::{Style, print, to_json, to_junit};
use tidewire_conformance::{Requirements, RunOptions, Sessions, Starter, Verdict, run};

#[test]
fn the_reference_server_conforms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let requirements = Requirements::read(&root.join("spec")).unwrap();
    let sessions = Sessions::read(&root.join("fixtures"), &requirements).unwrap();
    let starter = Starter::Reference {
        program: env!("CARGO_BIN_EXE_tidewire-conformance").into(),
        arguments: vec![OsString::from("reference-server")],
        kill: false,
    };
    let options = RunOptions {
        seed: 7,
        ..RunOptions::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(async {
        let testees = starter.start_all(2).await.unwrap();
        run(&sessions, &requirements, testees, &options, |_| ())
            .await
            .unwrap()
    });
    let mut text = Vec::new();
    print(&mut text, &report, Style::default()).unwrap();
    assert_eq!(report.exit_code(), 0, "{}", String::from_utf8_lossy(&text));
    // Nothing is left out: the reference server can do whatever a case needs.
    let for_servers = sessions.iter().filter(|session| !session.is_client());
    let for_servers = for_servers.count();
    assert_eq!(report.count(Verdict::Pass), for_servers);
    assert_eq!(report.coverage.executed, report.coverage.claimed);

    let json: serde_json::Value = serde_json::from_str(&to_json(&report).unwrap()).unwrap();
    assert_eq!(json["counts"]["pass"], report.count(Verdict::Pass));
    assert_eq!(json["cases"].as_array().unwrap().len(), for_servers);
    let junit = to_junit(std::slice::from_ref(&report));
    assert!(junit.contains("name=\"send/plain\""), "{junit}");
}

/// A crash by SIGKILL, and not by the server's own hook: what was accepted is there all the same.
#[test]
fn the_reference_server_survives_a_kill() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let requirements = Requirements::read(&root.join("spec")).unwrap();
    let sessions = Sessions::read(&root.join("fixtures"), &requirements).unwrap();
    let starter = Starter::Reference {
        program: env!("CARGO_BIN_EXE_tidewire-conformance").into(),
        arguments: vec![OsString::from("reference-server")],
        kill: true,
    };
    let cases = sessions
        .iter()
        .filter(|case| case.id.starts_with("send/") && case.is_exclusive());
    let cases = cases.map(|case| case.id.clone()).collect();
    let options = RunOptions {
        seed: 7,
        cases,
        ..RunOptions::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(async {
        let testees = starter.start_all(0).await.unwrap();
        run(&sessions, &requirements, testees, &options, |_| ())
            .await
            .unwrap()
    });
    let mut text = Vec::new();
    print(&mut text, &report, Style::default()).unwrap();
    assert!(report.executed() > 0);
    assert_eq!(report.exit_code(), 0, "{}", String::from_utf8_lossy(&text));
}
