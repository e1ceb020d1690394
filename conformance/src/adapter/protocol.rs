//! The lines of the adapter protocol: what the runner writes, and what it takes for an answer, an event or a breach.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The version of the protocol.
pub(crate) const PROTOCOL: u32 = 1;

/// Every event of a client, by name.
pub(crate) const EVENTS: [&str; 11] = [
    "connected",
    "synced",
    "missing",
    "entry",
    "accepted",
    "failed",
    "reply",
    "refused",
    "status",
    "disconnected",
    "token_needed",
];

/// What an adapter says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) roles: Vec<String>,
    #[serde(default)]
    pub(crate) transports: Vec<String>,
    /// What the SDK offers in LOGIN when nothing else is said.
    #[serde(default)]
    pub(crate) features: Vec<String>,
    pub(crate) ops: Vec<String>,
}

impl Hello {
    /// True if it lists this op.
    pub(crate) fn can(&self, op: &str) -> bool {
        self.ops.iter().any(|known| known == op)
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, with what it answers.
    Ok(Map<String, Value>),
    /// The SDK or the codec refused.
    Err {
        /// A code of the registry, or the SDK's own.
        code: String,
        /// For people.
        text: String,
    },
    /// The adapter does not know the op.
    Unsupported,
}

/// Something that a client of the SDK reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) client: String,
    /// Everything beside the name and the client.
    pub(crate) fields: Map<String, Value>,
}

impl Event {
    /// A text among the fields.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// In one line, cut where it gets long.
    pub(crate) fn describe(&self) -> String {
        const SHOWN: usize = 240;
        let all = format!("{} {}", self.name, Value::Object(self.fields.clone()));
        if all.chars().count() <= SHOWN {
            return all;
        }
        let head: String = all.chars().take(SHOWN).collect();
        format!("{head}...")
    }
}

/// A line of an adapter, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Hello(Hello),
    Reply { id: u64, answer: Answer },
    Event(Event),
}

/// The first line of the runner.
pub(super) fn hello() -> String {
    let runner = format!("tidewire-conformance {}", env!("CARGO_PKG_VERSION"));
    json!({ "hello": { "protocol": PROTOCOL, "runner": runner } }).to_string()
}

/// A request as a line.
pub(super) fn request(
    id: u64,
    op: &str,
    client: Option<&str>,
    arguments: Map<String, Value>,
) -> String {
    let mut line = Map::new();
    line.insert("id".to_owned(), id.into());
    line.insert("op".to_owned(), op.into());
    if let Some(client) = client {
        line.insert("client".to_owned(), client.into());
    }
    line.extend(arguments);
    Value::Object(line).to_string()
}

/// Reads a line.
pub(super) fn parse(line: &str) -> Result<Line, String> {
    let value: Value =
        serde_json::from_str(line).map_err(|error| format!("a line is no JSON ({error})"))?;
    let Value::Object(mut fields) = value else {
        return Err("a line is no JSON object".to_owned());
    };
    if let Some(hello) = fields.remove("hello") {
        return match serde_json::from_value(hello) {
            Ok(hello) if fields.is_empty() => Ok(Line::Hello(hello)),
            Ok(_) => Err("a hello has no other keys beside it".to_owned()),
            Err(error) => Err(format!("a hello that is none ({error})")),
        };
    }
    match (fields.remove("id"), fields.remove("event")) {
        (Some(id), None) => {
            let id = id
                .as_u64()
                .ok_or("the id of an answer is a number that the runner gave")?;
            answer(fields).map(|answer| Line::Reply { id, answer })
        }
        (None, Some(Value::String(name))) => event(name, fields).map(Line::Event),
        (None, Some(_)) => Err("the name of an event is a string".to_owned()),
        (Some(_), Some(_)) => Err("a line has both an id and an event".to_owned()),
        (None, None) => Err("a line has neither hello nor id nor event".to_owned()),
    }
}

fn answer(mut fields: Map<String, Value>) -> Result<Answer, String> {
    let parts = (
        fields.remove("ok"),
        fields.remove("err"),
        fields.remove("unsupported"),
    );
    if let Some(key) = fields.keys().next() {
        return Err(format!("an answer has no key {key:?}"));
    }
    match parts {
        (Some(Value::Object(ok)), None, None) => Ok(Answer::Ok(ok)),
        (None, Some(Value::Object(mut err)), None) => {
            let mut text = |key: &str| match err.remove(key) {
                Some(Value::String(text)) => Ok(text),
                None if key == "text" => Ok(String::new()),
                _ => Err(format!("err has a {key}, which is a string")),
            };
            Ok(Answer::Err {
                code: text("code")?,
                text: text("text")?,
            })
        }
        (None, None, Some(Value::Bool(true))) => Ok(Answer::Unsupported),
        _ => Err(
            "an answer has one of ok (an object), err (an object) and unsupported (true)"
                .to_owned(),
        ),
    }
}

