//! An actor's connection with what the player has to remember about it.

use std::collections::HashMap;

use crate::transport::Connection;

/// An open connection of an actor.
pub(super) struct Link {
    pub(super) connection: Connection,
    /// LOGIN was sent by a `login` step.
    pub(super) has_login: bool,
    pub(super) logged_in: bool,
    /// False while the actor does not read.
    pub(super) reading: bool,
    /// What LOGIN announced, in force from LOGIN_OK on.
    pub(super) max_frame: u32,
    next_ref: u32,
    pub(super) refs: Refs,
}

impl Link {
    pub(super) fn new(connection: Connection) -> Link {
        Link {
            connection,
            has_login: false,
            logged_in: false,
            reading: true,
            max_frame: tidewire_codec::limits::MAX_FRAME_DEFAULT,
            next_ref: 1,
            refs: Refs::default(),
        }
    }

    /// A `ref` that was not used yet.
    pub(super) fn new_ref(&mut self) -> u32 {
        let reference = self.next_ref;
        self.next_ref += 1;
        reference
    }
}

/// Which `ref` answers which step.
#[derive(Default)]
pub(super) struct Refs {
    last: Option<u32>,
    /// Requests by the name of their step, each `ref` until it is answered.
    named: HashMap<String, Vec<u32>>,
}

impl Refs {
    /// Remembers a request that was sent.
    pub(super) fn asked(&mut self, name: Option<&str>, reference: u32) {
        if reference != 0 {
            self.last = Some(reference);
        }
        if let Some(name) = name {
            self.named
                .entry(name.to_owned())
                .or_default()
                .push(reference);
        }
    }

    /// Forgets what an earlier step of this name asked.
    pub(super) fn rename(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.named.remove(name);
        }
    }

    /// The unanswered requests of a step.
    pub(super) fn unanswered(&self, name: &str) -> &[u32] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }

    /// The request that was sent last.
    pub(super) fn last_ref(&self) -> Option<u32> {
        self.last
    }

    /// A request got its answer.
    pub(super) fn answered(&mut self, name: &str, reference: u32) {
        if let Some(open) = self.named.get_mut(name)
            && let Some(at) = open.iter().position(|known| *known == reference)
        {
            open.remove(at);
        }
    }
}
