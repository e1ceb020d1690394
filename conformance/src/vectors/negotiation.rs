//! Rows of the tables of versions and features, each with another row of its table that has another answer.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::ask::{Codec, Trouble, Wrong, ask, short};
use crate::verdict::FailureClass;

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// `version` or `features`.
    pub(super) table: String,
    pub(super) input: Json,
    pub(super) expected: Map<String, Json>,
    /// The next row of the table with another answer.
    pub(super) twin: Box<Twin>,
}

/// A row that keeps another from passing by chance.
#[derive(Clone, Debug)]
pub(super) struct Twin {
    pub(super) id: String,
    pub(super) input: Json,
    pub(super) expected: Map<String, Json>,
}

/// Puts a row to a codec.
pub(super) async fn check<C: Codec>(
    codec: &C,
    row: &Row,
    proves: &[String],
) -> Result<usize, Trouble> {
    let question = |input: &Json| json!({ "table": row.table, "input": input });
    let twin = ask(codec, "negotiate", question(&row.twin.input)).await?;
    if let Some((key, ..)) = difference(&row.twin.expected, &twin.answer) {
        return Err(Trouble::Blocked(format!(
            "its twin {} has another {key}",
            row.twin.id
        )));
    }
    let asked = ask(codec, "negotiate", question(&row.input)).await?;
    match difference(&row.expected, &asked.answer) {
        None => Ok(2),
        Some((key, expected, got)) => {
            let wrong = Wrong::new(FailureClass::WrongField, key, expected, got);
            Err(asked
                .blame(wrong.proving(proves.iter().map(String::as_str)))
                .into())
        }
    }
}

/// The first key whose values differ, of both sides: what has a version has no GOAWAY.
fn difference(
    expected: &Map<String, Json>,
    got: &Map<String, Json>,
) -> Option<(String, String, String)> {
    let keys: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
    keys.into_iter().find_map(|key| {
        let null = Json::Null;
        let (left, right) = (
            expected.get(key).unwrap_or(&null),
            got.get(key).unwrap_or(&null),
        );
        let is_same = if key == "enabled" {
            as_set(left).is_some() && as_set(left) == as_set(right)
        } else {
            left == right
        };
        (!is_same).then(|| (key.clone(), short(left), short(right)))
    })
}

/// The items in rising order; a set that repeats one is none.
fn as_set(value: &Json) -> Option<BTreeSet<u64>> {
    let items = value.as_array()?;
    let set: BTreeSet<u64> = items.iter().map(Json::as_u64).collect::<Option<_>>()?;
    (set.len() == items.len()).then_some(set)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn enabled_is_a_set_and_missing_a_list() {
        let differs = |left: Json, right: Json| {
            difference(left.as_object().unwrap(), right.as_object().unwrap()).map(|found| found.0)
        };
        let row = json!({ "enabled": [1, 3], "missing": [9, 2] });
        assert_eq!(
            differs(row.clone(), json!({ "enabled": [3, 1], "missing": [9, 2] })),
            None
        );
        assert_eq!(
            differs(
                row.clone(),
                json!({ "enabled": [1, 3, 3], "missing": [9, 2] })
            ),
            Some("enabled".into())
        );
        assert_eq!(
            differs(row, json!({ "enabled": [1, 3], "missing": [2, 9] })),
            Some("missing".into())
        );
        assert_eq!(
            differs(
                json!({ "version": 1 }),
                json!({ "version": 1, "goaway": "X" })
            ),
            Some("goaway".into())
        );
    }
}
