//! What every store has to do, as tests over the trait. Run against the memory store of the core and against fjall.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use tidewire_core::store::{Append, Batch, Body, LogPage, Pos, Store, UserKey, Value};

/// A kind of store under test: makes one, and opens the same data again.
pub(super) trait Fixture {
    /// The store.
    type Store: Store;
    /// An empty store.
    fn fresh(&mut self) -> Self::Store;
    /// The same data after the process ended. `None`: the store keeps nothing.
    fn reopen(&mut self, store: Self::Store) -> Option<Self::Store>;
}

/// Runs all of it.
pub(super) fn run(fixture: &mut impl Fixture) {
    let cases: [fn(&mut dyn Store); 8] = [
        entries_come_back_in_order,
        pages_end_where_told,
        users_are_apart,
        truncation_hides_and_stays,
        a_dropped_log_is_empty,
        bodies_are_shared_and_forgotten,
        small_state_is_last_written,
        idem_is_kept_in_order_and_forgotten,
    ];
    for case in cases {
        case(&mut fixture.fresh());
    }
    let mut store = fixture.fresh();
    fill(&mut store);
    let before = dump(&store);
    if let Some(mut store) = fixture.reopen(store) {
        assert_eq!(dump(&store), before);
        // Watermarks hold after the reopening as well, and so does whatever the reaper had not done.
        commit(&mut store, |batch| {
            batch.truncate = vec![(UserKey(1), Pos(900))]
        });
        let store = fixture.reopen(store).unwrap();
        assert_eq!(positions(&store, 1, 0), (901..=1000).collect::<Vec<_>>());
        assert_eq!(store.last_pos(UserKey(1)).unwrap(), Some(Pos(1000)));
    }
}

fn entries_come_back_in_order(store: &mut dyn Store) {
    assert_eq!(
        read(store, 1, 0),
        LogPage {
            entries: vec![],
            end: true
        }
    );
    assert_eq!(store.last_pos(UserKey(1)).unwrap(), None);
    commit(store, |batch| {
        batch.appends = vec![entry(1, 1, b"a"), entry(1, 2, b"b")]
    });
    commit(store, |batch| {
        batch.appends = vec![entry(1, 300, b""), entry(1, 70_000, b"d")]
    });
    assert_eq!(positions(store, 1, 0), [1, 2, 300, 70_000]);
    assert_eq!(positions(store, 1, 2), [300, 70_000]);
    assert_eq!(positions(store, 1, 70_000), [0; 0]);
    assert_eq!(store.last_pos(UserKey(1)).unwrap(), Some(Pos(70_000)));
    assert_eq!(
        read(store, 1, 1).entries[0],
        (Pos(2), entry(1, 2, b"b").value)
    );
}

fn pages_end_where_told(store: &mut dyn Store) {
    commit(store, |batch| {
        batch.appends = (1..=10).map(|pos| entry(1, pos, &[0; 10])).collect()
    });
    let page = store.read_log(UserKey(1), Pos(0), 4, usize::MAX).unwrap();
    assert_eq!((page.entries.len(), page.end), (4, false));
    let page = store.read_log(UserKey(1), Pos(0), 10, usize::MAX).unwrap();
    assert_eq!((page.entries.len(), page.end), (10, true));
    let page = store.read_log(UserKey(1), Pos(0), 100, 25).unwrap();
    assert_eq!((page.entries.len(), page.end), (3, false));
    let page = store.read_log(UserKey(1), Pos(0), 100, 1).unwrap();
    assert_eq!(
        (page.entries.len(), page.end),
        (1, false),
        "a page with room is never empty"
    );
    let page = store.read_log(UserKey(1), Pos(9), 100, 10).unwrap();
    assert_eq!((page.entries.len(), page.end), (1, true));
}

