//! Evidence: what went over the connections of a case, in order, as data that every form of the report is drawn from.

use serde::{Deserialize, Serialize};

/// The events that the report of a case in text shows, counted from the end.
const SHOWN: usize = 12;
/// Events from the end whose bytes are shown in text: what is wrong is there.
const WITH_BYTES: usize = 3;
/// The lines of an annotated dump that the text shows of one frame.
const DUMP_LINES: usize = 24;
/// The column of the actors is no wider than this; a longer name stands out of it.
const WIDEST: usize = 24;

/// What was seen of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The actors, in the order of the file.
    pub actors: Vec<String>,
    /// How many events came before the first of `events`, and are left out.
    pub earlier: usize,
    /// What happened, oldest first.
    pub events: Vec<Event>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A step of the file begins.
    Step {
        /// Its line in the file.
        line: usize,
        /// What it says first, as the file writes it.
        text: String,
    },
    /// A frame went over the connection of an actor.
    Frame(Seen),
    /// Bytes that are no frame, or need not be one.
    Bytes {
        /// Whose connection.
        actor: String,
        /// Which way.
        direction: Direction,
        /// How many.
        length: usize,
        /// The first of them in hex.
        hex: String,
    },
    /// A line between the runner and the adapter of an actor.
    Adapter {
        /// The actor that the adapter plays.
        actor: String,
        /// `sent` by the adapter, or `received` by it.
        direction: Direction,
        /// The operation or the event.
        name: String,
        /// What it says, in a line.
        text: String,
    },
    /// Anything else that helps to see what happened.
    Note {
        /// Whom it concerns; nobody in particular if missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
        /// The note.
        text: String,
    },
}

/// A frame as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whose connection.
    pub actor: String,
    /// Which way.
    pub direction: Direction,
    /// The name of its type.
    pub name: String,
    /// Its `ref`.
    #[serde(rename = "ref")]
    pub reference: u32,
    /// The flags that are set, as `REPLY|LOGGED`; empty for none.
    pub flags: String,
    /// The bytes of its body.
    pub length: usize,
    /// The body in a line, shortened.
    pub summary: String,
    /// Header and body in hex, as many bytes as are kept.
    pub hex: String,
    /// What these bytes mean.
    pub spans: Vec<Span>,
}

/// Some bytes of a frame and what they mean. In JSON an array: place, number of bytes, depth, meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "(usize, usize, usize, String)",
    into = "(usize, usize, usize, String)"
)]
pub struct Span {
    /// The first byte, counted from the header.
    pub at: usize,
    /// How many; those of a message that lies inside have spans of their own.
    pub len: usize,
    /// 0 for the header, 1 for a field of the body, more for what lies inside a field.
    pub depth: usize,
    /// Name and value.
    pub text: String,
}

impl From<(usize, usize, usize, String)> for Span {
    fn from((at, len, depth, text): (usize, usize, usize, String)) -> Span {
        Span {
            at,
            len,
            depth,
            text,
        }
    }
}

impl From<Span> for (usize, usize, usize, String) {
    fn from(span: Span) -> Self {
        (span.at, span.len, span.depth, span.text)
    }
}

/// Which way something went, as the actor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The actor sent it.
    Sent,
    /// The actor received it.
    Received,
}

impl Direction {
    /// The arrow of a ladder whose actors stand on the left.
    #[must_use]
    pub const fn arrow(self) -> &'static str {
        match self {
            Direction::Sent => "-->",
            Direction::Received => "<--",
        }
    }
}

impl Evidence {
    /// The ladder as text: all of it, or its last events; bytes for all, or for the last few.
    #[must_use]
    pub fn lines(&self, all: bool) -> Vec<String> {
        let happened = |event: &&Event| !matches!(event, Event::Step { .. });
        let count = self.events.iter().filter(happened).count();
        let skipped = if all { 0 } else { count.saturating_sub(SHOWN) };
        let width = self
            .actors
            .iter()
            .map(String::len)
            .max()
            .unwrap_or(0)
            .min(WIDEST);
        let mut lines = Vec::new();
        if self.earlier + skipped > 0 {
            lines.push(format!("... {} earlier", self.earlier + skipped));
        }
        let mut number = 0;
        let mut step = None;
        for event in &self.events {
            if let Event::Step { line, text } = event {
                step = Some((line, text));
                continue;
            }
            number += 1;
            if number <= skipped {
                continue;
            }
            // A step shows only where something of it does.
            if let Some((line, text)) = step.take() {
                lines.push(format!("line {line}: {text}"));
            }
            event.write(width, all || number + WITH_BYTES > count, &mut lines);
        }
        lines
    }
}

impl Event {
    fn write(&self, width: usize, with_bytes: bool, lines: &mut Vec<String>) {
        match self {
            Event::Step { line, text } => lines.push(format!("line {line}: {text}")),
            Event::Frame(seen) => {
                let arrow = seen.direction.arrow();
                lines.push(format!("{:width$} {arrow} {}", seen.actor, seen.title()));
                if with_bytes {
                    seen.dump(lines);
                }
            }
            Event::Bytes {
                actor,
                direction,
                length,
                hex,
            } => {
                let head = hex.get(..128).unwrap_or(hex);
                let dots = if *length > 64 { ".." } else { "" };
                let arrow = direction.arrow();
                lines.push(format!(
                    "{actor:width$} {arrow} {length} bytes {head}{dots}"
                ));
            }
            Event::Adapter {
                actor,
                direction,
                name,
                text,
            } => {
                // The adapter stands where the user of the actor does: on the other side than the server.
                let arrow = match direction {
                    Direction::Sent => "==>",
                    Direction::Received => "<==",
                };
                lines.push(format!("{actor:width$} {arrow} {name} {text}"));
            }
            Event::Note { actor, text } => {
                let actor = actor.as_deref().unwrap_or_default();
                lines.push(format!("{actor:width$}  *  {text}"));
            }
        }
    }
}

impl Seen {
    /// Type, `ref`, flags and length in a line.
    #[must_use]
    pub fn title(&self) -> String {
        let mut text = self.name.clone();
        if self.reference != 0 {
            text += &format!(" ref {}", self.reference);
        }
        if !self.flags.is_empty() {
            text += &format!(" [{}]", self.flags);
        }
        text + &format!(" {} bytes", self.length)
    }

    fn dump(&self, lines: &mut Vec<String>) {
        for span in self.spans.iter().take(DUMP_LINES) {
            let bytes = self.bytes(span);
            let shown = match bytes.get(..14) {
                Some(head) if span.len > 8 => format!("{} ..", pairs(head)),
                _ => pairs(bytes),
            };
            let indent = 2 * span.depth;
            let (at, text) = (span.at, &span.text);
            lines.push(format!("      {at:04x}  {shown:23}  {:indent$}{text}", ""));
        }
        let left_out = self.spans.len().saturating_sub(DUMP_LINES);
        if left_out > 0 {
            lines.push(format!("      ... {left_out} more lines"));
        }
    }

    /// The bytes of a span in hex, as far as they are kept.
    fn bytes(&self, span: &Span) -> &str {
        let end = (2 * (span.at + span.len)).min(self.hex.len());
        self.hex.get(2 * span.at..end).unwrap_or_default()
    }
}

/// Hex with a space after each byte.
fn pairs(hex: &str) -> String {
    let bytes: Vec<&str> = (0..hex.len() / 2)
        .filter_map(|byte| hex.get(2 * byte..2 * byte + 2))
        .collect();
    bytes.join(" ")
}
