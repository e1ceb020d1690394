//! Bodies as JSON, as the fixtures have them: 64-bit numbers as decimal strings, bytes as hex, enum values by name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::{Map, Value as Json};

use crate::value::{hex, unhex};

/// A message as an object of its fields that are there.
pub(crate) fn to_json(message: &DynamicMessage) -> Json {
    let fields = message
        .fields()
        .map(|(field, value)| (field.name().to_owned(), field_json(&field, value)));
    Json::Object(fields.collect())
}

fn field_json(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::List(items) => items.iter().map(|item| field_json(field, item)).collect(),
        Value::Bool(yes) => Json::Bool(*yes),
        Value::I32(number) => (*number).into(),
        Value::U32(number) => (*number).into(),
        Value::I64(number) => number.to_string().into(),
        Value::U64(number) => number.to_string().into(),
        Value::String(text) => text.clone().into(),
        Value::Bytes(bytes) => hex(bytes).into(),
        Value::Message(message) => to_json(message),
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(kind) => kind.get_value(*number).map_or_else(
                || (*number).into(),
                |value| Json::String(value.name().to_owned()),
            ),
            _ => (*number).into(),
        },
        // No message of the protocol has floats or maps.
        Value::F32(_) | Value::F64(_) | Value::Map(_) => Json::Null,
    }
}

/// The message that an object describes. Bytes may also begin with `hex:` or `text:`, and 64-bit numbers may be numbers.
///
/// # Errors
/// A field that the message has not, or a value that does not fit it.
pub(crate) fn from_json(body: Json, message: &MessageDescriptor) -> Result<DynamicMessage, String> {
    let mapped = to_proto_json(body, message)?;
    let written = DynamicMessage::deserialize(message.clone(), &mapped)
        .map_err(|error| format!("{}: {error}", culprit(&mapped, message)))?;
    // A zero that is written out is the same as none where the field has no presence; the encoding knows where.
    DynamicMessage::decode(message.clone(), written.encode_to_vec().as_slice())
        .map_err(|error| format!("body: {error}"))
}

/// The path of the field whose value does not fit, as the error does not tell it.
fn culprit(body: &Json, message: &MessageDescriptor) -> String {
    let fields = body.as_object().into_iter().flatten();
    let wrong = fields.into_iter().find(|(name, value)| {
        let mut alone = Map::new();
        alone.insert((*name).clone(), (*value).clone());
        DynamicMessage::deserialize(message.clone(), &Json::Object(alone)).is_err()
    });
    wrong.map_or_else(
        || "body".to_owned(),
        |(name, value)| format!("body.{name} = {value}"),
    )
}

/// The same body with its bytes as the JSON mapping of proto3 has them: in base64.
fn to_proto_json(body: Json, message: &MessageDescriptor) -> Result<Json, String> {
    let Json::Object(fields) = body else {
        return Ok(body);
    };
    let mut mapped = Map::new();
    for (name, value) in fields {
        let field = message
            .get_field_by_name(&name)
            .or_else(|| message.get_field_by_json_name(&name));
        let value = match field.map(|field| field.kind()) {
            Some(Kind::Bytes) => each(value, &|value| bytes_json(&name, value))?,
            Some(Kind::Message(inner)) => each(value, &|value| to_proto_json(value, &inner))?,
            _ => value,
        };
        mapped.insert(name, value);
    }
    Ok(Json::Object(mapped))
}

/// Maps a value, or each of a list.
fn each(value: Json, map: &dyn Fn(Json) -> Result<Json, String>) -> Result<Json, String> {
    match value {
        Json::Array(items) => items
            .into_iter()
            .map(map)
            .collect::<Result<_, _>>()
            .map(Json::Array),
        one => map(one),
    }
}

fn bytes_json(name: &str, value: Json) -> Result<Json, String> {
    let Json::String(text) = value else {
        return Ok(value);
    };
    let bytes = match text.strip_prefix("text:") {
        Some(text) => text.as_bytes().to_vec(),
        None => unhex(text.strip_prefix("hex:").unwrap_or(&text)).ok_or_else(|| {
            format!("body: {name}: bytes are an even number of hex digits, or begin with `hex:` or `text:`")
        })?,
    };
    Ok(Json::String(STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use serde_json::json;

    use super::*;
    use crate::names;

    #[test]
    fn bodies_go_there_and_back() {
        let message = names::message("Send").unwrap();
        let body = json!({
            "to_group": "18446744073709551615", "idem": "00ff", "delivery": "STORE", "app_type": 4294967295_u32,
            "receipts": { "read": true }, "reply_to": "0", "content": "6869",
        });
        let built = from_json(body.clone(), &message).unwrap();
        assert_eq!(to_json(&built), body);
        assert!(from_json(json!({ "no": 1 }), &message).is_err());
        let numbers = from_json(json!({ "to_group": 7 }), &message).unwrap();
        assert_eq!(to_json(&numbers), json!({ "to_group": "7" }));
    }

    #[test]
    fn an_enum_value_without_a_name_is_its_number() {
        let message = names::message("Send").unwrap();
        let built = from_json(json!({ "delivery": 77 }), &message).unwrap();
        assert_eq!(to_json(&built), json!({ "delivery": 77 }));
    }
}
