//! What a restart shows: the same state as before, whatever it was.

use tidewire_codec::proto::{self, MarkScope};
use tidewire_codec::{Code, Frame};
use tidewire_core::api::{Millis, Output};
use tidewire_core::store::{Batch, Store as _};
use tidewire_core::testing::MemStore;
use tidewire_core::{Config, Core, committed_time};

use crate::world::{DAY, HOUR, START, World, create, group_message, login, mark, message};

#[test]
fn an_empty_store_opens() {
    let store = MemStore::default();
    assert_eq!(committed_time(&store).unwrap(), None);
    let mut core = Core::open(Config::default(), &store, START, 1).unwrap();
    assert!(core.poll_output().is_none());
}

#[test]
fn time_does_not_go_back() {
    let mut w = World::of(&["alice"]);
    w.advance(HOUR);
    w.login_quiet("alice", 1);
    let committed = committed_time(&w.store).unwrap();
    assert_eq!(committed, Some(w.now));
    let core = Core::open(Config::default(), &w.store, START, 1).unwrap();
    assert_eq!(core.now(), w.now);
}

#[test]
fn a_store_that_makes_no_sense_is_refused() {
    let mut store = MemStore::default();
    store
        .commit(&Batch {
            small: vec![(b"?".to_vec(), Some(Vec::new()))],
            ..Batch::default()
        })
        .unwrap();
    assert!(Core::open(Config::default(), &store, START, 1).is_err());
    let mut store = MemStore::default();
    store
        .commit(&Batch {
            idem: vec![99],
            ..Batch::default()
        })
        .unwrap();
    assert!(Core::open(Config::default(), &store, START, 1).is_err());
}

#[test]
fn ids_rise_over_restarts_and_a_clock_that_stands() {
    let mut w = World::of(&["alice", "bob"]);
    let mut last = 0;
    for _ in 0..5 {
        let alice = w.login_quiet("alice", 1);
        for _ in 0..3 {
            let id = w.send(alice, "bob", "x").msg_id;
            assert!(id > last);
            last = id;
        }
        w.crash();
    }
}

#[test]
fn undelivered_is_what_no_device_acknowledged() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let group = w.info(alice, create("team", &["bob"])).group;
    let first = message("bob", "1");
    let second = group_message(group, "2");
    w.send_frame(alice, first.clone());
    w.send_frame(alice, second.clone());
    w.ack(bob, 2);
    // The device that acknowledged is forgotten, but what it acknowledged is not.
    w.ok(
        bob,
        proto::Logout {
            forget_device: true,
            ..Default::default()
        },
    );
    w.crash();
    let alice = w.login_quiet("alice", 1);
    assert_eq!(
        w.send_frame(alice, first).state(),
        proto::MessageState::Delivered
    );
    assert_eq!(
        w.send_frame(alice, second).state(),
        proto::MessageState::Accepted
    );
}

#[test]
fn a_forgotten_devices_key_is_nobodys() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let send = message("bob", "1");
    let first = w.send_frame(alice, send.clone()).msg_id;
    w.ok(
        alice,
        proto::Logout {
            forget_device: true,
            ..Default::default()
        },
    );
    let alice = w.login_quiet("alice", 1);
    let second = w.send_frame(alice, send.clone());
    assert!(!second.duplicate && second.msg_id > first);
    w.crash();
    let alice = w.login_quiet("alice", 1);
    assert_eq!(w.send_frame(alice, send).msg_id, second.msg_id);
}

#[test]
fn a_quiet_conversation_is_remembered_for_its_marks() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let id = w.send(alice, "bob", "1").msg_id;
    let bob = w.login_quiet("bob", 1);
    w.ack(bob, 1);
    w.advance(40 * DAY);
    w.crash();
    let bob = w.login_quiet("bob", 1);
    w.refused(
        bob,
        mark("alice", id + 1, MarkScope::Public),
        Code::UNKNOWN_MESSAGE,
    );
    w.ok(bob, mark("alice", id, MarkScope::Public));
    let get = proto::StatusGet {
        conversation: Some(proto::status_get::Conversation::User("bob".into())),
        msg_id: id,
        ..Default::default()
    };
    let alice = w.login_quiet("alice", 1);
    w.refused(alice, get, Code::UNKNOWN_MESSAGE);
}

#[test]
fn everything_old_is_cleared_away() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let before = w.store.small_len();
    for n in 0..50 {
        w.send(alice, "bob", &n.to_string());
        w.send(alice, "alice", &n.to_string());
    }
    w.take(bob);
    w.ack(bob, 50);
    w.advance(70 * DAY);
    // One conversation, two cursors or marks more, but nothing for each message.
    assert!(
        w.store.small_len() <= before + 6,
        "{} and {before} values",
        w.store.small_len()
    );
    let (_, ok) = w.login_with(login("bob", 1));
    assert_eq!((ok.head_pos, ok.oldest_pos), (50, 51));
}

#[test]
fn a_crash_between_commit_and_answer_loses_the_answer_alone() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let send = message("bob", "1");
    w.put(alice, send.clone(), 1);
    let Some(Output::Commit(batch)) = w.core.poll_output() else {
        panic!()
    };
    let lost = w.store.clone();
    w.store.commit(&batch).unwrap();
    w.crash();
    let alice = w.login_quiet("alice", 1);
    assert!(
        w.send_frame(alice, send.clone()).duplicate,
        "it was durable"
    );
    w.store = lost;
    w.crash();
    let alice = w.login_quiet("alice", 1);
    assert!(!w.send_frame(alice, send).duplicate, "it was not");
    let bob = w.login("bob", 1);
    let frames = w.take(bob);
    assert_eq!(
        frames
            .iter()
            .filter(|frame| matches!(frame, Frame::Message(_)))
            .count(),
        1
    );
    assert_eq!(w.core.now().max(Millis(0)), w.now);
}

#[test]
fn a_page_of_forgotten_bodies_is_passed_over() {
    let names: Vec<String> = (0..16).map(|n| format!("member{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut w = World::of(&names);
    w.user("alice");
    let alice = w.login_quiet("alice", 1);
    let Frame::GroupInfo(group) = w.ask(alice, create("all", &names)) else {
        panic!("no group")
    };
    // More than one page of entries that point to a body.
    for n in 0..1_100 {
        w.send_frame(alice, group_message(group.group, &n.to_string()));
    }
    let forget = Batch {
        forget_bodies_below: Some(u64::MAX),
        now: w.now.0,
        ..Batch::default()
    };
    w.store.commit(&forget).unwrap();
    let member = w.login("member00", 1);
    let frames = w.take(member);
    assert!(matches!(frames.first(), Some(Frame::GroupEvent(_))));
    assert!(matches!(frames.last(), Some(Frame::Synced(_))));
    assert_eq!(frames.len(), 2, "nothing is left of the messages");
}
