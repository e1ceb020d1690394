//! Bodies as a codec reports them, held against what a fixture has.

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value as Json};

use super::ask::short;
use crate::json::{from_json, to_json};

/// A body with one way to write it: what says nothing left out, and enum values that nobody knows taken as none.
///
/// # Errors
/// A field that the message has not, or a value that does not fit it.
pub(super) fn settled(body: Json, message: &MessageDescriptor) -> Result<Json, String> {
    let mut json = to_json(&from_json(body, message)?);
    settle(&mut json, message);
    Ok(json)
}

fn settle(json: &mut Json, message: &MessageDescriptor) {
    let Json::Object(fields) = json else { return };
    fields.retain(|name, value| {
        let Some(field) = message.get_field_by_name(name) else {
            return true;
        };
        match field.kind() {
            Kind::Message(inner) => match value {
                Json::Array(items) => items.iter_mut().for_each(|item| settle(item, &inner)),
                one => settle(one, &inner),
            },
            // The reader takes it as UNSPECIFIED, which is the same as nothing.
            Kind::Enum(_) if value.is_number() => return field.supports_presence(),
            _ => {}
        }
        true
    });
}

/// Where two values part first: the path, what was expected there, and what came.
pub(super) fn difference(expected: &Json, got: &Json) -> Option<(String, String, String)> {
    match (expected, got) {
        (Json::Object(left), Json::Object(right)) => of_fields(left, right),
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| {
                difference(left, right)
                    .map(|(path, left, right)| (format!("[{index}]{path}"), left, right))
            }),
        _ if expected == got => None,
        _ => Some((String::new(), short(expected), short(got))),
    }
}

fn of_fields(
    left: &Map<String, Json>,
    right: &Map<String, Json>,
) -> Option<(String, String, String)> {
    let absent = || "absent".to_owned();
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().find_map(|name| {
        let (path, left, right) = match (left.get(name), right.get(name)) {
            (Some(left), Some(right)) => difference(left, right)?,
            (Some(left), None) => (String::new(), short(left), absent()),
            (None, right) => (String::new(), absent(), right.map_or_else(absent, short)),
        };
        Some((format!(".{name}{path}"), left, right))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use serde_json::json;

    use super::*;
    use crate::names;

    #[test]
    fn what_says_nothing_is_left_out() {
        let message = names::message("Send").unwrap();
        let full =
            json!({ "to_user": "", "priority": 0, "delivery": 77, "reply_to": "0", "content": "" });
        assert_eq!(
            settled(full, &message),
            Ok(json!({ "to_user": "", "reply_to": "0" }))
        );
        assert!(settled(json!({ "no": 1 }), &message).is_err());
    }

    #[test]
    fn the_first_difference_has_a_path() {
        let one = json!({ "a": 1, "b": { "c": ["x", "y"] } });
        assert_eq!(difference(&one, &one), None);
        let at = |other: Json| difference(&one, &other).unwrap();
        assert_eq!(at(json!({ "a": 1, "b": { "c": ["x", "z"] } })).0, ".b.c[1]");
        assert_eq!(at(json!({ "a": 1, "b": { "c": ["x"] } })).0, ".b.c");
        assert_eq!(
            at(json!({ "b": { "c": ["x", "y"] } })),
            (".a".into(), "1".into(), "absent".into())
        );
        assert_eq!(
            at(json!({ "a": 1, "b": { "c": ["x", "y"] }, "d": 1 })).1,
            "absent"
        );
    }
}
