//! How sessions begin and end, and what keeps them alive.

use tidewire_codec::{Code, Flags, Frame, FrameType, RawFrame, proto};

use super::*;
use crate::engine::Standing;
use crate::error::Stop;
use crate::event::Resumed;

//= spec/20-login.md#login-1
//= type=test
//# [LGN-049] A client MUST NOT send another frame between LOGIN and LOGIN_OK.
#[test]
fn nothing_is_sent_between_login_and_login_ok() {
    let mut world = World::new(config());
    world.send(hello());
    let login = world.accept();
    assert_eq!((login.version_min, login.version_max), (1, 1));
    assert_eq!(login.device_id, device().to_bytes());
    assert_eq!(login.resume, None);
    world.send(hello());
    world.frame(RawFrame {
        reference: 9,
        ..unknown(Flags::NONE, b"")
    });
    world.expect_nothing();
    world.reply(1, login_ok());
    world.expect_send();
    world.expect_send();
}

#[test]
fn the_first_login_is_fresh_and_tells() {
    let mut world = World::live(config());
    let events = world.events();
    assert!(
        matches!(&events[0], Event::Connected { resumed: Resumed::Fresh, user, .. } if user == "alice"),
        "{events:?}"
    );
    assert_eq!(events[1..], [Event::Synced]);
    world.expect_nothing();
}

//= spec/20-login.md#resume
//= type=test
//# [LGN-050] A client that has stored entries MUST name their epoch and last position as resume in LOGIN.
//= spec/20-login.md#resume
//= type=test
//# [LGN-052] After RESUMED a client that has stored entries MUST send ACK for them once more.
#[test]
fn what_is_stored_is_resumed_and_acknowledged_again() {
    let mut world = World::live(config());
    world.message(3, 0);
    world.events();
    world.expect_ack(3);
    world.cut();
    world.wait(1_000);
    let login = world.log_in(resumed());
    assert_eq!(login.resume, Some(proto::Resume { epoch: 5, pos: 3 }));
    world.expect_ack(3);
    // The next process goes on from the store.
    let (store, now) = (world.store, world.now);
    let mut world = World::from_store(config(), store, now);
    assert_eq!(
        world.log_in(resumed()).resume,
        Some(proto::Resume { epoch: 5, pos: 3 })
    );
    world.expect_ack(3);
    world.message(3, 0);
    assert!(
        !world
            .events()
            .iter()
            .any(|event| matches!(event, Event::Entry(_)))
    );
}

#[test]
fn a_device_without_entries_acknowledges_nothing() {
    let mut world = World::new(config());
    world.log_in(proto::LoginOk {
        oldest_pos: 40,
        ..login_ok()
    });
    world.cut();
    world.wait(1_000);
    assert_eq!(
        world.log_in(resumed()).resume,
        Some(proto::Resume { epoch: 5, pos: 39 })
    );
    world.expect_nothing();
}

//= spec/20-login.md#resume
//= type=test
//# [LGN-028] A client that is told GAP MUST take the entries from oldest_pos on as new and tell its user that entries
//# before may be missing.
//= spec/20-login.md#resume
//= type=test
//# [LGN-051] A client that is told FRESH MUST give up its position and take the entries from oldest_pos on as new.
#[test]
fn gap_and_fresh_start_anew() {
    for (told, missing) in [
        (proto::ResumeResult::Gap, true),
        (proto::ResumeResult::Fresh, true),
    ] {
        let mut world = World::live(config());
        world.message(30, 0);
        world.events();
        world.cut();
        world.wait(1_000);
        world.log_in(proto::LoginOk {
            resume: told.into(),
            epoch: 6,
            oldest_pos: 10,
            ..login_ok()
        });
        world.message(12, 9);
        let events = world.events();
        assert_eq!(events.contains(&Event::Missing), missing, "{events:?}");
        assert!(
            events.iter().any(|event| matches!(event, Event::Entry(_))),
            "{events:?}"
        );
        world.expect_ack(12);
    }
}

