//! Family status: DELIVERED, READ, MARK, STATUS_GET.

use tidewire_codec::proto::{self, MarkScope, MessageState, status_get};
use tidewire_codec::{Code, Frame};
use tidewire_core::api::AdminOp;

use crate::world::{DAY, World, create, group_message, mark, message, op, statuses};

const DELIVERED: MessageState = MessageState::Delivered;
const READ: MessageState = MessageState::Read;

fn quiet_message(to: &str) -> proto::Send {
    proto::Send {
        receipts: None,
        ..message(to, "quiet")
    }
}

fn get(user: &str, msg_id: u64) -> proto::StatusGet {
    proto::StatusGet {
        conversation: Some(status_get::Conversation::User(user.into())),
        msg_id,
        ..Default::default()
    }
}

#[test]
fn one_ack_is_one_status_to_each_sender() {
    let mut w = World::of(&["alice", "bob", "carol"]);
    let (alice, carol) = (w.login_quiet("alice", 1), w.login_quiet("carol", 1));
    let (bob, tablet) = (w.login_quiet("bob", 1), w.login_quiet("bob", 2));
    w.send(alice, "bob", "1");
    let last = w.send(alice, "bob", "2").msg_id;
    w.send_frame(alice, quiet_message("bob"));
    let carols = w.send(carol, "bob", "3").msg_id;
    w.ack(bob, 4);
    assert_eq!(statuses(&w.take(alice)), [(last, DELIVERED, "bob".into())]);
    assert_eq!(
        statuses(&w.take(carol)),
        [(carols, DELIVERED, "bob".into())]
    );
    w.ack(tablet, 4);
    w.ack(bob, 2);
    w.quiet(alice);
    w.quiet(carol);
}

#[test]
fn a_public_mark_tells_the_sender_and_the_own_devices() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let (bob, tablet) = (w.login_quiet("bob", 1), w.login_quiet("bob", 2));
    let first = w.send(alice, "bob", "1").msg_id;
    let second = w.send_frame(alice, quiet_message("bob")).msg_id;
    let reply = w.send(bob, "alice", "re").msg_id;
    w.take(alice);
    w.take(bob);
    w.take(tablet);
    w.ok(bob, mark("alice", reply, MarkScope::Public));
    // The highest message of its own that the mark covers, but to the own devices the mark itself.
    assert_eq!(statuses(&w.take(alice)), [(second, READ, "bob".into())]);
    assert_eq!(statuses(&w.take(tablet)), [(reply, READ, "bob".into())]);
    w.quiet(bob);
    // READ was told, so DELIVERED would be a step back.
    w.ack(bob, 2);
    w.quiet(alice);
    w.ok(bob, mark("alice", first, MarkScope::Public));
    w.quiet(alice);
    w.quiet(tablet);
    let unread = w.send_frame(alice, quiet_message("bob")).msg_id;
    w.ok(bob, mark("alice", unread, MarkScope::Public));
    w.quiet(alice);
}

#[test]
fn a_private_mark_stays_private_until_a_public_one() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let (bob, tablet) = (w.login_quiet("bob", 1), w.login_quiet("bob", 2));
    let id = w.send(alice, "bob", "1").msg_id;
    w.take(tablet);
    w.ok(bob, mark("alice", id, MarkScope::Private));
    w.quiet(alice);
    assert_eq!(statuses(&w.take(tablet)), [(id, READ, "bob".into())]);
    w.crash();
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.ok(bob, mark("alice", id, MarkScope::Private));
    w.ok(bob, mark("alice", id, MarkScope::Public));
    assert_eq!(statuses(&w.take(alice)), [(id, READ, "bob".into())]);
}

