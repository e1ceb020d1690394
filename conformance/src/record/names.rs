//! What a server or a client made up, by the name that the session file gives it: bound where it is seen first, used after.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

/// The names of a recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    positions: BTreeMap<(String, u64), String>,
    heads: BTreeMap<(String, u64), String>,
    messages: BTreeMap<(String, u64), String>,
    groups: BTreeMap<u64, String>,
    epochs: BTreeMap<(String, u64), String>,
    keys: BTreeMap<Bytes, String>,
    strangers: BTreeMap<String, String>,
    /// Bound by a step that is not over yet: nothing else in it may rely on them.
    fresh: HashSet<String>,
}

/// What a number stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Id<'a> {
    /// A position in the log of this user.
    Position(&'a str),
    /// A message of this conversation.
    Message(&'a str),
    Group,
}

/// Whether a number has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Known(String),
    /// It has got one by the very step that is being written.
    JustNow,
    Unknown,
}

impl Names {
    pub(super) fn find(&self, id: Id<'_>, number: u64) -> Named {
        let found = match id {
            Id::Position(user) => self.positions.get(&(user.to_owned(), number)),
            Id::Message(conversation) => self.messages.get(&(conversation.to_owned(), number)),
            Id::Group => self.groups.get(&number),
        };
        match found {
            Some(name) if self.fresh.contains(name) => Named::JustNow,
            Some(name) => Named::Known(name.clone()),
            None => Named::Unknown,
        }
    }

    /// Names a number that has no name.
    pub(super) fn bind(&mut self, id: Id<'_>, number: u64) -> String {
        let name = match id {
            Id::Position(user) => {
                let name = format!("p{}", self.positions.len() + 1);
                self.positions
                    .insert((user.to_owned(), number), name.clone());
                name
            }
            Id::Message(conversation) => {
                let name = format!("m{}", self.messages.len() + 1);
                self.messages
                    .insert((conversation.to_owned(), number), name.clone());
                name
            }
            Id::Group => {
                let name = format!("group{}", self.groups.len() + 1);
                self.groups.insert(number, name.clone());
                name
            }
        };
        self.fresh.insert(name.clone());
        name
    }

    /// A step is over: what it bound can be used from now on.
    pub(super) fn settle(&mut self) {
        self.fresh.clear();
    }

    /// A number that has no name of its own, by its distance from the nearest below it that has one.
    pub(super) fn near(&self, id: Id<'_>, number: u64) -> Option<String> {
        let below = |known: &BTreeMap<(String, u64), String>, scope: &str| {
            let first = (scope.to_owned(), 0);
            let last = (scope.to_owned(), number);
            known
                .range(first..last)
                .next_back()
                .map(|((_, base), name)| (*base, name.clone()))
        };
        let (base, name) = match id {
            Id::Position(user) => {
                let head = below(&self.heads, user);
                below(&self.positions, user)
                    .into_iter()
                    .chain(head)
                    .max_by_key(|(base, _)| *base)
            }
            Id::Message(conversation) => below(&self.messages, conversation),
            Id::Group => self
                .groups
                .range(..number)
                .next_back()
                .map(|(base, name)| (*base, name.clone())),
        }?;
        Some(format!("{name}+{}", number - base))
    }

    /// An actor logged in, which gives its epoch and the head of its log a name.
    pub(super) fn logged_in(&mut self, user: &str, epoch: u64, head: u64, actor: &str) {
        self.heads
            .insert((user.to_owned(), head), format!("{actor}.head"));
        self.epochs
            .insert((user.to_owned(), epoch), format!("{actor}.epoch"));
    }

    pub(super) fn epoch(&self, user: &str, epoch: u64) -> Option<&str> {
        self.epochs
            .get(&(user.to_owned(), epoch))
            .map(String::as_str)
    }

    /// The name of an idempotency key.
    pub(super) fn key(&mut self, bytes: &Bytes) -> String {
        let next = format!("k{}", self.keys.len() + 1);
        self.keys.entry(bytes.clone()).or_insert(next).clone()
    }

    /// The alias of a user that does not exist.
    pub(super) fn stranger(&mut self, id: &str) -> String {
        let next = format!("nobody{}", self.strangers.len() + 1);
        self.strangers.entry(id.to_owned()).or_insert(next).clone()
    }
}
