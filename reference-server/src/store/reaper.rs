//! Removes what lies below the watermarks, a little with each commit.
//!
//! Reads start above the watermarks, so what is dead is invisible at once; the reaper only gives the space back. Its work
//! is bounded for each commit, so that dropping a log of a million entries delays nobody's message. After a restart it
//! finds the rest by looking once at the front of each range.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use fjall::{Keyspace, OwnedWriteBatch};
use tidewire_core::store::StoreError;

use super::fjall_store::failed;

/// Removals added to one commit. 256 tombstones cost about 2 ms, a tenth of what a client notices.
const STEP: usize = 256;

/// Ranges of keys that are to go.
#[derive(Default)]
pub(super) struct Reaper {
    ranges: VecDeque<(Keyspace, RangeInclusive<Vec<u8>>)>,
}

impl Reaper {
    /// Everything in the range is to go. It must never be written again.
    pub(super) fn add(&mut self, keyspace: &Keyspace, range: RangeInclusive<Vec<u8>>) {
        self.ranges.push_back((keyspace.clone(), range));
    }

    /// Adds the next removals to a commit.
    pub(super) fn work(&mut self, batch: &mut OwnedWriteBatch) -> Result<(), StoreError> {
        let mut left = STEP;
        while left > 0 {
            let Some((keyspace, range)) = self.ranges.pop_front() else {
                return Ok(());
            };
            let mut last = None;
            for guard in keyspace.range(range.clone()).take(left) {
                let key = guard.key().map_err(failed)?;
                batch.remove(&keyspace, key.clone());
                last = Some(key);
                left -= 1;
            }
            // With nothing left of the budget there may be more behind the last key; it is removed twice, which is harmless.
            if let (0, Some(last)) = (left, last) {
                let (_, end) = range.into_inner();
                self.ranges.push_front((keyspace, last.to_vec()..=end));
            }
        }
        Ok(())
    }
}
