//! The gate on small trees that are broken in one way each.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use tempfile::TempDir;
use xtask::gate::{self, Evidence, RunReport, Trace};
use xtask::mutants::Killed;
use xtask::problem::Problems;
use xtask::quotes;
use xtask::spec::Spec;

const FAMILIES: &str = "[[family]]\nname = \"send\"\nchapter = \"30-send.md\"\nprefix = \"SND\"\n";

const CHAPTER: &str = "# Send

Text that binds nobody MUST NOT be read.

    - [SND-999] (server; wire) An example MUST NOT be read.

## Keys and *more*

- [SND-001] (server; wire) The server MUST answer.
- [SND-002] (codec; wire) A decoder MUST read a sentence that is long enough to need a second line where somebody quotes \
it beside the code that keeps it, as here.
- [SND-003] (client; wire) A client MUST wait.
- [SND-004] (server; none) The server MUST be careful.
- [SND-005] (server; wire) The server SHOULD be kind to those with MAY_SEND.
- [not a requirement](30-send.md)
";

const CODE: &str = "//! Server.

//= spec/30-send.md#keys-and-more
//# [SND-001] The server MUST answer.
fn answer() {}

//= spec/30-send.md#keys-and-more
//# [SND-004] The server MUST be careful.
fn careful() {}
";

const CODEC: &str = "    //= spec/30-send.md#keys-and-more
    //# [SND-002] A decoder MUST read a sentence that is long enough to need a second line where somebody quotes it
    //# beside the code that keeps it, as here.
";

const SESSION: &str =
    "title = \"t\"\n[[step]]\nexpect_set = [{ expect = \"OK\", proves = [\"SND-001\"] }]\n";

const FRAME: &str = "{\"name\": \"send/x\", \"proves\": [\"SND-002\", \"SND-001\"]}";

const MUTANT: &str = "title = \"t\"\nbreaks = [\"SND-001\", \"SND-003\"]\n";

const EXCEPTIONS: &str =
    "[[exception]]\nid = \"SND-003\"\nmissing = \"code\"\nreason = \"binds clients\"\n
[[exception]]\nid = \"SND-004\"\nmissing = \"case\"\nreason = \"nobody sees it\"\n";