fn event(name: String, mut fields: Map<String, Value>) -> Result<Event, String> {
    if !EVENTS.contains(&name.as_str()) {
        return Err(format!("there is no event {name:?}"));
    }
    let Some(Value::String(client)) = fields.remove("client") else {
        return Err("an event says which client it is of".to_owned());
    };
    Ok(Event {
        name,
        client,
        fields,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn lines_are_understood() {
        let ok = parse(r#"{"id": 7, "ok": {"pos": "3"}}"#).unwrap();
        let Line::Reply {
            id: 7,
            answer: Answer::Ok(fields),
        } = ok
        else {
            unreachable!("{ok:?}")
        };
        assert_eq!(fields["pos"], "3");
        let unsupported = parse(r#"{"id": 8, "unsupported": true}"#).unwrap();
        assert!(matches!(
            unsupported,
            Line::Reply {
                id: 8,
                answer: Answer::Unsupported
            }
        ));
        let event = parse(r#"{"event": "entry", "client": "k1", "type": "MESSAGE"}"#).unwrap();
        let Line::Event(event) = event else {
            unreachable!("{event:?}")
        };
        assert_eq!(
            (event.client.as_str(), event.text("type")),
            ("k1", Some("MESSAGE"))
        );
    }

    #[test]
    fn breaches_are_named() {
        for (line, problem) in [
            ("ok", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "neither"),
            (r#"{"id": "7", "ok": {}}"#, "number"),
            (r#"{"id": 7}"#, "one of"),
            (r#"{"id": 7, "ok": {}, "err": {}}"#, "one of"),
            (r#"{"id": 7, "ok": true}"#, "one of"),
            (r#"{"id": 7, "unsupported": false}"#, "one of"),
            (r#"{"id": 7, "err": {"text": "no"}}"#, "code"),
            (r#"{"id": 7, "ok": {}, "more": 1}"#, "more"),
            (r#"{"event": "boo", "client": "k"}"#, "boo"),
            (r#"{"event": "entry"}"#, "client"),
            (r#"{"hello": {}}"#, "hello"),
        ] {
            let found = parse(line).unwrap_err();
            assert!(found.contains(problem), "{line}: {found}");
        }
    }

    /// Whether a published schema takes the line.
    fn is_valid(schema: &str, line: &str) -> bool {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/schemas");
        let text = std::fs::read_to_string(format!("{root}/adapter-{schema}.schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        validator.is_valid(&serde_json::from_str(line).unwrap())
    }

    #[test]
    fn what_the_runner_writes_is_in_the_published_schema() {
        assert!(is_valid("request", &hello()));
        let open = json!({
            "url": "tcp://127.0.0.1:7400", "token": "t", "store": "/s", "device": "00112233445566778899aabbccddeeff",
            "manual_ack": true, "manual_clock": true, "seed": 7,
        });
        for (op, arguments) in [
            ("open", open),
            (
                "send",
                json!({ "message": "n1", "body": { "to_user": "bob" } }),
            ),
            (
                "request",
                json!({ "request": "n2", "type": "MARK", "body": {} }),
            ),
            ("ack", json!({ "pos": "7" })),
            ("fence", json!({})),
            ("state", json!({})),
            ("clock", json!({ "advance_ms": 1_000 })),
            ("token", json!({ "token": "t" })),
            ("close", json!({})),
        ] {
            let Value::Object(arguments) = arguments else {
                unreachable!("{op}")
            };
            let line = request(3, op, Some("k1"), arguments);
            assert!(is_valid("request", &line), "{line}");
        }
        for (op, arguments) in [
            (
                "decode",
                json!({ "from": "client", "pieces": ["00", "0102"], "preface": false, "max_frame": 9 }),
            ),
            (
                "encode",
                json!({ "type": "ACK", "flags": 0, "ref": 0, "body": { "pos": "7" }, "unknown": "" }),
            ),
            (
                "judge",
                json!({ "state": "before-login", "max_frame": 8_192, "hex": "00" }),
            ),
            ("negotiate", json!({ "table": "version", "input": {} })),
        ] {
            let Value::Object(arguments) = arguments else {
                unreachable!("{op}")
            };
            let line = request(3, op, None, arguments);
            assert!(is_valid("request", &line), "{line}");
            assert!(!is_valid("request", &request(3, op, None, Map::new())));
        }
        assert!(!is_valid(
            "request",
            &request(3, "sing", Some("k1"), Map::new())
        ));
        assert!(!is_valid(
            "request",
            &request(3, "open", Some("k1"), Map::new())
        ));
    }

    #[test]
    fn a_good_conversation_is_in_the_published_schema() {
        let said = [
            r#"{"hello": {"protocol": 1, "name": "x", "version": "1", "roles": ["client"], "transports": ["tcp"],
                "features": ["groups"], "ops": ["open", "close"]}}"#,
            r#"{"id": 7, "ok": {"pos": "3"}}"#,
            r#"{"id": 7, "err": {"code": "BODY_TOO_LARGE", "text": "no"}}"#,
            r#"{"id": 7, "unsupported": true}"#,
            r#"{"event": "connected", "client": "k", "result": "FRESH"}"#,
            r#"{"event": "synced", "client": "k"}"#,
            r#"{"event": "entry", "client": "k", "type": "MESSAGE", "body": {"pos": "17"}}"#,
            r#"{"event": "accepted", "client": "k", "message": "n1", "msg_id": "9", "duplicate": false}"#,
            r#"{"event": "failed", "client": "k", "message": "n1"}"#,
            r#"{"event": "reply", "client": "k", "request": "n2", "type": "OK", "body": {}}"#,
            r#"{"event": "refused", "client": "k", "request": "n2", "code": "BAD_PIN"}"#,
            r#"{"event": "status", "client": "k", "message": "n1", "state": "READ", "user": "bob"}"#,
            r#"{"event": "disconnected", "client": "k", "code": 12034, "will_reconnect": false}"#,
            r#"{"event": "missing", "client": "k"}"#,
            r#"{"event": "token_needed", "client": "k"}"#,
        ];
        for line in said {
            assert!(parse(line).is_ok(), "{line}");
            assert!(is_valid("answer", line), "{line}");
        }
        for line in [
            r#"{"id": 7, "ok": {}, "err": {"code": "x"}}"#,
            r#"{"id": 7, "unsupported": false}"#,
            r#"{"event": "boo", "client": "k"}"#,
            r#"{"event": "entry", "type": "MESSAGE", "body": {}}"#,
        ] {
            assert!(!is_valid("answer", line), "{line}");
        }
    }
}
