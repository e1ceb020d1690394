//! The durable store on fjall: one write batch and one sync for each commit.
//!
//! A commit is an append to fjall's journal and one `fdatasync`; nothing else waits for the disk. The journal is not
//! compressed, since contents often are already and the processor is what runs short first.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::Path;

use bytes::Bytes;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
};
use tidewire_core::store::{Batch, Body, LogPage, Pos, Store, StoreError, UserKey};

use super::layout::{
    self, BODIES_KEY, CURSOR_PREFIX, FORMAT_VERSION, IDEM_KEY, NOW_KEY, VERSION_KEY, corrupt,
    cursor_key, log_key, number, pair, split_pair,
};
use super::reaper::Reaper;

/// Journal files may take so much before fjall flushes what holds them: a start reads at most this much back.
const MAX_JOURNAL_BYTES: u64 = 128 << 20;
/// Blocks of tables kept in memory. Backlogs are read once and front to back, so more would not help.
const CACHE_BYTES: u64 = 32 << 20;

/// A store in a folder of its own.
pub struct FjallStore {
    // The order of fields is the order of dropping: the lock goes last.
    log: Keyspace,
    bodies: Keyspace,
    idem: Keyspace,
    small: Keyspace,
    meta: Keyspace,
    reaper: Reaper,
    db: Database,
    /// What was truncated: reads start above. Users of whom nothing was truncated are not in it.
    cursors: HashMap<UserKey, Pos>,
    bodies_from: u64,
    idem_from: u64,
    idem_seq: u64,
    last_time: u64,
    _lock: File,
}

