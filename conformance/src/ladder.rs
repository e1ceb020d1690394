//! What went over the connections of a case, in order: the ladder of a failure report.

use std::fmt::Write;

use tidewire_codec::RawFrame;
use tidewire_codec::dump::Dump;

use crate::value::hex;

/// The frames that a report shows, counted from the end.
const SHOWN: usize = 12;
/// The lines of an annotated dump that a report shows of one frame.
const DUMP_LINES: usize = 24;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Sent { actor: usize, frame: RawFrame },
    SentBytes { actor: usize, bytes: Vec<u8> },
    Received { actor: usize, frame: RawFrame },
    Note { actor: Option<usize>, text: String },
}

/// The events of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ladder(Vec<Event>);

impl Ladder {
    pub(crate) fn push(&mut self, event: Event) {
        self.0.push(event);
    }

    /// The last events as text, with annotated bytes for the very last frames.
    pub(crate) fn render(&self, actors: &[String], all: bool) -> Vec<String> {
        let from = if all {
            0
        } else {
            self.0.len().saturating_sub(SHOWN)
        };
        let shown = self.0.get(from..).unwrap_or_default();
        let width = actors.iter().map(String::len).max().unwrap_or(0);
        let mut lines = Vec::new();
        if from > 0 {
            lines.push(format!("... {from} earlier"));
        }
        for (index, event) in shown.iter().enumerate() {
            let name = |actor: &usize| actors.get(*actor).map_or("?", String::as_str);
            // Bytes in full for the last few: what is wrong is there.
            let with_bytes = all || index + 4 >= shown.len();
            match event {
                Event::Sent { actor, frame } => {
                    lines.push(format!("{:width$} --> {}", name(actor), title(frame)));
                    dump(frame, with_bytes, &mut lines);
                }
                Event::Received { actor, frame } => {
                    lines.push(format!("{:width$} <-- {}", name(actor), title(frame)));
                    dump(frame, with_bytes, &mut lines);
                }
                Event::SentBytes { actor, bytes } => {
                    let head = bytes.get(..64).unwrap_or(bytes);
                    let dots = if bytes.len() > 64 { ".." } else { "" };
                    lines.push(format!(
                        "{:width$} --> {} bytes {}{dots}",
                        name(actor),
                        bytes.len(),
                        hex(head)
                    ));
                }
                Event::Note { actor, text } => {
                    lines.push(format!(
                        "{:width$}  *  {text}",
                        actor.as_ref().map_or("", name)
                    ));
                }
            }
        }
        lines
    }
}

fn title(frame: &RawFrame) -> String {
    let mut text = frame.frame_type.to_string();
    if frame.reference != 0 {
        let _ = write!(text, " ref {}", frame.reference);
    }
    if frame.flags.0 != 0 {
        let _ = write!(text, " [{}]", frame.flags);
    }
    let _ = write!(text, " {} bytes", frame.body.len());
    text
}

fn dump(frame: &RawFrame, with_bytes: bool, lines: &mut Vec<String>) {
    if !with_bytes {
        return;
    }
    let text = Dump::frame(frame).to_string();
    let all: Vec<&str> = text.lines().collect();
    lines.extend(
        all.iter()
            .take(DUMP_LINES)
            .map(|line| format!("      {line}")),
    );
    if all.len() > DUMP_LINES {
        lines.push(format!("      ... {} more lines", all.len() - DUMP_LINES));
    }
}
