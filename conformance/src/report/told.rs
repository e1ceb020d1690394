//! All that there is to say about a case that did not pass, line by line, for terminals and for plain text alike.

use super::text::{LONGEST, in_line};
use super::{About, CaseReport, Report};

/// A line: what it is about, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) label: &'static str,
    pub(super) text: String,
}

/// The sentences of a case that are shown where the step that failed has none of its own.
const ABOUT: usize = 3;
/// The width of the labels.
const LABEL: usize = 10;

impl Told {
    fn new(label: &'static str, text: impl AsRef<str>) -> Told {
        let text = in_line(text.as_ref(), LONGEST);
        Told { label, text }
    }

    /// The line without colours.
    pub(super) fn plain(&self) -> String {
        if self.label.is_empty() {
            return self.text.clone();
        }
        let label = format!("{}:", self.label);
        format!("{label:LABEL$}{}", self.text).trim_end().to_owned()
    }
}

/// The lines about a case.
pub(super) fn told(report: &Report, case: &CaseReport) -> Vec<Told> {
    let mut lines = vec![Told::new("", &case.title)];
    let mut tell = |label, text: &str| lines.push(Told::new(label, text));
    if let Some(reason) = &case.reason {
        tell("reason", reason);
    }
    if let Some(overlay) = &case.overlay {
        tell(
            "baseline",
            &format!("{}: {}", overlay.kind.name(), overlay.reason),
        );
    }
    if let Some(repeats) = case.repeats {
        let share = 100.0 * repeats.rate();
        let (failed, runs) = (repeats.failed, repeats.runs);
        tell(
            "rate",
            &format!("did not pass in {failed} of {runs} runs ({share:.1} %)"),
        );
    }
    let file = case.file.display();
    let Some(failure) = &case.failure else {
        tell("file", &file.to_string());
        return lines;
    };
    match failure.line {
        0 => tell("step", &format!("{file}: after the last step")),
        line => tell("step", &format!("{file}:{line}")),
    }
    for line in &failure.step {
        tell("", &format!("          {line}"));
    }
    if let Some(actor) = &failure.actor {
        tell("actor", actor);
    }
    if let Some(variant) = &failure.variant {
        let (failed, all) = (case.failed_variants, case.variants);
        tell(
            "variant",
            &format!("{variant} ({failed} of {all} results failed)"),
        );
    }
    let mut left_out = 0;
    for (number, (about, requirement)) in report.sentences(case).enumerate() {
        if about == About::Case && number >= ABOUT {
            left_out += 1;
            continue;
        }
        let label = match about {
            About::Step => "sentence",
            About::OneOfStep => "proves",
            About::Case => "about",
        };
        let (id, role, observed) = (&requirement.id, &requirement.role, &requirement.observed);
        let (sentence, file) = (&requirement.sentence, &requirement.file);
        let anchor = &requirement.anchor;
        tell(
            label,
            &format!("[{id}] ({role}; {observed}) {sentence} (spec/{file}#{anchor})"),
        );
    }
    if left_out > 0 {
        tell("about", &format!("and {left_out} more sentences"));
    }
    tell("likely", failure.class.text());
    if !failure.at.is_empty() {
        tell("at", &failure.at);
    }
    if !failure.expected.is_empty() {
        tell("expected", &failure.expected);
    }
    tell("got", &failure.got);
    if let Some(evidence) = &case.evidence {
        tell("frames", "");
        for line in evidence.lines(false) {
            tell("", &format!("  {line}"));
        }
    }
    if !failure.stderr.is_empty() {
        tell("stderr", "the last lines of the adapter");
        for line in &failure.stderr {
            tell("", &format!("  {line}"));
        }
    }
    tell("repeat", &report.command_for(case));
    lines
}

/// The same case in one line.
pub(super) fn in_short(case: &CaseReport) -> String {
    let Some(failure) = &case.failure else {
        return in_line(case.reason.as_deref().unwrap_or(&case.title), 200);
    };
    let at = match failure.at.as_str() {
        "" => String::new(),
        at => format!(" at {at}"),
    };
    let expected = match failure.expected.as_str() {
        "" => String::new(),
        expected => format!(", expected {}", in_line(expected, 80)),
    };
    let text = format!(
        "{}{at}{expected}, got {} ({}:{})",
        failure.class.text(),
        in_line(&failure.got, 80),
        case.file.display(),
        failure.line
    );
    in_line(&text, 400)
}
