//! Mutants: which requirements they say that they break, and which of them the suite was seen to kill.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::files::walk;
use crate::problem::Problems;
use crate::spec::{Spec, is_id};

const FOLDER: &str = "fixtures/mutants";

/// A wrong implementation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Path below `fixtures/mutants` without extension.
    pub id: String,
    /// The requirements that it breaks.
    pub breaks: Vec<String>,
}

/// The part of a mutant's file that the gate reads; the runner reads all of it strictly.
#[derive(Deserialize)]
struct File {
    breaks: Vec<String>,
    equivalent: Option<String>,
}

/// All mutants below `root` that can be told from a correct implementation; what does not parse, or breaks what is no
/// requirement, goes to `problems`.
///
/// # Errors
/// When a file cannot be read.
pub fn scan(root: &Path, spec: &Spec, problems: &mut Problems) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for file in walk(root, FOLDER, "toml")? {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(root.join(&file))
            .with_context(|| format!("cannot read {shown}"))?;
        let read: File = match toml::from_str(&text) {
            Ok(read) => read,
            Err(error) => {
                problems.add(&shown, error.message());
                continue;
            }
        };
        for id in &read.breaks {
            if !is_id(id) || spec.get(id).is_none() {
                problems.add(
                    &shown,
                    format!("breaks {id}, which is not in the specification"),
                );
            }
        }
        if read.equivalent.is_none() {
            let within = file.strip_prefix(FOLDER).unwrap_or(&file);
            mutants.push(Mutant {
                id: within.with_extension("").display().to_string(),
                breaks: read.breaks,
            });
        }
    }
    Ok(mutants)
}

/// The part of the artefact of `selftest`, or of `mutants --json`, that the gate reads.
#[derive(Debug, Deserialize)]
pub struct Killed {
    mutants: Vec<Judged>,
}

#[derive(Debug, Deserialize)]
struct Judged {
    id: String,
    kills: Vec<Kill>,
}

#[derive(Debug, Deserialize)]
struct Kill {
    cites: BTreeSet<String>,
}

impl Killed {
    /// Reads the artefact.
    ///
    /// # Errors
    /// When the file cannot be read or has no list of mutants.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} holds no judged mutants", path.display()))
    }

    /// Whether a case that cites the requirement was seen to fail with the mutant.
    pub(crate) fn has(&self, mutant: &str, requirement: &str) -> bool {
        self.mutants.iter().any(|judged| {
            judged.id == mutant
                && judged
                    .kills
                    .iter()
                    .any(|kill| kill.cites.contains(requirement))
        })
    }
}
