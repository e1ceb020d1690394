//! What is printed: lines for people, or JSON objects for programs.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use tidewire_client::{
    Conversation, Device, Entry, Event, GroupInfo, MessageStatus, Receipt, Received, Resumed,
};

const DIM: Style = Style::new().dimmed();
const NAME: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Prints. A reader that is gone is no failure: the next event ends the command or nobody misses it.
pub(crate) struct Show {
    json: bool,
}

impl Show {
    pub(crate) fn new(json: bool) -> Show {
        Show { json }
    }

    fn line(&self, text: &str, json: impl FnOnce() -> Value) {
        let mut out = anstream::stdout().lock();
        let _ = match self.json {
            true => writeln!(out, "{}", json()),
            false => writeln!(out, "{text}"),
        };
        let _ = out.flush();
    }

    pub(crate) fn failure(&self, text: &str) {
        let _ = writeln!(anstream::stderr().lock(), "{BAD}tidewire:{BAD:#} {text}");
    }

    pub(crate) fn receipt(&self, receipt: &Receipt) {
        let state = format!("{:?}", receipt.state).to_lowercase();
        let text = format!("{GOOD}{state}{GOOD:#} {DIM}message {}{DIM:#}", receipt.id);
        let json =
            || json!({ "state": state, "message": receipt.id.0, "duplicate": receipt.duplicate });
        self.line(&text, json);
    }

    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::Connected { user, resumed, .. } => {
                let how = match resumed {
                    Resumed::Resumed => "resumed",
                    Resumed::Gap => "resumed with a gap",
                    Resumed::Fresh => "as a new device",
                };
                let text =
                    format!("{DIM}connected as{DIM:#} {NAME}{user}{NAME:#} {DIM}{how}{DIM:#}");
                self.line(
                    &text,
                    || json!({ "event": "connected", "user": user, "how": how }),
                );
            }
            Event::Synced => self.notice("up to date", "synced"),
            Event::Missing => self.line(
                &format!("{BAD}entries may be missing{BAD:#}"),
                || json!({ "event": "missing" }),
            ),
            Event::Entry(entry) => self.entry(entry),
            Event::Disconnected { reason, .. } => {
                let why = reason
                    .as_ref()
                    .map_or_else(|| "the connection was lost".to_owned(), ToString::to_string);
                self.line(
                    &format!("{BAD}offline{BAD:#} {DIM}{why}{DIM:#}"),
                    || json!({ "event": "disconnected", "why": why }),
                );
            }
            _ => {}
        }
    }

    pub(crate) fn entry(&self, entry: &Entry) {
        match entry {
            Entry::Message(message) => self.message(message),
            Entry::Status(status) => status
                .messages()
                .iter()
                .for_each(|status| self.status(status)),
            Entry::Expired(expired) => expired
                .message()
                .into_iter()
                .for_each(|status| self.status(status)),
            Entry::Group(group) => {
                let change = format!("{:?}", group.change()).to_lowercase();
                let (id, by, users) = (group.group(), group.by(), group.users().join(", "));
                let text = format!("{DIM}group {id} {change} by {by}: {users}{DIM:#}");
                self.line(&text, || json!({ "event": "group", "group": id.0, "change": change, "by": by, "users": group.users() }));
            }
            _ => {}
        }
    }

    fn message(&self, message: &Received) {
        let place = match message.conversation() {
            Conversation::Group(group) => format!(" in group {group}"),
            Conversation::User(user) if user == message.from() => String::new(),
            Conversation::User(user) => format!(" to {user}"),
        };
        let text = message
            .text()
            .map_or_else(|| format!("({} bytes)", message.content_len()), printable);
        let line = format!(
            "{NAME}{}{NAME:#}{DIM}{place}{DIM:#}  {text}",
            message.from()
        );
        self.line(&line, || {
            json!({ "event": "message", "from": message.from(), "conversation": message.conversation().to_string(),
                "message": message.id().0, "text": message.text() })
        });
    }

    fn status(&self, status: &MessageStatus) {
        let state = format!("{:?}", status.state).to_lowercase();
        let who = status
            .member
            .clone()
            .unwrap_or_else(|| status.conversation.to_string());
        let text = format!(
            "{GOOD}{state}{GOOD:#} {DIM}{who}, message {}{DIM:#}",
            status.id
        );
        self.line(&text, || {
            json!({ "event": "status", "state": state, "conversation": status.conversation.to_string(),
                "member": status.member, "message": status.id.0 })
        });
    }

    pub(crate) fn groups(&self, groups: &[GroupInfo]) {
        for group in groups {
            let (id, name, members) = (group.id(), group.name(), group.member_count());
            let text = format!(
                "{NAME}{}{NAME:#} {DIM}group {id}, {members} members{DIM:#}",
                printable(name)
            );
            self.line(
                &text,
                || json!({ "group": id.0, "name": name, "members": members }),
            );
        }
    }

    pub(crate) fn devices(&self, devices: &[Device]) {
        for device in devices {
            let (id, agent, online) = (device.id, &device.agent, device.online);
            let state = if online { "online" } else { "offline" };
            let text = format!(
                "{NAME}{id}{NAME:#} {DIM}{} {state}{DIM:#}",
                printable(agent)
            );
            self.line(
                &text,
                || json!({ "device": id.to_string(), "agent": agent, "online": online }),
            );
        }
    }

    fn notice(&self, text: &str, event: &str) {
        self.line(&format!("{DIM}{text}{DIM:#}"), || json!({ "event": event }));
    }
}

/// What others wrote must not move the cursor or change colours.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_control() && char != '\n' {
                '\u{fffd}'
            } else {
                char
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(
            printable("a\u{1b}[31mb\nc\u{7}"),
            "a\u{fffd}[31mb\nc\u{fffd}"
        );
    }
}
