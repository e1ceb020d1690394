//! Where a client keeps what has to outlive it: its device id, its position, its outbox, its history and the states of
//! what it sent.
//!
//! The contract with a store is one sentence: when [`Store::commit`] has returned, the changes survive a crash, all of them,
//! and [`Store::load`] shows them. The SDK sends, acknowledges and reports nothing that rests on a change before then.
//! [`FileStore`] keeps a folder, [`MemoryStore`] forgets.

mod file;
mod history;
mod memory;
pub(crate) mod records;
mod snapshot;

pub use file::FileStore;
pub use history::{HistoryCursor, HistoryEntry, HistoryQuery};
pub use memory::MemoryStore;
pub use records::{Change, Entry, Position, Queued, Sent, Tried, Watermark};
pub use snapshot::Snapshot;

/// A store failed. What it holds is as it was after the last commit that returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("the store cannot be read or written: {0}")]
    Io(String),
    /// What is stored is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Another client uses it.
    #[error("the store is in use by another client")]
    InUse,
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        StoreError::Io(error.to_string())
    }
}

/// Durable memory of one client. Calls come one at a time, from a thread that may block.
pub trait Store: Send + 'static {
    /// What is remembered.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// Remembers all of these changes, in this order, or none. Returns when they would survive a crash.
    ///
    /// # Errors
    /// [`StoreError`] if they may not be remembered. The client stops then.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// Entries of the history, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn history(&mut self, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError>;
}
