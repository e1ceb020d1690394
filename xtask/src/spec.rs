//! Requirements, read from the lines `- [ID] (role; observability) sentence` of the chapters in `spec/`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::problem::Problems;

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

/// The anchors that GitHub gives to the headings of one file.
#[derive(Default)]
struct Anchors {
    current: String,
    seen: BTreeMap<String, u32>,
}

impl Anchors {
    fn heading(&mut self, line: &str) {
        let slug = slug(line.trim_start_matches('#').trim());
        let count = self.seen.entry(slug.clone()).or_insert(0);
        self.current = if *count == 0 {
            slug
        } else {
            format!("{slug}-{count}")
        };
        *count += 1;
    }
}

/// GitHub's anchor of a heading: lower case, punctuation dropped, spaces to hyphens.
pub fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Whether `text` has the form of an id: three capitals, a hyphen, three digits.
pub fn is_id(text: &str) -> bool {
    text.len() == 7
        && text.bytes().enumerate().all(|(i, b)| match i {
            0..=2 => b.is_ascii_uppercase(),
            3 => b == b'-',
            _ => b.is_ascii_digit(),
        })
}

/// A line is meant as a requirement when capitals and a hyphen follow the bracket; list items that are links are not.
fn looks_like_id(rest: &str) -> bool {
    let capitals = rest.bytes().take_while(u8::is_ascii_uppercase).count();
    capitals >= 2 && rest.as_bytes().get(capitals) == Some(&b'-')
}

type Parsed = (String, Role, Observability, Level, String);

fn parse_line(rest: &str) -> Result<Parsed, String> {
    let (id, rest) = rest
        .split_once("] (")
        .ok_or("a requirement has the form `- [ID] (role; observability) sentence`")?;
    if !is_id(id) {
        return Err(format!(
            "`{id}` is not an id of three capitals, a hyphen and three digits"
        ));
    }
    let (head, sentence) = rest
        .split_once(") ")
        .ok_or_else(|| format!("{id}: the bracket is not closed"))?;
    let (role, observability) = head
        .split_once("; ")
        .ok_or_else(|| format!("{id}: no `; ` in `({head})`"))?;
    let role = match role {
        "client" => Role::Client,
        "server" => Role::Server,
        "both" => Role::Both,
        "codec" => Role::Codec,
        other => return Err(format!("{id}: unknown role `{other}`")),
    };
    let observability = match observability {
        "wire" => Observability::Wire,
        "state" => Observability::State,
        "clock" => Observability::Clock,
        "none" => Observability::None,
        other => return Err(format!("{id}: unknown observability `{other}`")),
    };
    if sentence.trim() != sentence || !sentence.ends_with('.') || sentence.contains("  ") {
        return Err(format!(
            "{id}: a sentence ends with a full stop and has single spaces"
        ));
    }
    let level = level(sentence)
        .map_err(|found| format!("{id}: one of MUST, SHOULD, MAY is wanted once, found {found}"))?;
    Ok((
        id.to_owned(),
        role,
        observability,
        level,
        sentence.to_owned(),
    ))
}

/// The one keyword of a sentence, or how many there are.
fn level(sentence: &str) -> Result<Level, usize> {
    // An underscore belongs to its word, so ANYONE_MAY_SEND is no keyword.
    let words = sentence.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let mut levels = words.filter_map(|word| match word {
        "MUST" => Some(Level::Must),
        "SHOULD" => Some(Level::Should),
        "MAY" => Some(Level::May),
        _ => None,
    });
    match (levels.next(), levels.count()) {
        (Some(level), 0) => Ok(level),
        (None, _) => Err(0),
        (Some(_), more) => Err(more + 1),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_whole_words() {
        assert_eq!(
            level("It MUST NOT do so, unless the group has ANYONE_MAY_SEND."),
            Ok(Level::Must)
        );
        assert_eq!(level("It MUST do this and MAY do that."), Err(2));
        assert_eq!(level("It does."), Err(0));
    }

    #[test]
    fn slugs_are_githubs() {
        assert_eq!(slug("Online only"), "online-only");
        assert_eq!(
            slug("`requires`, and what it's for"),
            "requires-and-what-its-for"
        );
    }
}
