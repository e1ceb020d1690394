//! The contract with a store, held by each of them, and what a folder keeps through crashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use bytes::Bytes;
use tempfile::tempdir;
use tidewire_client::store::{Change, Entry, Position, Queued, Sent, Tried};
use tidewire_client::{
    Conversation, FileStore, FrameType, HistoryQuery, MemoryStore, Store, StoreError, proto,
};

fn queued(id: u64) -> Change {
    let body = Bytes::from(vec![0; 10]);
    Change::Queued(Queued {
        id,
        frame_type: 0x0201,
        body,
        since_ms: id,
        tried: false,
        label: format!("l{id}"),
    })
}

fn entry(user: &str, msg_id: u64) -> Change {
    let message = proto::Message {
        msg_id,
        pos: msg_id,
        from: user.to_owned(),
        target: Some(proto::message::Target::ToUser("me".to_owned())),
        ..proto::Message::default()
    };
    Change::Entry(Entry {
        frame_type: u32::from(FrameType::MESSAGE.0),
        body: tidewire_client::Frame::Message(message).encode_body(),
        user: Some(user.to_owned()),
        group: None,
    })
}

/// Ids of a conversation, newest first, by pages of `limit`.
fn pages(store: &mut impl Store, user: &str, limit: usize) -> Vec<u64> {
    let mut query = HistoryQuery {
        conversation: Some(Conversation::user(user)),
        before: None,
        limit,
    };
    let mut ids = Vec::new();
    loop {
        let page = store.history(&query).unwrap();
        let Some(last) = page.last() else { return ids };
        query.before = Some(last.cursor);
        ids.extend(page.iter().map(|found| found.entry.pos().unwrap().0));
    }
}

