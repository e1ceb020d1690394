#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use bytes::Bytes;
use tidewire_codec::{Code, Flags, Frame, FrameType, RawFrame, proto};

use super::{Out, Rules, Side, Tap, TapCase};
use crate::tree;

fn rules(text: &str) -> Arc<Rules> {
    let mut file = tree::parse(text).unwrap();
    let nodes = file.need("rule").unwrap().list().unwrap();
    Arc::new(Rules::parse(nodes).unwrap())
}

fn tap(text: &str) -> Tap {
    TapCase::new().tap(&rules(text), "alice")
}

#[track_caller]
fn refused(rule: &str, why: &str) {
    let text = format!("[[rule]]\n{rule}");
    let nodes = tree::parse(&text).unwrap().need("rule").unwrap();
    let fault = Rules::parse(nodes.list().unwrap()).unwrap_err();
    assert!(fault.message.contains(why), "{}", fault.message);
    assert!(fault.line > 0);
}

fn send(reference: u32, content: &'static [u8]) -> RawFrame {
    let body = proto::Send {
        content: Bytes::from_static(content),
        target: Some(proto::send::Target::ToUser("bob".to_owned())),
        ..proto::Send::default()
    };
    Frame::from(body).to_raw(Flags::NONE, reference)
}

fn ack(reference: u32, msg_id: u64, duplicate: bool) -> RawFrame {
    let body = proto::SendAck {
        msg_id,
        duplicate,
        ..proto::SendAck::default()
    };
    Frame::from(body).to_raw(Flags::REPLY, reference)
}

fn message(pos: u64) -> RawFrame {
    let body = proto::Message {
        pos,
        content: Bytes::from_static(b"hi"),
        ..proto::Message::default()
    };
    Frame::from(body).to_event()
}

fn error(reference: u32, code: Code) -> RawFrame {
    let body = proto::Error {
        code: code.0.into(),
        ..proto::Error::default()
    };
    Frame::from(body).to_raw(Flags::REPLY, reference)
}

fn to_client(frame: RawFrame) -> Out {
    Out::Frame {
        to: Side::Client,
        frame,
    }
}

fn to_server(frame: RawFrame) -> Out {
    Out::Frame {
        to: Side::Server,
        frame,
    }
}

/// What a server's frame becomes.
#[track_caller]
fn check(tap: &mut Tap, frame: RawFrame, expected: &[RawFrame]) {
    let expected: Vec<Out> = expected.iter().cloned().map(to_client).collect();
    assert_eq!(tap.frame(Side::Server, frame), expected);
}

