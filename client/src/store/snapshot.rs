//! All that a device remembers but for its history.

use std::collections::BTreeMap;

use crate::ids::DeviceId;
use crate::store::records::{Change, Position, Queued};
use crate::tracker::Tracker;

/// All that a device remembers but for its history: what a client starts with.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) device: Option<DeviceId>,
    pub(crate) position: Option<Position>,
    pub(crate) outbox: BTreeMap<u64, Queued>,
    pub(crate) tracker: Tracker,
    /// The highest id that the outbox ever gave.
    pub(crate) last_id: u64,
}

impl Snapshot {
    /// Takes a change over. Entries of the history are not part of a snapshot.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Device(bytes) => self.device = DeviceId::new(bytes),
            Change::Position(position) => self.position = Some(*position),
            Change::Queued(queued) => {
                self.last_id = self.last_id.max(queued.id);
                self.outbox.insert(queued.id, queued.clone());
            }
            Change::Tried(tried) => {
                if let Some(queued) = self.outbox.get_mut(&tried.id) {
                    queued.tried = tried.tried;
                }
            }
            Change::Done(id) => {
                self.last_id = self.last_id.max(*id);
                self.outbox.remove(id);
            }
            Change::Sent(sent) => self.tracker.restore(sent),
            Change::Watermark(mark) => self.tracker.restore_mark(mark),
            Change::Entry(_) => {}
        }
    }

    /// The changes that make this snapshot of nothing.
    #[must_use]
    pub fn to_changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(self.device.map(|device| Change::Device(device.to_bytes())));
        changes.extend(self.position.map(Change::Position));
        changes.extend(self.outbox.values().cloned().map(Change::Queued));
        if self.last_id > 0 && !self.outbox.contains_key(&self.last_id) {
            changes.push(Change::Done(self.last_id));
        }
        self.tracker.to_changes(&mut changes);
        changes
    }
}