fn users_are_apart(store: &mut dyn Store) {
    commit(store, |batch| {
        batch.appends = vec![
            entry(1, u64::MAX - 1, b"1"),
            entry(2, 1, b"2"),
            entry(256, 5, b"3"),
        ];
    });
    assert_eq!(positions(store, 1, 0), [u64::MAX - 1]);
    assert_eq!(positions(store, 2, 0), [1]);
    assert_eq!(positions(store, 256, 4), [5]);
    assert_eq!(positions(store, 3, 0), [0; 0]);
    assert_eq!(store.last_pos(UserKey(2)).unwrap(), Some(Pos(1)));
}

fn truncation_hides_and_stays(store: &mut dyn Store) {
    commit(store, |batch| {
        batch.appends = (1..=1000).map(|pos| entry(1, pos, b"x")).collect()
    });
    commit(store, |batch| batch.truncate = vec![(UserKey(1), Pos(998))]);
    assert_eq!(positions(store, 1, 0), [999, 1000]);
    commit(store, |batch| batch.truncate = vec![(UserKey(1), Pos(10))]);
    assert_eq!(
        positions(store, 1, 0),
        [999, 1000],
        "a truncation never moves back"
    );
    for now in 0..10 {
        commit(store, |batch| batch.now = now);
    }
    assert_eq!(positions(store, 1, 0), [999, 1000]);
    commit(store, |batch| {
        batch.truncate = vec![(UserKey(1), Pos(1000))]
    });
    assert_eq!(store.last_pos(UserKey(1)).unwrap(), None);
    commit(store, |batch| batch.appends = vec![entry(1, 1001, b"y")]);
    assert_eq!(positions(store, 1, 0), [1001]);
}

fn a_dropped_log_is_empty(store: &mut dyn Store) {
    commit(store, |batch| {
        batch.appends = vec![entry(1, 1, b"a"), entry(2, 1, b"b")]
    });
    commit(store, |batch| batch.drop_logs = vec![UserKey(1)]);
    assert_eq!(positions(store, 1, 0), [0; 0]);
    assert_eq!(store.last_pos(UserKey(1)).unwrap(), None);
    assert_eq!(positions(store, 2, 0), [1]);
}

fn bodies_are_shared_and_forgotten(store: &mut dyn Store) {
    let shared = |user, pos, msg_id| Append {
        value: value(Body::Shared(msg_id)),
        ..entry(user, pos, b"")
    };
    let body = Bytes::from_static(b"for all");
    commit(store, |batch| {
        batch.appends = vec![shared(1, 1, 50), shared(2, 1, 50), shared(2, 2, 60)];
        batch.bodies = vec![(50, body.clone()), (60, Bytes::from_static(b"other"))];
    });
    assert_eq!(
        read(store, 1, 0).entries[0].1.body,
        Body::Inline(body.clone())
    );
    assert_eq!(read(store, 2, 0).entries[0].1.body, Body::Inline(body));
    commit(store, |batch| batch.forget_bodies_below = Some(60));
    assert_eq!(read(store, 1, 0).entries[0].1, value(Body::Gone));
    assert_eq!(
        read(store, 2, 0).entries[1].1.body,
        Body::Inline(Bytes::from_static(b"other"))
    );
}

fn small_state_is_last_written(store: &mut dyn Store) {
    commit(store, |batch| {
        batch.small = vec![
            (b"b".to_vec(), Some(b"1".to_vec())),
            (b"a".to_vec(), Some(b"2".to_vec())),
            (b"b".to_vec(), Some(b"3".to_vec())),
            (b"c".to_vec(), Some(Vec::new())),
        ];
    });
    commit(store, |batch| {
        batch.small = vec![(b"a".to_vec(), None), (b"never".to_vec(), None)]
    });
    assert_eq!(
        small(store),
        [(b"b".to_vec(), b"3".to_vec()), (b"c".to_vec(), Vec::new())]
    );
}

