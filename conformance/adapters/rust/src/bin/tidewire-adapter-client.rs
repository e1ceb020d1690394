//! The adapter between the conformance runner and the Rust client SDK: JSON Lines on standard input and output.

use std::collections::HashMap;

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};
use tidewire_adapters::{Arguments, Done, ask, bad, done, lines_of_event, open};
use tidewire_client::Feature;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{Receiver, Sender, channel};

const OPS: [&str; 9] = [
    "open", "send", "request", "ack", "fence", "state", "clock", "token", "close",
];
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
