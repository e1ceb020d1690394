//! Frames of the server: what is expected of each, and in which order.

use std::collections::BTreeMap;

use tidewire_codec::{FrameType, RawFrame};

use super::{Script, is_own, number, type_name};
use crate::record::Event;
use crate::record::actors::body_of;
use crate::record::body::{Mode, code, conversation, quoted};

impl<'a> Script<'a> {
    /// What the server sent without anybody else doing anything meanwhile: on each connection in its order.
    pub(super) fn answers(&mut self, from: usize, to: usize) {
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
        let ends = frames.iter().position(is_last).unwrap_or(frames.len());
        let (together, last) = frames.split_at(ends);
        if together.len() > 1 && !together.iter().all(is_event) {
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
}
