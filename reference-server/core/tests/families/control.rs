//! Family control, and what happens to frames before anybody reads them.

use tidewire_codec::proto;
use tidewire_codec::{Code, Flags, Frame, FrameType, Violation};
use tidewire_core::api::{ConnId, Input};

use crate::world::{SECOND, World, login, message};

/// An unknown type, from the range that nobody will ever assign.
const GREASE: FrameType = FrameType(0x0A0A);

#[test]
fn ping_is_answered_with_its_data() {
    let mut w = World::of(&["alice"]);
    let alice = w.login_quiet("alice", 1);
    let ping = |data: &[u8]| proto::Ping {
        data: data.to_vec().into(),
        ..Default::default()
    };
    assert_eq!(
        w.ask(alice, ping(&[7; 32])),
        Frame::Pong(proto::Pong {
            data: vec![7; 32].into()
        })
    );
    let error = w.refused(alice, ping(&[7; 33]), Code::INVALID_FIELD);
    assert_eq!(
        (error.field.as_deref(), error.limit, error.actual),
        (Some("data"), Some(32), Some(33))
    );
    w.tell(alice, ping(b"nobody asks"));
    w.quiet(alice);
}

#[test]
fn silence_ends_a_session_after_one_and_a_half_intervals() {
    let mut w = World::of(&["alice"]);
    let (alice, ok) = w.login_with(proto::Login {
        keepalive_ms: Some(1),
        ..login("alice", 1)
    });
    assert_eq!(ok.keepalive_ms, 15_000);
    w.advance(22_499);
    assert!(w.is_open(alice));
    w.raw(alice, GREASE, Flags::NONE, 0, &[]);
    w.advance(22_499);
    assert!(w.is_open(alice), "any frame is a sign of life");
    w.advance(1);
    w.expect_goaway(alice, Code::KEEPALIVE_TIMEOUT);
}

#[test]
fn a_login_has_ten_seconds() {
    let mut w = World::new();
    let conn = w.connect();
    w.advance(10 * SECOND - 1);
    assert!(w.is_open(conn));
    w.advance(1);
    w.expect_goaway(conn, Code::LOGIN_TIMEOUT);
}

#[test]
fn unknown_frames_are_answered_skipped_or_fatal() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.raw(alice, GREASE, Flags::NONE, 0, b"\xff\xff");
    w.quiet(alice);
    w.raw(alice, GREASE, Flags::CRITICAL | Flags::GREASE, 9, b"");
    let [Frame::Error(error)] = &w.take(alice)[..] else {
        panic!()
    };
    assert_eq!(error.code, u32::from(Code::UNSUPPORTED_FRAME.0));
    w.raw(alice, GREASE, Flags::CRITICAL, 0, b"");
    w.expect_goaway(alice, Code::UNKNOWN_CRITICAL);
    assert!(w.is_open(bob));
}

#[track_caller]
fn ends(frame_type: FrameType, flags: Flags, reference: u32, body: &[u8], code: Code) {
    let mut w = World::of(&["alice"]);
    let alice = w.login_quiet("alice", 1);
    w.raw(alice, frame_type, flags, reference, body);
    w.expect_goaway(alice, code);
    w.login_quiet("alice", 1);
}

#[test]
fn frames_out_of_place_end_the_connection() {
    let violation = Code::PROTOCOL_VIOLATION;
    ends(FrameType::MESSAGE, Flags::NONE, 0, b"", violation);
    ends(FrameType::LOGIN_OK, Flags::REPLY, 1, b"", violation);
    ends(FrameType::SEND, Flags::REPLY, 1, b"", violation);
    ends(FrameType::ACK, Flags::REPLY, 0, b"", violation);
    ends(FrameType::LOGIN, Flags::NONE, 1, b"", violation);
    ends(
        FrameType::ACK,
        Flags::NONE,
        0,
        b"\x08",
        Code::MALFORMED_FRAME,
    );
    ends(
        FrameType::PING,
        Flags::NONE,
        0,
        b"\x0a\x05",
        Code::MALFORMED_FRAME,
    );
}

