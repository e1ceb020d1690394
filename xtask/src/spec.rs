//! Requirements, read from the lines `- [ID] (role; observability) sentence` of the chapters in `spec/`.

mod line;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::problem::Problems;
use line::{Anchors, looks_like_id, parse_line};
pub use line::{is_id, slug};

/// How much a requirement demands: the one keyword of its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// MUST or MUST NOT.
    Must,
    /// SHOULD or SHOULD NOT.
    Should,
    /// MAY.
    May,
}

/// Who has to keep a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever logs in.
    Client,
    /// Whoever is logged in to.
    Server,
    /// Each side.
    Both,
    /// Any implementation, seen by bytes alone.
    Codec,
}

/// What shows that a requirement is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observability {
    /// Frames on connections.
    Wire,
    /// A later connection or a restart.
    State,
    /// Time has to pass.
    Clock,
    /// Nothing that is visible from outside.
    None,
}

/// One sentence of the specification that binds somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The id, never reused: `SND-014`.
    pub id: String,
    /// The keyword.
    pub level: Level,
    /// Who has to keep it.
    pub role: Role,
    /// How it is observed.
    pub observability: Observability,
    /// File name of the chapter below `spec/`.
    pub chapter: String,
    /// Anchor of the heading that it stands under.
    pub anchor: String,
    /// The sentence, without id and brackets.
    pub sentence: String,
}

impl Requirement {
    /// Where a quote points: `spec/30-send.md#idempotency`.
    pub fn location(&self) -> String {
        format!("spec/{}#{}", self.chapter, self.anchor)
    }

    /// Whether the code of this repository has to keep it: everything but what binds clients alone.
    pub fn binds_server(&self) -> bool {
        self.role != Role::Client
    }
}

/// All requirements, by id, in the order of the chapters.
#[derive(Debug, Default)]
pub struct Spec {
    requirements: Vec<Requirement>,
    by_id: BTreeMap<String, usize>,
}

impl Spec {
    /// Reads every chapter below `root/spec`; what breaks the form goes to `problems` and is left out.
    ///
    /// # Errors
    /// When a file cannot be read, or `registries/families.toml` does not parse.
    pub fn load(root: &Path, problems: &mut Problems) -> Result<Self> {
        let prefixes = prefixes(root)?;
        let mut spec = Spec::default();
        let folder = root.join("spec");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?
        {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let text = std::fs::read_to_string(folder.join(&name))?;
            spec.add_chapter(
                &name,
                &text,
                prefixes.get(&name).map(String::as_str),
                problems,
            );
        }
        Ok(spec)
    }

    /// The requirement with this id.
    pub fn get(&self, id: &str) -> Option<&Requirement> {
        self.by_id.get(id).and_then(|&i| self.requirements.get(i))
    }

    /// All of them, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements.iter()
    }

    fn add_chapter(
        &mut self,
        chapter: &str,
        text: &str,
        prefix: Option<&str>,
        problems: &mut Problems,
    ) {
        let mut anchors = Anchors::default();
        let mut fenced = false;
        for (number, line) in (1..).zip(text.lines()) {
            if line.starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            if line.starts_with('#') {
                anchors.heading(line);
            }
            let Some(rest) = line.strip_prefix("- [").filter(|rest| looks_like_id(rest)) else {
                continue;
            };
            let place = format!("spec/{chapter}:{number}");
            match parse_line(rest) {
                Ok((id, role, observability, level, sentence)) => {
                    if prefix.is_none_or(|p| !id.starts_with(&format!("{p}-"))) {
                        let belongs = prefix.unwrap_or("none");
                        problems.add(
                            &place,
                            format!("{id} does not begin with the chapter's prefix ({belongs})"),
                        );
                    }
                    let requirement = Requirement {
                        id: id.clone(),
                        level,
                        role,
                        observability,
                        chapter: chapter.to_owned(),
                        anchor: anchors.current.clone(),
                        sentence,
                    };
                    if self.by_id.contains_key(&id) {
                        problems.add(&place, format!("{id} is used twice"));
                        continue;
                    }
                    self.by_id.insert(id, self.requirements.len());
                    self.requirements.push(requirement);
                }
                Err(why) => problems.add(&place, why),
            }
        }
    }
}

/// Chapter to prefix, from the registry of families.
fn prefixes(root: &Path) -> Result<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Entry {
        chapter: Option<String>,
        prefix: String,
    }
    #[derive(Deserialize)]
    struct Registry {
        #[serde(default)]
        family: Vec<Entry>,
        #[serde(default)]
        chapter: Vec<Entry>,
    }
    let path = root.join("spec/registries/families.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let registry: Registry =
        toml::from_str(&text).with_context(|| format!("{} does not parse", path.display()))?;
    let entries = registry.family.into_iter().chain(registry.chapter);
    Ok(entries
        .filter_map(|e| e.chapter.map(|chapter| (chapter, e.prefix)))
        .collect())
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        })
    }
}