impl FjallStore {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// If another process has it open, it was written by a later version, or it cannot be read.
    pub fn open(folder: &Path) -> Result<FjallStore, StoreError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| StoreError(format!("{}: {error}", folder.display())))?;
        let lock = lock(folder)?;
        let db = Database::builder(folder.join("store"))
            .journal_compression(CompressionType::None)
            .manual_journal_persist(true)
            .max_journaling_size(MAX_JOURNAL_BYTES)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let keyspace = |name| {
            let options = || KeyspaceCreateOptions::default().manual_journal_persist(true);
            db.keyspace(name, options).map_err(failed)
        };
        let mut store = FjallStore {
            log: keyspace("log")?,
            bodies: keyspace("bodies")?,
            idem: keyspace("idem")?,
            small: keyspace("small")?,
            meta: keyspace("meta")?,
            reaper: Reaper::default(),
            db,
            cursors: HashMap::new(),
            bodies_from: 0,
            idem_from: 0,
            idem_seq: 0,
            last_time: 0,
            _lock: lock,
        };
        store.check_version()?;
        store.load_watermarks()?;
        Ok(store)
    }

    /// Server time of the last batch, 0 if there was none: no clock may start below it.
    #[must_use]
    pub fn last_time(&self) -> u64 {
        self.last_time
    }

    fn check_version(&self) -> Result<(), StoreError> {
        let found = self.meta.get(VERSION_KEY).map_err(failed)?;
        match found.map(|bytes| number(&bytes)).transpose()? {
            Some(FORMAT_VERSION) => Ok(()),
            Some(other) => Err(StoreError(format!(
                "the data folder has format {other}, this server reads and writes format {FORMAT_VERSION}"
            ))),
            None => {
                self.meta
                    .insert(VERSION_KEY, FORMAT_VERSION.to_be_bytes())
                    .map_err(failed)?;
                self.db.persist(PersistMode::SyncAll).map_err(failed)
            }
        }
    }

    fn load_watermarks(&mut self) -> Result<(), StoreError> {
        for guard in self.meta.iter() {
            let (key, value) = guard.into_inner().map_err(failed)?;
            match &key[..] {
                NOW_KEY => self.last_time = number(&value)?,
                BODIES_KEY => self.bodies_from = number(&value)?,
                IDEM_KEY => self.idem_from = number(&value)?,
                [CURSOR_PREFIX, user @ ..] if user.len() == 8 => {
                    self.cursors
                        .insert(UserKey(number(user)?), Pos(number(&value)?));
                }
                _ => {}
            }
        }
        if let Some(last) = self.idem.last_key_value() {
            let (_, seq) = split_pair(&last.key().map_err(failed)?)?;
            self.idem_seq = seq + 1;
        }
        // What a former run left of the dead is found at the front of its range, if there is any.
        for (user, pos) in &self.cursors {
            let dead = log_range(*user, *pos);
            if self.log.range(dead.clone()).next().is_some() {
                self.reaper.add(&self.log, dead);
            }
        }
        self.reap_bodies(0);
        self.reap_idem(0);
        Ok(())
    }

    fn reap_bodies(&mut self, from: u64) {
        if self.bodies_from > from {
            let dead = from.to_be_bytes().to_vec()..=(self.bodies_from - 1).to_be_bytes().to_vec();
            self.reaper.add(&self.bodies, dead);
        }
    }

    fn reap_idem(&mut self, from: u64) {
        if self.idem_from > from {
            self.reaper.add(
                &self.idem,
                pair(from, 0).to_vec()..=pair(self.idem_from - 1, u64::MAX).to_vec(),
            );
        }
    }

    fn write_entries(
        &mut self,
        batch: &Batch,
        out: &mut OwnedWriteBatch,
    ) -> Result<(), StoreError> {
        for append in &batch.appends {
            out.insert(
                &self.log,
                log_key(append.user, append.pos),
                layout::encode_value(&append.value)?,
            );
        }
        for (msg_id, body) in &batch.bodies {
            out.insert(&self.bodies, msg_id.to_be_bytes(), body.clone());
        }
        for (key, value) in &batch.small {
            match value {
                Some(value) => out.insert(&self.small, &key[..], &value[..]),
                None => out.remove(&self.small, &key[..]),
            }
        }
        if !batch.idem.is_empty() {
            out.insert(&self.idem, pair(batch.now, self.idem_seq), &batch.idem[..]);
            self.idem_seq += 1;
        }
        Ok(())
    }

    fn write_watermarks(&mut self, batch: &Batch, out: &mut OwnedWriteBatch) {
        let dropped = batch.drop_logs.iter().map(|user| (*user, Pos(u64::MAX)));
        for (user, pos) in batch.truncate.iter().copied().chain(dropped) {
            let cursor = self.cursors.entry(user).or_default();
            if pos > *cursor {
                *cursor = pos;
                out.insert(&self.meta, cursor_key(user), pos.0.to_be_bytes());
                self.reaper.add(&self.log, log_range(user, pos));
            }
        }
        if let Some(below) = batch
            .forget_bodies_below
            .filter(|below| *below > self.bodies_from)
        {
            let from = std::mem::replace(&mut self.bodies_from, below);
            out.insert(&self.meta, BODIES_KEY, below.to_be_bytes());
            self.reap_bodies(from);
        }
        if let Some(before) = batch
            .forget_idem_before
            .filter(|before| *before > self.idem_from)
        {
            let from = std::mem::replace(&mut self.idem_from, before);
            out.insert(&self.meta, IDEM_KEY, before.to_be_bytes());
            self.reap_idem(from);
        }
        if batch.now > self.last_time {
            self.last_time = batch.now;
            out.insert(&self.meta, NOW_KEY, batch.now.to_be_bytes());
        }
    }

    fn first_unread(&self, user: UserKey, after: Pos) -> Option<Pos> {
        let cursor = self.cursors.get(&user).copied().unwrap_or_default();
        after.max(cursor).0.checked_add(1).map(Pos)
    }

    fn resolve(&self, body: Body) -> Result<Body, StoreError> {
        let Body::Shared(msg_id) = body else {
            return Ok(body);
        };
        if msg_id < self.bodies_from {
            return Ok(Body::Gone);
        }
        let found = self.bodies.get(msg_id.to_be_bytes()).map_err(failed)?;
        Ok(found.map_or(Body::Gone, |bytes| Body::Inline(bytes.into())))
    }
}

impl Store for FjallStore {
    //= spec/30-send.md#send-1
    //# [SND-002] The server MUST NOT send SEND_ACK before the message would survive a crash of the server.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut out = OwnedWriteBatch::with_capacity(
            self.db.clone(),
            batch.appends.len() + batch.small.len() + 4,
        );
        out = out.durability(Some(PersistMode::SyncData));
        self.write_entries(batch, &mut out)?;
        self.write_watermarks(batch, &mut out);
        self.reaper.work(&mut out)?;
        out.commit().map_err(failed)
    }

    fn read_log(
        &self,
        user: UserKey,
        after: Pos,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<LogPage, StoreError> {
        let mut page = LogPage {
            entries: Vec::new(),
            end: true,
        };
        let Some(first) = self.first_unread(user, after) else {
            return Ok(page);
        };
        let mut bytes = 0;
        for guard in self
            .log
            .range(log_key(user, first)..=log_key(user, Pos(u64::MAX)))
        {
            if page.entries.len() >= max_entries || bytes >= max_bytes {
                page.end = false;
                break;
            }
            let (key, value) = guard.into_inner().map_err(failed)?;
            let (_, pos) = split_pair(&key)?;
            let mut value = layout::decode_value(Bytes::from(value))?;
            value.body = self.resolve(value.body)?;
            if let Body::Inline(body) = &value.body {
                bytes += body.len();
            }
            page.entries.push((Pos(pos), value));
        }
        Ok(page)
    }

    fn last_pos(&self, user: UserKey) -> Result<Option<Pos>, StoreError> {
        let Some(first) = self.first_unread(user, Pos(0)) else {
            return Ok(None);
        };
        let mut entries = self
            .log
            .range(log_key(user, first)..=log_key(user, Pos(u64::MAX)));
        let Some(last) = entries.next_back() else {
            return Ok(None);
        };
        let (_, pos) = split_pair(&last.key().map_err(failed)?)?;
        Ok(Some(Pos(pos)))
    }

    fn load_small(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        for guard in self.small.iter() {
            let (key, value) = guard.into_inner().map_err(failed)?;
            each(&key, &value);
        }
        Ok(())
    }

    fn load_idem(&self, each: &mut dyn FnMut(u64, &[u8])) -> Result<(), StoreError> {
        for guard in self.idem.range(pair(self.idem_from, 0)..) {
            let (key, value) = guard.into_inner().map_err(failed)?;
            each(split_pair(&key)?.0, &value);
        }
        Ok(())
    }
}

