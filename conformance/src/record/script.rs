//! From what was seen to the steps that play it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use prost_reflect::DynamicMessage;
use tidewire_codec::{Feature, Flags, FrameType, Kind, RawFrame};

use super::actors::{Cast, Connection, body_of, has};
use super::body::{Bodies, Mode, conversation, quoted};
use super::names::{Id, Named, Names};
use super::{Entry, Event, Side};
use crate::value::hex;

mod answers;
mod login;

/// The session file for a recording.
pub(crate) fn write(entries: &[Entry], title: &str) -> String {
    let mut script = Script::new(entries);
    script.steps();
    script.whole(title)
}

struct Script<'a> {
    entries: &'a [Entry],
    cast: Cast,
    names: Names,
    /// Requests by connection and `ref`: the name of the step, and what it is about.
    requests: BTreeMap<(usize, u32), (String, Option<String>)>,
    /// Entries that another step tells of already.
    told: BTreeSet<usize>,
    /// The messages that were sent while it was recorded, by conversation; without an id where none was asked for.
    sent: BTreeSet<(String, Option<u64>)>,
    groups: BTreeSet<u64>,
    features: BTreeSet<&'static str>,
    /// Actors that had a connection which is over.
    gone: BTreeSet<usize>,
    counts: BTreeMap<&'static str, usize>,
    text: String,
}

impl<'a> Script<'a> {
    fn new(entries: &'a [Entry]) -> Script<'a> {
        let mut script = Script {
            entries,
            cast: Cast::new(entries),
            names: Names::default(),
            requests: BTreeMap::new(),
            told: BTreeSet::new(),
            sent: BTreeSet::new(),
            groups: BTreeSet::new(),
            features: BTreeSet::new(),
            gone: BTreeSet::new(),
            counts: BTreeMap::new(),
            text: String::new(),
        };
        script.look_ahead();
        script
    }

    /// What was made while it was recorded: an entry may reach its reader before the sender has its answer.
    fn look_ahead(&mut self) {
        let mut open: BTreeMap<(usize, u32), String> = BTreeMap::new();
        let mut pings: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let Event::Frame(side, frame) = &entry.event else {
                continue;
            };
            let Some(body) = body_of(frame) else { continue };
            let user = self.user_of(entry.connection).to_owned();
            match (side, frame.frame_type) {
                (Side::Client, FrameType::SEND) => {
                    let about = conversation(&body, &user).unwrap_or_default();
                    if frame.reference == 0 {
                        self.sent.insert((about, None));
                    } else {
                        open.insert((entry.connection, frame.reference), about);
                    }
                }
                (Side::Server, FrameType::SEND_ACK) => {
                    if let Some(about) = open.get(&(entry.connection, frame.reference)) {
                        self.sent.insert((about.clone(), number(&body, "msg_id")));
                    }
                }
                // Who asks whether the other side lives asks nothing that a session is about; the runner asks by itself.
                (Side::Client, FrameType::PING) => {
                    pings.insert((entry.connection, frame.reference), at);
                }
                (Side::Server, FrameType::PONG) => {
                    let ping = pings.get(&(entry.connection, frame.reference)).copied();
                    self.told
                        .extend(ping.into_iter().flat_map(|ping| [ping, at]));
                }
                (Side::Server, FrameType::GROUP_INFO) => {
                    self.groups.extend(number(&body, "group"));
                }
                _ => {}
            }
        }
    }

    fn connection(&self, index: usize) -> Connection {
        self.cast
            .connections
            .get(index)
            .cloned()
            .unwrap_or_default()
    }

    fn user_of(&self, connection: usize) -> &str {
        self.cast
            .connections
            .get(connection)
            .and_then(|one| one.user.as_deref())
            .unwrap_or_default()
    }

