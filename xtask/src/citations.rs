//! Which cases say that they prove a requirement: `proves` in sessions and in the derived fixtures.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::files::walk;
use crate::problem::Problems;
use crate::spec::{Role, Spec, is_id};

/// What kind of file cites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session: the runner plays it, so it proves what it observes.
    Session,
    /// A derived fixture: the codec's tests check it, so it proves what a codec does and nothing of a server.
    Derived,
}

/// One mention of a requirement under `proves`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// The requirement.
    pub id: String,
    /// The kind of file.
    pub kind: Kind,
    /// The case: path below the folder of its kind, without extension.
    pub case: String,
    /// File and line.
    pub place: String,
}

impl Citation {
    /// Whether the case observes what somebody in this role does.
    pub fn counts_for(&self, role: Role) -> bool {
        match self.kind {
            Kind::Session => true,
            Kind::Derived => matches!(role, Role::Codec | Role::Both),
        }
    }
}

/// All citations below `root/fixtures`; ids that the specification lacks go to `problems`.
///
/// # Errors
/// When a file cannot be read or is neither TOML nor JSON.
pub fn scan(root: &Path, spec: &Spec, problems: &mut Problems) -> Result<Vec<Citation>> {
    let mut citations = Vec::new();
    let folders = [
        ("fixtures/sessions", "toml", Kind::Session),
        ("fixtures/frames", "json", Kind::Derived),
        ("fixtures/invalid", "json", Kind::Derived),
        ("fixtures/negotiation", "json", Kind::Derived),
    ];
    for (folder, extension, kind) in folders {
        for file in walk(root, folder, extension)? {
            let text = std::fs::read_to_string(root.join(&file))
                .with_context(|| format!("cannot read {}", file.display()))?;
            let shown = file.display().to_string();
            let parsed = if extension == "toml" {
                toml::from_str::<Value>(&text).map_err(|e| e.message().to_owned())
            } else {
                serde_json::from_str::<Value>(&text).map_err(|e| e.to_string())
            };
            let value = match parsed {
                Ok(value) => value,
                Err(why) => {
                    problems.add(&shown, why);
                    continue;
                }
            };
            let case = file
                .strip_prefix(folder)
                .unwrap_or(&file)
                .with_extension("")
                .display()
                .to_string();
            let mut ids = Vec::new();
            collect(&value, &shown, &mut ids, problems);
            for id in ids {
                let place = format!("{shown}:{}", line_of(&text, &id));
                if spec.get(&id).is_none() {
                    problems.add(
                        &place,
                        format!("proves {id}, which is not in the specification"),
                    );
                    continue;
                }
                citations.push(Citation {
                    id,
                    kind,
                    case: case.clone(),
                    place,
                });
            }
        }
    }
    Ok(citations)
}

/// Every id under a `proves`, however deep, once.
fn collect(value: &Value, place: &str, ids: &mut Vec<String>, problems: &mut Problems) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect(item, place, ids, problems)),
        Value::Object(fields) => {
            for (key, value) in fields {
                // A body may have a field of any name, but no proto field is called `proves`.
                if key != "proves" {
                    collect(value, place, ids, problems);
                    continue;
                }
                for item in value.as_array().into_iter().flatten() {
                    match item.as_str() {
                        Some(id) if is_id(id) && !ids.iter().any(|known| known == id) => {
                            ids.push(id.to_owned())
                        }
                        Some(id) if is_id(id) => {}
                        _ => problems.add(place, format!("proves {item}, which is not an id")),
                    }
                }
            }
        }
        _ => {}
    }
}

/// The first line that names the id in quotation marks.
fn line_of(text: &str, id: &str) -> usize {
    let quoted = format!("\"{id}\"");
    text.lines()
        .position(|line| line.contains(&quoted))
        .map_or(1, |index| index + 1)
}
