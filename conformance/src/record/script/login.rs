//! Logins: what the runner does by itself is left out.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, Value};
use tidewire_codec::{Feature, FrameType, RawFrame};

use super::{Script, number};
use crate::player::EVENT_LIMIT;
use crate::record::actors::{body_of, has};
use crate::record::body::{Mode, quoted};
use crate::record::names::{Id, Named};

impl Script<'_> {
    pub(super) fn login(
        &mut self,
        at: usize,
        connection: usize,
        frame: &RawFrame,
        body: &DynamicMessage,
    ) {
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
                let head = number(&ok, "head_pos").unwrap_or(0);
                self.names.logged_in(&user, epoch, head, &actor);
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
        if number(body, "event_limit") == Some(EVENT_LIMIT) {
            skip.push("event_limit");
        }
        if !user.is_empty() {
            skip.push("token");
        }
        for name in ["features", "event_limit"] {
            if !has(body, name) {
                parts.push(format!("{name} = \"absent\""));
            }
        }
        let rest = self.bodies(Mode::Send, &user, None).table(body, &skip);
        if let Some(rest) = rest {
            let inner = rest
                .strip_prefix("{ ")
                .and_then(|rest| rest.strip_suffix(" }"));
            parts.extend(inner.map(str::to_owned));
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
}
