//! The player against a peer that follows a script: each kind of divergence is seen, and called by its name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidewire_codec::{Code, Decoder, Flags, Frame, FrameType, Item, PREFACE, RawFrame, proto};
use tidewire_conformance::{
    Failure, FailureClass, Requirements, RunOptions, Sessions, Starter, Verdict, run,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CASE: &str = r#"
title = "a ping is answered"
[actors.alice]
[[step]]
actor = "alice"
login = {}
[[step]]
actor = "alice"
send = "PING"
as = "p"
body = { data = "text:hi" }
[[step]]
actor = "alice"
expect = "PONG"
to = "p"
proves = ["CTL-001"]
body = { data = "text:hi" }
"#;

/// What the peer answers to the PING of the case, whose data is `hi`; fences are answered as they should be.
type Script = fn(&RawFrame) -> Option<Vec<RawFrame>>;

fn pong(ping: &RawFrame) -> RawFrame {
    RawFrame {
        flags: Flags::REPLY,
        frame_type: FrameType::PONG,
        ..ping.clone()
    }
}

fn login_ok(login: &RawFrame) -> [RawFrame; 2] {
    let Ok(Frame::Login(body)) = Frame::decode(login.frame_type, &login.body) else {
        panic!("no LOGIN")
    };
    let features = body.features.clone();
    let user = String::from_utf8(body.token.to_vec()).unwrap();
    let ok = proto::LoginOk {
        version: 1,
        features,
        user,
        epoch: 1,
        ..proto::LoginOk::default()
    };
    [
        Frame::from(ok).to_reply(login.reference),
        Frame::from(proto::Synced { pos: 0 }).to_event(),
    ]
}

async fn serve(listener: TcpListener, script: Script) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(converse(socket, script));
    }
}

async fn converse(mut socket: TcpStream, script: Script) -> std::io::Result<()> {
    let mut decoder = Decoder::new(true);
    let mut received = BytesMut::new();
    socket.write_all(&PREFACE).await?;
    loop {
        while let Some(item) = decoder.poll(&mut received) {
            let Item::Frame(frame) = item else { continue };
            let answers = match frame.frame_type {
                FrameType::LOGIN => login_ok(&frame).to_vec(),
                FrameType::PING if frame.body.ends_with(b"hi") => match script(&frame) {
                    Some(answers) => answers,
                    None => return Ok(()),
                },
                FrameType::PING => vec![pong(&frame)],
                _ => return Ok(()),
            };
            for answer in answers {
                socket.write_all(&answer.to_bytes().unwrap()).await?;
            }
        }
        if socket.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// Plays the case with borrowed users against a peer that follows the script.
fn play(script: Script) -> (Verdict, Option<Failure>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let family = folder.path().join("sessions/x");
    fs::create_dir_all(&family).unwrap();
    fs::write(family.join("ping.toml"), CASE).unwrap();
    let spec = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec"));
    let requirements = Requirements::read(spec).unwrap();
    let sessions = Sessions::read(folder.path(), &requirements).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peer = tokio::spawn(serve(listener, script));
        let users = folder.path().join("users.toml");
        fs::write(&users, "[[user]]\nid = 'alice'\ntoken = 'alice'\n").unwrap();
        let testees = Starter::Running {
            server: Some(address),
            users,
        }
        .start_all(0)
        .await
        .unwrap();
        let options = RunOptions {
            budget: Some(Duration::from_millis(300)),
            seed: 7,
            ..RunOptions::default()
        };
        let report = run(&sessions, &requirements, testees, &options, |_| ())
            .await
            .unwrap();
        peer.abort();
        report
    });
    let case = report.cases.first().unwrap().clone();
    let lines = case.evidence.map(|evidence| evidence.lines(true));
    (case.verdict, case.failure, lines.unwrap_or_default())
}