#[test]
fn a_request_that_does_not_decode_is_answered() {
    let mut w = World::of(&["alice"]);
    let alice = w.login_quiet("alice", 1);
    for frame_type in [FrameType::SEND, FrameType::PING, FrameType::GROUP_OP] {
        w.raw(alice, frame_type, Flags::NONE, 5, b"\x0a\x05");
        let [Frame::Error(error)] = &w.take(alice)[..] else {
            panic!()
        };
        assert_eq!(
            error.code,
            u32::from(Code::MALFORMED_BODY.0),
            "{frame_type}"
        );
    }
    let requires = vec![1; 65];
    let error = w.refused(
        alice,
        proto::Ping {
            requires,
            ..Default::default()
        },
        Code::TOO_MANY_ITEMS,
    );
    assert_eq!(
        (error.field.as_deref(), error.limit, error.actual),
        (Some("requires"), Some(64), Some(65))
    );
    let requires = vec![1, 99, 1, 77];
    let error = w.refused(
        alice,
        proto::Send {
            requires,
            ..Default::default()
        },
        Code::FEATURE_REQUIRED,
    );
    assert_eq!(error.features, [99, 77]);
}

#[test]
fn events_with_a_ref_are_requests_of_no_known_type() {
    let mut w = World::of(&["alice"]);
    let alice = w.login_quiet("alice", 1);
    w.refused(alice, proto::Ack { pos: 99 }, Code::UNSUPPORTED_FRAME);
    w.refused(
        alice,
        proto::Credit { event_limit: 99 },
        Code::UNSUPPORTED_FRAME,
    );
}

#[test]
fn a_feature_that_is_off_does_not_exist() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, ok) = w.login_with(proto::Login {
        features: vec![2, 2, 0x0A0A_0A0A],
        ..login("alice", 1)
    });
    assert_eq!(ok.features, [2]);
    w.take(alice);
    w.refused(alice, proto::Devices::default(), Code::UNSUPPORTED_FRAME);
    w.refused(
        alice,
        crate::world::create("team", &[]),
        Code::UNSUPPORTED_FRAME,
    );
    w.raw(alice, FrameType::GROUP_OP, Flags::NONE, 0, b"");
    w.quiet(alice);
    // A group event is no entry for it, and leaves no gap.
    let (bob, carol) = (w.login_quiet("bob", 1), w.login_quiet("alice", 2));
    w.info(bob, crate::world::create("team", &["alice"]));
    w.send(bob, "alice", "hi");
    assert!(matches!(
        w.take(carol)[..],
        [Frame::GroupEvent(_), Frame::Message(_)]
    ));
    let [Frame::Message(message)] = &w.take(alice)[..] else {
        panic!()
    };
    assert_eq!((message.pos, message.prev_pos), (2, 0));
}

#[test]
fn refusals_have_a_budget() {
    let mut w = World::of(&["alice"]);
    let alice = w.login_quiet("alice", 1);
    for n in 0..1000 {
        let frame = proto::Ping {
            data: vec![0; if n % 2 == 0 { 33 } else { 1 }].into(),
            ..Default::default()
        };
        w.put(alice, frame, n + 1);
    }
    w.settle();
    assert_eq!(w.take(alice).len(), 1000);
    w.advance(10 * SECOND);
    for n in 0..1000 {
        w.put(alice, proto::Ping::default(), n + 1);
    }
    w.settle();
    assert_eq!(w.take(alice).len(), 1000, "the window slides");
    w.put(alice, proto::Ping::default(), 1);
    w.settle();
    w.expect_goaway(alice, Code::TOO_MANY_CONTROL_FRAMES);
}

#[test]
fn bytes_of_no_protocol_are_told_so() {
    let mut w = World::of(&["alice"]);
    let conn = w.connect();
    w.feed(Input::Violation {
        conn,
        violation: Violation::BadPreface { at: 0, found: b'G' },
    });
    w.expect_goaway(conn, Code::BAD_PREFACE);
    let conn = w.connect();
    w.raw(conn, FrameType::PING, Flags::NONE, 1, b"");
    w.expect_goaway(conn, Code::PROTOCOL_VIOLATION);
}

#[test]
fn a_drain_says_goodbye_to_everybody() {
    let mut w = World::of(&["alice", "bob"]);
    let conns = [
        w.login_quiet("alice", 1),
        w.login_quiet("bob", 1),
        w.connect(),
    ];
    w.feed(Input::Drain);
    for conn in conns {
        w.expect_goaway(conn, Code::SHUTTING_DOWN);
    }
}

#[test]
fn a_clients_goaway_is_not_answered() {
    let mut w = World::of(&["alice", "bob"]);
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.tell(alice, proto::Goaway::default());
    w.quiet(alice);
    assert!(!w.is_open(alice));
    w.put(alice, message("bob", "too late"), 1);
    w.settle();
    w.quiet(bob);
    w.feed(Input::Closed { conn: ConnId(999) });
}
