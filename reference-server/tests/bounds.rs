//! What one connection can do to the others, and what a full disk does: nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::net::TcpStream;

use common::{Client, Server, folder, message};
use serde_json::json;
use tidewire_codec::{Code, Frame, FrameType, proto};

#[test]
fn a_slow_reader_delays_nobody() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut slow = server.client("bob");
    let (mut alice, mut carol) = (server.client("alice"), server.client("carol"));
    // More than sockets and the bound of the connection hold: 40 MB.
    let content = "x".repeat(40_000);
    for key in 0..1000 {
        alice.request(message("bob", key, &content));
        let Frame::SendAck(_) = alice.expect(FrameType::SEND_ACK) else {
            panic!()
        };
        if key % 100 == 0 {
            //= spec/02-errors-and-limits.md#budgets
            //= type=test
            //# [ERR-041] A connection that does not read what it is sent MUST NOT delay the others.
            alice.send("carol", 10_000 + key, "in between");
            carol.expect_message("in between");
        }
    }
    // What it did not read is all there, in order, once it does.
    let mut last = 0;
    for _ in 0..1000 {
        let message = slow.expect_message(&content);
        assert!(message.msg_id > last);
        last = message.msg_id;
    }
    slow.fence();
}

#[test]
fn half_open_connections_end_by_the_clock() {
    let data = folder();
    let server = Server::start(data.path(), &["--testing", "--virtual-clock"]);
    let mut silent = server.client("alice");
    let mut stranger = server.connect();
    let clock = |ms: u64| {
        let (status, _) = server.admin("POST", "/v1/testing/clock", json!({ "advance_ms": ms }));
        assert_eq!(status, 200);
    };
    clock(10_000);
    stranger.expect_goaway(Code::LOGIN_TIMEOUT);
    clock(79_999);
    silent.fence();
    clock(90_000);
    silent.expect_goaway(Code::KEEPALIVE_TIMEOUT);
}

#[test]
fn without_room_on_the_disk_nothing_is_accepted_and_the_rest_goes_on() {
    let data = folder();
    let mut server = Server::start(data.path(), &[]);
    // The device has to be known: a new one would need storing.
    server.client("alice").fence();
    server.terminate();
    server.wait();
    // 1 EiB is more than any disk has free.
    let server = Server::start(data.path(), &["--min-free-mib", "1099511627776"]);
    let mut alice = server.client("alice");
    //= spec/02-errors-and-limits.md#budgets
    //= type=test
    //# [ERR-042] While the server cannot store, it MUST answer each request that needs storing with ERROR STORE_FULL
    //# and keep serving the rest.
    alice.request(message("bob", 1, "no"));
    let Frame::Error(error) = alice.expect(FrameType::ERROR) else {
        panic!()
    };
    assert_eq!(error.code, u32::from(Code::STORE_FULL.0));
    assert!(error.retry_after_ms.is_some());
    alice.fence();
}

#[test]
fn there_is_room_again_after_a_fault() {
    let data = folder();
    let server = Server::start(data.path(), &["--testing"]);
    let mut alice = server.client("alice");
    server.admin("POST", "/v1/testing/fault", json!({ "store_full": true }));
    alice.request(message("bob", 1, "later"));
    alice.expect(FrameType::ERROR);
    server.admin("POST", "/v1/testing/fault", json!({ "store_full": false }));
    assert!(!alice.send("bob", 1, "later").duplicate);
}

#[test]
fn beyond_the_bound_connections_are_told_so() {
    let data = folder();
    let server = Server::start(data.path(), &["--max-connections", "2"]);
    let mut first = server.client("alice");
    let mut second = server.client("bob");
    //= spec/02-errors-and-limits.md#budgets
    //= type=test
    //# [ERR-044] Every queue that a client can fill MUST have a bound.
    let mut third = Client::raw(TcpStream::connect(server.tcp).unwrap());
    let goaway = third.expect_goaway(Code::OVERLOADED);
    assert!(goaway.retry_after_ms.is_some());
    first.fence();
    second.fence();
}

#[test]
fn a_flood_of_requests_is_answered_to_the_last() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut alice = server.client("alice");
    let mut writer = Client::raw(alice.stream.try_clone().unwrap());
    let flood = std::thread::spawn(move || {
        for key in 0..5_000 {
            writer.request(message("bob", key, "flood"));
        }
    });
    let mut last = 0;
    for _ in 0..5_000 {
        let Frame::SendAck(ack) = alice.expect(FrameType::SEND_ACK) else {
            panic!()
        };
        assert!(ack.msg_id > last);
        last = ack.msg_id;
    }
    flood.join().unwrap();
    alice.request(proto::Ping::default());
    alice.expect(FrameType::PONG);
}
