//! Bodies as a session file writes them: what was made up gets its name, what depends on the time is left out.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use tidewire_codec::{Code, Feature};

use super::actors::{Cast, has, is_user};
use super::names::{Id, Named, Names};
use crate::value::hex;

/// What a body is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Send,
    Expect,
}

/// Writes the bodies of one connection.
pub(super) struct Bodies<'a> {
    pub(super) cast: &'a Cast,
    pub(super) names: &'a mut Names,
    pub(super) mode: Mode,
    /// Whose connection it is.
    pub(super) reader: &'a str,
    /// The conversation that the frame is about.
    pub(super) conversation: &'a str,
}

impl Bodies<'_> {
    /// The fields as an inline table, without those that `skip` names; `None` if nothing is left.
    pub(super) fn table(&mut self, body: &DynamicMessage, skip: &[&str]) -> Option<String> {
        let mut parts = Vec::new();
        for (field, value) in body.fields() {
            if skip.contains(&field.name()) {
                continue;
            }
            if let Some(text) = self.field(&field, value) {
                parts.push(format!("{} = {text}", field.name()));
            }
        }
        // Absent and false are the same on the wire, and here the difference is what it is about.
        if self.mode == Mode::Expect && body_knows(body, "duplicate") && !has(body, "duplicate") {
            parts.push("duplicate = false".to_owned());
        }
        (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
    }

    fn field(&mut self, field: &FieldDescriptor, value: &Value) -> Option<String> {
        let Value::List(items) = value else {
            return self.item(field, value);
        };
        let items: Option<Vec<String>> = items.iter().map(|item| self.item(field, item)).collect();
        let list = format!("[{}]", items?.join(", "));
        // Nothing says in which order a server lists devices.
        if self.mode == Mode::Expect && field.name() == "devices" {
            return Some(format!("{{ unordered = {list} }}"));
        }
        Some(list)
    }

    fn item(&mut self, field: &FieldDescriptor, value: &Value) -> Option<String> {
        let name = field.name();
        match value {
            Value::Message(inner) => {
                let inner = self.table(inner, &[]);
                match (inner, self.mode) {
                    (Some(text), _) => Some(text),
                    (None, Mode::Send) => Some("{}".to_owned()),
                    (None, Mode::Expect) => Some("{ any = true }".to_owned()),
                }
            }
            Value::Bool(yes) => Some(yes.to_string()),
            Value::EnumNumber(number) => Some(enumerated(field, *number)),
            Value::U32(number) => self.number(name, u64::from(*number)),
            Value::U64(number) => self.number(name, *number),
            Value::String(text) if is_user(name) => Some(self.user(text)),
            Value::String(_) if self.mode == Mode::Expect && matches!(name, "text" | "agent") => {
                None
            }
            Value::String(text) => Some(quoted(text)),
            Value::Bytes(bytes) => Some(self.bytes(name, bytes)),
            _ => None,
        }
    }

    fn number(&mut self, name: &str, number: u64) -> Option<String> {
        let id = match name {
            "pos" | "prev_pos" | "after_pos" | "acked_pos" => Id::Position(self.reader),
            "msg_id" | "reply_to" | "thread" | "replaces" => Id::Message(self.conversation),
            "group" | "to_group" | "after_group" => Id::Group,
            "code" => return Some(code(number)),
            "features" | "requires" => return Some(feature(number)),
            // Time goes by differently the next time.
            name if name.ends_with("_ms") && self.mode == Mode::Expect => return None,
            _ => return Some(number.to_string()),
        };
        match self.names.find(id, number) {
            Named::Known(name) => Some(format!("\"${name}\"")),
            Named::JustNow => None,
            Named::Unknown if self.mode == Mode::Send => {
                let near = self.names.near(id, number).filter(|_| number > 0);
                Some(near.map_or_else(|| number.to_string(), |near| format!("\"${near}\"")))
            }
            // Only what says itself what it is gives a name.
            Named::Unknown
                if number > 0 && matches!(name, "pos" | "msg_id" | "group" | "to_group") =>
            {
                Some(format!("{{ bind = \"{}\" }}", self.names.bind(id, number)))
            }
            Named::Unknown => None,
        }
    }

    fn user(&mut self, id: &str) -> String {
        match self.cast.aliases.get(id) {
            Some(alias) => format!("\"$u.{alias}\""),
            None if id.is_empty() => "\"\"".to_owned(),
            None => format!("\"$u.{}\"", self.names.stranger(id)),
        }
    }

    fn bytes(&mut self, name: &str, bytes: &Bytes) -> String {
        let known = match name {
            "idem" if bytes.len() == 16 => Some(format!("new.{}", self.names.key(bytes))),
            "device_id" | "forget" => self
                .cast
                .of_device(bytes)
                .map(|actor| format!("d.{}", actor.name)),
            "token" => self.cast.of_token(bytes).map(|user| format!("t.{user}")),
            _ => None,
        };
        match known {
            Some(variable) => format!("\"${variable}\""),
            None => written_bytes(bytes),
        }
    }
}

fn body_knows(body: &DynamicMessage, name: &str) -> bool {
    body.get_field_by_name(name).is_some()
}

fn enumerated(field: &FieldDescriptor, number: i32) -> String {
    let name = match field.kind() {
        Kind::Enum(kind) => kind.get_value(number).map(|value| quoted(value.name())),
        _ => None,
    };
    name.unwrap_or_else(|| number.to_string())
}

/// A code by its name, if it has one.
pub(super) fn code(number: u64) -> String {
    let name = u16::try_from(number)
        .ok()
        .and_then(|code| Code(code).name());
    name.map_or_else(|| number.to_string(), quoted)
}

fn feature(number: u64) -> String {
    let name = u32::try_from(number)
        .ok()
        .and_then(|feature| Feature(feature).name());
    name.map_or_else(|| number.to_string(), quoted)
}

/// Bytes as text, where that is what they are.
pub(super) fn written_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => quoted(&format!("text:{text}")),
        _ => quoted(&format!("hex:{}", hex(bytes))),
    }
}

/// A string as TOML has it. A string of JSON is one, but for one sign that TOML wants escaped.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

/// What a frame is about: two users, or a group.
pub(super) fn conversation(body: &DynamicMessage, reader: &str) -> Option<String> {
    let text = |name: &str| {
        has(body, name)
            .then(|| body.get_field_by_name(name)?.as_str().map(str::to_owned))
            .flatten()
    };
    let number = |name: &str| {
        has(body, name)
            .then(|| body.get_field_by_name(name)?.as_u64())
            .flatten()
    };
    if let Some(group) = number("to_group").or_else(|| number("group")) {
        return Some(format!("group {group}"));
    }
    let one = text("from").unwrap_or_else(|| reader.to_owned());
    let other = text("to_user").or_else(|| text("user"))?;
    let (first, second) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    Some(format!("{first} {second}"))
}
