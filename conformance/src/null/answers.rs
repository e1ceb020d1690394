//! What null testees say: frames that are well formed, and mean nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidewire_codec::{Code, Feature, Flags, Frame, FrameType, PREFACE, RawFrame, limits, proto};

/// LOGIN_OK for whoever asks: the user is the token, as the fake back door has it.
pub(super) fn login_ok(login: &RawFrame) -> Bytes {
    let user = match Frame::decode(login.frame_type, &login.body) {
        Ok(Frame::Login(login)) => String::from_utf8_lossy(&login.token).into_owned(),
        _ => String::new(),
    };
    reply(login_ok_of(user).into(), login.reference)
}

fn login_ok_of(user: String) -> proto::LoginOk {
    proto::LoginOk {
        version: 1,
        features: Feature::ALL.iter().map(|feature| feature.0).collect(),
        user,
        server_time_ms: 1_700_000_000_000,
        limits: Some(proto::Limits {
            max_frame: Some(65_536),
            max_inflight: Some(256),
        }),
        keepalive_ms: 60_000,
        resume: proto::ResumeResult::Fresh.into(),
        epoch: 1,
        head_pos: 0,
        oldest_pos: 0,
        token_ttl_ms: None,
        idem_window_ms: 86_400_000,
        default_ttl_ms: limits::DEFAULT_TTL_MS,
        max_ttl_ms: limits::MAX_TTL_MS,
    }
}

/// SYNCED at position 0.
pub(super) fn synced() -> Bytes {
    event(proto::Synced { pos: 0 }.into())
}

/// The reply that costs least thought: SEND_ACK to SEND, OK to everything else.
pub(super) fn answer(request: &RawFrame) -> Bytes {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if request.frame_type != FrameType::SEND {
        return reply(proto::Ok {}.into(), request.reference);
    }
    let ack = proto::SendAck {
        msg_id: NEXT.fetch_add(1, Ordering::Relaxed),
        duplicate: false,
        ttl_ms: limits::DEFAULT_TTL_MS,
        state: proto::MessageState::Accepted.into(),
        code: 0,
        server_time_ms: 1_700_000_000_000,
    };
    reply(ack.into(), request.reference)
}

/// GOAWAY PROTOCOL_VIOLATION.
pub(super) fn goaway() -> Bytes {
    let code = Code::PROTOCOL_VIOLATION.0.into();
    event(
        proto::Goaway {
            code,
            text: "no".to_owned(),
            ..proto::Goaway::default()
        }
        .into(),
    )
}

/// What a correct server sent to a client that logged in, sent a message to itself from another device and pinged.
pub(super) fn recording() -> Vec<u8> {
    let ack = proto::SendAck {
        msg_id: 1,
        duplicate: false,
        ttl_ms: limits::DEFAULT_TTL_MS,
        state: proto::MessageState::Accepted.into(),
        code: 0,
        server_time_ms: 1_700_000_000_000,
    };
    let parts = [
        Bytes::from_static(&PREFACE),
        reply(login_ok_of("alice".to_owned()).into(), 1),
        synced(),
        reply(ack.into(), 2),
        reply(
            proto::Pong {
                data: Bytes::from_static(&[0, 0, 0, 3]),
            }
            .into(),
            3,
        ),
        reply(
            proto::Pong {
                data: Bytes::from_static(&[0, 0, 0, 4]),
            }
            .into(),
            4,
        ),
    ];
    parts.concat()
}

fn reply(frame: Frame, reference: u32) -> Bytes {
    frame
        .to_raw(Flags::REPLY, reference)
        .to_bytes()
        .unwrap_or_default()
}

fn event(frame: Frame) -> Bytes {
    frame.to_event().to_bytes().unwrap_or_default()
}