#[test]
fn a_mark_is_checked() {
    let mut w = World::of(&["alice", "bob", "carol"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let id = w.send(alice, "bob", "1").msg_id;
    w.take(bob);
    let error = w.refused(
        bob,
        proto::Mark {
            msg_id: id,
            scope: 1,
            ..Default::default()
        },
        Code::INVALID_FIELD,
    );
    assert_eq!(error.field.as_deref(), Some("conversation"));
    let error = w.refused(
        bob,
        mark("alice", id, MarkScope::Unspecified),
        Code::INVALID_FIELD,
    );
    assert_eq!(error.field.as_deref(), Some("scope"));
    for mark in [
        mark("alice", 0, MarkScope::Public),
        mark("alice", id + 1, MarkScope::Public),
        mark("carol", id, MarkScope::Public),
        mark("nobody", id, MarkScope::Public),
    ] {
        w.refused(bob, mark, Code::UNKNOWN_MESSAGE);
    }
}

#[test]
fn a_message_read_late_and_after_a_restart_is_told() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let id = w.send(alice, "bob", "1").msg_id;
    w.take(bob);
    w.ack(bob, 1);
    // The idempotency window passes twice, and nothing but small state remembers the message.
    w.advance(3 * DAY);
    w.crash();
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.ok(bob, mark("alice", id, MarkScope::Public));
    assert_eq!(statuses(&w.take(alice)), [(id, READ, "bob".into())]);
}

#[test]
fn status_get_answers_for_own_messages() {
    let mut w = World::of(&["alice", "bob", "carol"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let id = w.send(alice, "bob", "1").msg_id;
    w.take(bob);
    let Frame::StatusList(list) = w.ask(alice, get("bob", id)) else {
        panic!()
    };
    assert_eq!((list.recipients, list.delivered, list.read), (1, 0, 0));
    w.ack(bob, 1);
    w.ok(bob, mark("alice", id, MarkScope::Public));
    w.crash();
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let Frame::StatusList(list) = w.ask(alice, get("bob", id)) else {
        panic!()
    };
    assert_eq!((list.recipients, list.delivered, list.read), (1, 1, 1));
    assert_eq!(list.members[0].state(), READ);
    w.refused(bob, get("alice", id), Code::UNKNOWN_MESSAGE);
    w.refused(alice, get("carol", id), Code::UNKNOWN_MESSAGE);
    w.refused(alice, get("bob", id + 1), Code::UNKNOWN_MESSAGE);
}

#[test]
fn a_group_reports_each_member() {
    let mut w = World::of(&["alice", "bob", "carol"]);
    let (alice, bob, carol) = (
        w.login_quiet("alice", 1),
        w.login_quiet("bob", 1),
        w.login_quiet("carol", 1),
    );
    let group = w.info(alice, create("team", &["carol", "bob"])).group;
    let id = w.send_frame(alice, group_message(group, "hi")).msg_id;
    let bobs = w.send_frame(bob, group_message(group, "ho")).msg_id;
    w.take(alice);
    w.ack(bob, 2);
    assert_eq!(statuses(&w.take(alice)), [(id, DELIVERED, "bob".into())]);
    let conversation = Some(proto::mark::Conversation::Group(group));
    w.ok(
        carol,
        proto::Mark {
            conversation,
            msg_id: bobs,
            scope: 1,
            ..Default::default()
        },
    );
    assert_eq!(statuses(&w.take(alice)), [(id, READ, "carol".into())]);
    assert_eq!(statuses(&w.take(bob))[..], [(bobs, READ, "carol".into())]);
    w.crash();
    let alice = w.login_quiet("alice", 1);
    let conversation = Some(status_get::Conversation::Group(group));
    let ask = proto::StatusGet {
        conversation,
        msg_id: id,
        ..Default::default()
    };
    let Frame::StatusList(list) = w.ask(alice, ask) else {
        panic!()
    };
    let members: Vec<_> = list
        .members
        .iter()
        .map(|member| (member.user.as_str(), member.state()))
        .collect();
    assert_eq!(members, [("bob", DELIVERED), ("carol", READ)]);
    assert_eq!((list.recipients, list.delivered, list.read), (2, 2, 1));
}

#[test]
fn a_large_group_reports_nobody() {
    let mut w = World::new();
    let names: Vec<String> = (0..257).map(|n| format!("u{n:03}")).collect();
    for name in &names {
        w.user(name);
    }
    let (owner, other) = (w.login_quiet("u000", 1), w.login_quiet("u001", 1));
    let others: Vec<&str> = names[1..].iter().map(String::as_str).collect();
    let group = w.info(owner, create("crowd", &others)).group;
    let id = w.send_frame(owner, group_message(group, "hi")).msg_id;
    w.ack(other, 2);
    let conversation = Some(proto::mark::Conversation::Group(group));
    w.ok(
        other,
        proto::Mark {
            conversation,
            msg_id: id,
            scope: 1,
            ..Default::default()
        },
    );
    w.quiet(owner);
    let conversation = Some(status_get::Conversation::Group(group));
    let ask = proto::StatusGet {
        conversation,
        msg_id: id,
        ..Default::default()
    };
    let Frame::StatusList(list) = w.ask(owner, ask) else {
        panic!()
    };
    assert_eq!(
        (
            list.recipients,
            list.delivered,
            list.read,
            list.members.len()
        ),
        (256, 1, 1, 256)
    );
    // One fewer, and it is a group that reports.
    let remove = proto::group_op::Op::Remove(proto::GroupRemove {
        users: vec!["u256".into()],
    });
    w.info(owner, op(group, remove));
    w.send_frame(owner, group_message(group, "again"));
    w.ack(other, 4);
    assert_eq!(statuses(&w.take(owner)).len(), 1);
}

#[test]
fn a_deleted_recipient_fails_what_it_had_not_received() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.send(alice, "bob", "had");
    w.take(bob);
    w.ack(bob, 1);
    let lost = message("bob", "lost");
    let id = w.send_frame(alice, lost.clone()).msg_id;
    w.take(alice);
    w.admin(AdminOp::DeleteUser { user: "bob".into() });
    let [Frame::Status(status)] = &w.take(alice)[..] else {
        panic!()
    };
    assert_eq!(
        (status.msg_id, status.state(), status.by.as_str()),
        (id, MessageState::Failed, "bob")
    );
    assert_eq!(status.code, u32::from(Code::RECIPIENT_DELETED.0));
    w.crash();
    let alice = w.login_quiet("alice", 1);
    let ack = w.send_frame(alice, lost);
    assert_eq!(
        (ack.state(), ack.code, ack.ttl_ms),
        (
            MessageState::Failed,
            u32::from(Code::RECIPIENT_DELETED.0),
            0
        )
    );
}
