//! Mutants: wrong implementations as data. Each is a correct testee with one thing broken between it and the runner, and
//! names the requirements that this breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::report::Role;
use crate::session::FixtureError;
use crate::spec::Requirements;
use crate::tap::Rules;
use crate::tree::{self, Fault, Fields, Node};

mod judge;
mod lines;
mod parade;

pub(crate) use judge::{Judge, Reach};
pub use judge::{Judgement, Kill};
pub(crate) use lines::{Asked, LineCounts, Lines, merge};
pub(crate) use parade::judge_all;

/// A wrong implementation.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// `<family>/<file name>`.
    pub id: String,
    /// What it does wrong, in one line.
    pub title: String,
    /// The requirements that it breaks.
    pub breaks: BTreeSet<String>,
    /// Whose mutant it is.
    pub role: Role,
    /// Patterns of other cases that rightly fail with it.
    pub expect_also: Vec<String>,
    /// Why nobody can tell it from a correct implementation.
    pub equivalent: Option<String>,
    /// The file.
    pub path: PathBuf,
    pub(crate) rules: Arc<Rules>,
    pub(crate) forgets: bool,
    pub(crate) clock: Clock,
    pub(crate) ignores: BTreeSet<String>,
    pub(crate) lines: Arc<Lines>,
    /// A crash of the SDK empties its store.
    pub(crate) loses_store: bool,
}

/// How the time that is asked for arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clock {
    #[default]
    Right,
    Stuck,
    Double,
    Half,
}

impl Clock {
    /// What arrives of so much time.
    pub(crate) fn of(self, ms: u64) -> u64 {
        match self {
            Clock::Right => ms,
            Clock::Stuck => 0,
            Clock::Double => ms.saturating_mul(2),
            Clock::Half => ms / 2,
        }
    }
}

/// What of the back door a mutant can do nothing for.
const IGNORABLE: [&str; 5] = [
    "revoke-token",
    "delete-user",
    "store-full",
    "max-inbox",
    "max-group-members",
];

/// The mutants, by id.
#[derive(Clone, Debug, Default)]
pub struct Mutants(BTreeMap<String, Arc<Mutant>>);

impl Mutants {
    /// Reads `<fixtures>/mutants/<family>/*.toml`; without the folder there is none.
    ///
    /// # Errors
    /// Everything that is wrong in any file: what does not parse, a frame, field or requirement that is not there, a mutant
    /// that breaks or does nothing.
    pub fn read(
        fixtures: &Path,
        requirements: &Requirements,
    ) -> Result<Mutants, Vec<FixtureError>> {
        let root = fixtures.join("mutants");
        let mut errors = Vec::new();
        let mut mutants = BTreeMap::new();
        let files = if root.exists() {
            crate::session::toml_files(&root, &mut errors)
        } else {
            Vec::new()
        };
        for path in files {
            let read =
                read(&root, &path).and_then(|mutant| check(&mutant, requirements).map(|()| mutant));
            match read {
                Ok(mutant) => drop(mutants.insert(mutant.id.clone(), Arc::new(mutant))),
                Err(fault) => errors.push(FixtureError {
                    path,
                    line: fault.line,
                    message: fault.message,
                }),
            }
        }
        if errors.is_empty() {
            Ok(Mutants(mutants))
        } else {
            Err(errors)
        }
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mutant>> {
        self.0.values()
    }

    /// The mutant with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Mutant>> {
        self.0.get(id)
    }

    /// The number of mutants.
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

impl Mutant {
    /// True if the file says that this case fails too.
    fn expects(&self, case: &str) -> bool {
        self.expect_also
            .iter()
            .any(|pattern| crate::cli::matches(pattern, case))
    }