//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-005] A client MUST act on the class of a code that it does not know.
//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-006] A client MUST NOT reconnect by itself after a GOAWAY of class 1.
//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-045] After a GOAWAY of class 2 or the loss of a connection a client MUST reconnect by itself.
//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-047] After a GOAWAY of class 3 a client MUST NOT log in again with the credential that was refused.
#[test]
fn the_class_of_a_goaway_says_what_to_do() {
    for code in [Code::REPLACED, Code(0x1fff), Code(0x1a0a)] {
        let mut world = World::live(config());
        world.goaway(code, None);
        assert!(matches!(
            world.engine.standing(),
            Standing::Stopped(Stop::Goaway(_))
        ));
        assert!(!world.is_open);
        world.wait(10_000_000);
        assert_eq!(world.dials, 1, "{code}");
    }
    for code in [Code::SHUTTING_DOWN, Code(0x2fff), Code(0)] {
        let mut world = World::live(config());
        world.goaway(code, Some(5_000));
        world.wait(4_999);
        assert_eq!(world.dials, 1, "{code}");
        world.wait(2_000);
        assert_eq!(world.dials, 2, "{code}");
    }
    for code in [Code::TOKEN_REVOKED, Code(0x3fff)] {
        let mut world = World::live(config());
        world.goaway(code, None);
        world.wait(10_000_000);
        world.input(Input::Command(Command::SetToken(Bytes::from_static(
            b"token",
        ))));
        assert_eq!(world.dials, 1, "{code}");
        assert!(matches!(
            world.engine.standing(),
            Standing::TokenNeeded(Some(_))
        ));
        assert!(
            world
                .events()
                .contains(&Event::TokenNeeded { code: Some(code) })
        );
        world.input(Input::Command(Command::SetToken(Bytes::from_static(
            b"other",
        ))));
        assert_eq!(world.dials, 2, "{code}");
        assert_eq!(world.accept().token, "other");
    }
}

#[test]
fn a_source_of_tokens_is_asked_until_it_brings_another() {
    let mut world = World::live(Config {
        renews: true,
        ..config()
    });
    world.goaway(Code::TOKEN_EXPIRED, None);
    world.wait(1_000);
    assert_eq!((world.wants_token, world.dials), (1, 1));
    world.input(Input::Token(Some(Bytes::from_static(b"token"))));
    world.wait(1_000);
    assert_eq!((world.wants_token, world.dials), (2, 1));
    world.input(Input::Token(None));
    world.wait(1_000);
    assert_eq!((world.wants_token, world.dials), (3, 1));
    world.input(Input::Token(Some(Bytes::from_static(b"fresh"))));
    world.wait(2_000);
    assert_eq!(world.dials, 2);
    assert_eq!(world.accept().token, "fresh");
    assert!(
        !world
            .events()
            .iter()
            .any(|event| matches!(event, Event::TokenNeeded { .. }))
    );
}

#[test]
fn a_token_is_renewed_before_its_end() {
    let mut world = World::new(Config {
        renews: true,
        ..config()
    });
    world.log_in(proto::LoginOk {
        token_ttl_ms: Some(20_000),
        ..login_ok()
    });
    world.synced();
    world.wait(17_999);
    assert_eq!(world.wants_token, 0);
    world.wait(1);
    assert_eq!(world.wants_token, 1);
    world.input(Input::Token(Some(Bytes::from_static(b"fresh"))));
    let (reference, frame) = world.expect(FrameType::REAUTH);
    let Frame::Reauth(reauth) = frame else {
        panic!()
    };
    assert_eq!(reauth.token, "fresh");
    world.reply(reference, proto::Ok {});
    world.cut();
    world.wait(1_000);
    assert_eq!(world.accept().token, "fresh");
}

//= spec/10-control.md#keepalive
//= type=test
//# [CTL-012] A client MUST send a frame at least once in each keepalive interval.
//= spec/10-control.md#keepalive
//= type=test
//# [CTL-035] A client SHOULD take a server from which nothing came for two keepalive intervals as gone and reconnect.
#[test]
fn silence_is_broken_and_then_taken_for_the_end() {
    let mut world = World::live(config());
    world.wait(30_000);
    let (reference, _) = world.expect(FrameType::PING);
    world.reply(reference, proto::Pong::default());
    world.wait(30_000);
    world.expect(FrameType::PING);
    world.wait(89_999);
    assert!(world.is_open);
    assert_eq!(world.sent.len(), 2, "a sign of life each half interval");
    world.wait(1);
    assert!(!world.is_open);
    world.wait(1_000);
    assert_eq!(world.dials, 2);
}

//= spec/10-control.md#ping
//= type=test
//# [CTL-004] A client MUST answer a PING that has a ref with PONG.
//= spec/01-framing.md#unknown-frames
//= type=test
//# [FRM-048] To a request of a type that it does not know a client MUST answer ERROR UNSUPPORTED_FRAME and keep the
//# connection.
#[test]
fn requests_of_the_server_are_answered() {
    let mut world = World::live(config());
    world.frame(
        Frame::Ping(proto::Ping {
            data: "d".into(),
            requires: Vec::new(),
        })
        .to_raw(Flags::NONE, 7),
    );
    let (reference, pong) = world.expect(FrameType::PONG);
    assert_eq!(
        (reference, pong),
        (7, Frame::Pong(proto::Pong { data: "d".into() }))
    );
    world.frame(RawFrame {
        reference: 8,
        ..unknown(Flags::CRITICAL, b"")
    });
    let (reference, error) = world.expect(FrameType::ERROR);
    let Frame::Error(error) = error else { panic!() };
    assert_eq!(
        (reference, error.code),
        (8, Code::UNSUPPORTED_FRAME.0.into())
    );
    assert!(world.is_open);
}

