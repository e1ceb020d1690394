//! Quotes of requirements beside the code that keeps them.
//!
//! ```text
//! //= spec/30-send.md#idempotency
//! //# [SND-024] A SEND that was refused MUST NOT consume its key.
//! ```
//!
//! A line `//= type=test` after the first marks a test. Python has `#=` and `##` instead.
//! A bare mark `//# [SND-024]` is not a quote yet: `cargo xtask quote` completes it.

mod parse;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::files::walk;
use crate::problem::Problems;
use crate::spec::Spec;
use parse::parse;

/// Columns that a quote may take.
const WIDTH: usize = 120;

/// Folders that are searched for quotes, each with the extension of its sources.
pub const SEARCHED: [(&str, Syntax); 6] = [
    ("client", RUST),
    ("codec", RUST),
    ("reference-server", RUST),
    ("conformance", RUST),
    ("conformance/adapters", PYTHON),
    ("conformance/adapters/typescript", TYPESCRIPT),
];

/// How a language writes the two kinds of comment.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    extension: &'static str,
    place: &'static str,
    text: &'static str,
}

const RUST: Syntax = Syntax {
    extension: "rs",
    place: "//=",
    text: "//#",
};
const TYPESCRIPT: Syntax = Syntax {
    extension: "ts",
    ..RUST
};
const PYTHON: Syntax = Syntax {
    extension: "py",
    place: "#=",
    text: "##",
};

/// One quote as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The file, below the root.
    pub file: PathBuf,
    /// First line, counted from 1.
    pub line: usize,
    /// Line after the last.
    pub end: usize,
    /// White space before it.
    pub indent: String,
    /// What `//=` says, if anything.
    pub location: Option<String>,
    /// Whether it stands in a test.
    pub test: bool,
    /// The id in brackets.
    pub id: String,
    /// The sentence as quoted; empty for a bare mark.
    pub sentence: String,
    marked_test: bool,
}

