//! Events of an SDK and the answer to `state` as messages, so that the matchers of session files fit them.

use std::sync::LazyLock;

use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value};
use serde_json::{Map, Value as Json};

use crate::names;

const PACKAGE: &str = "tidewire.adapter";

/// Names with their fields. What is left out of an event is absent, and so is told apart from zero.
const TABLE: [(&str, &[(&str, Type)]); 9] = [
    ("connected", &[("result", Type::String)]),
    ("synced", &[]),
    ("missing", &[]),
    (
        "accepted",
        &[("msg_id", Type::Uint64), ("duplicate", Type::Bool)],
    ),
    ("failed", &[("code", Type::Uint32)]),
    ("status", &[("state", Type::String), ("user", Type::String)]),
    (
        "disconnected",
        &[("code", Type::Uint32), ("will_reconnect", Type::Bool)],
    ),
    ("token_needed", &[]),
    (
        "state",
        &[
            ("connected", Type::Bool),
            ("pos", Type::Uint64),
            ("outbox", Type::Uint32),
            ("attempts", Type::Uint32),
            // How often it knocked at the gate, which the gate counts.
            ("knocks", Type::Uint32),
        ],
    ),
];

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    let file = FileDescriptorProto {
        name: Some("adapter.proto".to_owned()),
        package: Some(PACKAGE.to_owned()),
        message_type: TABLE
            .iter()
            .map(|(name, fields)| message(name, fields))
            .collect(),
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    };
    // A test reads every message, so there is nobody to tell about a failure.
    let _ = pool.add_file_descriptor_proto(file);
    pool
});

fn message(name: &str, fields: &[(&str, Type)]) -> DescriptorProto {
    let field = |(number, (name, kind)): (i32, &(&str, Type))| FieldDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some((*kind).into()),
        // An optional field of proto3 is alone in a oneof.
        proto3_optional: Some(true),
        oneof_index: Some(number - 1),
        ..FieldDescriptorProto::default()
    };
    let oneof = |(name, _): &(&str, Type)| prost_reflect::prost_types::OneofDescriptorProto {
        name: Some(format!("_{name}")),
        options: None,
    };
    DescriptorProto {
        name: Some(name.to_owned()),
        field: (1..).zip(fields).map(field).collect(),
        oneof_decl: fields.iter().map(oneof).collect(),
        ..DescriptorProto::default()
    }
}

/// The fields of an event that is about no frame, or of `state`.
pub(crate) fn descriptor(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(&format!("{PACKAGE}.{name}"))
}

/// What an adapter said, as such a message.
///
/// # Errors
/// A field that has another type.
pub(crate) fn message_of(name: &str, fields: &Map<String, Json>) -> Result<DynamicMessage, String> {
    let descriptor = descriptor(name).ok_or_else(|| format!("{name} has no fields"))?;
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let Some(json) = fields.get(field.name()).filter(|json| !json.is_null()) else {
            continue;
        };
        let value = match (field.kind(), json) {
            (Kind::Bool, Json::Bool(yes)) => Some(Value::Bool(*yes)),
            (Kind::String, Json::String(text)) => Some(Value::String(text.clone())),
            (Kind::Uint64, json) => number(json).map(Value::U64),
            // The outbox is a list of names, and a case counts them.
            (Kind::Uint32, Json::Array(items)) => u32::try_from(items.len()).ok().map(Value::U32),
            (Kind::Uint32, Json::String(name)) if field.name() == "code" => {
                names::code(name).map(|code| Value::U32(code.0.into()))
            }
            (Kind::Uint32, json) => number(json)
                .and_then(|number| u32::try_from(number).ok())
                .map(Value::U32),
            _ => None,
        };
        let value = value.ok_or_else(|| format!("{} of {name} cannot be {json}", field.name()))?;
        message
            .try_set_field(&field, value)
            .map_err(|error| format!("{}: {error}", field.name()))?;
    }
    Ok(message)
}

/// A number, or one as a decimal string.
pub(crate) fn number(json: &Json) -> Option<u64> {
    match json {
        Json::String(digits) => digits.parse().ok(),
        json => json.as_u64(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use serde_json::json;

    use super::*;
    use crate::matcher::show_message;

    #[test]
    fn every_message_is_there() {
        for (name, fields) in TABLE {
            let found = descriptor(name).unwrap();
            assert_eq!(found.fields().len(), fields.len(), "{name}");
        }
    }

    #[test]
    fn facts_become_fields() {
        let Json::Object(fields) =
            json!({ "connected": true, "pos": "7", "outbox": ["a", "b"], "attempts": 3 })
        else {
            unreachable!()
        };
        let state = message_of("state", &fields).unwrap();
        assert_eq!(
            show_message(&state),
            "{ connected = true, pos = 7, outbox = 2, attempts = 3 }"
        );
        let Json::Object(fields) = json!({ "code": "SHUTTING_DOWN", "will_reconnect": "yes" })
        else {
            unreachable!()
        };
        assert!(message_of("disconnected", &fields).is_err());
    }
}