fn idem_is_kept_in_order_and_forgotten(store: &mut dyn Store) {
    for (now, idem) in [(10, "a"), (10, "b"), (11, ""), (300, "c"), (300, "d")] {
        commit(store, |batch| {
            (batch.now, batch.idem) = (now, idem.as_bytes().to_vec())
        });
    }
    assert_eq!(
        idem(store),
        [
            (10, b"a".to_vec()),
            (10, b"b".to_vec()),
            (300, b"c".to_vec()),
            (300, b"d".to_vec())
        ]
    );
    commit(store, |batch| {
        (batch.now, batch.forget_idem_before) = (301, Some(300))
    });
    assert_eq!(idem(store), [(300, b"c".to_vec()), (300, b"d".to_vec())]);
}

fn fill(store: &mut impl Store) {
    commit(store, |batch| {
        batch.now = 5;
        batch.appends = (1..=1000)
            .map(|pos| entry(1, pos, &pos.to_be_bytes()))
            .collect();
        batch.appends.push(Append {
            value: value(Body::Shared(9)),
            ..entry(2, 8, b"")
        });
        batch.bodies = vec![
            (8, Bytes::from_static(b"old")),
            (9, Bytes::from_static(b"new")),
        ];
        batch.small = vec![(b"k".to_vec(), Some(b"v".to_vec()))];
        batch.idem = b"keys".to_vec();
    });
    commit(store, |batch| {
        batch.now = 6;
        batch.idem = b"more".to_vec();
        batch.forget_idem_before = Some(6);
        batch.forget_bodies_below = Some(9);
        batch.truncate = vec![(UserKey(1), Pos(600))];
        batch.appends = vec![entry(3, 1, b"x")];
        batch.drop_logs = vec![UserKey(4)];
    });
}

type Small = Vec<(Vec<u8>, Vec<u8>)>;
type Idem = Vec<(u64, Vec<u8>)>;

fn dump(store: &impl Store) -> (Vec<LogPage>, Small, Idem) {
    (
        (1..=4).map(|user| read(store, user, 0)).collect(),
        small(store),
        idem(store),
    )
}

fn commit(store: &mut (impl Store + ?Sized), change: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::default();
    change(&mut batch);
    store.commit(&batch).unwrap();
}

fn entry(user: u64, pos: u64, body: &[u8]) -> Append {
    Append {
        user: UserKey(user),
        pos: Pos(pos),
        value: value(Body::Inline(Bytes::copy_from_slice(body))),
    }
}

fn value(body: Body) -> Value {
    Value {
        meta: b"meta".to_vec(),
        body,
    }
}

fn read(store: &(impl Store + ?Sized), user: u64, after: u64) -> LogPage {
    store
        .read_log(UserKey(user), Pos(after), usize::MAX, usize::MAX)
        .unwrap()
}

fn positions(store: &(impl Store + ?Sized), user: u64, after: u64) -> Vec<u64> {
    read(store, user, after)
        .entries
        .iter()
        .map(|(pos, _)| pos.0)
        .collect()
}

fn small(store: &(impl Store + ?Sized)) -> Small {
    let mut found = Vec::new();
    store
        .load_small(&mut |key, value| found.push((key.to_vec(), value.to_vec())))
        .unwrap();
    found
}

fn idem(store: &(impl Store + ?Sized)) -> Idem {
    let mut found = Vec::new();
    store
        .load_idem(&mut |time, value| found.push((time, value.to_vec())))
        .unwrap();
    found
}

/// The memory store of the core. It keeps nothing, so there is nothing to open again.
struct Memory;

impl Fixture for Memory {
    type Store = tidewire_core::testing::MemStore;

    fn fresh(&mut self) -> Self::Store {
        Self::Store::default()
    }

    fn reopen(&mut self, _: Self::Store) -> Option<Self::Store> {
        None
    }
}

#[test]
fn the_memory_store_keeps_the_contract() {
    run(&mut Memory);
}
