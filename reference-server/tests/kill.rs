//! `kill -9` under load: what was acknowledged is there afterwards, once and in order.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::thread;

use common::{Client, Server, folder, message};
use tidewire_codec::{Frame, FrameType, proto};

/// Rounds of load and killing, and the acknowledgements after which each round ends in mid-load.
const ROUNDS: u64 = 5;
const ACKED_PER_ROUND: usize = 1_500;
/// Messages under way at a time.
const WINDOW: u64 = 64;

/// Sends until enough was acknowledged, or the server is gone. Returns number and id of what was acknowledged.
fn load(mut alice: Client<std::net::TcpStream>, from: u64, stop: impl FnOnce()) -> Vec<(u64, u64)> {
    let mut acked = Vec::new();
    let mut stop = Some(stop);
    let mut sent = from;
    let base = from;
    loop {
        while sent < base + acked.len() as u64 + WINDOW {
            let frame = Frame::from(message("bob", sent, &sent.to_string()));
            let reference = u32::try_from(sent - base + 2).unwrap();
            let bytes = frame
                .to_raw(tidewire_codec::Flags::NONE, reference)
                .to_bytes()
                .unwrap();
            if std::io::Write::write_all(&mut alice.stream, &bytes).is_err() {
                return acked;
            }
            sent += 1;
        }
        let Some(reply) = alice.try_recv() else {
            return acked;
        };
        let Frame::SendAck(ack) = reply.decode().unwrap() else {
            panic!("{reply:?}")
        };
        acked.push((base + u64::from(reply.reference) - 2, ack.msg_id));
        if acked.len() >= ACKED_PER_ROUND
            && let Some(stop) = stop.take()
        {
            stop();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_comes_twice() {
    let data = folder();
    let mut acked: BTreeMap<u64, u64> = BTreeMap::new();
    let mut got: Vec<(u64, u64)> = Vec::new();
    let mut resume = None;
    for round in 0..=ROUNDS {
        let server = Server::start(data.path(), &[]);
        // Bob reads the backlog, live messages too, and acknowledges until the server dies.
        let mut bob = server.connect();
        bob.send_login(&server.token("bob"), "bob", resume);
        let Frame::LoginOk(ok) = bob.expect(FrameType::LOGIN_OK) else {
            panic!()
        };
        let at = resume.map_or(0, |resume: proto::Resume| resume.pos);
        resume = Some(proto::Resume {
            epoch: ok.epoch,
            pos: at,
        });
        let last_round = round == ROUNDS;
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            let mut pos = at;
            while let Some(frame) = bob.try_recv() {
                match frame.decode().unwrap() {
                    Frame::Message(message) => {
                        assert!(message.pos > pos, "positions rise");
                        pos = message.pos;
                        let number: u64 = std::str::from_utf8(&message.content)
                            .unwrap()
                            .parse()
                            .unwrap();
                        got.push((number, message.msg_id));
                        let ack = Frame::from(proto::Ack { pos })
                            .to_event()
                            .to_bytes()
                            .unwrap();
                        let _ = std::io::Write::write_all(&mut bob.stream, &ack);
                    }
                    Frame::Synced(_) if last_round => break,
                    _ => {}
                }
            }
            (got, pos)
        });
        if last_round {
            let (rest, _) = reader.join().unwrap();
            got.extend(rest);
            break;
        }
        let alice = server.client("alice");
        //= spec/30-send.md#send-1
        //= type=test
        //# [SND-002] The server MUST NOT send SEND_ACK before the message would survive a crash of the server.
        acked.extend(load(alice, round * 1_000_000, || server.kill()));
        let (more, pos) = reader.join().unwrap();
        got.extend(more);
        resume = Some(proto::Resume {
            pos,
            ..resume.unwrap()
        });
    }
    assert!(
        got.is_sorted_by(|one, other| one.0 < other.0 && one.1 < other.1),
        "once each, in order"
    );
    let delivered: BTreeMap<u64, u64> = got.into_iter().collect();
    for (number, msg_id) in &acked {
        assert_eq!(
            delivered.get(number),
            Some(msg_id),
            "message {number} was acknowledged"
        );
    }
    assert!(acked.len() >= ACKED_PER_ROUND * usize::try_from(ROUNDS).unwrap());
}
