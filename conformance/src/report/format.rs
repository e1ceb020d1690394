//! The forms of a report, one function for all of them.

use super::{Report, html, json, to_badge, to_junit, to_markdown, to_tap};

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, from which the others can be made.
    Json,
    /// One page for a browser.
    Html,
    /// JUnit XML.
    Junit,
    /// TAP 14.
    Tap,
    /// Markdown for the summary of a job.
    Markdown,
    /// A badge as SVG.
    Badge,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("as JSON: {0}")]
pub struct RenderError(#[from] serde_json::Error);

impl Format {
    /// All of them.
    pub const ALL: [Format; 6] = [
        Format::Json,
        Format::Html,
        Format::Junit,
        Format::Tap,
        Format::Markdown,
        Format::Badge,
    ];

    /// The reports in this form. JSON holds one report: of several the first.
    ///
    /// # Errors
    /// None in practice: every report can be written in every form.
    pub fn render(self, reports: &[Report]) -> Result<String, RenderError> {
        Ok(match self {
            Format::Json => match reports.first() {
                Some(report) => json::to_json(report)?,
                None => String::new(),
            },
            Format::Html => html::to_html(reports)?,
            Format::Junit => to_junit(reports),
            Format::Tap => to_tap(reports),
            Format::Markdown => to_markdown(reports),
            Format::Badge => to_badge(reports),
        })
    }
}
