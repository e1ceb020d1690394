//! A store in a folder: one file that grows by checked records, and is written anew when most of it is old.
//!
//! A record is a batch of changes: length and checksum (4 bytes each, big-endian), then the batch in protobuf. A batch is
//! there as a whole or not at all: what a crash left at the end does not match its checksum and is cut off. Damage anywhere
//! else is an error and not a loss.
//!
//! Messages are stored in the clear. An app that wants them encrypted brings a [`Store`] of its own, or an encrypted folder.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::store::history::{HistoryCursor, HistoryEntry, HistoryQuery, decode};
use crate::store::records::{Batch, Change, Entry};
use crate::store::{Snapshot, Store, StoreError};

const FILE: &str = "tidewire.log";
const FRESH_FILE: &str = "tidewire.new";
const LOCK_FILE: &str = "tidewire.lock";
/// Name and version of the format.
const MAGIC: &[u8; 8] = b"tidelog1";
/// Length and checksum.
const HEAD: u64 = 8;
/// Entries of the history that are kept if nothing is said.
const HISTORY: usize = 10_000;
/// The file is written anew when it is twice as long as when it was written last, and so much longer.
const SLACK: u64 = 4 << 20;
/// Changes in one record of a file that is written anew.
const BATCH: usize = 256;

/// A store in a folder, for one client at a time.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Held as long as the store lives; other clients are kept out.
    _lock: File,
    file: File,
    len: u64,
    /// The length when it was written last.
    base: u64,
    snapshot: Snapshot,
    history: VecDeque<Place>,
    dropped: u64,
    keep: usize,
}

/// Where an entry stands: in this record, so many entries in.
#[derive(Clone, Copy, Debug)]
struct Place {
    record: u64,
    nth: usize,
}

impl FileStore {
    /// Opens the store in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another client has it, [`StoreError::Damaged`] if it is not what was written,
    /// [`StoreError::Io`] if it cannot be read or written.
    pub fn open(folder: impl AsRef<Path>) -> Result<FileStore, StoreError> {
        let folder = folder.as_ref().to_owned();
        fs::create_dir_all(&folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK_FILE))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => StoreError::InUse,
            fs::TryLockError::Error(error) => error.into(),
        })?;
        let path = folder.join(FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        if file.metadata()?.len() < HEAD {
            file.set_len(0)?;
            file.write_all(MAGIC)?;
        }
        let mut store = FileStore {
            folder,
            _lock: lock,
            file,
            len: HEAD,
            base: HEAD,
            snapshot: Snapshot::default(),
            history: VecDeque::new(),
            dropped: 0,
            keep: HISTORY,
        };
        store.replay()?;
        Ok(store)
    }

    /// Keeps so many entries of the history; older ones go.
    #[must_use]
    pub fn keep_history(mut self, entries: usize) -> FileStore {
        self.keep = entries;
        self.forget();
        self
    }

    fn replay(&mut self) -> Result<(), StoreError> {
        let whole = self.file.metadata()?.len();
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(self.file.try_clone()?);
        let mut magic = [0; MAGIC.len()];
        reader.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(StoreError::Damaged(
                "it does not begin as a store does".to_owned(),
            ));
        }
        while let Some((batch, end)) = read_record(&mut reader, self.len, whole)? {
            let record = self.len;
            self.len = end;
            let changes: Vec<Change> = batch.into_changes().collect();
            self.apply(record, &changes);
        }
        if self.len < whole {
            // What a crash left behind; it was never promised to anybody.
            self.file.set_len(self.len)?;
            self.file.sync_all()?;
        }
        self.base = self.len;
        Ok(())
    }

    fn apply(&mut self, record: u64, changes: &[Change]) {
        let mut nth = 0;
        for change in changes {
            if let Change::Entry(_) = change {
                self.history.push_back(Place { record, nth });
                nth += 1;
            }
            self.snapshot.apply(change);
        }
        self.forget();
    }

    fn forget(&mut self) {
        while self.history.len() > self.keep {
            self.history.pop_front();
            self.dropped += 1;
        }
    }

    /// The number of an entry since the store was made.
    fn number(&self, index: usize) -> u64 {
        self.dropped + u64::try_from(index).unwrap_or(u64::MAX)
    }

    fn entry(&self, place: Place) -> Result<Entry, StoreError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place.record))?;
        let batch = read_record(&mut file, place.record, self.len)?;
        let mut entries = batch
            .into_iter()
            .flat_map(|(batch, _)| batch.into_changes())
            .filter_map(|change| match change {
                Change::Entry(entry) => Some(entry),
                _ => None,
            });
        let lost = || StoreError::Damaged("an entry of the history is gone".to_owned());
        entries.nth(place.nth).ok_or_else(lost)
    }

    /// Writes what is still of use into a new file, which takes the place of the old one.
    fn rewrite(&mut self) -> Result<(), StoreError> {
        let path = self.folder.join(FRESH_FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)?;
        file.write_all(MAGIC)?;
        let mut len = HEAD;
        let mut places = VecDeque::with_capacity(self.history.len());
        for changes in self.snapshot.to_changes().chunks(BATCH) {
            len += append(&mut file, changes)?;
        }
        let history: Vec<Place> = self.history.iter().copied().collect();
        for chunk in history.chunks(BATCH) {
            let entries = chunk
                .iter()
                .map(|place| self.entry(*place).map(Change::Entry));
            let entries = entries.collect::<Result<Vec<Change>, StoreError>>()?;
            places.extend((0..entries.len()).map(|nth| Place { record: len, nth }));
            len += append(&mut file, &entries)?;
        }
        file.sync_all()?;
        fs::rename(&path, self.folder.join(FILE))?;
        sync_folder(&self.folder)?;
        (self.file, self.len, self.base, self.history) = (file, len, len, places);
        Ok(())
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        Ok(self.snapshot.clone())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.file.seek(SeekFrom::Start(self.len))?;
        let written = append(&mut self.file, changes)?;
        self.file.sync_data()?;
        if self.len == HEAD {
            // The first batch makes the file a store: from now on its name has to be there.
            sync_folder(&self.folder)?;
        }
        let record = self.len;
        self.len += written;
        self.apply(record, changes);
        if self.len > 2 * self.base + SLACK {
            self.rewrite()?;
        }
        Ok(())
    }

    fn history(&mut self, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut found = Vec::new();
        for (index, place) in self.history.iter().enumerate().rev() {
            let number = self.number(index);
            if found.len() >= query.limit {
                break;
            }
            if query.before.is_some_and(|before| number >= before.0) {
                continue;
            }
            let entry = self.entry(*place)?;
            if query.wants(&entry) {
                found.extend(decode(&entry).map(|entry| HistoryEntry {
                    cursor: HistoryCursor(number),
                    entry,
                }));
            }
        }
        Ok(found)
    }
}

