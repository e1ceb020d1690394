//! The requirements, read from the lines `- [ID] (role; observed) sentence` of the specification.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::report::Role;

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The id, as `SND-014`.
    pub id: String,
    /// Who has to keep it: `client`, `server`, `both` or `codec`.
    pub role: String,
    /// How it is observed: `wire`, `state`, `clock` or `none`.
    pub observed: String,
    /// The sentence, word for word.
    pub sentence: String,
    /// The file within the folder of the specification.
    pub file: String,
    /// The line in that file, from 1.
    pub line: usize,
    /// The anchor of the heading that it stands under.
    pub anchor: String,
}

impl Requirement {
    /// True if cases of this role may prove it.
    pub(crate) fn is_of(&self, role: Role) -> bool {
        matches!(self.role.as_str(), "both" | "codec") || self.role == role.name()
    }

    /// True if a testee of this role can be seen to keep or break it.
    #[must_use]
    pub fn is_observable_of(&self, role: Role) -> bool {
        let is_its_own = match role {
            Role::Server => self.role != "client",
            Role::Client => self.role != "server",
            Role::Codec => self.role == "codec",
        };
        is_its_own && self.observed != "none"
    }
}

/// All requirements, by id.
#[derive(Clone, Debug, Default)]
pub struct Requirements(BTreeMap<String, Requirement>);

/// Why the specification could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SpecError {
    path: String,
    message: String,
}

impl Requirements {
    /// Reads every `*.md` of a folder.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be read, an id occurs twice, or none is there.
    pub fn read(folder: &Path) -> Result<Requirements, SpecError> {
        let fail = |message: String| SpecError {
            path: folder.display().to_string(),
            message,
        };
        let mut found = BTreeMap::new();
        let listing = fs::read_dir(folder).map_err(|error| fail(error.to_string()))?;
        for entry in listing {
            let path = entry.map_err(|error| fail(error.to_string()))?.path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            for requirement in parse(&file, &text) {
                if let Some(first) = found.insert(requirement.id.clone(), requirement) {
                    return Err(fail(format!(
                        "{} is defined twice, in {} too",
                        first.id, first.file
                    )));
                }
            }
        }
        if found.is_empty() {
            Err(fail("no requirement in it".to_owned()))
        } else {
            Ok(Requirements(found))
        }
    }

    /// The requirement with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Requirement> {
        self.0.get(id)
    }

    /// All of them, in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.values()
    }
}

impl FromIterator<Requirement> for Requirements {
    fn from_iter<I: IntoIterator<Item = Requirement>>(all: I) -> Requirements {
        let by_id = |requirement: Requirement| (requirement.id.clone(), requirement);
        Requirements(all.into_iter().map(by_id).collect())
    }
}

fn parse(file: &str, text: &str) -> Vec<Requirement> {
    let mut anchor = String::new();
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix('#') {
            anchor = slug(heading.trim_start_matches('#').trim());
        } else if let Some(requirement) = requirement(line) {
            found.push(Requirement {
                file: file.to_owned(),
                line: index + 1,
                anchor: anchor.clone(),
                ..requirement
            });
        }
    }
    found
}

fn requirement(line: &str) -> Option<Requirement> {
    let (id, rest) = line.strip_prefix("- [")?.split_once("] (")?;
    let (how, sentence) = rest.split_once(") ")?;
    let (role, observed) = how.split_once("; ")?;
    let (family, number) = id.split_once('-')?;
    let is_id = family.bytes().all(|byte| byte.is_ascii_uppercase())
        && number.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then(|| Requirement {
        id: id.to_owned(),
        role: role.to_owned(),
        observed: observed.to_owned(),
        sentence: sentence.trim_end().to_owned(),
        file: String::new(),
        line: 0,
        anchor: String::new(),
    })
}

/// The anchor that Git hosts give a heading: lower case, spaces as hyphens, other signs left out.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|sign| match sign {
            ' ' => Some('-'),
            sign if sign.is_alphanumeric() || sign == '-' || sign == '_' => Some(sign),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn a_requirement_is_one_line_under_a_heading() {
        let found = parse(
            "x.md",
            "# X\n\n## ERROR and GOAWAY\n\n- [ERR-001] (server; wire) ERROR MUST be sent only as a reply.\n- no\n",
        );
        let only = found.first().unwrap();
        assert_eq!(
            (only.id.as_str(), only.line, only.anchor.as_str()),
            ("ERR-001", 5, "error-and-goaway")
        );
        assert_eq!(only.sentence, "ERROR MUST be sent only as a reply.");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn the_specification_can_be_read() {
        let all =
            Requirements::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec"))).unwrap();
        assert!(all.iter().count() > 200);
        assert!(all.get("SND-014").unwrap().is_observable_of(Role::Server));
        assert!(!all.get("SND-053").unwrap().is_observable_of(Role::Server));
    }
}
