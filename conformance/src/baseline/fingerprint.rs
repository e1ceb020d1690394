//! What stays the same of a failure from run to run.

use crate::report::CaseReport;

/// The class of a failure, where it was, what was expected and what came, without what differs from run to run: numbers,
/// hex and the names of the run's own users and groups become `#`. Of a case that was not played, its reason.
#[must_use]
pub fn fingerprint(case: &CaseReport) -> String {
    let Some(failure) = &case.failure else {
        return normal(case.reason.as_deref().unwrap_or_default());
    };
    let class = serde_json::to_value(failure.class).unwrap_or_default();
    let parts = [
        class.as_str().unwrap_or_default(),
        &failure.at,
        &failure.expected,
        &failure.got,
    ];
    let parts = parts.map(normal);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut text = parts.join(": ");
    // Long enough to tell two failures apart, short enough to be read in a file.
    if let Some((end, _)) = text.char_indices().nth(160) {
        text.truncate(end);
    }
    text.trim_end().to_owned()
}

/// Words that hold a digit become `#`; control signs and line ends become spaces.
fn normal(text: &str) -> String {
    let mut words = String::new();
    let mut word = String::new();
    for sign in text.chars().chain(['\n']) {
        if sign.is_alphanumeric() || sign == '-' || sign == '_' {
            word.push(sign);
            continue;
        }
        let differs = word.chars().any(|sign| sign.is_ascii_digit());
        words.push_str(if differs { "#" } else { &word });
        word.clear();
        words.push(if sign.is_control() { ' ' } else { sign });
    }
    words.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::verdict::Verdict;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let got =
            r#"ERROR { text = "c4cdc500f0-000019.alice", at = 117662337730805815, hex = 00ff }"#;
        assert_eq!(
            normal(got),
            r##"ERROR { text = "#.alice", at = #, hex = # }"##
        );
        assert_eq!(normal("a\0b\nc"), "a b c");
    }

    #[test]
    fn it_begins_with_class_and_place() {
        let case = sample::case("a", Verdict::Fail);
        assert_eq!(
            fingerprint(&case),
            "wrong-field: duplicate of SEND_ACK: true: absent"
        );
    }
}