impl Quote {
    /// File and line.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

/// All quotes below `root`.
///
/// # Errors
/// When a file cannot be read.
pub fn scan(root: &Path, problems: &mut Problems) -> Result<Vec<Quote>> {
    let mut quotes = Vec::new();
    for (folder, syntax) in SEARCHED {
        for file in walk(root, folder, syntax.extension)? {
            let text = read(root, &file)?;
            quotes.extend(parse(&file, &text, syntax, problems));
        }
    }
    Ok(quotes)
}

/// Holds each quote against the text of the specification.
pub fn check(quotes: &[Quote], spec: &Spec, problems: &mut Problems) {
    for quote in quotes {
        let (place, id) = (quote.place(), &quote.id);
        let Some(requirement) = spec.get(id) else {
            problems.add(&place, format!("{id} is not in the specification"));
            continue;
        };
        if quote.sentence.is_empty() {
            problems.add(
                &place,
                format!("{id} is a bare mark; run `cargo xtask quote`"),
            );
            continue;
        }
        if quote.sentence != requirement.sentence {
            problems.add(
                &place,
                format!(
                    "{id} is quoted wrongly; the sentence is: {}",
                    requirement.sentence
                ),
            );
        }
        let (found, wanted) = (
            quote.location.as_deref().unwrap_or("nothing"),
            requirement.location(),
        );
        if found != wanted {
            problems.add(
                &place,
                format!("{id} points to {found} instead of {wanted}"),
            );
        }
    }
}

/// Completes bare marks and refreshes quotes in every searched file whose path begins with one of `below` (all where
/// it is empty); returns the files with their new text.
///
/// # Errors
/// When a file cannot be read.
pub fn refresh(
    root: &Path,
    below: &[PathBuf],
    spec: &Spec,
    problems: &mut Problems,
) -> Result<Vec<(PathBuf, String)>> {
    let mut changed = Vec::new();
    for (folder, syntax) in SEARCHED {
        for file in walk(root, folder, syntax.extension)? {
            if !below.is_empty() && !below.iter().any(|start| file.starts_with(start)) {
                continue;
            }
            let text = read(root, &file)?;
            let fresh = refresh_text(&file, &text, syntax, spec, problems);
            if fresh != text {
                changed.push((file, fresh));
            }
        }
    }
    Ok(changed)
}

fn refresh_text(
    file: &Path,
    text: &str,
    syntax: Syntax,
    spec: &Spec,
    problems: &mut Problems,
) -> String {
    let quotes = parse(file, text, syntax, problems);
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::with_capacity(text.len());
    let mut next = 0;
    for quote in &quotes {
        let start = quote.line - 1;
        // Several ids on one line share it: only the first copies what stands before.
        if start >= next {
            push_lines(&mut out, lines.get(next..start));
        }
        next = next.max(quote.end - 1);
        match spec.get(&quote.id) {
            Some(requirement) => {
                push_line(
                    &mut out,
                    &format!(
                        "{}{} {}",
                        quote.indent,
                        syntax.place,
                        requirement.location()
                    ),
                );
                if quote.marked_test {
                    push_line(
                        &mut out,
                        &format!("{}{} type=test", quote.indent, syntax.place),
                    );
                }
                let words = format!("[{}] {}", requirement.id, requirement.sentence);
                wrap(
                    &mut out,
                    &format!("{}{}", quote.indent, syntax.text),
                    &words,
                );
            }
            None => {
                problems.add(
                    &quote.place(),
                    format!("{} is not in the specification", quote.id),
                );
                push_lines(&mut out, lines.get(start..quote.end - 1));
            }
        }
    }
    push_lines(&mut out, lines.get(next..));
    if !text.ends_with('\n') {
        out.pop();
    }
    out
}

fn wrap(out: &mut String, start: &str, words: &str) {
    let mut line = start.to_owned();
    for word in words.split(' ') {
        if line.len() > start.len() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            push_line(out, &line);
            start.clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    push_line(out, &line);
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn push_lines(out: &mut String, lines: Option<&[&str]>) {
    for line in lines.unwrap_or_default() {
        push_line(out, line);
    }
}

fn read(root: &Path, file: &Path) -> Result<String> {
    std::fs::read_to_string(root.join(file))
        .with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    /// Checks what `quote` makes of `before`, and that doing it again changes nothing and finds nothing.
    #[track_caller]
    fn check_refresh(before: &str, after: &str) {
        let mut problems = Problems::default();
        let spec = Spec::load(&crate::root(), &mut problems).unwrap();
        let file = Path::new("codec/src/x.rs");
        let once = refresh_text(file, before, RUST, &spec, &mut problems);
        assert_eq!(once, after);
        assert_eq!(refresh_text(file, &once, RUST, &spec, &mut problems), after);
        check(
            &parse(file, &once, RUST, &mut problems),
            &spec,
            &mut problems,
        );
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn a_bare_mark_is_completed() {
        check_refresh(
            "fn a() {\n    //# [SND-024]\n    b();\n}\n",
            "fn a() {\n    //= spec/30-send.md#idempotency\n    \
             //# [SND-024] A SEND that was refused MUST NOT consume its key.\n    b();\n}\n",
        );
    }

    #[test]
    fn several_ids_become_several_quotes() {
        check_refresh(
            "//= type=test\n//# [SND-024], [SND-025]\nx\n",
            "//= spec/30-send.md#idempotency\n//= type=test\n\
             //# [SND-024] A SEND that was refused MUST NOT consume its key.\n\
             //= spec/30-send.md#idempotency\n//= type=test\n\
             //# [SND-025] Keys MUST be remembered across a restart of the server.\nx\n",
        );
    }

    #[test]
    fn an_old_sentence_is_refreshed_and_a_long_one_wrapped() {
        check_refresh(
            "//= spec/99.md#x\n//# [SND-022] Some old\n//# sentence.\n    //# [SND-012]\nx",
            "//= spec/30-send.md#idempotency\n\
             //# [SND-022] A SEND whose key was accepted before with other fields MUST be answered with ERROR \
             IDEM_CONFLICT.\n    //= spec/30-send.md#send-1\n    \
             //# [SND-012] A SEND without a target, or with delivery UNSPECIFIED, MUST be answered with ERROR \
             INVALID_FIELD that\n    //# names target or delivery.\nx",
        );
    }
}
