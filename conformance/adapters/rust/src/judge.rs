//! What a server answers to bytes: the reference server's core says it, on a connection that exists in memory alone.

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tidewire_codec::{
    Code, Decoder, Fault, Flags, Frame, FrameType, Item, RawFrame, limits, proto,
};
use tidewire_core::api::{AdminId, AdminOp, ConnId, Input, Millis, Output};
use tidewire_core::store::{Store as _, StoreError};
use tidewire_core::testing::MemStore;
use tidewire_core::{Config, Core};

const NOW: Millis = Millis(1);
const CONN: ConnId = ConnId(1);
/// The token that every LOGIN of the fixtures has, and the user whose it is.
const TOKEN: &[u8] = b"token";
const USER: &str = "user";

/// The first ERROR or GOAWAY that the bytes cause in `state`, which is a word of the fixtures, as an object of what it
/// says; an empty one where nothing is wrong.
///
/// # Errors
/// If there is no such state, or the core fails.
pub fn judge(state: &str, max_frame: u32, bytes: &[u8]) -> Result<Value, String> {
    let mut decoder = Decoder::new(state == "connect");
    decoder.set_max_frame(max_frame);
    let mut src = BytesMut::from(bytes);
    let items = std::iter::from_fn(|| decoder.poll(&mut src));
    if state == "codec" {
        let answer = items.filter_map(|item| match item {
            Item::Frame(frame) => body_fault(&frame),
            Item::Violation(violation) => Some(violation.into()),
            Item::Preface => None,
        });
        return Ok(answer
            .map(|fault| fault_to_json(&fault))
            .next()
            .unwrap_or_else(|| json!({})));
    }
    let mut bench = Bench::new().map_err(|error| error.to_string())?;
    match state {
        "connect" | "before-login" => {}
        "after-login" => bench.login().map_err(|error| error.to_string())?,
        other => return Err(format!("no state is called {other:?}")),
    }
    for item in items {
        let input = match item {
            Item::Preface => continue,
            Item::Frame(frame) => Input::Frame { conn: CONN, frame },
            Item::Violation(violation) => Input::Violation {
                conn: CONN,
                violation,
            },
        };
        bench.feed(input).map_err(|error| error.to_string())?;
    }
    Ok(bench.answer())
}

/// What it costs that the body of a frame does not decode; nothing where it does, or nobody knows the type.
#[must_use]
pub fn body_fault(frame: &RawFrame) -> Option<Fault> {
    frame.frame_type.info()?;
    let error = frame.decode().err()?;
    Some(Fault::of_body(frame, error))
}

/// The answer that a fault leads to.
#[must_use]
pub fn fault_to_json(fault: &Fault) -> Value {
    match fault {
        Fault::Request(error) => answer_to_json(&error.to_error().into()),
        Fault::Connection(violation) => answer_to_json(&violation.to_goaway().into()),
    }
}

fn answer_to_json(answer: &Frame) -> Value {
    let (reply, code, field, bounds, features) = match answer {
        Frame::Error(body) => (
            "ERROR",
            body.code,
            &body.field,
            (body.limit, body.actual),
            &body.features,
        ),
        Frame::Goaway(body) => (
            "GOAWAY",
            body.code,
            &body.field,
            (body.limit, body.actual),
            &body.features,
        ),
        _ => return json!({}),
    };
    let code = u16::try_from(code).map_or_else(|_| code.to_string(), |code| Code(code).to_string());
    let mut said = Map::from_iter([
        ("reply".to_owned(), reply.into()),
        ("code".to_owned(), code.into()),
    ]);
    let field = field.as_deref().map(Value::from);
    let features = (!features.is_empty()).then(|| json!(features));
    let (limit, actual) = (bounds.0.map(Value::from), bounds.1.map(Value::from));
    for (key, value) in [
        ("field", field),
        ("limit", limit),
        ("actual", actual),
        ("features", features),
    ] {
        said.extend(value.map(|value| (key.to_owned(), value)));
    }
    said.into()
}

/// A core with one user and one connection.
struct Bench {
    core: Core,
    store: MemStore,
    sent: BytesMut,
}

impl Bench {
    fn new() -> Result<Bench, StoreError> {
        let store = MemStore::default();
        let core = Core::open(Config::default(), &store, NOW, 1)?;
        let sent = BytesMut::new();
        let mut bench = Bench { core, store, sent };
        let (id, user) = (AdminId(1), USER.to_owned());
        let digest = Sha256::digest(TOKEN).into();
        let op = AdminOp::PutUser { user: user.clone() };
        bench.feed(Input::Admin { id, op })?;
        let op = AdminOp::PutToken {
            user,
            digest,
            ttl_ms: None,
        };
        bench.feed(Input::Admin { id, op })?;
        bench.feed(Input::Connected { conn: CONN })?;
        Ok(bench)
    }

    fn login(&mut self) -> Result<(), StoreError> {
        let login = Frame::from(proto::Login {
            version_min: 1,
            version_max: 1,
            features: tidewire_codec::Feature::ALL
                .iter()
                .map(|feature| feature.0)
                .collect(),
            token: Bytes::from_static(TOKEN),
            device_id: Bytes::from_static(&[1; limits::DEVICE_ID_LEN]),
            ..proto::Login::default()
        });
        let frame = login.to_raw(Flags::NONE, 1);
        self.feed(Input::Frame { conn: CONN, frame })?;
        self.sent.clear();
        Ok(())
    }

    /// Feeds one input and does what the core asks for.
    fn feed(&mut self, input: Input) -> Result<(), StoreError> {
        self.core.handle(input, NOW);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Commit(batch) => {
                    self.store.commit(&batch)?;
                    self.core.handle(Input::Committed, NOW);
                }
                Output::ReadLog(read) => {
                    let page = self.store.read_log(
                        read.user,
                        read.after,
                        read.max_entries,
                        read.max_bytes,
                    )?;
                    self.core.handle(Input::LogPage { read, page }, NOW);
                }
                Output::Send { bytes, .. } => self.sent.extend_from_slice(&bytes),
                Output::SetMaxFrame { .. } | Output::Close { .. } | Output::AdminReply { .. } => {}
            }
        }
        Ok(())
    }

    /// The first ERROR or GOAWAY among what was sent.
    fn answer(&mut self) -> Value {
        let mut decoder = Decoder::new(false);
        decoder.set_max_frame(limits::MAX_FRAME_HARD);
        let items = std::iter::from_fn(|| decoder.poll(&mut self.sent));
        let answers = items.filter_map(|item| match item {
            Item::Frame(frame)
                if matches!(frame.frame_type, FrameType::ERROR | FrameType::GOAWAY) =>
            {
                frame.decode().ok()
            }
            _ => None,
        });
        answers
            .map(|answer| answer_to_json(&answer))
            .next()
            .unwrap_or_else(|| json!({}))
    }
}
