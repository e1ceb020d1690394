//! What is generated is fresh: code, registry, fixtures and quotes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use xtask::files::Output;
use xtask::problem::Problems;
use xtask::spec::Spec;
use xtask::{fixtures, generate, quotes, root};

#[track_caller]
fn check(output: &Output, owned: &[&str], command: &str) {
    let mut problems = Problems::default();
    output.check(&root(), owned, &mut problems).unwrap();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "run `cargo xtask {command}`:\n{}",
        found.join("\n")
    );
}

#[test]
fn generated_files_are_fresh() {
    check(&generate::output(&root()).unwrap(), &[], "generate");
}

#[test]
fn fixtures_are_fresh() {
    check(
        &fixtures::output(&root()).unwrap(),
        &fixtures::OWNED,
        "fixtures",
    );
}

#[test]
fn quotes_are_exact() {
    let mut problems = Problems::default();
    let spec = Spec::load(&root(), &mut problems).unwrap();
    let found = quotes::scan(&root(), &mut problems).unwrap();
    quotes::check(&found, &spec, &mut problems);
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "run `cargo xtask quote`:\n{}",
        found.join("\n")
    );
}
