//! The ops of the adapter protocol, as calls of the client SDK.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tidewire_client::{
    Client, DeviceId, Error, Events, Feature, FileStore, Frame, Message, Millis, Pos,
};

use crate::events::{error_of, refused};
use crate::json::{body_to_json, frame_from_json, frame_type_from_json, frame_type_to_json};
use crate::lines::{Arguments, Done, bad};

/// Where a clock that is moved by hand begins on a new device.
const BEGINNING: Millis = Millis(1_700_000_000_000);

/// A client, its events, and the file where its clock is kept if it is moved by hand.
pub type Opened = (Client, Events, Option<PathBuf>);

/// Makes the client of an `open`, and says where its clock is kept.
///
/// # Errors
/// Code and text of what the SDK refuses.
pub async fn open(request: &Arguments) -> Result<Opened, (String, String)> {
    let flag = |key: &str| request.0.get(key).and_then(Value::as_bool).unwrap_or(false);
    let text = |key: &str| Some(request.text(key)).filter(|text| !text.is_empty());
    let mut builder = Client::builder(request.text("url"))
        .token(request.text("token").to_owned())
        .manual_ack(flag("manual_ack"));
    if let Some(device) = DeviceId::new(&request.bytes("device")?) {
        builder = builder.device(device);
    }
    if let Some(ca) = text("ca") {
        builder = builder.ca(ca);
    }
    if let Some(name) = text("server_name") {
        builder = builder.server_name(name);
    }
    if request.0.contains_key("seed") {
        builder = builder.seed(request.long("seed")?);
    }
    if request.0.contains_key("features") {
        let named = request.list("features")?.iter().filter_map(Value::as_str);
        builder = builder.features(named.filter_map(Feature::from_name));
    }
    let clock = text("store").map(|folder| Path::new(folder).join("clock"));
    if let Some(folder) = text("store") {
        builder = builder.store(FileStore::open(folder).map_err(bad)?);
    }
    if flag("manual_clock") {
        let kept = clock
            .as_ref()
            .and_then(|clock| std::fs::read_to_string(clock).ok());
        builder = builder.manual_clock(
            kept.and_then(|ms| ms.parse().ok())
                .map_or(BEGINNING, Millis),
        );
    }
    let (client, events) = builder.start().await.map_err(bad)?;
    Ok((client, events, clock))
}

/// Does everything but `open`, `request` and `close`.
///
/// # Errors
/// Code and text of what the SDK refuses.
pub async fn done(client: &Client, request: &Arguments, clock: Option<&Path>) -> Done {
    let refused = |error| error_of(&error);
    let nothing = |()| json!({});
    match request.text("op") {
        "send" => {
            let Frame::Send(body) = body(request, "SEND")? else {
                return Err(bad("no SEND"));
            };
            let message = Message::from_proto(body).label(request.text("message"));
            let queued = client.enqueue_unchecked(message).await;
            queued.map(|_| json!({})).map_err(refused)
        }
        "ack" => {
            let pos = Pos(request.long("pos")?);
            client.ack(pos).await.map(nothing).map_err(refused)
        }
        "fence" => client.fence().await.map(nothing).map_err(refused),
        "token" => {
            let token = request.text("token").to_owned();
            client.set_token(token).await.map(nothing).map_err(refused)
        }
        "clock" => {
            let by = Duration::from_millis(request.long("advance_ms")?);
            let now = client.advance(by).await.map_err(refused)?;
            if let Some(clock) = clock {
                std::fs::write(clock, now.to_string()).map_err(bad)?;
            }
            Ok(json!({}))
        }
        _ => client.state().await.map_err(refused).map(|state| {
            json!({ "connected": state.connected, "pos": state.pos.to_string(), "outbox": state.outbox,
                "attempts": state.attempts })
        }),
    }
}

fn body(request: &Arguments, name: &str) -> Result<Frame, (String, String)> {
    let frame_type = frame_type_from_json(name).ok_or_else(|| bad(format!("no type {name}")))?;
    let none = json!({});
    frame_from_json(frame_type, request.0.get("body").unwrap_or(&none)).map_err(bad)
}

/// A request of any other type, and the event that its answer is.
pub async fn ask(client: &Client, request: Arguments) -> Value {
    let name = request.text("request");
    let reply = match body(&request, request.text("type")) {
        Ok(frame) => client.request(frame).await,
        Err((_, text)) => Err(Error::Invalid(text)),
    };
    match reply {
        Ok(frame) => {
            let kind = frame_type_to_json(frame.frame_type());
            json!({ "event": "reply", "request": name, "type": kind, "body": body_to_json(&frame) })
        }
        Err(error) => refused(name, &error),
    }
}
