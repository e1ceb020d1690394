//! `lint-adapter`: what is wrong with an adapter is said with the question that shows it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::process::Command;

/// A codec in a few lines: unknown ops are unsupported, and a question goes to `answer(request)`.
const ADAPTER: &str = r#"
import json, sys
def say(line):
    print(json.dumps(line), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if "hello" in request:
        say({"hello": {"protocol": 1, "name": "own", "version": "1", "roles": ["codec"], "ops": ["decode", "encode"]}})
    elif request["op"] not in ("decode", "encode"):
        say({"id": request["id"], "unsupported": True})
    else:
        say({"id": request["id"], **answer(request)})
"#;

/// The exit code and what was printed of an adapter that answers so.
fn lint(answer: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("adapter.py"),
        format!("def answer(request):\n    {answer}\n{ADAPTER}"),
    )
    .unwrap();
    let file = folder.path().join("codec.toml");
    let text =
        "name = \"own\"\nrole = \"codec\"\n\n[adapter]\ncommand = [\"python3\", \"adapter.py\"]\n";
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire-conformance"));
    let output = command.arg("lint-adapter").arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said)
}

#[test]
fn who_refuses_nonsense_is_fine() {
    let (code, said) = lint("return {'err': {'code': 'BAD_REQUEST', 'text': 'no'}}");
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("FAULT"), "{said}");
}

#[test]
fn who_takes_nonsense_is_not() {
    let (code, said) = lint("return {'ok': {}}");
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said.matches("FAULT").count(), 2, "{said}");
}

/// Of each op the question and the last words, since the second is asked of another process.
#[test]
fn who_dies_is_shown_with_the_question() {
    let (code, said) = lint("raise SystemExit('cannot bear ' + request['op'])");
    assert_eq!(code, Some(3), "{said}");
    for op in ["decode", "encode"] {
        assert!(said.contains(&format!("asked: {op} {{")), "{said}");
        assert!(
            said.contains(&format!("stderr: cannot bear {op}")),
            "{said}"
        );
    }
}
