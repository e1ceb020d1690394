//! Who the connections of a recording belong to: users by what LOGIN_OK says, actors by user and device.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use tidewire_codec::FrameType;

use super::{Entry, Event, Side};
use crate::names;

/// One device on one connection at a time.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) name: String,
    /// The alias of its user.
    pub(super) user: String,
    /// The name of its device.
    pub(super) device: String,
    device_id: Bytes,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    pub(super) actor: usize,
    /// The user's id, if a login succeeded or its token is known from one that did.
    pub(super) user: Option<String>,
    device_id: Bytes,
    token: Bytes,
    opened: usize,
    closed: Option<usize>,
}

/// Everybody in a recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Cast {
    pub(super) actors: Vec<Actor>,
    pub(super) connections: Vec<Connection>,
    /// The alias of each user by its id.
    pub(super) aliases: BTreeMap<String, String>,
}

impl Cast {
    pub(super) fn new(entries: &[Entry]) -> Cast {
        let mut cast = Cast {
            connections: connections(entries),
            ..Cast::default()
        };
        let mut ids: BTreeSet<String> = users_in(entries);
        ids.extend(cast.connections.iter().filter_map(|one| one.user.clone()));
        for id in ids {
            cast.alias(&id);
        }
        for index in 0..cast.connections.len() {
            cast.seat(index);
        }
        // Users that only others speak of exist too, or what was sent to them would be refused.
        let spoken_of: Vec<String> = cast
            .aliases
            .values()
            .filter(|alias| !cast.actors.iter().any(|actor| actor.user == **alias))
            .cloned()
            .collect();
        for alias in spoken_of {
            cast.add(&alias, Bytes::new());
        }
        cast
    }

    /// A name for a user that a session file takes; names keep the order of the ids.
    fn alias(&mut self, id: &str) {
        let plain: String = id
            .chars()
            .map(|sign| {
                if sign.is_ascii_alphanumeric() {
                    sign
                } else {
                    '_'
                }
            })
            .collect();
        let is_reserved = matches!(
            plain.as_str(),
            "" | "u" | "t" | "d" | "g" | "new" | "each" | "sweep"
        );
        let plain = if is_reserved || plain.starts_with(|sign: char| !sign.is_ascii_alphabetic()) {
            format!("user_{plain}")
        } else {
            plain
        };
        let alias = free(&plain, |name| self.aliases.values().any(|one| one == name));
        self.aliases.insert(id.to_owned(), alias);
    }

    /// Finds or makes the actor of a connection.
    fn seat(&mut self, index: usize) {
        let Some(connection) = self.connections.get(index).cloned() else {
            return;
        };
        let alias = match &connection.user {
            Some(id) => self.aliases.get(id).cloned().unwrap_or_default(),
            None => "stranger".to_owned(),
        };
        let is_busy = |actor: usize| {
            self.connections.iter().take(index).any(|other| {
                other.actor == actor && other.closed.is_none_or(|at| at > connection.opened)
            })
        };
        let same = |actor: &Actor| actor.user == alias && actor.device_id == connection.device_id;
        let known = self
            .actors
            .iter()
            .enumerate()
            .position(|(at, actor)| same(actor) && !is_busy(at));
        let actor = known.unwrap_or_else(|| self.add(&alias, connection.device_id.clone()));
        if let Some(connection) = self.connections.get_mut(index) {
            connection.actor = actor;
        }
    }

    fn add(&mut self, alias: &str, device_id: Bytes) -> usize {
        let name = free(alias, |name| {
            self.actors.iter().any(|actor| actor.name == name)
        });
        let twin = self
            .actors
            .iter()
            .find(|actor| !device_id.is_empty() && actor.device_id == device_id);
        // Two connections of one device at a time are two actors with the same device; so are two users with one device id.
        let device = twin.map_or_else(|| name.clone(), |twin| twin.device.clone());
        self.actors.push(Actor {
            name,
            user: alias.to_owned(),
            device,
            device_id,
        });
        self.actors.len() - 1
    }

    /// The actor that speaks for this device.
    pub(super) fn of_device(&self, id: &[u8]) -> Option<&Actor> {
        self.actors
            .iter()
            .find(|actor| !actor.device_id.is_empty() && actor.device_id == id)
    }

