//! Family send: acceptance, the user log, idempotency, the backlog.

use crate::world::{
    DAY, HOUR, World, group_message, key, login, message, messages, statuses, text,
};
use tidewire_codec::proto::{self, MessageState};
use tidewire_codec::{Code, Frame};
use tidewire_core::api::{AdminOp, Input};

#[test]
fn a_message_reaches_its_recipient_live() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let ack = w.send(alice, "bob", "hi");
    assert!(ack.msg_id > 0 && !ack.duplicate);
    assert_eq!(ack.state(), MessageState::Accepted);
    let frames = w.take(bob);
    let [message] = &messages(&frames)[..] else {
        panic!("{frames:?}")
    };
    assert_eq!(
        (message.pos, message.prev_pos, message.msg_id),
        (1, 0, ack.msg_id)
    );
    assert_eq!(
        (
            message.from.as_str(),
            text(message).as_str(),
            message.content_len
        ),
        ("alice", "hi", 2)
    );
    w.quiet(alice);
    w.ack(bob, 1);
    assert_eq!(
        statuses(&w.take(alice)),
        [(ack.msg_id, MessageState::Delivered, "bob".into())]
    );
}

#[test]
fn nothing_goes_out_before_it_is_durable() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let before = w.commits;
    for n in 0..100 {
        w.put(alice, message("bob", "x"), n + 1000);
    }
    w.settle();
    assert_eq!(w.commits, before + 1, "a burst is one commit");
    assert_eq!(w.take(alice).len(), 100);
    w.crash();
    let bob = w.login("bob", 1);
    assert_eq!(w.texts(bob).len(), 100);
}

#[test]
fn the_backlog_ends_with_synced_and_resumes_after_a_crash() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    for n in 0..3000 {
        w.send(alice, "bob", &n.to_string());
    }
    let (bob, ok) = w.login_with(login("bob", 1));
    assert_eq!(
        (ok.head_pos, ok.oldest_pos, ok.resume()),
        (3000, 1, proto::ResumeResult::Fresh)
    );
    let frames = w.take(bob);
    assert_eq!(
        frames.last(),
        Some(&Frame::Synced(proto::Synced { pos: 3000 }))
    );
    let all = messages(&frames);
    assert_eq!(all.len(), 3000);
    assert!(
        all.iter()
            .enumerate()
            .all(|(n, m)| m.pos == n as u64 + 1 && m.prev_pos == n as u64)
    );
    w.ack(bob, 1000);
    w.crash();
    let (bob, again) = w.resume("bob", 1, ok.epoch, 2000);
    assert_eq!(
        (again.resume(), again.epoch),
        (proto::ResumeResult::Resumed, ok.epoch)
    );
    let frames = w.take(bob);
    assert_eq!(messages(&frames).len(), 1000);
    assert_eq!(messages(&frames)[0].prev_pos, 2000);
}

#[test]
fn the_same_key_has_one_effect() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let send = message("bob", "once");
    let first = w.send_frame(alice, send.clone());
    let other = proto::Send {
        content: "twice".into(),
        ..send.clone()
    };
    w.refused(alice, other.clone(), Code::IDEM_CONFLICT);
    let again = w.send_frame(alice, send.clone());
    assert_eq!((again.msg_id, again.duplicate), (first.msg_id, true));
    assert_eq!(w.texts(bob), [(1, "once".to_owned())]);
    w.ack(bob, 1);
    assert_eq!(
        w.send_frame(alice, send.clone()).state(),
        MessageState::Delivered
    );
    w.crash();
    let alice = w.login_quiet("alice", 1);
    let again = w.send_frame(alice, send.clone());
    assert_eq!(
        (again.msg_id, again.duplicate, again.state()),
        (first.msg_id, true, MessageState::Delivered)
    );
    w.refused(alice, other, Code::IDEM_CONFLICT);
    // Another device has keys of its own.
    let tablet = w.login_quiet("alice", 2);
    assert!(!w.send_frame(tablet, send.clone()).duplicate);
    // The key outlives its day only a little.
    w.advance(DAY + 2 * HOUR);
    let alice = w.login_quiet("alice", 1);
    assert!(!w.send_frame(alice, send).duplicate);
}

