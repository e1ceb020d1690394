//! Null adapters: programs that speak to the runner and have no SDK behind them. None of them may pass a case.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

/// What a null adapter does with what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NullAdapter {
    /// Ends before it said anything.
    DiesAtOnce,
    /// Reads everything and never says a word.
    Mute,
    /// Says hello, and ignores everything after it.
    HelloThenIgnore,
    /// Says ok to every op that it lists, and does nothing.
    OkToEverything,
    /// Sends back what it got.
    Echo,
    /// Says hello, and then lines that are none.
    RandomLines,
    /// Says hello a byte at a time, and answers at that pace.
    SlowDrip,
    /// Says that it knows no op.
    UnsupportedToEverything,
    /// Says ok to every op, and tells of whatever its app might be waiting for.
    EventsMadeUp,
    /// Says ok to every op, and tells what a correct SDK once told in another case.
    Replay,
}

impl NullAdapter {
    /// All of them.
    pub const ALL: [NullAdapter; 10] = [
        NullAdapter::DiesAtOnce,
        NullAdapter::Mute,
        NullAdapter::HelloThenIgnore,
        NullAdapter::OkToEverything,
        NullAdapter::Echo,
        NullAdapter::RandomLines,
        NullAdapter::SlowDrip,
        NullAdapter::UnsupportedToEverything,
        NullAdapter::EventsMadeUp,
        NullAdapter::Replay,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Is this adapter, on stdin and stdout, until its input ends.
    ///
    /// # Errors
    /// If a pipe breaks.
    pub fn run(self) -> io::Result<()> {
        let (mut input, mut out) = (io::stdin().lock(), io::stdout().lock());
        match self {
            NullAdapter::DiesAtOnce => Ok(()),
            NullAdapter::Mute => io::copy(&mut input, &mut io::sink()).map(drop),
            NullAdapter::Echo => {
                let mut buffer = [0; 4_096];
                loop {
                    match input.read(&mut buffer)? {
                        0 => return Ok(()),
                        count => out.write_all(buffer.get(..count).unwrap_or_default())?,
                    }
                    out.flush()?;
                }
            }
            _ => self.converse(input, &mut out),
        }
    }

    fn converse(self, input: impl BufRead, out: &mut impl Write) -> io::Result<()> {
        for line in input.lines() {
            let Ok(asked) = serde_json::from_str::<Value>(&line?) else {
                continue;
            };
            if asked.get("hello").is_some() {
                say(self, out, &hello())?;
                if self == NullAdapter::RandomLines {
                    out.write_all(b"\x7fnoise {]\n")?;
                    out.flush()?;
                }
                continue;
            }
            let op = asked.get("op").and_then(Value::as_str).unwrap_or_default();
            let answer = match self {
                NullAdapter::HelloThenIgnore | NullAdapter::RandomLines => continue,
                NullAdapter::UnsupportedToEverything => json!({ "unsupported": true }),
                _ if !OPS.contains(&op) => json!({ "unsupported": true }),
                _ if op == "state" => json!({ "ok": {
                    "connected": true, "pos": "0", "outbox": [], "attempts": 1,
                } }),
                _ => json!({ "ok": {} }),
            };
            for event in self.events(op, &asked) {
                say(self, out, &event)?;
            }
            let mut answer = answer;
            if let (Value::Object(answer), Some(id)) = (&mut answer, asked.get("id")) {
                answer.insert("id".to_owned(), id.clone());
            }
            say(self, out, &answer)?;
        }
        Ok(())
    }

    /// What it tells of beside the answer to this op.
    fn events(self, op: &str, asked: &Value) -> Vec<Value> {
        let client = asked.get("client").cloned().unwrap_or_default();
        let event = |name: &str, more: Value| {
            let mut line = json!({ "event": name, "client": client });
            if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
                line.extend(more);
            }
            line
        };
        let message = asked.get("message").cloned().unwrap_or_default();
        match (self, op) {
            (NullAdapter::EventsMadeUp | NullAdapter::Replay, "open") => vec![
                event("connected", json!({ "result": "FRESH" })),
                event("synced", json!({})),
            ],
            (NullAdapter::EventsMadeUp, "send") => vec![event(
                "accepted",
                json!({ "message": message, "msg_id": "1", "duplicate": false }),
            )],
            (NullAdapter::EventsMadeUp, "request") => {
                let request = asked.get("request").cloned().unwrap_or_default();
                vec![event(
                    "reply",
                    json!({ "request": request, "type": "OK", "body": {} }),
                )]
            }
            (NullAdapter::EventsMadeUp, "fence") => {
                let body = json!({ "pos": "1", "msg_id": "1", "from": "bob", "content": "6869" });
                vec![event("entry", json!({ "type": "MESSAGE", "body": body }))]
            }
            (NullAdapter::Replay, "send") => vec![
                event(
                    "accepted",
                    json!({ "message": "m1", "msg_id": "117662369035321350", "duplicate": false }),
                ),
                event("status", json!({ "message": "m1", "state": "DELIVERED" })),
            ],
            (NullAdapter::Replay, "fence") => {
                let body = json!({
                    "pos": "1", "msg_id": "117662369035321350", "from": "c1-000001.bob",
                    "to_user": "c1-000001.alice", "content": "6869", "content_len": "2",
                });
                vec![event("entry", json!({ "type": "MESSAGE", "body": body }))]
            }
            _ => Vec::new(),
        }
    }
}

/// What an adapter of a client lists.
const OPS: [&str; 9] = [
    "open", "send", "request", "ack", "fence", "state", "clock", "token", "close",
];

fn hello() -> Value {
    json!({ "hello": {
        "protocol": 1, "name": "null", "version": "0", "roles": ["client"], "transports": ["tcp", "ws"],
        "features": ["devices", "status-get", "groups", "expiry-set"], "ops": OPS,
    } })
}

/// Between two pieces of the drip: longer than a pipe needs, shorter than any budget.
const DRIP: Duration = Duration::from_millis(2);

fn say(adapter: NullAdapter, out: &mut impl Write, line: &Value) -> io::Result<()> {
    let line = format!("{line}\n");
    if adapter != NullAdapter::SlowDrip {
        out.write_all(line.as_bytes())?;
        return out.flush();
    }
    for piece in line.as_bytes().chunks(16) {
        out.write_all(piece)?;
        out.flush()?;
        std::thread::sleep(DRIP);
    }
    Ok(())
}
