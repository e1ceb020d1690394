//! A store that forgets with the process: for tests, and for tools that send one message.

use std::collections::VecDeque;

use crate::store::history::{HistoryCursor, HistoryEntry, HistoryQuery, decode};
use crate::store::records::{Change, Entry};
use crate::store::{Snapshot, Store, StoreError};

/// Entries that are kept: enough for a screen, little enough for a phone.
const HISTORY: usize = 1_000;

/// A store in memory. A client that uses it is a new device at each start.
#[derive(Debug, Default)]
pub struct MemoryStore {
    snapshot: Snapshot,
    history: VecDeque<Entry>,
    /// Entries that were dropped from the front.
    dropped: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// The number of an entry since the store was made.
    fn number(&self, index: usize) -> u64 {
        self.dropped + u64::try_from(index).unwrap_or(u64::MAX)
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        Ok(self.snapshot.clone())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            self.snapshot.apply(change);
            if let Change::Entry(entry) = change {
                self.history.push_back(entry.clone());
            }
        }
        while self.history.len() > HISTORY {
            self.history.pop_front();
            self.dropped += 1;
        }
        Ok(())
    }

    fn history(&mut self, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        let numbered = self
            .history
            .iter()
            .enumerate()
            .rev()
            .map(|(index, entry)| (self.number(index), entry));
        let wanted = numbered
            .filter(|(number, entry)| {
                query.before.is_none_or(|before| *number < before.0) && query.wants(entry)
            })
            .filter_map(|(number, entry)| {
                Some(HistoryEntry {
                    cursor: HistoryCursor(number),
                    entry: decode(entry)?,
                })
            });
        Ok(wanted.take(query.limit).collect())
    }
}
