//! Quotes in the text of one source file.

use std::path::Path;

use super::{Quote, Syntax};
use crate::problem::Problems;
use crate::spec::is_id;

/// The quotes and marks of a file, in order. What looks like one and is none goes to `problems`.
pub(super) fn parse(
    file: &Path,
    text: &str,
    syntax: Syntax,
    problems: &mut Problems,
) -> Vec<Quote> {
    let in_tests = file.components().any(|c| {
        matches!(
            c.as_os_str().to_str(),
            Some("tests" | "tests.rs" | "benches")
        )
    });
    let mut quotes: Vec<Quote> = Vec::new();
    let mut pending = Pending::default();
    let mut test_module = false;
    for (line, full) in (1..).zip(text.lines()) {
        let trimmed = full.trim_start();
        let indent = &full[..full.len() - trimmed.len()];
        let place = || format!("{}:{line}", file.display());
        // The house style puts the test module last in its file.
        test_module |= trimmed == "#[cfg(test)]" && indent.is_empty();
        if let Some(meta) = trimmed
            .strip_prefix(syntax.place)
            .filter(|rest| rest.starts_with(' '))
        {
            match meta.trim() {
                "type=test" => pending.test = true,
                location => pending.location = Some(location.to_owned()),
            }
            pending.line.get_or_insert(line);
            continue;
        }
        let Some(said) = trimmed
            .strip_prefix(syntax.text)
            .filter(|rest| rest.starts_with(' '))
        else {
            if let Some(line) = pending.line.take() {
                problems.add(
                    &format!("{}:{line}", file.display()),
                    "a place without a quote",
                );
            }
            pending = Pending::default();
            continue;
        };
        let said = said.trim();
        let ids = ids(said);
        if ids.is_empty() {
            match quotes.last_mut() {
                Some(quote)
                    if quote.end == line
                        && !quote.sentence.is_empty()
                        && pending.line.is_none() =>
                {
                    quote.sentence.push(' ');
                    quote.sentence.push_str(said);
                    quote.end = line + 1;
                }
                _ => problems.add(&place(), "a quote begins with an id in brackets"),
            }
            continue;
        }
        for (id, sentence) in ids {
            quotes.push(Quote {
                file: file.to_owned(),
                line: pending.line.unwrap_or(line),
                end: line + 1,
                indent: indent.to_owned(),
                location: pending.location.clone(),
                test: pending.test || in_tests || test_module,
                id,
                sentence,
                marked_test: pending.test,
            });
        }
        pending = Pending::default();
    }
    quotes
}

#[derive(Default)]
struct Pending {
    line: Option<usize>,
    location: Option<String>,
    test: bool,
}

/// The ids that a quote's line begins with; a sentence follows only a single one.
fn ids(mut said: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((id, rest)) = said
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(id, _)| is_id(id))
    {
        found.push((id.to_owned(), String::new()));
        said = rest.trim_start_matches([',', ' ']);
    }
    if let Some((_, sentence)) = found.last_mut() {
        said.clone_into(sentence);
    }
    found
}