#[test]
fn the_first_broken_field_is_named() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let mut send = proto::Send {
        idem: "short".into(),
        content_type: "x".repeat(65),
        ttl_ms: Some(0),
        priority: 3,
        content: vec![0; 63_489].into(),
        ..proto::Send::default()
    };
    for field in [
        "target",
        "idem",
        "delivery",
        "content_type",
        "ttl_ms",
        "priority",
    ] {
        let error = w.refused(alice, send.clone(), Code::INVALID_FIELD);
        assert_eq!(error.field.as_deref(), Some(field));
        match field {
            "target" => send.target = Some(proto::send::Target::ToUser("nobody".into())),
            "idem" => send.idem = key(1),
            "delivery" => send.delivery = 1,
            "content_type" => send.content_type.truncate(64),
            "ttl_ms" => send.ttl_ms = None,
            _ => send.priority = 2,
        }
    }
    let error = w.refused(alice, send.clone(), Code::CONTENT_TOO_LARGE);
    assert_eq!((error.limit, error.actual), (Some(63_488), Some(63_489)));
    send.content.truncate(63_488);
    w.refused(alice, send.clone(), Code::UNKNOWN_USER);
    send.target = Some(proto::send::Target::ToUser("bob".into()));
    assert!(
        !w.send_frame(alice, send).duplicate,
        "a refused SEND does not consume its key"
    );
}

#[test]
fn own_devices_get_a_copy_and_the_sender_does_not() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, tablet) = (w.login_quiet("alice", 1), w.login_quiet("alice", 2));
    w.send(alice, "bob", "hi");
    w.quiet(alice);
    let frames = w.take(tablet);
    assert_eq!(
        (messages(&frames)[0].from.as_str(), messages(&frames)[0].pos),
        ("alice", 1)
    );
    // What the sender causes leaves no gap in what it sees.
    w.send(tablet, "alice", "note");
    let frames = w.take(alice);
    assert_eq!(
        (messages(&frames)[0].pos, messages(&frames)[0].prev_pos),
        (2, 0)
    );
    w.quiet(tablet);
}

#[test]
fn a_message_to_oneself_is_delivered_by_another_device() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    let note = message("alice", "note");
    w.send_frame(alice, note.clone());
    w.send(bob, "alice", "hi");
    let [(pos, _)] = w.texts(alice)[..] else {
        panic!()
    };
    w.ack(alice, pos);
    assert_eq!(
        w.send_frame(alice, note.clone()).state(),
        MessageState::Accepted
    );
    w.crash();
    let alice = w.login_quiet("alice", 1);
    assert_eq!(
        w.send_frame(alice, note.clone()).state(),
        MessageState::Accepted
    );
    let tablet = w.login("alice", 2);
    assert_eq!(w.texts(tablet).len(), 2);
    w.ack(tablet, 2);
    assert_eq!(w.send_frame(alice, note).state(), MessageState::Delivered);
}

#[test]
fn credit_holds_entries_back_and_nothing_else() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let (bob, _) = w.login_with(proto::Login {
        event_limit: 0,
        ..login("bob", 1)
    });
    w.take(bob);
    for n in 0..5 {
        w.send(alice, "bob", &n.to_string());
    }
    assert!(messages(&w.take(bob)).is_empty());
    assert!(matches!(w.ask(bob, proto::Ping::default()), Frame::Pong(_)));
    w.tell(bob, proto::Credit { event_limit: 2 });
    assert_eq!(w.texts(bob).len(), 2);
    w.tell(bob, proto::Credit { event_limit: 1 });
    w.quiet(bob);
    w.tell(bob, proto::Credit { event_limit: 100 });
    let frames = w.take(bob);
    assert_eq!(
        messages(&frames)
            .iter()
            .map(|m| m.prev_pos)
            .collect::<Vec<_>>(),
        [2, 3, 4]
    );
}

#[test]
fn a_congested_session_catches_up_from_the_store() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.feed(Input::Congested {
        conn: bob,
        on: true,
    });
    for n in 0..700 {
        w.send(alice, "bob", &n.to_string());
    }
    w.quiet(bob);
    w.feed(Input::Congested {
        conn: bob,
        on: false,
    });
    assert_eq!(w.texts(bob).len(), 700);
    w.send(alice, "bob", "live again");
    assert_eq!(w.texts(bob), [(701, "live again".to_owned())]);
}

#[test]
fn sync_repeats_and_is_bounded() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    for n in 0..4 {
        w.send(alice, "bob", &n.to_string());
    }
    w.take(bob);
    let error = w.refused(
        bob,
        proto::Sync {
            after_pos: 5,
            ..Default::default()
        },
        Code::INVALID_FIELD,
    );
    assert_eq!(
        (error.field.as_deref(), error.limit, error.actual),
        (Some("after_pos"), Some(4), Some(5))
    );
    w.ok(
        bob,
        proto::Sync {
            after_pos: 1,
            ..Default::default()
        },
    );
    let frames = w.take(bob);
    assert_eq!(
        messages(&frames)
            .iter()
            .map(|m| (m.pos, m.prev_pos))
            .collect::<Vec<_>>(),
        [(2, 1), (3, 2), (4, 3)]
    );
    assert_eq!(
        frames.last(),
        Some(&Frame::Synced(proto::Synced { pos: 4 }))
    );
}

