//! Whole sessions over plain TCP, and how they end.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Server, folder, message, refused};
use serde_json::json;
use tidewire_codec::{Code, Frame, FrameType, PREFACE, proto};

#[test]
fn a_message_is_acknowledged_and_delivered() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let (mut alice, mut bob) = (server.client("alice"), server.client("bob"));
    let ack = alice.send("bob", 1, "hello");
    let message = bob.expect_message("hello");
    assert_eq!(
        (message.msg_id, message.from.as_str()),
        (ack.msg_id, "alice")
    );
    bob.ack(message.pos);
    bob.fence();
    alice.fence();
}

#[test]
fn what_was_accepted_is_there_after_a_planned_stop() {
    let data = folder();
    let mut server = Server::start(data.path(), &[]);
    let mut alice = server.client("alice");
    let first = alice.send("bob", 1, "one");
    //= spec/10-control.md#end-of-a-connection
    //= type=test
    //# [CTL-030] Before a planned stop the server MUST send GOAWAY SHUTTING_DOWN on each session and close it.
    server.terminate();
    alice.expect_goaway(Code::SHUTTING_DOWN);
    assert!(server.wait().success());

    //= spec/10-control.md#end-of-a-connection
    //= type=test
    //# [CTL-031] What was accepted before a stop, planned or not, MUST be there after it.
    let server = Server::start(data.path(), &[]);
    let mut bob = server.connect();
    bob.login(&server.token("bob"), "bob");
    let message = bob.expect_message("one");
    assert_eq!(message.msg_id, first.msg_id);
    bob.expect(FrameType::SYNCED);
    bob.ack(message.pos);
    let again = server.client("alice").send("bob", 1, "one");
    assert_eq!((again.msg_id, again.duplicate), (first.msg_id, true));
    bob.fence();
}

#[test]
fn a_device_resumes_where_it_was() {
    let data = folder();
    let server = Server::start(data.path(), &["--testing"]);
    let mut bob = server.connect();
    let ok = bob.login(&server.token("bob"), "bob");
    bob.expect(FrameType::SYNCED);
    let mut alice = server.client("alice");
    alice.send("bob", 1, "one");
    let one = bob.expect_message("one");
    drop(bob);
    alice.send("bob", 2, "two");
    let (status, _) = server.admin("POST", "/v1/testing/restart", json!({ "mode": "crash" }));
    assert_eq!(status, 200);
    assert!(alice.try_recv().is_none(), "a crash says no goodbye");

    let mut bob = server.connect();
    bob.send_login(
        &server.token("bob"),
        "bob",
        Some(proto::Resume {
            epoch: ok.epoch,
            pos: one.pos,
        }),
    );
    let Frame::LoginOk(resumed) = bob.expect(FrameType::LOGIN_OK) else {
        panic!()
    };
    assert_eq!(resumed.resume(), proto::ResumeResult::Resumed);
    bob.expect_message("two");
    bob.expect(FrameType::SYNCED);
}

#[test]
fn a_graceful_restart_says_goodbye() {
    let data = folder();
    let server = Server::start(data.path(), &["--testing"]);
    let mut alice = server.client("alice");
    let (status, _) = server.admin("POST", "/v1/testing/restart", json!({ "mode": "graceful" }));
    assert_eq!(status, 200);
    alice.expect_goaway(Code::SHUTTING_DOWN);
    server.client("alice").fence();
}

#[test]
fn revoking_a_token_cuts_its_session_alone() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut keeps = server.client("alice");
    let token = server.new_token("alice");
    let mut loses = server.connect();
    loses.login(&token, "other");
    loses.expect(FrameType::SYNCED);
    let (status, _) = server.admin("DELETE", "/v1/tokens", json!({ "token": token }));
    assert_eq!(status, 204);
    loses.expect_goaway(Code::TOKEN_REVOKED);
    keeps.fence();
}

#[test]
fn a_stranger_is_sent_away_at_the_first_wrong_byte() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    for wrong in 0..PREFACE.len() {
        let mut bytes = PREFACE;
        bytes[wrong] ^= 0x20;
        let stream = std::net::TcpStream::connect(server.tcp).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        std::io::Write::write_all(&mut &stream, &bytes[..=wrong]).unwrap();
        let mut stranger = common::Client::raw(stream);
        //= spec/01-framing.md#transports
        //= type=test
        //# [FRM-003] When the first bytes of a byte stream differ from the preface at any of the 8 places, the server
        //# MUST send GOAWAY BAD_PREFACE, interpret no further byte, and close.
        stranger.expect_goaway(Code::BAD_PREFACE);
    }
}

#[test]
fn requests_before_the_end_of_the_stream_are_answered() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut alice = server.client("alice");
    for key in 0..50 {
        alice.request(message("bob", key, "x"));
    }
    alice.stream.shutdown(std::net::Shutdown::Write).unwrap();
    for _ in 0..50 {
        alice.expect(FrameType::SEND_ACK);
    }
    assert!(alice.try_recv().is_none());
}

#[test]
fn a_second_process_is_told_that_the_folder_is_taken() {
    let data = folder();
    let _server = Server::start(data.path(), &[]);
    let (status, text) = refused(data.path(), &[]);
    assert_eq!(status.code(), Some(1));
    assert!(
        text.contains("another process has the data folder"),
        "{text}"
    );
}

#[test]
fn plain_text_stays_on_loopback() {
    let data = folder();
    //= spec/01-framing.md#transports
    //= type=test
    //# [FRM-007] The server MUST refuse plain TCP on addresses other than loopback unless its operator asked for it.
    let (status, text) = refused(data.path(), &["--listen", "0.0.0.0:0"]);
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("--allow-plain"), "{text}");
}