    fn steps(&mut self) {
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            match &entry.event {
                Event::Frame(Side::Server, _) => {
                    let run =
                        self.entries.iter().skip(at).take_while(|entry| {
                            matches!(entry.event, Event::Frame(Side::Server, _))
                        });
                    let end = at + run.count();
                    self.answers(at, end);
                    at = end;
                    continue;
                }
                Event::Frame(Side::Client, frame) => self.client_frame(at, entry, frame),
                Event::Opened => self.opened(entry.connection),
                Event::Closed(side) => self.closed(at, entry.connection, *side),
                Event::Broken(side, why) => {
                    let who = self.actor_name(entry.connection);
                    let side = match side {
                        Side::Client => "the client",
                        Side::Server => "the server",
                    };
                    self.comment(&format!("{who}: {side} broke the framing: {why}"));
                }
            }
            self.names.settle();
            at += 1;
        }
    }

    fn opened(&mut self, connection: usize) {
        if self.is_idle(connection) {
            return;
        }
        let actor = self.connection(connection).actor;
        if self.gone.remove(&actor) {
            self.step(connection, "cut = true");
        }
        let first = self.entries.iter().find_map(|entry| match &entry.event {
            Event::Frame(Side::Client, frame) if entry.connection == connection => Some(frame),
            _ => None,
        });
        if !first.is_some_and(is_login) {
            self.step(connection, "connect = {}");
        }
    }

    /// True if nobody said anything on it, as when somebody only looks whether a server is there.
    fn is_idle(&self, connection: usize) -> bool {
        !self
            .entries
            .iter()
            .any(|entry| entry.connection == connection && matches!(entry.event, Event::Frame(..)))
    }

    fn closed(&mut self, at: usize, connection: usize, side: Side) {
        if self.is_idle(connection) {
            return;
        }
        let last = self
            .entries
            .iter()
            .take(at)
            .rev()
            .find_map(|entry| match &entry.event {
                Event::Frame(Side::Server, frame) if entry.connection == connection => {
                    Some(frame.frame_type)
                }
                _ => None,
            });
        // GOAWAY says that it closes; the step that expects it sees that too.
        if last != Some(FrameType::GOAWAY) {
            self.step(
                connection,
                match side {
                    Side::Client => "close = true",
                    Side::Server => "closed = true",
                },
            );
        }
        self.gone.insert(self.connection(connection).actor);
    }

    fn client_frame(&mut self, at: usize, entry: &Entry, frame: &RawFrame) {
        let info = frame.frame_type.info();
        // What answers a PING of the server, the runner sends by itself.
        if info.is_some_and(|info| info.kind == Kind::Reply) || self.told.contains(&at) {
            return;
        }
        self.uses(frame);
        let body = body_of(frame);
        match (&body, frame.frame_type) {
            (Some(body), FrameType::LOGIN) if is_login(frame) => {
                self.login(at, entry.connection, frame, body)
            }
            _ => self.send(entry.connection, frame, body.as_ref()),
        }
    }

    fn send(&mut self, connection: usize, frame: &RawFrame, body: Option<&DynamicMessage>) {
        let user = self.user_of(connection).to_owned();
        if frame.frame_type == FrameType::ACK
            && let Some(pos) = body.and_then(|body| number(body, "pos"))
            && self.names.find(Id::Position(&user), pos) == Named::Unknown
            && self.names.near(Id::Position(&user), pos).is_none()
        {
            let who = self.actor_name(connection);
            return self.comment(&format!(
                "{who} acknowledges {pos}, which was there before the recording"
            ));
        }
        let about = body.and_then(|body| conversation(body, &user));
        let mut lines = vec![format!("send = {}", quoted(&type_name(frame.frame_type)))];
        let asks = frame
            .frame_type
            .info()
            .is_none_or(|info| info.kind == Kind::Request);
        if asks && frame.reference == 0 {
            lines.push("ref = 0".to_owned());
        } else if asks {
            let name = self.count(if frame.frame_type == FrameType::SEND {
                "s"
            } else {
                "r"
            });
            lines.push(format!("as = {}", quoted(&name)));
            self.requests
                .insert((connection, frame.reference), (name, about.clone()));
        }
        if frame.flags.0 & !Flags::GREASE.0 != 0 {
            lines.push(format!("flags = {}", frame.flags.0));
        }
        match body {
            Some(body) => {
                let table = self
                    .bodies(Mode::Send, &user, about.as_deref())
                    .table(body, &[]);
                lines.extend(table.map(|table| format!("body = {table}")));
            }
            None if frame.body.is_empty() => {}
            None => lines.push(format!(
                "raw_body = {}",
                quoted(&format!("hex:{}", hex(&frame.body)))
            )),
        }
        self.step(connection, &lines.join("\n"));
    }

    /// The next frame of the server on this connection that is one of the session's own.
    fn next_from_server(&self, after: usize, connection: usize) -> Option<(usize, &'a RawFrame)> {
        let later = self.entries.iter().enumerate().skip(after + 1);
        later
            .filter(|(_, entry)| entry.connection == connection)
            .find_map(|(at, entry)| match &entry.event {
                Event::Frame(Side::Server, frame) if is_own(frame) => Some((at, frame)),
                _ => None,
            })
    }

    fn bodies<'b>(
        &'b mut self,
        mode: Mode,
        reader: &'b str,
        conversation: Option<&'b str>,
    ) -> Bodies<'b> {
        Bodies {
            cast: &self.cast,
            names: &mut self.names,
            mode,
            reader,
            conversation: conversation.unwrap_or_default(),
        }
    }

    fn uses(&mut self, frame: &RawFrame) {
        let feature = frame.frame_type.info().and_then(|info| info.feature);
        self.features.extend(feature.and_then(Feature::name));
        if body_of(frame).is_some_and(|body| has(&body, "to_group")) {
            self.features.extend(Feature::GROUPS.name());
        }
    }

    fn count(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        format!("{kind}{count}")
    }

    fn actor_name(&self, connection: usize) -> String {
        let actor = self.connection(connection).actor;
        self.cast
            .actors
            .get(actor)
            .map(|actor| actor.name.clone())
            .unwrap_or_default()
    }

    fn step(&mut self, connection: usize, lines: &str) {
        let name = self.actor_name(connection);
        // Writing to a string does not fail.
        let _ = write!(
            self.text,
            "\n[[step]]\nactor = {}\n{lines}\n",
            quoted(&name)
        );
    }

    fn comment(&mut self, text: &str) {
        let _ = write!(self.text, "\n# {}\n", text.replace('\n', " "));
    }

    fn whole(&self, title: &str) -> String {
        let mut text = format!(
            "# Recorded. It plays what was seen, and proves nothing yet: put the ids of requirements into `proves` where a step shows\n\
             # them, and take away what does not matter.\n\
             title = {}\n\
             note = \"recorded from {} connections\"\n",
            quoted(title.lines().next().unwrap_or_default()),
            self.cast.connections.len()
        );
        if !self.features.is_empty() {
            let needs: Vec<String> = self
                .features
                .iter()
                .map(|name| quoted(&format!("feature:{name}")))
                .collect();
            let _ = writeln!(text, "needs = [{}]", needs.join(", "));
        }
        for actor in &self.cast.actors {
            let _ = write!(text, "\n[actors.{}]\n", actor.name);
            for (key, value) in [("user", &actor.user), ("device", &actor.device)] {
                if *value != actor.name {
                    let _ = writeln!(text, "{key} = {}", quoted(value));
                }
            }
        }
        text + &self.text
    }
}

/// True for a LOGIN that a `login` step can send.
fn is_login(frame: &RawFrame) -> bool {
    frame.frame_type == FrameType::LOGIN && frame.reference != 0
}

/// True for what a session is about: not what the runner answers or passes over by itself.
fn is_own(frame: &RawFrame) -> bool {
    !matches!(frame.frame_type, FrameType::PING | FrameType::NOTICE)
        && frame.frame_type.info().is_some()
}

fn type_name(frame_type: FrameType) -> String {
    frame_type
        .name()
        .map_or_else(|| format!("0x{:04X}", frame_type.0), str::to_owned)
}

/// A number that is there and not 0.
fn number(body: &DynamicMessage, name: &str) -> Option<u64> {
    let value = body.get_field_by_name(name)?;
    value
        .as_u64()
        .or_else(|| value.as_u32().map(u64::from))
        .filter(|number| *number > 0)
}
