//! What went over the connections of a case, in order, as it is written down while the case is played.

use tidewire_codec::dump::Dump;
use tidewire_codec::limits::HEADER_LEN;
use tidewire_codec::{Flags, RawFrame};

use crate::player::describe;
use crate::report::{Direction, Event as Shown, Evidence, Seen, Span};
use crate::session::Session;
use crate::value::hex;

/// The events that are kept of a case; sweeps of bursts make thousands.
const KEPT: usize = 300;
/// The bytes of a frame that are kept.
const BYTES_KEPT: usize = 768;
/// The characters of a summary that are kept.
const SUMMARY_KEPT: usize = 240;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Step {
        line: usize,
    },
    Sent {
        actor: usize,
        frame: RawFrame,
    },
    SentBytes {
        actor: usize,
        bytes: Vec<u8>,
    },
    Received {
        actor: usize,
        frame: RawFrame,
    },
    /// A line between the runner and the adapter of an actor: `sent` by the adapter or received by it.
    Adapter {
        actor: usize,
        direction: Direction,
        text: String,
    },
    Note {
        actor: Option<usize>,
        text: String,
    },
}

/// The events of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ladder(Vec<Event>);

impl Ladder {
    pub(crate) fn push(&mut self, event: Event) {
        self.0.push(event);
    }

    /// The last events as data.
    pub(crate) fn evidence(&self, session: &Session) -> Evidence {
        let earlier = self.0.len().saturating_sub(KEPT);
        let kept = self.0.get(earlier..).unwrap_or_default();
        let name = |actor: usize| {
            let known = session.actors.get(actor);
            known.map_or_else(|| "?".to_owned(), |actor| actor.name.clone())
        };
        let events = kept.iter().map(|event| match event {
            Event::Step { line } => Shown::Step {
                line: *line,
                text: session
                    .source_of(*line)
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            },
            Event::Sent { actor, frame } => {
                Shown::Frame(seen(name(*actor), Direction::Sent, frame))
            }
            Event::Received { actor, frame } => {
                Shown::Frame(seen(name(*actor), Direction::Received, frame))
            }
            Event::SentBytes { actor, bytes } => Shown::Bytes {
                actor: name(*actor),
                direction: Direction::Sent,
                length: bytes.len(),
                hex: hex(bytes.get(..BYTES_KEPT).unwrap_or(bytes)),
            },
            Event::Adapter {
                actor,
                direction,
                text,
            } => {
                let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
                Shown::Adapter {
                    actor: name(*actor),
                    direction: *direction,
                    name: word.to_owned(),
                    text: clip(rest, SUMMARY_KEPT),
                }
            }
            Event::Note { actor, text } => Shown::Note {
                actor: actor.map(name),
                text: clip(text, SUMMARY_KEPT),
            },
        });
        Evidence {
            actors: session
                .actors
                .iter()
                .map(|actor| actor.name.clone())
                .collect(),
            earlier,
            events: events.collect(),
        }
    }
}

/// A frame with its bytes and what they mean, as much of it as a report keeps.
pub(crate) fn seen(actor: String, direction: Direction, frame: &RawFrame) -> Seen {
    let name = frame.frame_type.to_string();
    let summary = describe(frame);
    let summary = summary.strip_prefix(&name).unwrap_or(&summary).trim_start();
    let mut spans = Vec::new();
    Dump::frame(frame).lines(|line| {
        if line.offset < BYTES_KEPT {
            spans.push(Span {
                at: line.offset,
                len: line.bytes.len(),
                depth: line.depth,
                text: line.meaning.to_string(),
            });
        }
    });
    let kept = frame
        .body
        .get(..BYTES_KEPT - HEADER_LEN)
        .unwrap_or(&frame.body);
    Seen {
        actor,
        direction,
        reference: frame.reference,
        flags: if frame.flags == Flags::NONE {
            String::new()
        } else {
            frame.flags.to_string()
        },
        length: frame.body.len(),
        summary: clip(summary, SUMMARY_KEPT),
        hex: hex(&header(frame)) + &hex(kept),
        spans,
        name,
    }
}

fn header(frame: &RawFrame) -> [u8; HEADER_LEN] {
    let len = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
    tidewire_codec::Header {
        len,
        flags: frame.flags,
        frame_type: frame.frame_type,
        reference: frame.reference,
    }
    .encode()
}

/// A text with at most so many characters.
fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}
