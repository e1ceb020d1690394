//! Family expiry: deadlines, EXPIRED, EXPIRY_SET.

use tidewire_codec::proto::{self, MessageState, expired, expiry_set};
use tidewire_codec::{Code, Frame};

use crate::world::{
    DAY, HOUR, World, create, group_message, login, message, messages, op, statuses,
};

fn short(to: &str, ttl_ms: u64) -> proto::Send {
    proto::Send {
        ttl_ms: Some(ttl_ms),
        receipts: None,
        ..message(to, "short")
    }
}

fn set(user: &str, msg_id: u64, ttl_ms: u64) -> proto::ExpirySet {
    proto::ExpirySet {
        conversation: Some(expiry_set::Conversation::User(user.into())),
        msg_id,
        ttl_ms,
        ..Default::default()
    }
}

fn expirations(frames: &[Frame]) -> Vec<(u64, u32)> {
    let one = |frame: &Frame| match frame {
        Frame::Expired(expired) => Some((expired.msg_id, expired.undelivered)),
        _ => None,
    };
    frames.iter().filter_map(one).collect()
}

#[test]
fn a_message_ends_once_and_is_not_delivered_late() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let send = short("bob", 1000);
    let ack = w.send_frame(alice, send.clone());
    assert_eq!(ack.ttl_ms, 1000);
    w.send(alice, "bob", "long");
    w.advance(400);
    assert_eq!(w.send_frame(alice, send.clone()).ttl_ms, 600);
    let bob = w.login("bob", 1);
    let frames = w.take(bob);
    assert_eq!(
        (messages(&frames)[0].ttl_ms, messages(&frames)[0].age_ms),
        (600, 400)
    );
    w.advance(599);
    w.quiet(alice);
    w.advance(1);
    let [Frame::Expired(expired)] = &w.take(alice)[..] else {
        panic!()
    };
    assert_eq!((expired.msg_id, expired.undelivered), (ack.msg_id, 1));
    assert_eq!(
        expired.conversation,
        Some(expired::Conversation::User("bob".into()))
    );
    let again = w.send_frame(alice, send);
    assert_eq!((again.state(), again.ttl_ms), (MessageState::Expired, 0));
    let other = w.login("bob", 2);
    let frames = w.take(other);
    let [message] = &messages(&frames)[..] else {
        panic!()
    };
    assert_eq!(
        (message.pos, message.prev_pos),
        (2, 0),
        "an expired entry leaves no gap"
    );
    // The ACK covers both, but only one was in time.
    w.ack(bob, 2);
    assert_eq!(
        statuses(&w.take(alice)),
        [(message.msg_id, MessageState::Delivered, "bob".into())]
    );
}

#[test]
fn a_message_in_time_does_not_expire() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.send_frame(alice, short("bob", 1000));
    w.advance(999);
    w.ack(bob, 1);
    w.advance(DAY);
    let (alice, bob) = (w.login("alice", 1), w.login("bob", 2));
    assert!(expirations(&w.take(alice)).is_empty());
    assert!(messages(&w.take(bob)).is_empty());
}

#[test]
fn the_longest_life_is_thirty_days() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    assert_eq!(w.send_frame(alice, short("bob", u64::MAX)).ttl_ms, 30 * DAY);
    assert_eq!(w.send(alice, "bob", "default").ttl_ms, 30 * DAY);
    w.advance(30 * DAY - 1);
    let bob = w.login("bob", 1);
    assert_eq!(w.texts(bob).len(), 2);
    w.hang_up(bob);
    w.advance(1);
    let alice = w.login("alice", 1);
    assert_eq!(expirations(&w.take(alice)).len(), 2);
}

#[test]
fn time_passes_while_the_server_is_down() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let first = w.send_frame(alice, short("bob", HOUR)).msg_id;
    let second = w.send_frame(alice, short("bob", 3 * HOUR)).msg_id;
    w.now = w.now.plus(2 * HOUR);
    w.crash();
    let (alice, ok) = w.login_with(login("alice", 1));
    assert_eq!(expirations(&w.take(alice)), [(first, 1)]);
    w.crash();
    w.advance(2 * HOUR);
    let (alice, _) = w.resume("alice", 1, ok.epoch, ok.head_pos);
    assert_eq!(
        expirations(&w.take(alice)),
        [(second, 1)],
        "each exactly once"
    );
    let bob = w.login("bob", 1);
    assert!(w.texts(bob).is_empty());
    // Long after the journal forgot them, a restart does not bring them back.
    w.advance(3 * DAY);
    w.crash();
    let alice = w.login("alice", 1);
    assert_eq!(expirations(&w.take(alice)).len(), 2);
}

