//! Strict readers of what the reports are written as, so that a report that some tool could not read is seen here first.

use roxmltree::{Document, Node};

use super::{Format, from_json};

mod hostile;
mod html;
mod tap;
mod xsd;

pub(crate) use hostile::{bears, texts};

/// The schema of the JUnit XML.
const JUNIT_XSD: &str = include_str!("../../../fixtures/schemas/junit.xsd");

/// What is wrong with a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub(super) String);

impl Broken {
    fn new(what: impl Into<String>) -> Broken {
        Broken(what.into())
    }
}

/// Reads a report in the given form as the strictest of its readers would.
///
/// # Errors
/// What such a reader would stumble over.
pub fn check(format: Format, text: &str) -> Result<(), Broken> {
    match format {
        Format::Json => from_json(text)
            .map(drop)
            .map_err(|error| Broken::new(error.to_string())),
        Format::Html => html::check(text),
        Format::Junit => junit(text),
        Format::Tap => tap::check(text),
        Format::Markdown => plain(text),
        Format::Badge => badge(text),
    }
}

fn junit(text: &str) -> Result<(), Broken> {
    let document = parse(text)?;
    let schema = parse(JUNIT_XSD)?;
    xsd::Schema::new(&schema)?.check(&document)?;
    // What no schema can say: the counts are those of the cases below.
    let counted =
        |node: &Node<'_, '_>| matches!(node.tag_name().name(), "testsuites" | "testsuite");
    for suite in document.descendants().filter(counted) {
        let count = |name: &str| {
            let is_it = |node: &Node<'_, '_>| node.has_tag_name(name);
            suite.descendants().filter(is_it).count()
        };
        let counts = [
            ("tests", count("testcase")),
            ("failures", count("failure")),
            ("errors", count("error")),
        ];
        for (name, count) in counts {
            let said = suite.attribute(name).unwrap_or("0");
            if said != count.to_string() {
                return Err(Broken::new(format!(
                    "{name} says {said}, and there are {count}"
                )));
            }
        }
    }
    Ok(())
}

/// An XML document, refused where it is not well-formed.
fn parse(text: &str) -> Result<Document<'_>, Broken> {
    Document::parse(text).map_err(|error| Broken::new(error.to_string()))
}

fn badge(text: &str) -> Result<(), Broken> {
    let document = parse(text)?;
    let root = document.root_element();
    if root.tag_name().name() == "svg"
        && root
            .children()
            .any(|child| child.tag_name().name() == "title")
    {
        Ok(())
    } else {
        Err(Broken::new("no SVG with a title"))
    }
}

/// Text for people holds nothing that steers what shows it, and its tables have rows of one length.
fn plain(text: &str) -> Result<(), Broken> {
    if let Some(sign) = text.chars().find(|sign| sign.is_control() && *sign != '\n') {
        return Err(Broken::new(format!("the sign {sign:?}")));
    }
    for line in text.lines().filter(|line| line.starts_with('|')) {
        if line.replace("\\|", "").matches('|').count() != 3 {
            return Err(Broken::new(format!("a row of the table: {line}")));
        }
    }
    let open = |line: &&str| line.contains("<") && !line.contains('`');
    match text.lines().find(open) {
        Some(line) => Err(Broken::new(format!("markup in {line}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