fn append(file: &mut File, changes: &[Change]) -> Result<u64, StoreError> {
    let payload = Batch::new(changes).encode_to_vec();
    let too_long = |_| StoreError::Io("a batch longer than 4 GiB".to_owned());
    let len = u32::try_from(payload.len()).map_err(too_long)?;
    let mut record = Vec::with_capacity(payload.len() + 8);
    record.extend_from_slice(&len.to_be_bytes());
    record.extend_from_slice(&checksum(&payload));
    record.extend_from_slice(&payload);
    file.write_all(&record)?;
    Ok(HEAD + u64::from(len))
}

/// The record that begins at `at` in a file of `whole` bytes, and where it ends; `None` at the end, also at one that a crash left torn.
fn read_record(
    from: &mut impl Read,
    at: u64,
    whole: u64,
) -> Result<Option<(Batch, u64)>, StoreError> {
    let mut head = [0; 8];
    if whole.saturating_sub(at) < HEAD {
        return Ok(None);
    }
    from.read_exact(&mut head)?;
    let [l0, l1, l2, l3, sum @ ..] = head;
    let len = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
    let end = at + HEAD + len;
    if end > whole {
        return Ok(None);
    }
    let mut payload = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    from.read_exact(&mut payload)?;
    if checksum(&payload) != sum {
        // The last record may be torn, and a file may have grown before its bytes came.
        if end == whole || head == [0; 8] {
            return Ok(None);
        }
        return Err(StoreError::Damaged(format!(
            "the record at byte {at} is not what was written"
        )));
    }
    let damaged = |error| StoreError::Damaged(format!("the record at byte {at}: {error}"));
    Batch::decode(payload.as_slice())
        .map(|batch| Some((batch, end)))
        .map_err(damaged)
}

/// Half of a hash is enough to tell a torn record.
fn checksum(payload: &[u8]) -> [u8; 4] {
    let [.., a, b, c, d] = xxh3_64(payload).to_be_bytes();
    [a, b, c, d]
}

/// A new name in a folder is durable once the folder is.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    Ok(File::open(folder)?.sync_all()?)
}
