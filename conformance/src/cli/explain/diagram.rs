//! The steps of a case as a picture: the server on the left, each actor on a lane of its own, time going down.

use crate::session::{Session, Step};

/// Wide enough for most names of frames, and what a terminal of 100 columns leaves to many actors.
const WIDEST: usize = 24;
const NARROWEST: usize = 12;
const COLUMNS: usize = 92;

/// One line of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    /// From the actor to the server.
    Out(usize, String),
    /// From the server to the actor.
    In(usize, String),
    /// Out and back.
    Both(usize, String),
    /// Something at one actor that sends nothing.
    At(usize, String),
    /// Something that concerns everybody.
    All(String),
}

/// The picture, line by line; in front of each step the line of the file.
pub(super) fn draw(session: &Session) -> Vec<String> {
    let lanes = Lanes::new(session);
    let mut lines = vec![lanes.head(session)];
    for step in &session.steps {
        for (index, row) in rows(step, &session.source_of(step.line).collect::<Vec<_>>())
            .iter()
            .enumerate()
        {
            let number = if index == 0 {
                step.line.to_string()
            } else {
                String::new()
            };
            lines.push(format!("{number:>5}  {}", lanes.draw(row)));
        }
    }
    lines
}

/// What a step does, from the lines that it has in the file: so a verb that is new still has its line.
fn rows(step: &Step, lines: &[&str]) -> Vec<Row> {
    let value = |key: &str| {
        lines.iter().find_map(|line| {
            let (found, rest) = line.split_once('=')?;
            (found.trim() == key).then(|| rest.trim().trim_matches('"').to_owned())
        })
    };
    let first = lines.first().copied().unwrap_or_default();
    let verb = first.split([' ', '=']).next().unwrap_or_default();
    let told = value(verb).unwrap_or_default();
    let named = |text: String| match value("as") {
        Some(name) => format!("{text} ({name})"),
        None => text,
    };
    let times = |text: String| match value("times") {
        Some(times) => format!("{text} x{times}"),
        None => text,
    };
    let Some(actor) = step.actor else {
        return vec![Row::All(format!("{verb} {told}"))];
    };
    match verb {
        "login" => {
            let mut rows = vec![Row::Out(actor, named("LOGIN".to_owned()))];
            if value("raw").as_deref() != Some("true") {
                let synced = value("synced").as_deref() != Some("false");
                let answer = if synced {
                    "LOGIN_OK SYNCED"
                } else {
                    "LOGIN_OK"
                };
                rows.push(Row::In(actor, answer.to_owned()));
            }
            rows
        }
        "connect" => vec![Row::Out(actor, "connect".to_owned())],
        "send" | "sees" => vec![Row::Out(actor, times(named(told)))],
        "raw" => vec![Row::Out(actor, "bytes".to_owned())],
        "expect" | "inject" => vec![Row::In(actor, times(told))],
        "error" => vec![Row::In(actor, format!("ERROR {told}"))],
        "goaway" => vec![Row::In(actor, format!("GOAWAY {told}"))],
        "closed" => vec![Row::In(actor, "closes".to_owned())],
        "expect_set" => vec![Row::In(actor, format!("all of: {}", inner(lines)))],
        "one_of" => vec![Row::In(actor, format!("one of: {}", inner(lines)))],
        "quiet" => vec![Row::Both(actor, "quiet".to_owned())],
        "close" => vec![Row::Both(actor, "close".to_owned())],
        _ => vec![Row::At(actor, format!("{verb} {told}"))],
    }
}

/// The frames that stand in a list of expectations.
fn inner(lines: &[&str]) -> String {
    let text = lines.join(" ");
    let mut found: Vec<&str> = Vec::new();
    for key in ["expect = \"", "error = \""] {
        found.extend(
            text.match_indices(key)
                .filter_map(|(at, _)| text.get(at + key.len()..)?.split('"').next()),
        );
    }
    found.join(" ")
}

/// Where the lanes stand.
struct Lanes {
    width: usize,
    count: usize,
}

impl Lanes {
    fn new(session: &Session) -> Lanes {
        let count = session.actors.len();
        Lanes {
            width: (COLUMNS / count.max(1)).clamp(NARROWEST, WIDEST),
            count,
        }
    }

