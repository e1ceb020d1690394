//! The mutants of the fixtures: which broken behaviour a requirement, or a case, has to catch.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// What a mutant says about itself; how it does it is no matter here.
#[derive(Debug, Deserialize)]
pub(super) struct Mutant {
    /// What a wrong implementation would do.
    pub(super) title: String,
    /// The requirements that this breaks.
    pub(super) breaks: Vec<String>,
}

/// All mutants by id. Files that are not readable are the business of the command that plays them.
pub(super) fn read(fixtures: &Path) -> BTreeMap<String, Mutant> {
    let mut found = BTreeMap::new();
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    for family in entries(&fixtures.join("mutants")) {
        for file in entries(&family.path()) {
            let path = file.path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
                && let Ok(mutant) = toml::from_str(&text)
            {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                let id = format!("{}/{name}", family.file_name().to_string_lossy());
                found.insert(id, mutant);
            }
        }
    }
    found
}
