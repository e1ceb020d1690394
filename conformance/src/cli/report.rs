//! `report`: turns JSON reports into pages, XML, lines and badges; and the options for that, which `run` shares.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{EXIT_HARNESS, complain};
use crate::report::{Format, Report, Style, from_json, print};

/// Where reports are written to.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Outputs {
    /// Writes one page for a browser to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the report as JUnit XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the report as TAP 14 to this file.
    #[arg(long, value_name = "FILE")]
    tap: Option<PathBuf>,
    /// Writes a summary in Markdown to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Writes a badge as SVG to this file.
    #[arg(long, value_name = "FILE")]
    badge: Option<PathBuf>,
}

impl Outputs {
    /// The files that were asked for.
    fn files(&self) -> impl Iterator<Item = (Format, &Path)> {
        [
            (Format::Html, &self.html),
            (Format::Junit, &self.junit),
            (Format::Tap, &self.tap),
            (Format::Markdown, &self.markdown),
            (Format::Badge, &self.badge),
        ]
        .into_iter()
        .filter_map(|(format, path)| Some((format, path.as_deref()?)))
    }

    /// Writes them all; false if one could not be written.
    pub(super) fn write(&self, reports: &[Report]) -> bool {
        let mut all = true;
        for (format, path) in self.files() {
            // Each is tried, also after one that went wrong.
            all &= save(format, reports, path);
        }
        all
    }
}

/// Writes the reports to a file; what went wrong goes to stderr.
pub(super) fn save(format: Format, reports: &[Report], path: &Path) -> bool {
    let text = format.render(reports).map_err(|error| error.to_string());
    let saved = text.and_then(|text| fs::write(path, text).map_err(|error| error.to_string()));
    if let Err(error) = &saved {
        complain(&format!("{}: {error}", path.display()));
    }
    saved.is_ok()
}

#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// JSON reports of runs; several stand side by side in the page.
    #[arg(required = true, value_name = "RUN.JSON")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
}

pub(super) fn run(args: &ReportArgs) -> u8 {
    let mut reports = Vec::new();
    for path in &args.runs {
        match read(path) {
            Ok(report) => reports.push(report),
            Err(code) => return code,
        }
    }
    if args.outputs.files().next().is_some() {
        return if args.outputs.write(&reports) {
            0
        } else {
            EXIT_HARNESS
        };
    }
    // Without a file the report goes where the run would have printed it.
    let mut out = anstream::AutoStream::auto(io::stdout());
    for report in &reports {
        if let Err(error) = print(&mut out, report, Style::default())
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return complain(&error.to_string());
        }
    }
    0
}

/// Reads a JSON report; what is wrong with it goes to stderr.
pub(super) fn read(path: &Path) -> Result<Report, u8> {
    let fail = |error: String| complain(&format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    from_json(&text).map_err(|error| fail(error.to_string()))
}
