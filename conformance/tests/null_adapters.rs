//! The proof that the suite can fail in the client direction: adapters without an SDK pass no case at all, and adapters
//! that lie about an SDK get their verdict.

#![cfg(feature = "reference-server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidewire_conformance::null::{self, Lie, NullAdapter};
use tidewire_conformance::report::Report;
use tidewire_conformance::{
    Requirements, RunOptions, Sdk, Sessions, StartError, Starter, Verdict, run,
};

const RUNNER: &str = env!("CARGO_BIN_EXE_tidewire-conformance");

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Plays the cases against the SDK of this command, with the reference server behind it.
fn play(command: Vec<String>, options: RunOptions) -> Result<Report, StartError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let requirements = Requirements::read(&root.join("spec")).unwrap();
    let sessions = Sessions::read(&root.join("fixtures"), &requirements).unwrap();
    let server = Starter::Reference {
        program: RUNNER.into(),
        arguments: vec![OsString::from("reference-server")],
        kill: false,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let sdk = Sdk::of_command("the adapter", command).await?;
        let testees = server.start_all(0).await.unwrap();
        let options = RunOptions {
            seed: 7,
            sdks: vec![sdk],
            ..options
        };
        let report = run(&sessions, &requirements, testees, &options, |_| ()).await;
        Ok(report.unwrap())
    })
}

/// Whether the adapter starts at all, and that no case is green where it does.
#[track_caller]
fn check(kind: NullAdapter, starts: bool) {
    let report = play(
        words(&[RUNNER, "null-adapter", &kind.name()]),
        null::options(),
    );
    assert_eq!(report.is_ok(), starts, "{kind:?}");
    let Ok(report) = report else { return };
    assert_eq!(report.passed(), Vec::<&str>::new(), "{kind:?} passes these");
    assert!(report.executed() > 200, "{} played", report.executed());
    assert_ne!(report.exit_code(), 0);
}

macro_rules! null_adapters {
    ($($name:ident: $kind:ident, $starts:literal;)*) => {
        $(
            #[test]
            fn $name() {
                check(NullAdapter::$kind, $starts);
            }
        )*

        #[test]
        fn every_kind_is_tried() {
            assert_eq!(NullAdapter::ALL.to_vec(), [$(NullAdapter::$kind),*]);
        }
    };
}

null_adapters! {
    dies_at_once: DiesAtOnce, false;
    mute: Mute, false;
    hello_then_ignore: HelloThenIgnore, false;
    ok_to_everything: OkToEverything, true;
    echo: Echo, false;
    random_lines: RandomLines, false;
    slow_drip: SlowDrip, true;
    unsupported_to_everything: UnsupportedToEverything, true;
    events_made_up: EventsMadeUp, true;
    replay: Replay, true;
}

/// The adapter of the Rust client, beside the runner; built here where only this crate was.
fn honest() -> PathBuf {
    let path = Path::new(RUNNER).with_file_name("tidewire-adapter-client");
    if !path.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "-p",
            "tidewire-adapters",
            "--bin",
            "tidewire-adapter-client",
        ]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    path
}

/// What a case comes to with an adapter that lies.
fn verdict_of(lie: Lie) -> Result<Verdict, StartError> {
    let honest = honest();
    let honest = honest.to_string_lossy();
    let command = words(&[RUNNER, "lying-adapter", &lie.name(), "--", &honest]);
    let options = RunOptions {
        cases: ["send/client-plain".to_owned()].into(),
        ignore_blocks: true,
        ..RunOptions::default()
    };
    let report = play(command, options)?;
    Ok(report.cases.first().unwrap().verdict)
}

#[test]
fn each_lie_gets_its_verdict() {
    for lie in Lie::ALL {
        let expected = match lie {
            Lie::ClaimsEverything => None,
            Lie::SwallowsEvents | Lie::RepeatsEvents => Some(Verdict::Fail),
            _ => Some(Verdict::AdapterError),
        };
        match (verdict_of(lie), expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected, "{lie:?}"),
            (Err(error), None) => assert!(error.to_string().contains("not honest"), "{error}"),
            (found, _) => panic!("{lie:?}: {found:?}"),
        }
    }
}

#[test]
fn the_truth_passes() {
    let options = RunOptions {
        cases: ["send/client-plain".to_owned()].into(),
        ..RunOptions::default()
    };
    let report = play(words(&[&honest().to_string_lossy()]), options).unwrap();
    assert_eq!(report.count(Verdict::Pass), 1);
}
