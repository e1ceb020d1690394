//! Adapters: the small programs between the runner and a client SDK or a codec, and the protocol that they speak.
//!
//! An adapter reports facts. Nothing that is sent to it says what is expected, which case is played or what it came to.

mod channel;
mod file;
mod host;
mod pool;
mod protocol;

pub(crate) use file::{AdapterFile, Role};
pub(crate) use host::{Adapter, ClientEvents};
pub(crate) use pool::AdapterPool;
pub(crate) use protocol::{Answer, EVENTS, Event, PROTOCOL};

/// What an adapter did that its protocol does not allow, or that it is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", line.as_ref().map(|line| format!(": {line}")).unwrap_or_default())]
pub(crate) struct AdapterFault {
    /// What is wrong.
    pub(crate) what: String,
    /// The line that shows it, cut where it gets long.
    pub(crate) line: Option<String>,
}

impl AdapterFault {
    pub(crate) fn new(what: impl Into<String>) -> AdapterFault {
        AdapterFault {
            what: what.into(),
            line: None,
        }
    }

    fn of_line(what: impl Into<String>, line: &str) -> AdapterFault {
        const SHOWN: usize = 400;
        let mut shown: String = line.chars().take(SHOWN).collect();
        if shown.len() < line.len() {
            shown.push_str("...");
        }
        AdapterFault {
            what: what.into(),
            line: Some(shown),
        }
    }
}