#[test]
fn what_no_rule_means_passes() {
    let mut tap = tap("[[rule]]\non = \"STATUS\"\ndo = \"drop\"\n");
    check(&mut tap, message(1), &[message(1)]);
    let asked = send(2, b"a");
    assert_eq!(tap.frame(Side::Client, asked.clone()), [to_server(asked)]);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mut tap = tap(r#"
        [[rule]]
        on = "MESSAGE"
        where = { pos = { gt = 5 } }
        do = "drop"
        [[rule]]
        on = "@logged"
        do = "repeat"
        copies = 2
    "#);
    check(&mut tap, message(6), &[]);
    check(&mut tap, message(5), &[message(5), message(5), message(5)]);
}

#[test]
fn fields_are_set_copied_and_counted_on() {
    let mut tap = tap(r#"
        [[rule]]
        on = "SEND_ACK"
        where = { duplicate = true }
        do = "change"
        set = { duplicate = false, msg_id = "+1", server_time_ms = "$msg_id" }
        set_ref = "-1"
    "#);
    let mut expected = proto::SendAck {
        msg_id: 8,
        ..proto::SendAck::default()
    };
    expected.server_time_ms = 7;
    let expected = Frame::from(expected).to_raw(Flags::REPLY, 2);
    check(&mut tap, ack(3, 7, true), &[expected]);
    check(&mut tap, ack(3, 7, false), &[ack(3, 7, false)]);
}

#[test]
fn only_replies_to_the_request_that_is_meant() {
    let mut tap = tap(r#"
        [[rule]]
        on = "ERROR"
        from = "server"
        code = ["UNKNOWN_USER", "INVALID_FIELD"]
        reply_to = { on = "SEND", where = { content = "text:a" } }
        do = "change"
        set = { field = "$r.to_user" }
    "#);
    tap.frame(Side::Client, send(1, b"a"));
    tap.frame(Side::Client, send(2, b"b"));
    let other = error(2, Code::INVALID_FIELD);
    check(&mut tap, other.clone(), &[other]);
    let [Out::Frame { frame, .. }] = &tap.frame(Side::Server, error(1, Code::INVALID_FIELD))[..]
    else {
        unreachable!("one frame comes out")
    };
    let Frame::Error(body) = Frame::decode(frame.frame_type, &frame.body).unwrap() else {
        unreachable!("it is an error still")
    };
    assert_eq!(body.field.as_deref(), Some("bob"));
}

#[test]
fn a_request_is_answered_without_the_server() {
    let mut tap = tap(r#"
        [[rule]]
        on = "SEND"
        nth = 2
        do = "answer"
        frame = { type = "SEND_ACK", body = { msg_id = 9 } }
    "#);
    assert_eq!(
        tap.frame(Side::Client, send(1, b"a")),
        [to_server(send(1, b"a"))]
    );
    assert_eq!(
        tap.frame(Side::Client, send(2, b"a")),
        [to_client(ack(2, 9, false))]
    );
    assert!(tap.touches(Side::Client) && !tap.touches(Side::Server));
}

#[test]
fn a_delayed_frame_goes_behind_later_ones() {
    let mut tap = tap("[[rule]]\non = \"MESSAGE\"\nnth = 1\ndo = \"delay\"\nframes = 2\n");
    check(&mut tap, message(1), &[]);
    check(&mut tap, message(2), &[message(2)]);
    check(&mut tap, message(3), &[message(3), message(1)]);
    check(&mut tap, message(4), &[message(4)]);
}

#[test]
fn forged_frames_go_where_they_should() {
    let forged = "frame = { type = \"NOTICE\", body = { code = 1 } }";
    let notice = Frame::from(proto::Notice {
        code: 1,
        ..proto::Notice::default()
    })
    .to_event();
    let make = |verb: &str| {
        tap(&format!(
            "[[rule]]\non = \"MESSAGE\"\ndo = \"{verb}\"\n{forged}\n"
        ))
    };
    check(
        &mut make("insert"),
        message(1),
        &[message(1), notice.clone()],
    );
    check(
        &mut make("insert-before"),
        message(1),
        &[notice.clone(), message(1)],
    );
    assert_eq!(
        make("insert-back").frame(Side::Server, message(1)),
        [to_client(message(1)), to_server(notice)]
    );
}

#[test]
fn what_has_to_be_before_is_waited_for() {
    let mut tap = tap(r#"
        [[rule]]
        on = "MESSAGE"
        after = ["login", { on = "ACK", where = { pos = { bind = "p" } } }]
        where = { pos = { gt = "$p" } }
        do = "drop"
    "#);
    let acked = Frame::from(proto::Ack { pos: 4 }).to_event();
    check(&mut tap, message(5), &[message(5)]);
    tap.frame(Side::Client, acked);
    check(&mut tap, message(6), &[message(6)]);
    let login_ok = Frame::from(proto::LoginOk::default()).to_raw(Flags::REPLY, 1);
    tap.frame(Side::Server, login_ok);
    check(&mut tap, message(4), &[message(4)]);
    check(&mut tap, message(5), &[]);
}

#[test]
fn the_case_knows_of_restart_clock_and_other_connections() {
    let rules = rules(
        r#"
        [[rule]]
        on = "MESSAGE"
        after = ["restart", "clock", "reconnect"]
        times = 1
        per = "case"
        do = "drop"
    "#,
    );
    let case = TapCase::new();
    let mut first = case.tap(&rules, "alice");
    let mut second = case.tap(&rules, "alice");
    case.restarted();
    check(&mut second, message(1), &[message(1)]);
    case.clock_moved();
    check(&mut first, message(2), &[message(2)]);
    check(&mut second, message(2), &[]);
    check(&mut second, message(3), &[message(3)]);
    assert_eq!(case.fired(0), 1);
}

#[test]
fn a_leak_reaches_every_other_connection() {
    let rules = rules("[[rule]]\non = \"MESSAGE\"\ndo = \"leak\"\n");
    let case = TapCase::new();
    let mut alice = case.tap(&rules, "alice");
    let mut bob = case.tap(&rules, "bob");
    let login_ok = Frame::from(proto::LoginOk::default()).to_raw(Flags::REPLY, 1);
    bob.frame(Side::Server, login_ok.clone());
    alice.frame(Side::Server, login_ok);
    check(&mut alice, message(1), &[message(1)]);
    check(&mut alice, ack(1, 1, false), &[ack(1, 1, false)]);
    check(&mut bob, ack(1, 1, false), &[message(1), ack(1, 1, false)]);
}

#[test]
fn connections_are_closed_and_cut() {
    let verb = |verb: &str| tap(&format!("[[rule]]\non = \"MESSAGE\"\ndo = \"{verb}\"\n"));
    let outs = verb("close").frame(Side::Server, message(1));
    assert_eq!(outs, [Out::Close(Side::Client)]);
    let outs = verb("close-after").frame(Side::Server, message(1));
    assert_eq!(outs, [to_client(message(1)), Out::Close(Side::Client)]);
    let mut cut = tap("[[rule]]\non = \"MESSAGE\"\ndo = \"cut\"\nat = 3\n");
    let bytes = message(1).to_bytes().unwrap().slice(..3);
    let to = Side::Client;
    assert_eq!(
        cut.frame(Side::Server, message(1)),
        [Out::Bytes { to, bytes }, Out::Cut]
    );
}

#[test]
fn a_close_that_is_swallowed_leaves_what_looks_alive() {
    let mut tap = tap("[[rule]]\non = \"close\"\nfrom = \"server\"\ndo = \"drop\"\n");
    assert_eq!(tap.closed(Side::Server), []);
    let ping = Frame::from(proto::Ping::default()).to_raw(Flags::NONE, 7);
    let pong = Frame::from(proto::Pong::default()).to_raw(Flags::REPLY, 7);
    assert_eq!(tap.frame(Side::Client, ping), [to_client(pong)]);
    assert_eq!(tap.frame(Side::Client, send(8, b"a")), []);
}

#[test]
fn headers_and_bytes_are_changed() {
    let mut tap = tap(r#"
        [[rule]]
        on = "MESSAGE"
        do = "change"
        set_flags = 8
        clear_flags = ["LOGGED"]
        set_type = "0x0a0a"
        truncate = 1
        append = "hex:ff"
    "#);
    let [Out::Frame { frame, .. }] = &tap.frame(Side::Server, message(1))[..] else {
        unreachable!("one frame comes out")
    };
    assert_eq!(frame.flags, Flags(8));
    assert_eq!(frame.frame_type, FrameType(0x0a0a));
    assert_eq!(frame.body.len(), 1);
}

#[test]
fn lists_and_inner_messages_are_changed() {
    let mut tap = tap(r#"
        [[rule]]
        on = "LOGIN_OK"
        do = "change"
        set = { limits = { max_frame = "-1" }, features = { remove = -1 } }
        unset = ["limits.max_inflight", "user"]
    "#);
    let before = proto::LoginOk {
        user: "alice".to_owned(),
        features: vec![1, 2],
        limits: Some(proto::Limits {
            max_frame: Some(100),
            max_inflight: Some(7),
        }),
        ..proto::LoginOk::default()
    };
    let after = proto::LoginOk {
        features: vec![1],
        limits: Some(proto::Limits {
            max_frame: Some(99),
            max_inflight: None,
        }),
        ..proto::LoginOk::default()
    };
    check(
        &mut tap,
        Frame::from(before).to_raw(Flags::REPLY, 1),
        &[Frame::from(after).to_raw(Flags::REPLY, 1)],
    );
}

#[test]
fn a_rule_that_cannot_be_applied_says_so_and_changes_nothing() {
    let rules = rules("[[rule]]\non = \"MESSAGE\"\ndo = \"change\"\nset = { pos = \"$nobody\" }\n");
    let case = TapCase::new();
    let mut tap = case.tap(&rules, "alice");
    check(&mut tap, message(1), &[message(1)]);
    assert_eq!(
        case.fault().unwrap(),
        "the rule in line 1: $nobody has no value"
    );
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    refused("on = \"SENT\"\ndo = \"drop\"", "unknown frame");
    refused("on = \"ERROR\"\ndo = \"drop\"", "goes both ways");
    refused("on = \"SEND\"\ndo = \"melt\"", "nothing that a rule does");
    refused("on = \"SEND\"\ndo = \"change\"", "changes nothing");
    refused(
        "on = \"SEND\"\ndo = \"drop\"\nset = { ttl_ms = 1 }",
        "unknown key `set`",
    );
    refused(
        "on = \"SEND\"\nwhere = { pos = 1 }\ndo = \"drop\"",
        "has no field",
    );
    refused("on = \"SEND\"\nnth = 0\ndo = \"drop\"", "counts from 1");
    refused("on = \"MESSAGE\"\ndo = \"answer\"", "what a client asks");
    refused("on = \"close\"\nfrom = \"server\"\ndo = \"cut\"", "a close");
}
