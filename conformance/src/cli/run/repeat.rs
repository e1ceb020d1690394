//! The command that repeats a run, ready for a filter and a seed.

use std::path::Path;

use super::RunArgs;
use crate::cli::Folders;
use crate::session::Transport;

/// The command with every option that chose or changed what was tested. The filter, the seed and what only
/// concerns the report are left out; files of one's own stay, or there would be no such case.
pub(in crate::cli) fn command(program: Option<&Path>, args: &RunArgs, folders: &Folders) -> String {
    let mut words = vec![format!("{} run", start(program))];
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.push(format!("--{name} {}", quote(&value)));
        }
    };
    let path = |path: &Path| path.display().to_string();
    option("server", args.target.server.clone());
    option("users", args.target.users.as_deref().map(path));
    option("testee", args.target.testee.as_deref().map(path));
    let transport = args.target.transport;
    option(
        "transport",
        (transport != Transport::Tcp).then(|| transport.to_string()),
    );
    option("mutant", args.mutant.clone());
    option("budget-ms", args.budget_ms.map(|budget| budget.to_string()));
    option("fixtures", folders.asked.fixtures.as_deref().map(path));
    option("spec", folders.asked.spec.as_deref().map(path));
    for session in &args.cases.session {
        option("session", Some(path(session)));
    }
    if args.target.kill {
        words.push("--kill".to_owned());
    }
    words.join(" ")
}

/// How the program is started where this one runs: by cargo in the checkout that built it, by its path outside of it, and
/// by its name where it was installed.
fn start(program: Option<&Path>) -> String {
    let built = program.and_then(|program| {
        let target = program
            .ancestors()
            .find(|folder| folder.file_name().is_some_and(|name| name == "target"))?;
        Some((program, target.parent()?))
    });
    let Some((program, checkout)) = built else {
        return "tidewire-conformance".to_owned();
    };
    let is_here = std::env::current_dir().is_ok_and(|here| here.starts_with(checkout));
    match is_here {
        true => "cargo run --release -p tidewire-conformance --".to_owned(),
        false => quote(&program.display().to_string()),
    }
}

/// The words of such a command, as a shell would find them.
pub(in crate::cli) fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut is_quoted, mut is_within) = (false, false);
    let mut signs = command.chars();
    while let Some(sign) = signs.next() {
        let sign = match sign {
            '\'' => {
                is_quoted = !is_quoted;
                None
            }
            '\\' if !is_quoted => signs.next(),
            sign if sign.is_whitespace() && !is_quoted => {
                is_within = false;
                continue;
            }
            sign => Some(sign),
        };
        if !is_within {
            words.push(String::new());
            is_within = true;
        }
        if let Some(word) = words.last_mut() {
            word.extend(sign);
        }
    }
    words
}

/// A word as a shell takes it for one.
fn quote(word: &str) -> String {
    let is_plain = |sign: char| {
        sign.is_alphanumeric() || matches!(sign, '/' | '.' | '-' | '_' | ':' | '[' | ']')
    };
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use clap::Parser;

    use super::*;
    use crate::cli::FolderArgs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        folders: FolderArgs,
        #[command(flatten)]
        args: RunArgs,
    }

    fn repeat(program: &str, words: &[&str]) -> String {
        let line = Line::try_parse_from(std::iter::once(&"run").chain(words)).unwrap();
        command(
            Some(Path::new(program)),
            &line.args,
            &Folders::find(line.folders),
        )
    }

    #[test]
    fn every_option_that_was_used_is_there() {
        assert_eq!(
            repeat("/bin/tidewire-conformance", &[]),
            "tidewire-conformance run"
        );
        let words = [
            "--server",
            "[::1]:7400",
            "--users",
            "my users.toml",
            "--transport",
            "ws",
            "--budget-ms",
            "90",
            "--kill",
            "--filter",
            "send/plain",
            "--seed",
            "1",
            "--jobs",
            "3",
        ];
        assert_eq!(
            repeat("/home/me/target/release/tidewire-conformance", &words),
            "/home/me/target/release/tidewire-conformance run --server [::1]:7400 --users 'my users.toml' \
             --transport ws --budget-ms 90 --kill"
        );
        let here = std::env::current_dir().unwrap();
        let built = here.join("target/release/tidewire-conformance");
        assert_eq!(
            repeat(built.to_str().unwrap(), &[]),
            "cargo run --release -p tidewire-conformance -- run"
        );
        assert_eq!(
            repeat("/x", &["--testee", "it's.toml", "--spec", "other"]),
            r"tidewire-conformance run --testee 'it'\''s.toml' --spec other"
        );
    }
}
