//! The commands around reports, as somebody types them: a good run, a run against a known fault, and all that is made of both.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tidewire_conformance::report::{Format, check};

/// Runs the program in the folder, and gives its exit code and what it printed.
fn run(folder: &Path, words: &str) -> (i32, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_tidewire-conformance"))
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&program.stdout).into_owned();
    (
        program.status.code().unwrap(),
        text + &String::from_utf8_lossy(&program.stderr),
    )
}

#[track_caller]
fn comes_to(folder: &Path, words: &str, code: i32, says: &str) {
    let (found, text) = run(folder, words);
    assert_eq!(found, code, "{words}\n{text}");
    assert!(text.contains(says), "{words}\n{text}");
}

#[test]
fn a_run_is_shown_compared_and_excused() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let cases = "--filter send/plain --filter send/duplicate --filter send/ttl-zero";
    let fault = "--mutant send/duplicate-is-new";
    comes_to(home, &format!("run {cases} --json good.json"), 0, "3 pass");
    let outputs = "--html p.html --junit p.xml --tap p.tap --markdown p.md --badge p.svg";
    let bad = format!("run {cases} {fault} --json bad.json {outputs}");
    comes_to(home, &bad, 1, "[SND-020]");
    let forms = [
        (Format::Json, "bad.json"),
        (Format::Html, "p.html"),
        (Format::Junit, "p.xml"),
        (Format::Tap, "p.tap"),
        (Format::Markdown, "p.md"),
        (Format::Badge, "p.svg"),
    ];
    let mut written = Vec::new();
    for (format, name) in forms {
        let text = fs::read_to_string(home.join(name)).unwrap();
        check(format, &text).unwrap();
        written.push(text);
    }

    // What is made from the JSON later is what the run made.
    comes_to(home, &format!("report bad.json {outputs}"), 0, "");
    for ((_, name), text) in forms.iter().zip(&written) {
        assert_eq!(
            &fs::read_to_string(home.join(name)).unwrap(),
            text,
            "{name}"
        );
    }
    comes_to(home, "report good.json bad.json --html both.html", 0, "");
    let both = fs::read_to_string(home.join("both.html")).unwrap();
    check(Format::Html, &both).unwrap();
    comes_to(home, "report p.md", 2, "not a report");

    comes_to(home, "diff good.json good.json", 0, "no difference");
    comes_to(
        home,
        "diff good.json bad.json",
        1,
        "send/duplicate: pass -> fail",
    );
    comes_to(home, "diff bad.json good.json", 0, "1 better");

    comes_to(
        home,
        "baseline write bad.json known.toml --reason known",
        0,
        "",
    );
    comes_to(home, "baseline check bad.json known.toml", 0, "1 excused");
    comes_to(
        home,
        "baseline check good.json known.toml",
        1,
        "UNEXPECTED-PASS",
    );
    let excused = format!("run {cases} {fault} --repeat 2 --baseline known.toml");
    comes_to(home, &excused, 0, "1 excused");
    let known = fs::read_to_string(home.join("known.toml")).unwrap();
    let stale = known.replace("send/duplicate", "send/no-such-case");
    fs::write(home.join("stale.toml"), stale).unwrap();
    comes_to(home, "baseline check good.json stale.toml", 4, "stale");
    fs::write(
        home.join("wrong.toml"),
        "baseline = 1\n[[case]]\nid = 'x'\n",
    )
    .unwrap();
    comes_to(
        home,
        &format!("run {cases} --baseline wrong.toml"),
        2,
        "missing field",
    );
}