/// All that an engine error says.
pub(super) fn failed(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Locked => StoreError("another process has the data folder open".into()),
        fjall::Error::InvalidVersion(_) => corrupt("the storage engine does not know its format"),
        other => StoreError(other.to_string()),
    }
}

/// Keys of the dead entries of a user.
fn log_range(user: UserKey, up_to: Pos) -> std::ops::RangeInclusive<Vec<u8>> {
    log_key(user, Pos(0)).to_vec()..=log_key(user, up_to).to_vec()
}

/// Keeps other processes out, before anything is read. The lock ends with the process, however that ends.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("LOCK");
    let file =
        File::create(&path).map_err(|error| StoreError(format!("{}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError(format!(
            "another process has the data folder {} open",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError(format!("{}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tempfile::TempDir;

    use super::*;
    use crate::store::contract;

    /// Each store in a folder of its own; all folders live as long as the fixture.
    #[derive(Default)]
    struct Folders(Vec<TempDir>);

    impl contract::Fixture for Folders {
        type Store = FjallStore;

        fn fresh(&mut self) -> FjallStore {
            let folder = tempfile::tempdir().unwrap();
            let store = FjallStore::open(folder.path()).unwrap();
            self.0.push(folder);
            store
        }

        fn reopen(&mut self, store: FjallStore) -> Option<FjallStore> {
            drop(store);
            Some(FjallStore::open(self.0.last().unwrap().path()).unwrap())
        }
    }

    #[test]
    fn keeps_the_contract() {
        contract::run(&mut Folders::default());
    }

    #[test]
    fn a_second_opener_is_told_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let _first = FjallStore::open(folder.path()).unwrap();
        let error = FjallStore::open(folder.path()).err().unwrap();
        assert!(
            error.0.starts_with("another process has the data folder"),
            "{error}"
        );
    }

    #[test]
    fn another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path()).unwrap();
        store
            .meta
            .insert(VERSION_KEY, 99_u64.to_be_bytes())
            .unwrap();
        drop(store);
        let error = FjallStore::open(folder.path()).err().unwrap();
        assert!(error.0.contains("format 99"), "{error}");
    }

    #[test]
    fn the_last_time_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FjallStore::open(folder.path()).unwrap();
        store
            .commit(&Batch {
                now: 77,
                ..Batch::default()
            })
            .unwrap();
        store
            .commit(&Batch {
                now: 70,
                ..Batch::default()
            })
            .unwrap();
        drop(store);
        assert_eq!(FjallStore::open(folder.path()).unwrap().last_time(), 77);
    }

    #[test]
    fn the_dead_are_removed_a_little_with_each_commit() {
        let mut folders = Folders::default();
        let mut store = contract::Fixture::fresh(&mut folders);
        let entry = |pos| tidewire_core::store::Append {
            user: UserKey(1),
            pos: Pos(pos),
            value: tidewire_core::store::Value {
                meta: Vec::new(),
                body: Body::Inline(Bytes::new()),
            },
        };
        store
            .commit(&Batch {
                appends: (1..=1000).map(entry).collect(),
                ..Batch::default()
            })
            .unwrap();
        store
            .commit(&Batch {
                truncate: vec![(UserKey(1), Pos(990))],
                ..Batch::default()
            })
            .unwrap();
        let stored = |store: &FjallStore| store.log.len().unwrap();
        assert_eq!(stored(&store), 1000 - 256);
        let mut store = contract::Fixture::reopen(&mut folders, store).unwrap();
        for now in 1..=4 {
            store
                .commit(&Batch {
                    now,
                    ..Batch::default()
                })
                .unwrap();
        }
        assert_eq!(stored(&store), 10);
    }
}
