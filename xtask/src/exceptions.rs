//! `spec/registries/exceptions.toml`: requirements that lack code, a case or a mutant, each with its reason.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::problem::Problems;
use crate::spec::Spec;

/// Where the list stands.
pub const PATH: &str = "spec/registries/exceptions.toml";

/// What a requirement lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Code with a quote above it.
    Code,
    /// A case that proves it.
    Case,
    /// A mutant that breaks it.
    Mutant,
}

impl Missing {
    /// The word that the list uses.
    pub fn name(self) -> &'static str {
        match self {
            Missing::Code => "code",
            Missing::Case => "case",
            Missing::Mutant => "mutant",
        }
    }
}

/// One entry of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The requirement.
    pub id: String,
    /// What it lacks.
    pub missing: Missing,
    /// Why that is right.
    pub reason: String,
}

/// Reads the list; entries that name nothing, say nothing or stand twice go to `problems`.
///
/// # Errors
/// When the file is there and does not parse.
pub fn load(root: &Path, spec: &Spec, problems: &mut Problems) -> Result<Vec<Exception>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        #[serde(default)]
        exception: Vec<Exception>,
    }
    let path = root.join(PATH);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PATH}"))?;
    let list: List = toml::from_str(&text).with_context(|| format!("{PATH} does not parse"))?;
    for (index, entry) in list.exception.iter().enumerate() {
        if spec.get(&entry.id).is_none() {
            problems.add(PATH, format!("{} is not in the specification", entry.id));
        }
        if entry.reason.trim().is_empty() {
            problems.add(PATH, format!("{} has no reason", entry.id));
        }
        let earlier = list.exception.get(..index).unwrap_or_default();
        if earlier
            .iter()
            .any(|other| other.id == entry.id && other.missing == entry.missing)
        {
            problems.add(
                PATH,
                format!(
                    "{} is excepted from {} twice",
                    entry.id,
                    entry.missing.name()
                ),
            );
        }
    }
    Ok(list.exception)
}
