//! From what was seen to the steps that play it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use prost_reflect::{DynamicMessage, Value};
use tidewire_codec::{Feature, Flags, FrameType, Kind, RawFrame};

use super::actors::{Cast, Connection, body_of, has};
use super::body::{Bodies, Mode, code, conversation, quoted};
use super::names::{Id, Named, Names};
use super::{Entry, Event, Side};
use crate::value::hex;

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
        for entry in self.entries {
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
        let actor = self.connection(connection).actor;
        if self.gone.remove(&actor) {
            self.step(connection, "cut = true");
        }
        let first = self.entries.iter().find_map(|entry| match &entry.event {
            Event::Frame(Side::Client, frame) if entry.connection == connection => {
                Some(frame.frame_type)
            }
            _ => None,
        });
        if first != Some(FrameType::LOGIN) {
            self.step(connection, "connect = {}");
        }
    }

    fn closed(&mut self, at: usize, connection: usize, side: Side) {
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
        if info.is_some_and(|info| info.kind == Kind::Reply) {
            return;
        }
        self.uses(frame);
        let body = body_of(frame);
        match (&body, frame.frame_type) {
            (Some(body), FrameType::LOGIN) => self.login(at, entry.connection, frame, body),
            _ => self.send(entry.connection, frame, body.as_ref()),
        }
    }

    fn send(&mut self, connection: usize, frame: &RawFrame, body: Option<&DynamicMessage>) {
        let user = self.user_of(connection).to_owned();
        if frame.frame_type == FrameType::ACK
            && let Some(pos) = body.and_then(|body| number(body, "pos"))
            && self.names.find(Id::Position(&user), pos) == Named::Unknown
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

    fn login(&mut self, at: usize, connection: usize, frame: &RawFrame, body: &DynamicMessage) {
        let (fields, is_resumed) = self.login_fields(connection, body);
        let mut lines = vec![format!("login = {fields}")];
        let answer = self.next_from_server(at, connection);
        let ok = answer.filter(|(_, answer)| answer.frame_type == FrameType::LOGIN_OK);
        let Some((ok_at, ok)) = ok else {
            let name = self.count("l");
            lines.push(format!("raw = true\nas = {}", quoted(&name)));
            self.requests
                .insert((connection, frame.reference), (name, None));
            return self.step(connection, &lines.join("\n"));
        };
        self.told.insert(ok_at);
        match self.next_from_server(ok_at, connection) {
            Some((synced_at, next)) if next.frame_type == FrameType::SYNCED => {
                self.told.insert(synced_at);
            }
            _ => lines.push("synced = false".to_owned()),
        }
        let user = self.user_of(connection).to_owned();
        let actor = self.actor_name(connection);
        if let Some(ok) = body_of(ok) {
            if is_resumed
                && let Some(Value::EnumNumber(result)) = ok.get_field_by_name("resume").as_deref()
            {
                let result = match result {
                    1 => "\"RESUMED\"".to_owned(),
                    2 => "\"GAP\"".to_owned(),
                    other => other.to_string(),
                };
                lines.push(format!("ok = {{ resume = {result} }}\nproves = []"));
            }
            if let Some(epoch) = number(&ok, "epoch") {
                self.names.logged_in(&user, epoch, &actor);
            }
        }
        self.step(connection, &lines.join("\n"));
    }

    /// The fields of a LOGIN that are not the runner's own, and whether it resumes.
    fn login_fields(&mut self, connection: usize, body: &DynamicMessage) -> (String, bool) {
        let user = self.user_of(connection).to_owned();
        let mut parts = Vec::new();
        for name in ["version_min", "version_max"] {
            match number(body, name) {
                Some(1) => {}
                Some(other) => parts.push(format!("{name} = {other}")),
                None => parts.push(format!("{name} = \"absent\"")),
            }
        }
        let offered: BTreeSet<u32> = body
            .get_field_by_name("features")
            .and_then(|list| Some(list.as_list()?.iter().filter_map(Value::as_u32).collect()))
            .unwrap_or_default();
        let is_all = Feature::ALL.iter().all(|known| offered.contains(&known.0))
            && offered.len() == Feature::ALL.len();
        let mut skip = vec![
            "version_min",
            "version_max",
            "device_id",
            "agent",
            "keepalive_ms",
            "resume",
        ];
        if is_all {
            skip.push("features");
        }
        if !user.is_empty() {
            skip.push("token");
        }
        for name in ["features", "event_limit"] {
            if !has(body, name) && !(name == "features" && !offered.is_empty()) {
                parts.push(format!("{name} = \"absent\""));
            }
        }
        let rest = self.bodies(Mode::Send, &user, None).table(body, &skip);
        if let Some(rest) = rest {
            parts.push(rest.trim_matches(['{', '}', ' ']).to_owned());
        }
        let resume = has(body, "resume")
            .then(|| self.resume(&user, body))
            .flatten();
        let is_resumed = resume.is_some();
        parts.extend(resume);
        let fields = if parts.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{ {} }}", parts.join(", "))
        };
        (fields, is_resumed)
    }

    /// A place in the log that the recording knows.
    fn resume(&self, user: &str, body: &DynamicMessage) -> Option<String> {
        let resume = body.get_field_by_name("resume")?;
        let resume = resume.as_message()?;
        let epoch = self
            .names
            .epoch(user, number(resume, "epoch").unwrap_or(0))?;
        let pos = match number(resume, "pos") {
            None => "0".to_owned(),
            Some(pos) => match self.names.find(Id::Position(user), pos) {
                Named::Known(name) => format!("\"${name}\""),
                _ => return None,
            },
        };
        Some(format!("resume = {{ epoch = \"${epoch}\", pos = {pos} }}"))
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

    /// What the server sent without anybody else doing anything meanwhile: on each connection in its order.
    fn answers(&mut self, from: usize, to: usize) {
        let mut by_connection: BTreeMap<usize, Vec<&'a RawFrame>> = BTreeMap::new();
        let mut order = Vec::new();
        for at in from..to {
            let Some(entry) = self.entries.get(at) else {
                continue;
            };
            if let Event::Frame(_, frame) = &entry.event
                && is_own(frame)
                && !self.told.contains(&at)
                && self.is_of_now(entry.connection, frame)
            {
                let frames = by_connection.entry(entry.connection).or_default();
                if frames.is_empty() {
                    order.push(entry.connection);
                }
                frames.push(frame);
            }
        }
        for connection in order {
            let frames = by_connection.remove(&connection).unwrap_or_default();
            self.expect_all(connection, &frames);
        }
    }

    fn expect_all(&mut self, connection: usize, frames: &[&RawFrame]) {
        for frame in frames {
            self.uses(frame);
        }
        let is_event = |frame: &&RawFrame| frame.reference == 0;
        let is_last = |frame: &&RawFrame| frame.frame_type == FrameType::GOAWAY;
        // A log has an order; answers and entries have none between them.
        let ends = frames
            .iter()
            .position(|frame| is_last(&frame))
            .unwrap_or(frames.len());
        let (together, last) = frames.split_at(ends);
        if together.len() > 1 && !together.iter().all(|frame| is_event(&frame)) {
            let entries: Vec<String> = together
                .iter()
                .map(|frame| {
                    format!(
                        "    {{ {} }},\n",
                        self.expectation(connection, frame).join(", ")
                    )
                })
                .collect();
            let step = format!("expect_set = [\n{}]\nproves = []", entries.concat());
            self.step(connection, &step);
            self.names.settle();
        } else {
            self.each(connection, together);
        }
        self.each(connection, last);
    }

    fn each(&mut self, connection: usize, frames: &[&RawFrame]) {
        for frame in frames {
            let lines = self.expectation(connection, frame);
            self.step(connection, &format!("{}\nproves = []", lines.join("\n")));
            self.names.settle();
        }
    }

    /// The keys of a step that expects this frame.
    fn expectation(&mut self, connection: usize, frame: &RawFrame) -> Vec<String> {
        let user = self.user_of(connection).to_owned();
        let body = body_of(frame);
        let asked = self.requests.get(&(connection, frame.reference)).cloned();
        let of_code = match frame.frame_type {
            FrameType::ERROR => Some("error"),
            FrameType::GOAWAY => Some("goaway"),
            _ => None,
        };
        let mut lines = Vec::new();
        match (of_code, &body) {
            (Some(verb), Some(body)) => {
                let name = code(number(body, "code").unwrap_or(0));
                let name = if name.starts_with('"') {
                    name
                } else {
                    quoted(&name)
                };
                lines.push(format!("{verb} = {name}"));
            }
            _ => lines.push(format!("expect = {}", quoted(&type_name(frame.frame_type)))),
        }
        let about = match &asked {
            Some((name, about)) => {
                lines.push(format!("to = {}", quoted(name)));
                about.clone()
            }
            None => None,
        };
        let about = about.or_else(|| conversation(body.as_ref()?, &user));
        let skip: &[&str] = if of_code.is_some() { &["code"] } else { &[] };
        if let Some(body) = &body {
            let table = self
                .bodies(Mode::Expect, &user, about.as_deref())
                .table(body, skip);
            lines.extend(table.map(|table| format!("body = {table}")));
        }
        lines
    }

    /// False for entries of messages and groups that are older than the recording, or come from elsewhere: nothing in it
    /// would make them.
    fn is_of_now(&mut self, connection: usize, frame: &RawFrame) -> bool {
        let Some(body) = body_of(frame).filter(|_| frame.reference == 0) else {
            return true;
        };
        let about = conversation(&body, self.user_of(connection)).unwrap_or_default();
        let is_known = match (number(&body, "msg_id"), number(&body, "group")) {
            (Some(message), _) => {
                self.sent.contains(&(about.clone(), Some(message)))
                    || self.sent.contains(&(about, None))
            }
            (None, Some(group)) => self.groups.contains(&group),
            (None, None) => true,
        };
        if !is_known {
            let who = self.actor_name(connection);
            self.comment(&format!(
                "{who} is sent {}, which nothing in this recording caused",
                type_name(frame.frame_type)
            ));
        }
        is_known
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