//= spec/01-framing.md#unknown-frames
//= type=test
//# [FRM-042] On an unknown event with CRITICAL set the receiver MUST send GOAWAY UNKNOWN_CRITICAL and close.
//= spec/01-framing.md#unknown-frames
//= type=test
//# [FRM-043] An unknown event without CRITICAL MUST be skipped without effect on the connection.
//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-049] A client that sent GOAWAY for a breach by the server MUST NOT reconnect by itself.
#[test]
fn breaches_end_the_client_and_unknown_events_do_not() {
    let mut world = World::live(config());
    world.frame(unknown(Flags::NONE, b"\xff"));
    world.frame(unknown(Flags::GREASE, b""));
    world.expect_nothing();
    let breaches: [(RawFrame, Code); 6] = [
        (unknown(Flags::CRITICAL, b""), Code::UNKNOWN_CRITICAL),
        (
            unknown(Flags::CRITICAL.union(Flags::LOGGED), b"\x08\x01"),
            Code::UNKNOWN_CRITICAL,
        ),
        (unknown(Flags::LOGGED, b"\x08"), Code::MALFORMED_FRAME),
        (
            RawFrame {
                frame_type: FrameType::SYNCED,
                ..unknown(Flags::NONE, b"\x08")
            },
            Code::MALFORMED_FRAME,
        ),
        (
            RawFrame {
                frame_type: FrameType::MESSAGE,
                ..unknown(Flags::LOGGED, b"\x08")
            },
            Code::MALFORMED_FRAME,
        ),
        (
            RawFrame {
                frame_type: FrameType::SEND,
                ..unknown(Flags::NONE, b"")
            },
            Code::PROTOCOL_VIOLATION,
        ),
    ];
    for (frame, code) in breaches {
        let mut world = World::live(config());
        world.frame(frame.clone());
        let Frame::Goaway(goaway) = world.expect(FrameType::GOAWAY).1 else {
            panic!()
        };
        assert_eq!(goaway.code, u32::from(code.0), "{frame:?}");
        assert!(!world.is_open);
        assert!(matches!(
            world.engine.standing(),
            Standing::Stopped(Stop::Breach(_))
        ));
        world.wait(10_000_000);
        assert_eq!(world.dials, 1);
    }
}

#[test]
fn a_reply_of_another_type_is_a_breach_and_one_that_nobody_waits_for_is_not() {
    let mut world = World::live(config());
    world.reply(77, proto::Ok {});
    world.expect_nothing();
    world.send(hello());
    let (reference, _) = world.expect_send();
    world.reply(reference, proto::Ok {});
    world.expect(FrameType::GOAWAY);
}

#[test]
fn a_connection_that_does_not_come_about_is_given_up() {
    let mut world = World::new(config());
    world.wait(20_000);
    assert_eq!(world.dials, 2);
    world.accept();
    world.wait(20_000);
    assert_eq!(world.dials, 3);
    assert!(world.events().is_empty(), "no session, no word of its end");
}

#[test]
fn a_store_that_fails_lets_nothing_out() {
    let mut world = World::live(config());
    let (stored, outcome) = (world.ticket(), world.ticket());
    let message = Box::new(hello());
    let command = Command::Send {
        stored,
        outcome: Some(outcome),
        message,
        key: [1; 16],
    };
    world.engine.handle(Input::Command(command), world.now);
    assert!(matches!(
        world.engine.poll_output(),
        Some(Output::Commit(_))
    ));
    let error = crate::store::StoreError::Io("full".to_owned());
    world.input(Input::StoreFailed(error.clone()));
    world.expect_nothing();
    for ticket in [stored, outcome] {
        assert_eq!(
            world.answers[&ticket.0],
            Err(Error::Stopped(Stop::Store(error.clone())))
        );
    }
    assert!(!world.is_open);
}

#[test]
fn closing_says_goodbye() {
    let mut world = World::live(config());
    world.input(Input::Command(Command::Close));
    world.expect(FrameType::GOAWAY);
    assert!(!world.is_open);
    assert_eq!(world.engine.standing(), Standing::Stopped(Stop::Closed));
    assert_eq!(world.engine.next_deadline(), None);
}

//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-046] While its tries fail a client MUST NOT begin more than 20 connections in a minute, nor more than 300 in an
//# hour.
#[test]
fn a_server_that_is_not_there_is_tried_ever_less_often() {
    let mut world = World::new(config());
    let mut dials = Vec::new();
    for _ in 0..600 {
        world.cut();
        let before = world.dials;
        while world.dials == before {
            world.now = world.engine.next_deadline().unwrap().max(world.now);
            world.input(Input::Tick);
        }
        dials.push(world.now);
    }
    for (count, span) in [(20, 60_000), (300, 3_600_000)] {
        for window in dials.windows(count + 1) {
            assert!(window[count].since(window[0]) > span);
        }
    }
}
