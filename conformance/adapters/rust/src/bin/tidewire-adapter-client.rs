//! The adapter between the conformance runner and the Rust client SDK: JSON Lines on standard input and output.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};
use tidewire_adapters::{
    Arguments, Done, bad, body_to_json, error_of, frame_from_json, frame_type_from_json,
    frame_type_to_json, lines_of_event, refused,
};
use tidewire_client::{Client, DeviceId, Events, Feature, FileStore, Frame, Message, Millis, Pos};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{Receiver, Sender, channel};

const OPS: [&str; 9] = [
    "open", "send", "request", "ack", "fence", "state", "clock", "token", "close",
];
/// Where a clock that is moved by hand begins on a new device.
const BEGINNING: Millis = Millis(1_700_000_000_000);

type Lines = Sender<Value>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    tokio::task::LocalSet::new().run_until(serve()).await
}

async fn serve() -> std::io::Result<()> {
    let (out, lines) = channel(1_024);
    let writer = tokio::task::spawn_local(write(lines));
    let mut clients: HashMap<String, Sender<Arguments>> = HashMap::new();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = input.next_line().await? {
        let request = Arguments(serde_json::from_str(&line)?);
        let (op, name) = (request.text("op"), request.text("client").to_owned());
        let reply = if request.0.contains_key("hello") {
            let features: Vec<_> = Feature::ALL
                .iter()
                .filter_map(|known| known.name())
                .collect();
            json!({ "hello": { "protocol": 1, "name": "tidewire-client", "version": env!("CARGO_PKG_VERSION"),
                "roles": ["client"], "transports": ["tcp", "ws", "tls"], "features": features, "ops": OPS } })
        } else if !OPS.contains(&op) {
            json!({ "id": request.0.get("id"), "unsupported": true })
        } else {
            if op == "open" {
                let (asks, asked) = channel(64);
                clients.insert(name.clone(), asks);
                tokio::task::spawn_local(live(name.clone(), asked, out.clone()));
            }
            let id = request.0.get("id").cloned();
            match clients.get(&name) {
                Some(asks) if asks.send(request).await.is_ok() => continue,
                _ => answer(id.as_ref(), Err(bad("no such client"))),
            }
        };
        let _ = out.send(reply).await;
    }
    drop((out, clients));
    writer.await?
}

async fn write(mut lines: Receiver<Value>) -> std::io::Result<()> {
    let mut stdout = tokio::io::stdout();
    while let Some(line) = lines.recv().await {
        stdout.write_all(format!("{line}\n").as_bytes()).await?;
        stdout.flush().await?;
    }
    Ok(())
}

fn answer(id: Option<&Value>, done: Done) -> Value {
    match done {
        Ok(ok) => json!({ "id": id, "ok": ok }),
        Err((code, text)) => json!({ "id": id, "err": { "code": code, "text": text } }),
    }
}

/// One client, from `open` to `close`. Events are written before anything that was answered after them.
async fn live(name: String, mut asked: Receiver<Arguments>, out: Lines) -> Option<()> {
    let first = asked.recv().await?;
    let (client, mut events, clock) = match open(&first).await {
        Ok(opened) => opened,
        Err(error) => return out.send(answer(first.0.get("id"), Err(error))).await.ok(),
    };
    out.send(answer(first.0.get("id"), Ok(json!({}))))
        .await
        .ok()?;
    let mut pending: FuturesUnordered<LocalBoxFuture<'_, Value>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(event) = events.next() => for line in lines_of_event(event) {
                out.send(of(&name, line)).await.ok()?;
            },
            Some(line) = pending.next() => out.send(of(&name, line)).await.ok()?,
            request = asked.recv() => {
                let request = request?;
                if request.text("op") == "close" {
                    client.close().await;
                    return out.send(answer(request.0.get("id"), Ok(json!({})))).await.ok();
                }
                if request.text("op") == "request" {
                    pending.push(ask(&client, request.clone()).boxed_local());
                    out.send(answer(request.0.get("id"), Ok(json!({})))).await.ok()?;
                } else {
                    let (client, clock) = (&client, clock.as_deref());
                    pending.push(async move { answer(request.0.get("id"), done(client, &request, clock).await) }.boxed_local());
                }
            }
        }
    }
}

/// Events name their client, answers do not.
fn of(name: &str, mut line: Value) -> Value {
    if line.get("event").is_some() {
        line["client"] = name.into();
    }
    line
}

async fn open(request: &Arguments) -> Result<(Client, Events, Option<PathBuf>), (String, String)> {
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
        let named = request.list("features").filter_map(Value::as_str);
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
async fn done(client: &Client, request: &Arguments, clock: Option<&Path>) -> Done {
    let refused = |error| error_of(&error);
    let nothing = |()| json!({});
    match request.text("op") {
        "send" => {
            let Frame::Send(body) = body(request, "SEND")? else { return Err(bad("no SEND")) };
            let message = Message::from_proto(body).label(request.text("message"));
            client.enqueue_unchecked(message).await.map(|_| json!({})).map_err(refused)
        }
        "ack" => {
            let pos = Pos(request.long("pos")?);
            client.ack(pos).await.map(nothing).map_err(refused)
        }
        "fence" => client.fence().await.map(nothing).map_err(refused),
        "token" => client.set_token(request.text("token").to_owned()).await.map(nothing).map_err(refused),
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
async fn ask(client: &Client, request: Arguments) -> Value {
    let name = request.text("request");
    let reply = match body(&request, request.text("type")) {
        Ok(frame) => client.request(frame).await,
        Err((_, text)) => Err(tidewire_client::Error::Invalid(text)),
    };
    match reply {
        Ok(frame) => {
            let kind = frame_type_to_json(frame.frame_type());
            json!({ "event": "reply", "request": name, "type": kind, "body": body_to_json(&frame) })
        }
        Err(error) => refused(name, &error),
    }
}
