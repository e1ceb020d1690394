//! Reads the fixtures of the codec direction, strictly: what is wrong in a file is an error of its line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tidewire_codec::limits::HEADER_LEN;

use super::bodies::settled;
use super::frames::{FrameVector, Known};
use super::invalid::{InvalidVector, State};
use super::negotiation::{Row, Twin};
use super::{Vector, What};
use crate::names;
use crate::session::FixtureError;
use crate::spec::Requirements;
use crate::value::unhex;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameFile {
    name: String,
    note: String,
    #[serde(rename = "type")]
    frame_type: String,
    flags: u8,
    #[serde(rename = "ref")]
    reference: u32,
    body: Option<Json>,
    #[serde(default)]
    unknown: String,
    hex: String,
    len: usize,
    canonical: bool,
    proves: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Blame {
    Decode,
    Violation,
    Request,
}

#[derive(Deserialize)]
struct InvalidFile {
    name: String,
    note: String,
    hex: String,
    state: State,
    max_frame: u32,
    blame: Blame,
    proves: BTreeSet<String>,
    /// `reply`, `code` and what else the answer says.
    #[serde(flatten)]
    answer: Map<String, Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    table: String,
    #[serde(rename = "note")]
    _note: String,
    cases: Vec<RowText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowText {
    name: String,
    input: Json,
    expected: Map<String, Json>,
    proves: BTreeSet<String>,
}

/// Every fixture, in the order of the ids.
pub(super) fn read(
    fixtures: &Path,
    requirements: &Requirements,
) -> Result<Vec<Vector>, FixtureError> {
    let mut all = Vec::new();
    for family in sorted(&fixtures.join("frames"))? {
        for path in json_files(&family)? {
            all.push(frame(&path)?);
        }
    }
    for path in json_files(&fixtures.join("invalid"))? {
        all.push(invalid(&path)?);
    }
    for path in json_files(&fixtures.join("negotiation"))? {
        all.extend(table(&path)?);
    }
    for vector in &all {
        let mut cited = vector.proves.iter();
        if let Some(stranger) = cited.find(|id| requirements.get(id).is_none()) {
            return Err(fault(
                &vector.file,
                vector.line,
                format!("no requirement is called {stranger}"),
            ));
        }
    }
    Ok(all)
}

fn frame(path: &Path) -> Result<Vector, FixtureError> {
    let file: FrameFile = read_json(path)?;
    let wrong = |message: String| fault(path, 1, message);
    let frame_type = names::frame_type(&file.frame_type)
        .ok_or_else(|| wrong(format!("no type is called {}", file.frame_type)))?;
    let bytes = read_hex(path, &file.hex)?;
    if bytes.len() != HEADER_LEN.saturating_add(file.len) {
        return Err(wrong(format!(
            "{} bytes are no header and {} of a body",
            bytes.len(),
            file.len
        )));
    }
    let body = match (file.body, names::message_of(frame_type)) {
        (Some(json), Some(message)) => {
            let settled = settled(json.clone(), &message).map_err(wrong)?;
            Some(Known {
                message,
                json,
                settled,
            })
        }
        (None, None) => None,
        _ => {
            return Err(wrong(
                "a body is there exactly where its type is registered".to_owned(),
            ));
        }
    };
    Ok(Vector {
        id: format!("frames/{}", file.name),
        title: file.note,
        file: path.to_owned(),
        line: 1,
        proves: file.proves,
        what: What::Frame(FrameVector {
            frame_type,
            flags: file.flags,
            reference: file.reference,
            body,
            unknown: file.unknown,
            canonical: file.canonical,
            bytes,
        }),
    })
}

fn invalid(path: &Path) -> Result<Vector, FixtureError> {
    let file: InvalidFile = read_json(path)?;
    const SAID: [&str; 6] = ["reply", "code", "field", "limit", "actual", "features"];
    if let Some(stranger) = file.answer.keys().find(|key| !SAID.contains(&key.as_str())) {
        return Err(fault(path, 1, format!("no answer has a {stranger}")));
    }
    if !file.answer.contains_key("reply") || !file.answer.contains_key("code") {
        return Err(fault(path, 1, "an answer has a reply and a code"));
    }
    Ok(Vector {
        id: format!("invalid/{}", file.name),
        title: file.note,
        file: path.to_owned(),
        line: 1,
        proves: file.proves,
        what: What::Invalid(InvalidVector {
            state: file.state,
            max_frame: file.max_frame,
            is_of_body: matches!(file.blame, Blame::Decode),
            answer: file.answer,
            bytes: read_hex(path, &file.hex)?,
        }),
    })
}

fn table(path: &Path) -> Result<Vec<Vector>, FixtureError> {
    let file: TableFile = read_json(path)?;
    let text = fs::read_to_string(path).unwrap_or_default();
    let id = |index: usize| format!("negotiation/{}#{}", file.table, index + 1);
    let rows = file.cases.iter().enumerate().map(|(index, row)| {
        let quoted = Json::from(row.name.clone()).to_string();
        let line = text
            .lines()
            .position(|line| line.contains(&quoted))
            .map_or(1, |line| line + 1);
        // Whatever a codec says that always says the same, one of both is another.
        let after = (1..file.cases.len()).map(|step| (index + step) % file.cases.len());
        let twin = after
            .filter_map(|other| file.cases.get(other).map(|row| (other, row)))
            .find(|(_, other)| other.expected != row.expected)
            .ok_or_else(|| fault(path, line, "no other row has another answer"))?;
        Ok(Vector {
            id: id(index),
            title: row.name.clone(),
            file: path.to_owned(),
            line,
            proves: row.proves.clone(),
            what: What::Row(Row {
                table: file.table.clone(),
                input: row.input.clone(),
                expected: row.expected.clone(),
                twin: Box::new(Twin {
                    id: id(twin.0),
                    input: twin.1.input.clone(),
                    expected: twin.1.expected.clone(),
                }),
            }),
        })
    });
    rows.collect()
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, FixtureError> {
    let mut files = sorted(folder)?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    if files.is_empty() {
        return Err(fault(folder, 0, "no fixture is in it"));
    }
    Ok(files)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, FixtureError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    };
    let mut found = read().map_err(|error| fault(folder, 0, error.to_string()))?;
    found.sort();
    Ok(found)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, FixtureError> {
    let text = fs::read_to_string(path).map_err(|error| fault(path, 0, error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| fault(path, error.line(), error.to_string()))
}

/// The bytes of the `.hex` file beside a fixture.
fn read_hex(path: &Path, name: &str) -> Result<Vec<u8>, FixtureError> {
    let path = path.with_file_name(name);
    let text = fs::read_to_string(&path).map_err(|error| fault(&path, 0, error.to_string()))?;
    unhex(&text).ok_or_else(|| fault(&path, 1, "not an even number of hex digits"))
}

fn fault(path: &Path, line: usize, message: impl Into<String>) -> FixtureError {
    FixtureError {
        path: path.to_owned(),
        line,
        message: message.into(),
    }
}