/// A tree that the gate likes.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    write(root, "spec/registries/families.toml", FAMILIES);
    write(root, "spec/registries/exceptions.toml", EXCEPTIONS);
    write(root, "spec/30-send.md", CHAPTER);
    write(root, "reference-server/src/lib.rs", CODE);
    write(root, "codec/src/lib.rs", CODEC);
    write(root, "fixtures/sessions/send/plain.toml", SESSION);
    write(root, "fixtures/frames/send/x.json", FRAME);
    write(root, "fixtures/mutants/send/mute.toml", MUTANT);
    tree
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What the gate finds in the tree after `path` was changed.
#[track_caller]
fn found(path: &str, from: &str, to: &str) -> String {
    let tree = tree();
    let text = std::fs::read_to_string(tree.path().join(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    write(tree.path(), path, &text.replace(from, to));
    problems(tree.path(), Evidence::default()).0
}

fn problems(root: &Path, evidence: Evidence<'_>) -> (String, Trace) {
    let mut problems = Problems::default();
    let trace = gate::run(root, evidence, &mut problems).unwrap();
    (
        problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect(),
        trace,
    )
}

#[test]
fn a_good_tree_passes() {
    let (found, trace) = problems(tree().path(), Evidence::default());
    assert_eq!(found, "");
    insta::assert_snapshot!(xtask::table::render(&trace));
}

#[test]
fn the_form_of_requirements() {
    let chapter = "spec/30-send.md";
    let line = "(server; wire) The server MUST answer.";
    let mut all = String::new();
    for wrong in [
        "(server wire) The server MUST answer.",
        "(host; wire) The server MUST answer.",
        "(server; sight) The server MUST answer.",
        "(server; wire The server MUST answer.",
        "(server; wire) The server answers.",
        "(server; wire) The server MUST answer and MAY wait.",
        "(server; wire) The server MUST answer",
    ] {
        all += &found(chapter, line, wrong);
        all += "\n";
    }
    all += &found(chapter, "[SND-004]", "[SND-001]");
    all += "\n";
    all += &found(chapter, "[SND-005]", "[GRP-005]");
    all += "\n";
    all += &found(chapter, "[SND-005]", "[SND-5]");
    insta::assert_snapshot!(all);
}

#[test]
fn quotes_that_are_wrong() {
    let code = "reference-server/src/lib.rs";
    let mut all = String::new();
    for (from, to) in [
        ("MUST answer", "SHOULD answer"),
        ("#keys-and-more", "#send"),
        (
            "//= spec/30-send.md#keys-and-more\n//# [SND-001]",
            "//# [SND-001]",
        ),
        ("[SND-001]", "[SND-077]"),
        ("//# [SND-001] The server MUST answer.", "//# [SND-001]"),
        ("//# [SND-001] The server MUST answer.\n", ""),
        ("//# [SND-001] The server", "//# The server"),
        ("//# [SND-001]", "//= type=test\n//# [SND-001]"),
    ] {
        all += &found(code, from, to);
        all += "\n";
    }
    all += &found("codec/src/lib.rs", "code that keeps", "code which keeps");
    insta::assert_snapshot!(all);
}

#[test]
fn cases_that_are_missing_or_wrong() {
    let session = "fixtures/sessions/send/plain.toml";
    let mut all = found(session, "[\"SND-001\"]", "[]");
    all += "\n";
    all += &found(session, "SND-001", "SND-077");
    all += "\n";
    all += &found(session, "\"SND-001\"", "\"SND-001\", 7");
    all += "\n";
    all += &found(session, "title = ", "title ");
    all += "\n";
    all += &found("fixtures/frames/send/x.json", "SND-002", "SND-001");
    insta::assert_snapshot!(all);
}

#[test]
fn exceptions_that_are_stale() {
    let list = "spec/registries/exceptions.toml";
    let mut all = String::new();
    for (from, to) in [
        ("SND-003", "SND-001"),
        ("SND-003", "SND-077"),
        (
            "\"SND-003\"\nmissing = \"code\"",
            "\"SND-003\"\nmissing = \"case\"",
        ),
        ("SND-003", "SND-005"),
        ("binds clients", " "),
        (
            "id = \"SND-003\"\nmissing = \"code\"",
            "id = \"SND-004\"\nmissing = \"case\"",
        ),
    ] {
        all += &found(list, from, to);
        all += "\n";
    }
    insta::assert_snapshot!(all);
}

#[test]
fn code_in_the_wrong_place_keeps_nothing() {
    for place in [
        "conformance/src/lib.rs",
        "reference-server/tests/a.rs",
        "reference-server/benches/a.rs",
    ] {
        let tree = tree();
        std::fs::remove_file(tree.path().join("reference-server/src/lib.rs")).unwrap();
        write(tree.path(), place, CODE);
        let (found, _) = problems(tree.path(), Evidence::default());
        assert!(
            found.contains("SND-001 is not quoted by code that keeps it"),
            "{place}: {found}"
        );
    }
    let tree = tree();
    write(
        tree.path(),
        "reference-server/src/lib.rs",
        &format!("#[cfg(test)]\nmod tests {{\n{CODE}}}\n"),
    );
    let (found, _) = problems(tree.path(), Evidence::default());
    assert!(
        found.contains("SND-004 is not quoted by code that keeps it"),
        "{found}"
    );
}

#[test]
fn a_python_client_keeps_what_binds_clients() {
    let tree = tree();
    let quote = "#= spec/30-send.md#keys-and-more\n## [SND-003] A client MUST wait.\n";
    write(tree.path(), "conformance/adapters/python/client.py", quote);
    let (found, _) = problems(tree.path(), Evidence::default());
    assert_eq!(
        found,
        "spec/registries/exceptions.toml: SND-003 is excepted from code and has one\n"
    );
}

#[test]
fn a_run_report_takes_the_place_of_trust() {
    let report = |verdict: &str, proved: &str| -> RunReport {
        let case = format!(
            r#"{{"cases": [{{"id": "send/plain", "verdict": "{verdict}", "proved": [{proved}]}}]}}"#
        );
        serde_json::from_str(&case).unwrap()
    };
    let tree = tree();
    let run = |report: &RunReport| {
        let run = Some(report);
        let selftest = None;
        problems(tree.path(), Evidence { run, selftest }).0
    };
    assert_eq!(run(&report("pass", "\"SND-001\"")), "");
    let missing = "spec/30-send.md#keys-and-more: SND-001 is not proven by a case that was executed and passed\n";
    assert_eq!(run(&report("pass", "")), missing);
    assert_eq!(run(&report("fail", "\"SND-001\"")), missing);
}

#[test]
fn mutants_that_are_missing_or_wrong() {
    let mutant = "fixtures/mutants/send/mute.toml";
    let place = "spec/30-send.md#keys-and-more";
    assert_eq!(
        found(mutant, "\"SND-001\", ", ""),
        format!("{place}: SND-001 is not broken by a mutant\n")
    );
    assert_eq!(
        found(mutant, "breaks", "equivalent = \"no\"\nbreaks"),
        format!(
            "{place}: SND-001 is not broken by a mutant\n{place}: SND-003 is not broken by a mutant\n"
        )
    );
    assert_eq!(
        found(mutant, "SND-003\"", "SND-003\", \"SND-077\""),
        format!("{mutant}: breaks SND-077, which is not in the specification\n")
    );
}

#[test]
fn a_self_test_takes_the_place_of_trust() {
    let killed = |cites: &str| -> Killed {
        let text = format!(
            r#"{{"mutants": [{{"id": "send/mute", "kills": [{{"case": "send/plain", "cites": [{cites}]}}]}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let tree = tree();
    let run = |killed: &Killed| {
        let selftest = Some(killed);
        problems(
            tree.path(),
            Evidence {
                run: None,
                selftest,
            },
        )
        .0
    };
    assert_eq!(run(&killed("\"SND-001\", \"SND-003\"")), "");
    assert_eq!(
        run(&killed("\"SND-003\"")),
        "spec/30-send.md#keys-and-more: SND-001 is not broken by a mutant that a case kills which cites it\n"
    );
}

#[test]
fn quote_completes_marks_in_the_chosen_folders() {
    let tree = tree();
    write(
        tree.path(),
        "codec/src/lib.rs",
        "fn a() {\n    //# [SND-002]\n}\n",
    );
    write(
        tree.path(),
        "reference-server/src/lib.rs",
        "//# [SND-001]\n",
    );
    let mut problems = Problems::default();
    let spec = Spec::load(tree.path(), &mut problems).unwrap();
    let below = ["codec".into()];
    let changed = quotes::refresh(tree.path(), &below, &spec, &mut problems).unwrap();
    let [(file, text)] = changed.as_slice() else {
        panic!("{changed:?}")
    };
    assert_eq!(file, Path::new("codec/src/lib.rs"));
    assert_eq!(*text, format!("fn a() {{\n{CODEC}}}\n"));
    assert!(problems.is_empty());
}
