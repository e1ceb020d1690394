//! The names of a case: users, devices and keys of its own, and what its steps bind.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;

use super::Stage;
use crate::session::Session;
use crate::value::{Scope, Val};

/// The variables of a case.
pub(super) struct World {
    /// Begins every id of the case, so that cases do not meet.
    prefix: String,
    seed: u64,
    /// Aliases that are no actor's name stand for a device by themselves.
    devices: HashMap<String, String>,
    users: HashMap<String, String>,
    bound: HashMap<String, Val>,
}

impl World {
    pub(super) fn new(stage: &Stage, session: &Session, number: usize) -> World {
        // The number has a fixed width, so that a sweep over the bytes of a frame finds the same length every time.
        let prefix = format!("{}{number:06x}", stage.run);
        let devices = session
            .actors
            .iter()
            .map(|actor| (actor.name.clone(), actor.device.clone()))
            .collect();
        World {
            prefix,
            seed: stage.seed,
            devices,
            users: HashMap::new(),
            bound: HashMap::new(),
        }
    }

    /// Gives a name a value.
    pub(super) fn set(&mut self, name: impl Into<String>, value: Val) {
        self.bound.insert(name.into(), value);
    }

    pub(super) fn set_all(&mut self, values: HashMap<String, Val>) {
        self.bound.extend(values);
    }

    /// Uses this user for the alias, instead of one of the case's own.
    pub(super) fn set_user(&mut self, alias: &str, id: &str) {
        self.users.insert(alias.to_owned(), id.to_owned());
    }

    /// The id of a user.
    pub(super) fn user(&self, alias: &str) -> String {
        self.users
            .get(alias)
            .cloned()
            .unwrap_or_else(|| format!("{}.{alias}", self.prefix))
    }

    /// Sixteen bytes that nobody else has.
    pub(super) fn random(&self, kind: &str, name: &str, index: usize) -> Bytes {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (self.seed, &self.prefix, kind, name, index, salt).hash(&mut hasher);
            hasher.finish().to_be_bytes()
        };
        [half(0), half(1)].concat().into()
    }

    /// The world as the frame number `index` of a step with `times` sees it.
    pub(super) fn each(&self, index: usize) -> Each<'_> {
        Each { world: self, index }
    }
}

impl Scope for World {
    fn lookup(&self, name: &str) -> Option<Val> {
        if let Some(value) = self.bound.get(name) {
            return Some(value.clone());
        }
        let (kind, alias) = name.split_once('.')?;
        match kind {
            "u" => Some(Val::Text(self.user(alias))),
            "g" => Some(Val::Text(format!("{}.{alias}", self.prefix))),
            "d" => {
                let device = self.devices.get(alias).map_or(alias, String::as_str);
                Some(Val::Bytes(self.random("device", device, 0)))
            }
            "new" => Some(Val::Bytes(self.random("new", alias, 0))),
            _ => None,
        }
    }
}

/// A world in which `$each.k` is another value for every frame.
pub(super) struct Each<'a> {
    world: &'a World,
    index: usize,
}

impl Scope for Each<'_> {
    fn lookup(&self, name: &str) -> Option<Val> {
        match name.strip_prefix("each.") {
            Some(alias) => Some(Val::Bytes(self.world.random("each", alias, self.index))),
            None => self.world.lookup(name),
        }
    }
}