#[test]
fn own_copies_end_at_the_same_time() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, tablet) = (w.login_quiet("alice", 1), w.login_quiet("alice", 2));
    w.hang_up(tablet);
    w.send_frame(alice, short("bob", 1000));
    w.send_frame(alice, short("alice", 1000));
    w.advance(1000);
    assert_eq!(expirations(&w.take(alice)).len(), 2);
    let tablet = w.login("alice", 2);
    assert!(messages(&w.take(tablet)).is_empty());
}

#[test]
fn a_group_counts_who_did_not_have_it() {
    let mut w = World::of(&["alice", "bob", "carol", "dave"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let group = w
        .info(alice, create("team", &["bob", "carol", "dave"]))
        .group;
    let send = proto::Send {
        ttl_ms: Some(1000),
        ..group_message(group, "hi")
    };
    let id = w.send_frame(alice, send.clone()).msg_id;
    w.ack(bob, 2);
    w.take(alice);
    w.advance(1000);
    assert_eq!(expirations(&w.take(alice)), [(id, 2)]);
    let conversation = Some(proto::status_get::Conversation::Group(group));
    let ask = proto::StatusGet {
        conversation,
        msg_id: id,
        ..Default::default()
    };
    w.crash();
    let alice = w.login_quiet("alice", 1);
    let Frame::StatusList(list) = w.ask(alice, ask) else {
        panic!()
    };
    let states: Vec<_> = list
        .members
        .iter()
        .map(proto::MemberStatus::state)
        .collect();
    assert_eq!(
        states,
        [
            MessageState::Delivered,
            MessageState::Expired,
            MessageState::Expired
        ]
    );
    assert_eq!(w.send_frame(alice, send).state(), MessageState::Expired);
    // Nobody is left to receive: nothing expires.
    let remove = proto::GroupRemove {
        users: vec!["bob".into(), "carol".into(), "dave".into()],
    };
    w.info(alice, op(group, proto::group_op::Op::Remove(remove)));
    w.send_frame(
        alice,
        proto::Send {
            ttl_ms: Some(1000),
            ..group_message(group, "alone")
        },
    );
    w.advance(2000);
    assert!(expirations(&w.take(alice)).is_empty());
}

#[test]
fn a_life_is_shortened_and_lengthened() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let shortened = w.send_frame(alice, short("bob", HOUR)).msg_id;
    let lengthened = w.send_frame(alice, short("bob", 1000)).msg_id;
    w.ok(alice, set("bob", shortened, 500));
    w.ok(alice, set("bob", lengthened, 40 * DAY));
    w.crash();
    let alice = w.login_quiet("alice", 1);
    w.advance(500);
    assert_eq!(expirations(&w.take(alice)), [(shortened, 1)]);
    w.crash();
    w.advance(DAY);
    let bob = w.login("bob", 1);
    let frames = w.take(bob);
    let [message] = &messages(&frames)[..] else {
        panic!("{frames:?}")
    };
    assert_eq!(
        (message.msg_id, message.ttl_ms),
        (lengthened, 29 * DAY - 500)
    );
    w.advance(29 * DAY);
    let alice = w.login("alice", 1);
    assert_eq!(expirations(&w.take(alice)).len(), 2);
}

#[test]
fn a_lengthened_message_outlives_its_log() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let id = w.send_frame(alice, short("bob", 30 * DAY)).msg_id;
    w.advance(29 * DAY);
    let alice = w.login_quiet("alice", 1);
    w.ok(alice, set("bob", id, 30 * DAY));
    w.advance(20 * DAY);
    w.crash();
    let bob = w.login("bob", 1);
    assert_eq!(w.texts(bob).len(), 1);
}

#[test]
fn expiry_set_is_checked() {
    let mut w = World::of(&["alice", "bob", "carol"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let id = w.send_frame(alice, short("bob", HOUR)).msg_id;
    let error = w.refused(alice, set("bob", id, 0), Code::INVALID_FIELD);
    assert_eq!(error.field.as_deref(), Some("ttl_ms"));
    let nowhere = proto::ExpirySet {
        msg_id: id,
        ttl_ms: 1,
        ..Default::default()
    };
    let error = w.refused(alice, nowhere, Code::INVALID_FIELD);
    assert_eq!(error.field.as_deref(), Some("conversation"));
    w.refused(bob, set("alice", id, 1), Code::UNKNOWN_MESSAGE);
    w.refused(alice, set("carol", id, 1), Code::UNKNOWN_MESSAGE);
    w.refused(alice, set("bob", id + 1, 1), Code::UNKNOWN_MESSAGE);
    w.ack(bob, 1);
    w.refused(alice, set("bob", id, 1), Code::TOO_LATE);
    let id = w.send_frame(alice, short("bob", 1)).msg_id;
    w.advance(1);
    w.refused(alice, set("bob", id, 1), Code::TOO_LATE);
}
