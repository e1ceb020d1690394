//! Bodies as the fixtures write them, by way of the codec's own `serde`: what it decoded is shown as it is, and nothing
//! is encoded for it or decoded again.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidewire_codec::shapes::{Field, FieldKind, Shape};
use tidewire_codec::{Frame, FrameType, RawFrame};

use crate::hex::{hex, unhex};

/// Why a JSON body is none: a field that is not there, or a value that does not fit.
pub type BodyError = String;

/// The name of a type, or its number where it has none.
#[must_use]
pub fn frame_type_to_json(frame_type: FrameType) -> Value {
    frame_type
        .name()
        .map_or_else(|| format!("{:#06x}", frame_type.0).into(), Value::from)
}

/// The type that a name or a number stands for.
#[must_use]
pub fn frame_type_from_json(text: &str) -> Option<FrameType> {
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok().map(FrameType),
        None => FrameType::from_name(text),
    }
}

/// A frame as `decode` reports it. The codec keeps no bytes of fields that it does not know, so only what is of an unknown
/// type has `unknown`.
#[must_use]
pub fn frame_to_json(frame: &RawFrame) -> Value {
    let (key, value) = match frame.decode() {
        Ok(body) => ("body", body_to_json(&body)),
        Err(_) if frame.frame_type.info().is_none() => ("unknown", hex(&frame.body).into()),
        Err(error) => ("error", error.to_string().into()),
    };
    let name = frame_type_to_json(frame.frame_type);
    json!({ "type": name, "flags": frame.flags.0, "ref": frame.reference, key: value })
}

/// The fields of a body. A zero is there whether or not its field has presence.
#[must_use]
pub fn body_to_json(frame: &Frame) -> Value {
    let shape = frame.frame_type().shape();
    let plain = serde_json::to_value(frame).unwrap_or_default();
    let body = plain.as_object().and_then(|tagged| tagged.values().next());
    match (shape, body) {
        (Some(shape), Some(body)) => shown(shape, body),
        _ => Value::Null,
    }
}

fn shown(shape: &Shape, plain: &Value) -> Value {
    let Some(plain) = plain.as_object() else {
        return Value::Null;
    };
    let fields = shape.fields.iter().filter_map(|field| {
        let value = plain.get(field.name).or_else(|| member(plain, field.name));
        let value = value.filter(|value| !value.is_null())?;
        let shown = match value {
            Value::Array(items) if field.repeated.is_some() => {
                items.iter().map(|item| one_shown(field, item)).collect()
            }
            one => one_shown(field, one),
        };
        Some((field.name.to_owned(), shown))
    });
    Value::Object(fields.collect())
}

/// The member of a oneof: serde tags it with the name of its variant, as `ToUser`.
fn member<'a>(plain: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let variant = variant(name);
    plain.values().find_map(|oneof| oneof.get(&variant))
}

fn variant(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    });
    words.collect()
}

fn one_shown(field: &Field, value: &Value) -> Value {
    match field.kind {
        FieldKind::Uint64 => value.to_string().into(),
        FieldKind::Bytes => {
            let bytes = value.as_array().into_iter().flatten();
            let bytes = bytes.filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
            hex(&bytes.collect::<Vec<u8>>()).into()
        }
        FieldKind::Enum(shape) => {
            let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
            number
                .and_then(|number| shape.value_name(number))
                .map_or_else(|| value.clone(), Value::from)
        }
        FieldKind::Message(shape) => shown(shape, value),
        FieldKind::Bool | FieldKind::Uint32 | FieldKind::String => value.clone(),
    }
}

/// The frame with this body.
///
/// # Errors
/// If the type is not registered, the body has a field that it has not, or a value does not fit its field.
pub fn frame_from_json(frame_type: FrameType, body: &Value) -> Result<Frame, BodyError> {
    let none = || format!("no body of {frame_type} is known");
    let shape = frame_type.shape().ok_or_else(none)?;
    let empty = Frame::decode(frame_type, &Bytes::new()).map_err(|error| error.to_string())?;
    let mut tagged = serde_json::to_value(empty).map_err(|error| error.to_string())?;
    let plain = tagged.as_object_mut().and_then(|of| of.values_mut().next());
    let plain = plain.ok_or_else(none)?;
    fill(shape, plain, body)?;
    serde_json::from_value(tagged).map_err(|error| error.to_string())
}

