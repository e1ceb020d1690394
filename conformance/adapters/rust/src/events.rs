//! Events and errors of the client SDK, as the adapter protocol writes them.

use serde_json::{Value, json};
use tidewire_client::{Code, Entry, Error, Event, Frame, MessageStatus, Refusal, Resumed, proto};

use crate::json::{body_to_json, frame_type_to_json};

/// The lines that an event is, without the name of the client.
#[must_use]
pub fn lines_of_event(event: Event) -> Vec<Value> {
    match event {
        Event::Connected { resumed, .. } => {
            let result = match resumed {
                Resumed::Resumed => "RESUMED",
                Resumed::Gap => "GAP",
                Resumed::Fresh => "FRESH",
            };
            vec![json!({ "event": "connected", "result": result })]
        }
        Event::Synced => vec![json!({ "event": "synced" })],
        Event::Missing => vec![json!({ "event": "missing" })],
        Event::Entry(entry) => {
            let mut lines = vec![entry_line(&entry.to_frame())];
            match &entry {
                Entry::Status(status) => lines.extend(status.messages().iter().map(status_line)),
                Entry::Expired(expired) => lines.extend(expired.message().map(status_line)),
                _ => {}
            }
            lines
        }
        Event::Accepted { receipt, states } => {
            let (message, msg_id) = (receipt.label, receipt.id.to_string());
            let duplicate = receipt.duplicate;
            let accepted = json!({ "event": "accepted", "message": message, "msg_id": msg_id, "duplicate": duplicate });
            std::iter::once(accepted)
                .chain(states.iter().map(status_line))
                .collect()
        }
        // Group operations have a name only while somebody waits for their reply.
        Event::Failed { label, error, .. } if !label.is_empty() => {
            let mut line = json!({ "event": "failed", "message": label });
            put(&mut line, "code", error.code().map(code_name));
            vec![line]
        }
        Event::Disconnected {
            reason,
            will_reconnect,
        } => {
            let mut line = json!({ "event": "disconnected", "will_reconnect": will_reconnect });
            put(
                &mut line,
                "code",
                reason.map(|reason| code_name(reason.code)),
            );
            vec![line]
        }
        Event::TokenNeeded { .. } => vec![json!({ "event": "token_needed" })],
        _ => Vec::new(),
    }
}

fn entry_line(frame: &Frame) -> Value {
    let name = frame_type_to_json(frame.frame_type());
    json!({ "event": "entry", "type": name, "body": body_to_json(frame) })
}

fn status_line(status: &MessageStatus) -> Value {
    let state = format!("{:?}", status.state).to_uppercase();
    let mut line = json!({ "event": "status", "state": state });
    put(&mut line, "message", status.label.clone().map(Value::from));
    put(&mut line, "user", status.member.clone().map(Value::from));
    line
}

/// What a request came to that was not answered as it should be.
#[must_use]
pub(crate) fn refused(request: &str, error: &Error) -> Value {
    let mut line = json!({ "event": "refused", "request": request });
    put(&mut line, "code", error.code().map(code_name));
    if let Error::Refused(refusal) = error {
        put(&mut line, "body", Some(error_body(refusal)));
    }
    line
}

/// Code and text of an error that the SDK answers a call with.
#[must_use]
pub(crate) fn error_of(error: &Error) -> (String, String) {
    let code = match error {
        Error::Refused(refusal) => refusal.code.to_string(),
        Error::TooLarge { .. } => "BODY_TOO_LARGE".to_owned(),
        Error::Invalid(_) => "INVALID".to_owned(),
        Error::OutboxFull { .. } => "OUTBOX_FULL".to_owned(),
        Error::NotConnected => "NOT_CONNECTED".to_owned(),
        Error::Stopped(_) => "STOPPED".to_owned(),
        _ => "FAILED".to_owned(),
    };
    (code, error.to_string())
}

fn error_body(refusal: &Refusal) -> Value {
    body_to_json(&Frame::Error(proto::Error {
        code: u32::from(refusal.code.0),
        retry_after_ms: refusal.retry_after_ms,
        text: refusal.text.clone(),
        field: refusal.field.clone(),
        limit: refusal.limit,
        actual: refusal.actual,
        features: refusal.features.iter().map(|feature| feature.0).collect(),
    }))
}

fn code_name(code: Code) -> Value {
    code.name().map_or_else(|| code.0.into(), Value::from)
}

fn put(line: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        line[key] = value;
    }
}