#[test]
fn an_ack_is_bounded_by_what_was_sent() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.send(alice, "bob", "hi");
    w.take(bob);
    w.ack(bob, 2);
    let goaway = w.goaway(bob);
    assert_eq!((goaway.limit, goaway.actual), (Some(1), Some(2)));
    assert!(w.is_open(alice));
}

#[test]
fn long_content_is_left_out_and_fetched() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let limits = Some(proto::Limits {
        max_frame: Some(16_384),
        max_inflight: None,
    });
    let (bob, _) = w.login_with(proto::Login {
        limits,
        ..login("bob", 1)
    });
    w.take(bob);
    let content: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
    w.send_frame(
        alice,
        proto::Send {
            content: content.clone().into(),
            ..message("bob", "")
        },
    );
    w.send(alice, "bob", "next");
    let frames = w.take(bob);
    let [long, next] = &messages(&frames)[..] else {
        panic!()
    };
    assert!(long.content_omitted && long.content.is_empty() && long.content_len == 40_000);
    assert_eq!((next.pos, next.prev_pos), (2, 1));
    let mut got = Vec::new();
    while got.len() < content.len() {
        let get = proto::ContentGet {
            pos: 1,
            offset: Some(got.len() as u64),
            ..Default::default()
        };
        let Frame::Content(part) = w.ask(bob, get) else {
            panic!()
        };
        assert_eq!(
            (part.pos, part.offset, part.content_len),
            (1, got.len() as u64, 40_000)
        );
        got.extend_from_slice(&part.content);
    }
    assert_eq!(got, content);
    let get = |pos, offset| proto::ContentGet {
        pos,
        offset: Some(offset),
        ..Default::default()
    };
    w.refused(bob, get(3, 0), Code::UNKNOWN_MESSAGE);
    let error = w.refused(bob, get(1, 40_001), Code::INVALID_FIELD);
    assert_eq!((error.limit, error.actual), (Some(40_000), Some(40_001)));
}

#[test]
fn online_only_leaves_no_trace_in_a_log() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let send = || proto::Send {
        delivery: 2,
        ..message("bob", "now")
    };
    let first = send();
    let ack = w.send_frame(alice, first.clone());
    assert_eq!(
        (ack.state(), ack.code),
        (MessageState::Failed, u32::from(Code::RECIPIENT_OFFLINE.0))
    );
    let bob = w.login_quiet("bob", 1);
    let ack = w.send_frame(alice, first);
    assert_eq!((ack.state(), ack.duplicate), (MessageState::Failed, true));
    assert_eq!(w.send_frame(alice, send()).state(), MessageState::Accepted);
    assert_eq!(w.texts(bob), [(0, "now".to_owned())]);
    let (_, ok) = w.login_with(login("bob", 2));
    assert_eq!(ok.head_pos, 0);
}

#[test]
fn a_full_inbox_and_a_full_store_refuse_for_now() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    w.admin(AdminOp::SetMaxInbox(Some(2)));
    w.send(alice, "bob", "1");
    w.send(alice, "bob", "2");
    let third = message("bob", "3");
    let error = w.refused(alice, third.clone(), Code::INBOX_FULL);
    assert!(error.retry_after_ms.is_some());
    w.admin(AdminOp::SetMaxInbox(None));
    w.feed(Input::StoreFull(true));
    let error = w.refused(alice, third.clone(), Code::STORE_FULL);
    assert!(error.retry_after_ms.is_some());
    w.feed(Input::StoreFull(false));
    assert!(!w.send_frame(alice, third).duplicate);
    let bob = w.login("bob", 1);
    assert_eq!(w.texts(bob).len(), 3);
}

#[test]
fn a_fence_comes_after_the_backlog() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    for n in 0..1500 {
        w.send(alice, "bob", &n.to_string());
    }
    let bob = w.connect();
    w.put(bob, login("bob", 1), 1);
    w.put(
        bob,
        proto::Ping {
            data: "x".into(),
            ..Default::default()
        },
        2,
    );
    w.settle();
    let frames = w.take(bob);
    assert!(matches!(frames.first(), Some(Frame::LoginOk(_))));
    assert!(matches!(frames.last(), Some(Frame::Pong(_))));
    assert_eq!(messages(&frames).len(), 1500);
}

#[test]
fn a_large_group_shares_one_body() {
    let mut w = World::new();
    let names: Vec<String> = (0..40).map(|n| format!("u{n:02}")).collect();
    for name in &names {
        w.user(name);
    }
    let owner = w.login_quiet("u00", 1);
    let others: Vec<&str> = names[1..].iter().map(String::as_str).collect();
    let group = w.info(owner, crate::world::create("crowd", &others)).group;
    w.send_frame(owner, group_message(group, "to all"));
    w.crash();
    for name in &others {
        let conn = w.login(name, 1);
        assert_eq!(w.texts(conn), [(2, "to all".to_owned())]);
        w.hang_up(conn);
    }
}