    /// The alias of the user whose token this is.
    pub(super) fn of_token(&self, token: &[u8]) -> Option<&str> {
        let connection = self
            .connections
            .iter()
            .find(|one| one.user.is_some() && one.token == token)?;
        self.aliases
            .get(connection.user.as_ref()?)
            .map(String::as_str)
    }
}

/// The name, with a number behind it if it is taken.
fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = |number: usize| match number {
        1 => name.to_owned(),
        number => format!("{name}_{number}"),
    };
    (1..)
        .map(numbered)
        .find(|name| !is_taken(name))
        .unwrap_or_default()
}

fn connections(entries: &[Entry]) -> Vec<Connection> {
    let mut found: Vec<Connection> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if entry.connection >= found.len() {
            found.resize(entry.connection + 1, Connection::default());
        }
        let Some(connection) = found.get_mut(entry.connection) else {
            continue;
        };
        match &entry.event {
            Event::Opened => connection.opened = at,
            Event::Closed(_) => connection.closed = Some(at),
            Event::Frame(Side::Client, frame) if frame.frame_type == FrameType::LOGIN => {
                if let Some(body) = body_of(frame) {
                    connection.token = bytes(&body, "token");
                    connection.device_id = bytes(&body, "device_id");
                }
            }
            Event::Frame(Side::Server, frame) if frame.frame_type == FrameType::LOGIN_OK => {
                connection.user = body_of(frame)
                    .and_then(|body| Some(body.get_field_by_name("user")?.as_str()?.to_owned()));
            }
            _ => {}
        }
    }
    // A login that was refused belongs to the user whose token it had.
    let known: Vec<(Bytes, String)> = found
        .iter()
        .filter_map(|one| Some((one.token.clone(), one.user.clone()?)))
        .collect();
    for connection in found.iter_mut().filter(|one| one.user.is_none()) {
        connection.user = known
            .iter()
            .find(|(token, _)| !token.is_empty() && *token == connection.token)
            .map(|(_, user)| user.clone());
    }
    found
}

/// Every user that exists: that the server speaks of, or that is named in a request which was not refused.
fn users_in(entries: &[Entry]) -> BTreeSet<String> {
    let refused: BTreeSet<(usize, u32)> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Frame(Side::Server, frame) if frame.frame_type == FrameType::ERROR => {
                Some((entry.connection, frame.reference))
            }
            _ => None,
        })
        .collect();
    let mut ids = BTreeSet::new();
    for entry in entries {
        if let Event::Frame(_, frame) = &entry.event
            && !refused.contains(&(entry.connection, frame.reference))
            && let Some(body) = body_of(frame)
        {
            gather(&body, &mut ids);
        }
    }
    ids.remove("");
    ids
}

fn gather(body: &DynamicMessage, ids: &mut BTreeSet<String>) {
    for (field, value) in body.fields() {
        let items: &[Value] = match value {
            Value::List(items) => items,
            value => std::slice::from_ref(value),
        };
        for item in items {
            match item {
                Value::Message(inner) => gather(inner, ids),
                Value::String(id) if is_user(field.name()) => {
                    ids.insert(id.clone());
                }
                _ => {}
            }
        }
    }
}

/// True if a string in such a field is the id of a user.
pub(super) fn is_user(field: &str) -> bool {
    matches!(field, "user" | "users" | "to_user" | "from" | "by")
}

/// The fields of a frame, if its type is known and it decodes.
pub(super) fn body_of(frame: &tidewire_codec::RawFrame) -> Option<DynamicMessage> {
    let message = names::message_of(frame.frame_type)?;
    DynamicMessage::decode(message, frame.body.clone()).ok()
}

fn bytes(body: &DynamicMessage, name: &str) -> Bytes {
    body.get_field_by_name(name)
        .and_then(|value| value.as_bytes().cloned())
        .unwrap_or_default()
}

/// True if the message has a field of this name that holds something.
pub(super) fn has(body: &DynamicMessage, name: &str) -> bool {
    body.descriptor()
        .get_field_by_name(name)
        .is_some_and(|field| body.has_field(&field))
}
