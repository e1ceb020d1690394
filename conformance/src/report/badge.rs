//! The report as a badge: an SVG of two fields that a README shows.

use super::Report;
use super::text::{in_line, xml};

/// The width of a letter of the badge in tenths of a pixel; the text is stretched to what this comes to.
const LETTER: usize = 66;
/// What is free on each side of a text, in pixels.
const MARGIN: usize = 7;

/// A badge with the name of what was judged and how that went. Of several reports it tells the worst.
#[must_use]
pub fn to_badge(reports: &[Report]) -> String {
    let roles: Vec<&str> = reports
        .iter()
        .map(|report| report.testee.role.name())
        .collect();
    let label = match roles.split_first() {
        Some((first, rest)) if rest.iter().all(|role| role == first) => format!("tidewire {first}"),
        _ => "tidewire".to_owned(),
    };
    let worst = reports.iter().max_by_key(|report| report.exit_code());
    let (message, color) = match worst {
        None => ("no report".to_owned(), "#7a7f87"),
        Some(report) => {
            let color = match report.exit_code() {
                0 => "#1f8a4c",
                1 => "#c8322b",
                _ => "#b7791f",
            };
            (report.headline(), color)
        }
    };
    let (label, message) = (in_line(&label, 40), in_line(&message, 60));
    let wide = |text: &str| text.chars().count() * LETTER / 10;
    let (left, right) = (wide(&label), wide(&message));
    let (first, all) = (left + 2 * MARGIN, left + right + 4 * MARGIN);
    let (label, message) = (xml(&label), xml(&message));
    let second = all - first;
    let at = first + MARGIN;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="20" role="img" aria-label="{label}: {message}">
  <title>{label}: {message}</title>
  <clipPath id="r"><rect width="{all}" height="20" rx="4"/></clipPath>
  <g clip-path="url(#r)">
    <rect width="{first}" height="20" fill="#2b3440"/>
    <rect x="{first}" width="{second}" height="20" fill="{color}"/>
  </g>
  <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
    <text x="{MARGIN}" y="14" textLength="{left}">{label}</text>
    <text x="{at}" y="14" textLength="{right}">{message}</text>
  </g>
</svg>
"##
    )
}