    /// Reads one file.
    fn parse(id: String, path: &Path, text: &str) -> Result<Mutant, Fault> {
        let mut file = tree::parse(text)?;
        let title = file.need("title")?;
        let title_line = title.line;
        let title = title.text()?;
        if title.is_empty() || title.contains('\n') {
            return Err(Fault::new(title_line, "title is one line"));
        }
        let breaks = file.need("breaks")?;
        let breaks_line = breaks.line;
        let breaks: BTreeSet<String> = breaks.texts()?.into_iter().collect();
        if breaks.is_empty() {
            return Err(Fault::new(breaks_line, "a mutant breaks something"));
        }
        let role = file.take("role").map_or(Ok(Role::Server), role)?;
        let texts =
            |file: &mut Fields, key: &str| file.take(key).map_or(Ok(Vec::new()), Node::texts);
        let expect_also = texts(&mut file, "expect_also")?;
        let equivalent = file.take("equivalent").map(Node::text).transpose()?;
        if let Some(note) = file.take("note") {
            note.text()?;
        }
        let forgets = match file.take("restart") {
            None => false,
            Some(node) => one_word(node, "forget").map(|()| true)?,
        };
        let clock = file.take("clock").map_or(Ok(Clock::Right), clock)?;
        let mut ignores = BTreeSet::new();
        if let Some(node) = file.take("ignore") {
            let line = node.line;
            for verb in node.texts()? {
                if !IGNORABLE.contains(&verb.as_str()) {
                    let known = IGNORABLE.join(", ");
                    return Err(Fault::new(
                        line,
                        format!("{verb:?} cannot be ignored, but {known}"),
                    ));
                }
                ignores.insert(verb);
            }
        }
        let lines = Lines::parse(&mut file)?;
        let loses_store = match file.take("store") {
            None => false,
            Some(node) => one_word(node, "forget").map(|()| true)?,
        };
        if role != Role::Client && (loses_store || !lines.is_empty()) {
            return Err(Fault::new(
                lines.line().unwrap_or(1),
                "`event`, `op` and `store` are for mutants of clients",
            ));
        }
        let rules = match file.take("rule") {
            None => Rules::default(),
            Some(node) => Rules::parse(node.list()?)?,
        };
        file.finish("a mutant")?;
        let mutant = Mutant {
            id,
            title,
            breaks,
            role,
            expect_also,
            equivalent,
            path: path.to_owned(),
            rules: Arc::new(rules),
            forgets,
            clock,
            ignores,
            lines: Arc::new(lines),
            loses_store,
        };
        if mutant.does_nothing() {
            return Err(Fault::new(1, "a mutant does something: it has no rule"));
        }
        Ok(mutant)
    }

    fn does_nothing(&self) -> bool {
        self.rules.is_empty()
            && !self.forgets
            && self.clock == Clock::Right
            && self.ignores.is_empty()
            && self.lines.is_empty()
            && !self.loses_store
    }
}

fn read(root: &Path, path: &Path) -> Result<Mutant, Fault> {
    let id = crate::session::id_of(root, path);
    if id.matches('/').count() != 1 {
        return Err(Fault::new(1, "a mutant lies in the folder of its family"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Fault::new(1, error.to_string()))?;
    Mutant::parse(id, path, &text)
}

fn check(mutant: &Mutant, requirements: &Requirements) -> Result<(), Fault> {
    for id in &mutant.breaks {
        let Some(requirement) = requirements.get(id) else {
            return Err(Fault::new(1, format!("there is no requirement {id}")));
        };
        let can_break = match mutant.role {
            Role::Server => requirement.role != "client",
            Role::Client => requirement.role != "server",
            Role::Codec => false,
        };
        if !can_break {
            let role = &requirement.role;
            return Err(Fault::new(1, format!("{id} is for a {role} to break")));
        }
    }
    Ok(())
}

fn role(node: Node) -> Result<Role, Fault> {
    let line = node.line;
    match node.text()?.as_str() {
        "server" => Ok(Role::Server),
        "client" => Ok(Role::Client),
        other => Err(Fault::new(line, format!("unknown role {other:?}"))),
    }
}

fn clock(node: Node) -> Result<Clock, Fault> {
    let line = node.line;
    match node.text()?.as_str() {
        "stuck" => Ok(Clock::Stuck),
        "double" => Ok(Clock::Double),
        "half" => Ok(Clock::Half),
        other => Err(Fault::new(
            line,
            format!("`clock` is stuck, double or half, not {other:?}"),
        )),
    }
}

fn one_word(node: Node, word: &str) -> Result<(), Fault> {
    let line = node.line;
    let text = node.text()?;
    if text == word {
        Ok(())
    } else {
        Err(Fault::new(
            line,
            format!("only {word:?} has a meaning here"),
        ))
    }
}
