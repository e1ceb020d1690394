//! All session files of a folder, read and held against the specification.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Session;
use super::check::check;
use super::parse::session;
use crate::spec::Requirements;
use crate::tree::Fault;

/// What is wrong in which line of which file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FixtureError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for FixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

/// The cases, by id.
#[derive(Clone, Debug, Default)]
pub struct Sessions(BTreeMap<String, Session>);

impl Sessions {
    /// Reads `<fixtures>/sessions/<family>/*.toml`.
    ///
    /// # Errors
    /// Everything that is wrong in any file: what does not parse, names what is not there, cites a requirement that the
    /// specification has not, or expects an ERROR or a GOAWAY without a twin.
    pub fn read(
        fixtures: &Path,
        requirements: &Requirements,
    ) -> Result<Sessions, Vec<FixtureError>> {
        let mut errors = Vec::new();
        let mut sessions = BTreeMap::new();
        let root = fixtures.join("sessions");
        for path in toml_files(&root, &mut errors) {
            match read_one(&root, &path) {
                Ok(session) => drop(sessions.insert(session.id.clone(), session)),
                Err(error) => errors.push(error),
            }
        }
        for session in sessions.values() {
            let faults = check(session, &sessions, requirements);
            errors.extend(
                faults
                    .into_iter()
                    .map(|fault| located(&session.path, fault)),
            );
        }
        if errors.is_empty() {
            Ok(Sessions(sessions))
        } else {
            Err(errors)
        }
    }

    /// Adds a case that lies elsewhere, or finds the one that this file is already; gives its id.
    ///
    /// # Errors
    /// As [`read`](Sessions::read), for this file.
    pub fn add(
        &mut self,
        path: &Path,
        requirements: &Requirements,
    ) -> Result<String, Vec<FixtureError>> {
        let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_it =
            |session: &&Session| session.path.canonicalize().is_ok_and(|known| known == full);
        if let Some(known) = self.iter().find(is_it) {
            return Ok(known.id.clone());
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let id = format!("own/{name}");
        let text = fs::read_to_string(path)
            .map_err(|error| vec![located(path, Fault::new(1, error.to_string()))])?;
        let session = Sessions::parse(&id, path, &text).map_err(|error| vec![error])?;
        self.0.insert(id.clone(), session.clone());
        let faults = check(&session, &self.0, requirements);
        if faults.is_empty() {
            return Ok(id);
        }
        Err(faults
            .into_iter()
            .map(|fault| located(path, fault))
            .collect())
    }

    /// Reads one case from text, unchecked against others: for tests and tools.
    ///
    /// # Errors
    /// The first thing that is wrong in it.
    pub fn parse(id: &str, path: &Path, text: &str) -> Result<Session, FixtureError> {
        session(id, path, text).map_err(|fault| located(path, fault))
    }

    /// The case with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Session> {
        self.0.get(id)
    }

    /// All cases, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.0.values()
    }

    /// The number of cases.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn located(path: &Path, fault: Fault) -> FixtureError {
    FixtureError {
        path: path.to_owned(),
        line: fault.line,
        message: fault.message,
    }
}

/// Every TOML file below a folder, in the order of their paths.
pub(crate) fn toml_files(root: &Path, errors: &mut Vec<FixtureError>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        match fs::read_dir(&folder) {
            Ok(listing) => {
                for path in listing.filter_map(Result::ok).map(|entry| entry.path()) {
                    if path.is_dir() {
                        folders.push(path);
                    } else if path
                        .extension()
                        .is_some_and(|extension| extension == "toml")
                    {
                        found.push(path);
                    }
                }
            }
            Err(error) => errors.push(FixtureError {
                path: folder,
                line: 1,
                message: error.to_string(),
            }),
        }
    }
    found.sort();
    found
}

/// The id of what this file holds: its path below the folder, without the extension.
pub(crate) fn id_of(root: &Path, path: &Path) -> String {
    let within = path.strip_prefix(root).unwrap_or(path).with_extension("");
    within
        .iter()
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

fn read_one(root: &Path, path: &Path) -> Result<Session, FixtureError> {
    let id = id_of(root, path);
    let text = fs::read_to_string(path)
        .map_err(|error| located(path, Fault::new(1, error.to_string())))?;
    Sessions::parse(&id, path, &text)
}