/// What every store does. `reopen` gives the store of the next process.
fn contract<S: Store>(mut store: S, reopen: impl Fn(S) -> S) {
    store
        .commit(&[Change::Device(Bytes::from(vec![7; 16]))])
        .unwrap();
    store.commit(&[queued(1), queued(2), queued(3)]).unwrap();
    store
        .commit(&[Change::Done(1), Change::Tried(Tried { id: 2, tried: true })])
        .unwrap();
    store
        .commit(&[
            Change::Position(Position {
                epoch: 5,
                pos: 9,
                base: 2,
            }),
            entry("bob", 1),
            entry("carol", 2),
        ])
        .unwrap();
    let sent = Sent {
        user: Some("bob".to_owned()),
        msg_id: 4,
        label: Some("l".to_owned()),
        state: 2,
        ..Sent::default()
    };
    store
        .commit(&[Change::Sent(sent), entry("bob", 3)])
        .unwrap();
    for _ in 0..2 {
        let changes = store.load().unwrap().to_changes();
        assert_eq!(changes[0], Change::Device(Bytes::from(vec![7; 16])));
        assert_eq!(
            changes[1],
            Change::Position(Position {
                epoch: 5,
                pos: 9,
                base: 2
            })
        );
        let outbox: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Queued(queued) => Some((queued.id, queued.tried, queued.label.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(outbox, [(2, true, "l2"), (3, false, "l3")]);
        assert!(
            changes
                .iter()
                .any(|change| matches!(change, Change::Sent(sent) if sent.msg_id == 4))
        );
        assert_eq!(pages(&mut store, "bob", 1), [3, 1]);
        assert_eq!(pages(&mut store, "carol", 10), [2]);
        store = reopen(store);
    }
}

#[test]
fn memory_keeps_the_contract() {
    contract(MemoryStore::new(), |store| store);
}

#[test]
fn a_folder_keeps_the_contract() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a/b");
    contract(FileStore::open(&path).unwrap(), |store| {
        drop(store);
        FileStore::open(&path).unwrap()
    });
}

#[test]
fn a_folder_is_for_one_client() {
    let folder = tempdir().unwrap();
    let first = FileStore::open(folder.path()).unwrap();
    assert_eq!(
        FileStore::open(folder.path()).unwrap_err(),
        StoreError::InUse
    );
    drop(first);
    FileStore::open(folder.path()).unwrap();
}

fn log(folder: &Path) -> std::path::PathBuf {
    folder.join("tidewire.log")
}

/// A file that ends anywhere holds the batches that are whole, and takes new ones.
#[test]
fn a_crash_at_any_byte_keeps_what_was_committed() {
    let folder = tempdir().unwrap();
    let mut lens = Vec::new();
    let mut store = FileStore::open(folder.path()).unwrap();
    for id in 1..=3 {
        store.commit(&[queued(id), entry("bob", id)]).unwrap();
        lens.push(fs::metadata(log(folder.path())).unwrap().len());
    }
    drop(store);
    let whole = fs::read(log(folder.path())).unwrap();
    for cut in 8..=whole.len() {
        let committed = lens.iter().filter(|len| **len <= cut as u64).count();
        // Torn off, or as long as it should be and not written to the end.
        for fill in [0, whole.len() - cut] {
            let mut torn = whole[..cut].to_vec();
            torn.extend(std::iter::repeat_n(0, fill));
            fs::write(log(folder.path()), torn).unwrap();
            let mut store = match FileStore::open(folder.path()) {
                Ok(store) => store,
                // Zeros over more than the last record are no torn end.
                Err(StoreError::Damaged(_)) if fill > 0 && committed < 2 => continue,
                Err(error) => panic!("{error} at {cut} + {fill}"),
            };
            let outbox = store.load().unwrap().to_changes();
            assert_eq!(
                outbox
                    .iter()
                    .filter(|change| matches!(change, Change::Queued(_)))
                    .count(),
                committed,
                "{cut}"
            );
            assert_eq!(pages(&mut store, "bob", 10).len(), committed);
            store.commit(&[queued(9)]).unwrap();
            drop(store);
            FileStore::open(folder.path()).unwrap();
        }
    }
}

#[test]
fn damage_is_an_error_and_no_loss() {
    let folder = tempdir().unwrap();
    let mut store = FileStore::open(folder.path()).unwrap();
    store.commit(&[queued(1)]).unwrap();
    store.commit(&[queued(2)]).unwrap();
    drop(store);
    let mut bytes = fs::read(log(folder.path())).unwrap();
    bytes[20] ^= 1;
    fs::write(log(folder.path()), &bytes).unwrap();
    assert!(matches!(
        FileStore::open(folder.path()),
        Err(StoreError::Damaged(_))
    ));
    fs::write(log(folder.path()), b"something else entirely").unwrap();
    assert!(matches!(
        FileStore::open(folder.path()),
        Err(StoreError::Damaged(_))
    ));
}

#[test]
fn a_file_that_is_mostly_old_is_written_anew() {
    let folder = tempdir().unwrap();
    let mut store = FileStore::open(folder.path()).unwrap().keep_history(100);
    let big = |id: u64| {
        let body = Bytes::from(vec![1; 50_000]);
        Change::Queued(Queued {
            id,
            frame_type: 0x0201,
            body,
            ..Queued::default()
        })
    };
    let mut longest = 0;
    for id in 1..=400 {
        store.commit(&[big(id), entry("bob", id)]).unwrap();
        store.commit(&[Change::Done(id)]).unwrap();
        longest = longest.max(fs::metadata(log(folder.path())).unwrap().len());
    }
    assert!(longest < 6 << 20, "{longest} bytes, of 20 million written");
    let newest: Vec<u64> = (301..=400).rev().collect();
    assert_eq!(pages(&mut store, "bob", 7), newest);
    drop(store);
    let mut store = FileStore::open(folder.path()).unwrap().keep_history(100);
    assert_eq!(pages(&mut store, "bob", 7), newest);
    assert_eq!(store.load().unwrap().to_changes(), [Change::Done(400)]);
}