#[track_caller]
fn check(script: Script, class: FailureClass, got: &str) {
    let (verdict, failure, ladder) = play(script);
    let failure = failure.unwrap();
    assert_eq!(
        (verdict, failure.class),
        (Verdict::Fail, class),
        "{failure:?}"
    );
    assert!(failure.got.contains(got), "{failure:?}");
    assert!(
        ladder.iter().any(|line| line.contains("PING")),
        "{failure:?}"
    );
}

#[test]
fn a_right_answer_passes() {
    let (verdict, failure, _) = play(|ping| Some(vec![pong(ping)]));
    assert_eq!(verdict, Verdict::Pass, "{failure:?}");
}

#[test]
fn grease_and_notices_are_tolerated() {
    let notice = |ping: &RawFrame| {
        let grease = RawFrame {
            flags: Flags::GREASE,
            frame_type: FrameType(0x3a7a),
            reference: 0,
            body: Bytes::new(),
        };
        let notice = Frame::from(proto::Notice {
            code: 1,
            text: "news".to_owned(),
        })
        .to_event();
        Some(vec![grease, notice, pong(ping)])
    };
    let (verdict, failure, _) = play(notice);
    assert_eq!(verdict, Verdict::Pass, "{failure:?}");
}

#[test]
fn a_close_is_no_answer() {
    check(|_| None, FailureClass::ClosedInsteadOfAnswering, "closed");
}

#[test]
fn silence_on_a_living_connection_fails() {
    check(
        |_| Some(Vec::new()),
        FailureClass::NothingCameAlive,
        "PONG to a PING sent after the wait",
    );
}

#[test]
fn a_wrong_field_is_named() {
    let wrong = |ping: &RawFrame| {
        Some(vec![RawFrame {
            body: Bytes::from_static(b"\x0a\x01x"),
            ..pong(ping)
        }])
    };
    check(wrong, FailureClass::WrongField, "text:x");
}

#[test]
fn a_wrong_ref_is_named() {
    check(
        |ping| {
            Some(vec![RawFrame {
                reference: 99,
                ..pong(ping)
            }])
        },
        FailureClass::WrongHeader,
        "99",
    );
}

#[test]
fn a_reply_without_its_flag_is_wrong() {
    check(
        |ping| {
            Some(vec![RawFrame {
                flags: Flags::NONE,
                ..pong(ping)
            }])
        },
        FailureClass::WrongHeader,
        "flags 0",
    );
}

#[test]
fn reserved_flags_are_wrong() {
    check(
        |ping| {
            Some(vec![RawFrame {
                flags: Flags(0x12),
                ..pong(ping)
            }])
        },
        FailureClass::WrongHeader,
        "REPLY",
    );
}

#[test]
fn an_error_is_not_what_was_asked_for() {
    let error = |ping: &RawFrame| {
        let code = Code::INVALID_FIELD.0.into();
        Some(vec![
            Frame::from(proto::Error {
                code,
                ..proto::Error::default()
            })
            .to_reply(ping.reference),
        ])
    };
    check(error, FailureClass::WrongFrame, "ERROR INVALID_FIELD");
}

#[test]
fn a_second_answer_is_one_too_many() {
    check(
        |ping| Some(vec![pong(ping), pong(ping)]),
        FailureClass::ExtraFrame,
        "PONG",
    );
}

#[test]
fn a_body_that_does_not_decode_is_wrong() {
    let cut = |ping: &RawFrame| {
        Some(vec![RawFrame {
            body: Bytes::from_static(b"\x0a\x09x"),
            ..pong(ping)
        }])
    };
    check(cut, FailureClass::WrongField, "PONG");
}

#[test]
fn a_frame_above_the_limit_is_broken_framing() {
    let large = |ping: &RawFrame| {
        Some(vec![RawFrame {
            body: Bytes::from(vec![0; 70_000]),
            ..pong(ping)
        }])
    };
    check(large, FailureClass::BrokenFraming, "70000");
}