    /// The column of an actor; the server stands in column 0.
    fn column(&self, actor: usize) -> usize {
        (actor + 1) * self.width
    }

    fn head(&self, session: &Session) -> String {
        let mut line = "line   server".to_owned();
        for (actor, who) in session.actors.iter().enumerate() {
            // A name stands around its lane.
            let at = 7 + self.column(actor) - (who.name.len() / 2).min(self.width / 2 - 1);
            let gap = at.saturating_sub(line.chars().count()).max(1);
            line.extend(std::iter::repeat_n(' ', gap));
            line.extend(who.name.chars().take(self.width - 2));
        }
        line
    }

    fn draw(&self, row: &Row) -> String {
        let mut cells = vec![' '; self.column(self.count) - self.width + 1];
        for lane in 0..=self.count {
            set(&mut cells, lane * self.width, '│');
        }
        match row {
            Row::All(text) => return format!("│ ** {}", text.trim()),
            Row::At(actor, text) => {
                set(&mut cells, self.column(*actor), '*');
                let line: String = cells.into_iter().collect();
                return format!("{line} {}", text.trim());
            }
            Row::Out(actor, text) => self.arrow(&mut cells, *actor, text, (true, false)),
            Row::In(actor, text) => self.arrow(&mut cells, *actor, text, (false, true)),
            Row::Both(actor, text) => self.arrow(&mut cells, *actor, text, (true, true)),
        }
        cells.into_iter().collect()
    }

    /// An arrow between the server and an actor, with its text near the actor.
    fn arrow(&self, cells: &mut [char], actor: usize, text: &str, tips: (bool, bool)) {
        let end = self.column(actor);
        for at in 1..end {
            set(cells, at, '─');
        }
        if tips.0 {
            set(cells, 1, '◀');
        }
        if tips.1 {
            set(cells, end - 1, '▶');
        }
        let room = end.saturating_sub(6);
        let text = match text.chars().count() {
            len if len > room => text
                .chars()
                .take(room.saturating_sub(1))
                .chain(['…'])
                .collect(),
            _ => text.to_owned(),
        };
        let len = text.chars().count();
        // In the middle of the last gap, so that it is plain whose arrow it is; longer texts reach to the left.
        let middle = end - self.width / 2;
        let from = (middle.saturating_sub(len / 2)).clamp(3, (end - 3).saturating_sub(len).max(3));
        set(cells, from - 1, ' ');
        set(cells, from + len, ' ');
        for (index, sign) in text.chars().enumerate() {
            set(cells, from + index, sign);
        }
    }
}

fn set(cells: &mut [char], at: usize, sign: char) {
    if let Some(cell) = cells.get_mut(at) {
        *cell = sign;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::path::Path;

    use super::*;
    use crate::session::Sessions;

    const CASE: &str = r#"
title = "x"
[actors.alice]
[actors.bob]
[[step]]
actor = "alice"
login = {}
[[step]]
actor = "bob"
login = {}
synced = false
[[step]]
actor = "alice"
send = "SEND"
as = "s1"
[[step]]
actor = "bob"
error = "PERMISSION_DENIED"
[[step]]
clock = "1s"
[[step]]
actor = "bob"
cut = true
[[step]]
actor = "alice"
quiet = true
"#;

    #[test]
    fn lanes_are_straight() {
        let session = Sessions::parse("x/y", Path::new("x/y.toml"), CASE).unwrap();
        let picture = draw(&session).join("\n");
        let expected = "
line   server                alice                    bob
    5  │◀─────── LOGIN ────────│                       │
       │─── LOGIN_OK SYNCED ──▶│                       │
    8  │◀─────────────────────────────── LOGIN ────────│
       │────────────────────────────── LOGIN_OK ──────▶│
   12  │◀───── SEND (s1) ──────│                       │
   16  │──────────────────── ERROR PERMISSION_DENIED ─▶│
   19  │ ** clock 1s
   21  │                       │                       * cut true
   24  │◀─────── quiet ───────▶│                       │";
        assert_eq!(picture, expected.trim_start(), "\n{picture}");
    }
}
