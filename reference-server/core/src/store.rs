//! The store trait: what a durable store must do for the core. Memory and fjall implement it in the server crate; one
//! contract suite holds for all.
//!
//! Fit for a distributed log later: positions are opaque and rise but need not be dense, truncation frees space whenever it
//! likes, small state is keyed, and a batch carries keys that make repeating it harmless.

use std::fmt;

use bytes::Bytes;

/// Number of a user inside the store: given once, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey(pub u64);

/// Place of an entry in a user's log; rises, starts above 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos(pub u64);

/// All changes of one burst, durable together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// New entries.
    pub appends: Vec<Append>,
    /// Bodies that several logs point to, by message id.
    pub bodies: Vec<(u64, Bytes)>,
    /// Small keyed state: written, or removed where the value is absent. Later ones win.
    pub small: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Idempotency records of this burst in one value; the key is (time, sequence), so that old ones go as a range.
    pub idem: Vec<u8>,
    /// Forget idempotency values that were committed before this time (ms).
    pub forget_idem_before: Option<u64>,
    /// Forget bodies with a message id below this one.
    pub forget_bodies_below: Option<u64>,
    /// Entries up to and including the position may be dropped, now or later; reads never return them again.
    pub truncate: Vec<(UserKey, Pos)>,
    /// The whole log of these users goes.
    pub drop_logs: Vec<UserKey>,
    /// Server time of the burst (ms).
    pub now: u64,
}

impl Batch {
    /// Nothing to make durable.
    pub fn is_empty(&self) -> bool {
        self.appends.is_empty()
            && self.bodies.is_empty()
            && self.small.is_empty()
            && self.idem.is_empty()
            && self.forget_idem_before.is_none()
            && self.forget_bodies_below.is_none()
            && self.truncate.is_empty()
            && self.drop_logs.is_empty()
    }
}

/// One new entry.
#[derive(Clone, Debug)]
pub struct Append {
    /// Whose log.
    pub user: UserKey,
    /// Above every position of this log so far.
    pub pos: Pos,
    /// Opaque to the store; at most 1 MiB. One allocation may be shared by many logs.
    pub value: Value,
}

/// The value of an entry: small own bytes, then either content bytes or a pointer to a shared body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The core's own record of the entry.
    pub meta: Vec<u8>,
    /// The rest.
    pub body: Body,
}

/// Where the body of an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Here.
    Inline(Bytes),
    /// In [`Batch::bodies`] under this message id. Reads resolve it to `Inline`; a body that was forgotten reads as `Gone`.
    Shared(u64),
    /// Was forgotten.
    Gone,
}

/// A part of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// In rising order.
    pub entries: Vec<(Pos, Value)>,
    /// No entry follows the last one.
    pub end: bool,
}

/// The store failed. The process has to end: what is in memory may be ahead of what is durable.
#[derive(Debug)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store: {}", self.0)
    }
}

impl std::error::Error for StoreError {}

/// A durable store. One writer; calls block.
pub trait Store: Send {
    /// Makes the batch durable: when it returns `Ok`, a crash or power loss right after keeps all of it.
    ///
    /// # Errors
    /// Any failure to write or sync. Nothing may be acknowledged then.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Entries of `user` above `after`, at most `max_entries`, stopping after the one that reaches `max_bytes` of bodies.
    /// Sees every committed batch. Truncated entries are never returned.
    ///
    /// # Errors
    /// Any failure to read.
    fn read_log(
        &self,
        user: UserKey,
        after: Pos,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<LogPage, StoreError>;

    /// Highest position ever committed for the user that is still stored, if any is.
    ///
    /// # Errors
    /// Any failure to read.
    fn last_pos(&self, user: UserKey) -> Result<Option<Pos>, StoreError>;

    /// All small state, by key.
    ///
    /// # Errors
    /// Any failure to read.
    fn load_small(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError>;

    /// All idempotency values that were not forgotten, oldest first, each with its commit time.
    ///
    /// # Errors
    /// Any failure to read.
    fn load_idem(&self, each: &mut dyn FnMut(u64, &[u8])) -> Result<(), StoreError>;
}
