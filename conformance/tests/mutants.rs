//! Mutants: some of each means are seen, and one that nobody sees is told.

#![cfg(feature = "reference-server")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use tidewire_conformance::{Mutants, Requirements};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn mutants(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire-conformance"));
    let output = command.arg("mutants").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, said)
}

/// By a frame, by the preface, by a close that is not seen, by the back door, by time, by the store.
#[test]
fn every_means_breaks_something_that_a_case_sees() {
    let ids = [
        "send/duplicate-is-new",
        "send/conversations-mixed",
        "control/no-preface",
        "control/stays-open-after-goaway",
        "control/ws-takes-whoever-comes",
        "expiry/half-the-life",
        "login/revoked-token-works",
        "send/stored-is-forgotten",
    ];
    let filters: Vec<&str> = ids.iter().flat_map(|id| ["--filter", id]).collect();
    let (output, said) = mutants(&filters);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("8 mutants: 8 killed"), "{said}");
}

/// A folder of fixtures with one mutant of our own.
fn with(mutant: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("mutants/send");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("own.toml"), mutant).unwrap();
    let sessions = folder.path().join("sessions/send");
    std::fs::create_dir_all(&sessions).unwrap();
    let plain = root().join("fixtures/sessions/send/plain.toml");
    std::fs::copy(plain, sessions.join("plain.toml")).unwrap();
    folder
}

#[test]
fn a_mutant_that_no_case_sees_survives() {
    let folder =
        with("title = \"t\"\nbreaks = [\"SND-001\"]\n[[rule]]\non = \"EXPIRED\"\ndo = \"drop\"\n");
    let fixtures = folder.path().display().to_string();
    let (output, said) = mutants(&["--fixtures", &fixtures]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("SURVIVED  send/own"), "{said}");
    assert!(
        said.contains("the rule in line 3 applied 0 times"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_with_a_mutant_is_told_with_its_line() {
    let requirements = Requirements::read(&root().join("spec")).unwrap();
    let rule = "[[rule]]\non = \"MESSAGE\"\ndo = \"drop\"\n";
    for (text, line, why) in [
        ("breaks = [\"SND-001\"]\n", 1, "`title`"),
        ("title = \"t\"\nbreaks = []\n", 2, "breaks something"),
        (
            "title = \"t\"\nbreaks = [\"SND-001\"]\n",
            1,
            "does something",
        ),
        (
            "title = \"t\"\nbreaks = [\"SND-999\"]\n",
            1,
            "no requirement SND-999",
        ),
        (
            "title = \"t\"\nbreaks = [\"SND-053\"]\n",
            1,
            "for a client to break",
        ),
        (
            "title = \"t\"\nbreaks = [\"SND-001\"]\nrole = \"toaster\"\n",
            3,
            "unknown role",
        ),
        (
            "title = \"t\"\nbreaks = [\"SND-001\"]\nignore = [\"rain\"]\n",
            3,
            "cannot be ignored",
        ),
        (
            "title = \"t\"\nbreaks = [\"SND-001\"]\nclock = \"late\"\n",
            3,
            "stuck, double or half",
        ),
        (
            "title = \"t\"\nbreaks = [\"SND-001\"]\nkind = 1\n",
            3,
            "unknown key `kind`",
        ),
    ] {
        let has_rule = line != 1 || why != "does something";
        let text = format!("{text}{}", if has_rule { rule } else { "" });
        let folder = with(&text);
        let errors = Mutants::read(folder.path(), &requirements).unwrap_err();
        let error = errors.first().unwrap();
        assert!(error.message.contains(why), "{error} is not about {why}");
        assert_eq!(error.line, line, "{error}");
    }
}

#[test]
fn every_mutant_of_the_repository_can_be_read() {
    let requirements = Requirements::read(&root().join("spec")).unwrap();
    let mutants = Mutants::read(&root().join("fixtures"), &requirements).unwrap();
    assert!(mutants.len() > 300);
}