/// Puts the fields of `body` into a message as serde writes it.
fn fill(shape: &Shape, plain: &mut Value, body: &Value) -> Result<(), BodyError> {
    let wrong = || format!("{body} is no {}", shape.name);
    let (plain, body) = match (plain, body) {
        (Value::Object(plain), Value::Object(body)) => (plain, body),
        _ => return Err(wrong()),
    };
    // No message has more than one oneof, and none that lies within another has any.
    let oneof = plain
        .keys()
        .find(|key| !shape.fields.iter().any(|field| field.name == **key))
        .cloned();
    for (name, value) in body {
        let field = shape.fields.iter().find(|field| field.name == name);
        let field = field.ok_or_else(|| format!("{} has no field {name}", shape.name))?;
        let value = match value {
            Value::Array(items) if field.repeated.is_some() => items
                .iter()
                .map(|item| one_filled(field, item))
                .collect::<Result<Value, _>>()?,
            one => one_filled(field, one)?,
        };
        match &oneof {
            Some(oneof) if !plain.contains_key(name) => {
                let tagged = Map::from_iter([(variant(name), value)]);
                plain.insert(oneof.clone(), tagged.into());
            }
            _ => drop(plain.insert(name.clone(), value)),
        }
    }
    Ok(())
}

fn one_filled(field: &Field, value: &Value) -> Result<Value, BodyError> {
    let wrong = || format!("{value} does not fit {}", field.name);
    Ok(match (field.kind, value) {
        (FieldKind::Uint64, Value::String(digits)) => {
            digits.parse::<u64>().map_err(|_| wrong())?.into()
        }
        (FieldKind::Bytes, Value::String(digits)) => unhex(digits).ok_or_else(wrong)?.into(),
        (FieldKind::Enum(shape), Value::String(name)) => {
            let known = shape.values.iter().find(|(_, known)| known == name);
            known.ok_or_else(wrong)?.0.into()
        }
        (FieldKind::Message(shape), message) => {
            let mut plain = Value::Object(Map::new());
            fill(shape, &mut plain, message)?;
            plain
        }
        (_, plain) => plain.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[track_caller]
    fn check(frame_type: FrameType, body: Value) {
        let frame = frame_from_json(frame_type, &body).unwrap();
        let mut shown = body_to_json(&frame);
        let decoded = Frame::decode(frame_type, &frame.encode_body()).unwrap();
        assert_eq!(decoded, frame);
        // Zeroes are shown, too.
        let shown = shown.as_object_mut().unwrap();
        shown.retain(|name, _| body.get(name).is_some());
        assert_eq!(Value::from(shown.clone()), body);
    }

    #[test]
    fn bodies_go_there_and_back() {
        check(FrameType::ACK, json!({ "pos": "18446744073709551615" }));
        check(
            FrameType::PING,
            json!({ "data": "00ff", "requires": [1, 2] }),
        );
        check(
            FrameType::SEND,
            json!({ "to_user": "bob", "delivery": "STORE", "idem": "00".repeat(16), "content": "6869", "reply_to": "0",
                "receipts": { "delivered": true, "read": false } }),
        );
        check(FrameType::SEND, json!({ "to_group": "7", "delivery": 77 }));
        check(
            FrameType::GROUP_OP,
            json!({ "group": "9", "remove": { "users": ["a", "b"] } }),
        );
        check(FrameType::GROUP_OP, json!({ "get": {} }));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (frame_type, body) in [
            (FrameType::ACK, json!({ "no": 1 })),
            (FrameType::ACK, json!({ "pos": "x" })),
            (FrameType::ACK, json!([])),
            (FrameType::PING, json!({ "data": "0" })),
            (FrameType::SEND, json!({ "delivery": "NO" })),
            (FrameType(0x0a0a), json!({})),
        ] {
            assert!(frame_from_json(frame_type, &body).is_err(), "{body}");
        }
    }

    #[test]
    fn types_are_names_or_numbers() {
        assert_eq!(frame_type_to_json(FrameType::ACK), "ACK");
        assert_eq!(frame_type_to_json(FrameType(0x0a0a)), "0x0a0a");
        assert_eq!(frame_type_from_json("ACK"), Some(FrameType::ACK));
        assert_eq!(frame_type_from_json("0x0a0a"), Some(FrameType(0x0a0a)));
        assert_eq!(frame_type_from_json("NO"), None);
    }
}
