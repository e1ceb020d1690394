//! `spec/registries/requirements.toml`: the requirements of all chapters as data, made from the text.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::problem::Problems;
use crate::spec::{Requirement, Spec};

/// Where the registry stands.
pub const PATH: &str = "spec/registries/requirements.toml";

const HEAD: &str = "# Every requirement of the chapters, in their order. Made by `cargo xtask generate`: edit the chapters instead.\n\n";

/// The registry as a file holds it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The entries.
    pub requirement: Vec<Requirement>,
}

/// The text of the registry for the chapters below `root`.
///
/// # Errors
/// When a chapter cannot be read or a requirement breaks the form.
pub fn text(root: &Path) -> Result<String> {
    let mut problems = Problems::default();
    let spec = Spec::load(root, &mut problems)?;
    if !problems.is_empty() {
        let mut all = String::new();
        for problem in problems.iter() {
            let _ = write!(all, "\n  {problem}");
        }
        bail!("the chapters break the form of requirements:{all}");
    }
    let registry = Registry {
        requirement: spec.iter().cloned().collect(),
    };
    Ok(format!("{HEAD}{}", toml::to_string(&registry)?))
}
