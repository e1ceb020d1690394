//! The report as one page for a browser: styles, script and data within it, and nothing fetched from anywhere.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::text::{in_line, xml};
use super::{BaselineOutcome, CaseReport, Coverage, Event, Evidence, Report, TesteeFacts};
use crate::spec::Requirement;

const PAGE: &str = include_str!("html/page.html");
/// What every page of ours looks like.
pub(crate) const STYLE: &str = include_str!("html/page.css");
const STYLES: [&str; 2] = [STYLE, include_str!("html/evidence.css")];
const SCRIPTS: [&str; 6] = [
    include_str!("html/dom.js"),
    include_str!("html/hex.js"),
    include_str!("html/ladder.js"),
    include_str!("html/detail.js"),
    include_str!("html/views.js"),
    include_str!("html/page.js"),
];

/// The data of a page are kept below this many bytes: a browser has to be quick with it, and so has a mail.
const MOST_BYTES: usize = 1_300_000;
/// How much of each case is in the page, tried one after the other until it is small enough.
const ROOMS: [Room; 6] = [
    Room::new(usize::MAX, usize::MAX, 20_000),
    Room::new(24, 200, 20_000),
    Room::new(8, 60, 4_000),
    Room::new(3, 24, 1_000),
    Room::new(1, 8, 400),
    Room::new(0, 0, 120),
];

/// What the page has room for.
#[derive(Clone, Copy)]
struct Room {
    /// So many of the last frames of a case keep their bytes.
    frames: usize,
    /// So many of its last events are there at all.
    events: usize,
    /// A text has so many characters.
    text: usize,
}

impl Room {
    const fn new(frames: usize, events: usize, text: usize) -> Room {
        Room {
            frames,
            events,
            text,
        }
    }
}

/// What the script of the page reads.
#[derive(Serialize)]
struct Page<'r> {
    testees: Vec<Testee<'r>>,
    requirements: Vec<&'r Requirement>,
    cases: Vec<Case<'r>>,
}

#[derive(Serialize)]
struct Testee<'r> {
    #[serde(flatten)]
    facts: &'r TesteeFacts,
    runner: &'r str,
    date: String,
    seed: String,
    duration_ms: u128,
    round_trip_us: Option<u128>,
    exit_code: u8,
    headline: String,
    repeat: &'r str,
    coverage: Coverage,
    baseline: Option<&'r BaselineOutcome>,
}

/// A case, with what it came to for each testee.
#[derive(Serialize)]
struct Case<'r> {
    id: &'r str,
    family: &'r str,
    role: &'r str,
    title: &'r str,
    file: String,
    twin: Option<&'r str>,
    claims: Vec<&'r str>,
    results: Vec<Option<Value>>,
}

/// One page with a column for each report.
///
/// # Errors
/// None in practice: every part of a report can be written as JSON.
pub fn to_html(reports: &[Report]) -> Result<String, serde_json::Error> {
    let mut data = String::new();
    for room in ROOMS {
        let mut value = serde_json::to_value(page(reports, room)?)?;
        clip(&mut value, room.text);
        data = value.to_string();
        if data.len() <= MOST_BYTES {
            break;
        }
    }
    // Within a script element the only danger is a `<`: it could end the element or begin a comment.
    let data = data.replace('<', "\\u003c");
    let titles: Vec<String> = reports.iter().map(|report| report.testee.title()).collect();
    let title = xml(&in_line(&titles.join(", "), 120));
    let mut html = String::with_capacity(data.len() + PAGE.len());
    // The template is walked once, so that nothing that was put in is looked through for places again.
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, behind) = after.split_once("}}").unwrap_or(("", after));
        html.push_str(before);
        match place {
            "title" => html.push_str(&title),
            "style" => html.push_str(&STYLES.concat()),
            "script" => html.push_str(&SCRIPTS.concat()),
            "data" => html.push_str(&data),
            _ => {}
        }
        rest = behind;
    }
    html.push_str(rest);
    Ok(html)
}

fn page(reports: &[Report], room: Room) -> Result<Page<'_>, serde_json::Error> {
    let mut requirements: BTreeMap<&str, &Requirement> = BTreeMap::new();
    let mut cases: BTreeMap<&str, Case<'_>> = BTreeMap::new();
    for (index, report) in reports.iter().enumerate() {
        let proofs = report.proofs();
        for requirement in report.requirements.iter() {
            let is_told = requirement.is_observable_of(report.testee.role);
            if is_told || proofs.contains_key(requirement.id.as_str()) {
                requirements.insert(&requirement.id, requirement);
            }
        }
        for case in &report.cases {
            let entry = cases.entry(&case.id).or_insert_with(|| Case {
                id: &case.id,
                family: &case.family,
                role: case.role.name(),
                title: &case.title,
                file: case.file.display().to_string(),
                twin: case.twin.as_deref(),
                claims: case.claims.iter().map(String::as_str).collect(),
                results: vec![None; reports.len()],
            });
            if let Some(place) = entry.results.get_mut(index) {
                *place = Some(result(case, room)?);
            }
        }
    }
    Ok(Page {
        testees: reports.iter().map(testee).collect(),
        requirements: requirements.into_values().collect(),
        cases: cases.into_values().collect(),
    })
}

fn testee(report: &Report) -> Testee<'_> {
    Testee {
        facts: &report.testee,
        runner: &report.runner,
        date: report.date.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        seed: report.seed.to_string(),
        duration_ms: report.duration.as_millis(),
        round_trip_us: report.round_trip.map(|time| time.as_micros()),
        exit_code: report.exit_code(),
        headline: report.headline(),
        repeat: &report.repeat,
        coverage: report.coverage,
        baseline: report.baseline.as_ref(),
    }
}

/// What differs from testee to testee.
fn result(case: &CaseReport, room: Room) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(CaseReport {
        evidence: case.evidence.as_ref().map(|all| shortened(all, room)),
        ..case.clone()
    })?;
    if let Value::Object(fields) = &mut value {
        for common in ["id", "family", "role", "title", "file", "twin", "claims"] {
            fields.remove(common);
        }
        // Nearly always all is proved that is claimed.
        if case.proved == case.claims {
            fields.remove("proved");
        }
    }
    Ok(value)
}

/// The end of the evidence, with bytes for its last frames only.
fn shortened(evidence: &Evidence, room: Room) -> Evidence {
    let skipped = evidence.events.len().saturating_sub(room.events);
    let mut events = evidence.events.get(skipped..).unwrap_or_default().to_vec();
    let seen = events.iter_mut().rev().filter_map(|event| match event {
        Event::Frame(seen) => Some(seen),
        _ => None,
    });
    for frame in seen.skip(room.frames) {
        frame.hex.clear();
        frame.spans.clear();
    }
    Evidence {
        actors: evidence.actors.clone(),
        earlier: evidence.earlier + skipped,
        events,
    }
}

/// Cuts every text in the data.
fn clip(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(most) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clip(item, most)),
        Value::Object(fields) => fields.values_mut().for_each(|field| clip(field, most)),
        _ => {}
    }
}
