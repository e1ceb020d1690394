//! A strict reader of TAP 14.

use serde_json::Value;

use super::Broken;

/// Reads the document line by line: the version, one plan, test points in order, each with at most one block of
/// diagnostics, comments, and nothing else.
pub(super) fn check(text: &str) -> Result<(), Broken> {
    let mut lines = text.lines().enumerate();
    let fail = |number: usize, what: &str| Err(Broken::new(format!("line {}: {what}", number + 1)));
    if lines.next().map(|(_, line)| line) != Some("TAP version 14") {
        return fail(0, "the version must come first");
    }
    let plan = lines.next().and_then(|(_, line)| line.strip_prefix("1.."));
    let Some(planned) = plan.and_then(|count| count.parse::<usize>().ok()) else {
        return fail(1, "the plan must come second");
    };
    let mut points = 0;
    let mut may_have_block = false;
    while let Some((number, line)) = lines.next() {
        if let Some(sign) = line.chars().find(|sign| sign.is_control()) {
            return fail(number, &format!("the sign {sign:?}"));
        }
        if line == "  ---" {
            if !may_have_block {
                return fail(number, "diagnostics of nothing");
            }
            may_have_block = false;
            loop {
                match lines.next() {
                    Some((_, "  ...")) => break,
                    Some((number, line)) if pair(line).is_none() => {
                        return fail(number, "no pair of a key and a value");
                    }
                    Some(_) => {}
                    None => return fail(number, "the diagnostics do not end"),
                }
            }
        } else if !line.starts_with('#') {
            points += 1;
            if point(line) != Some(points) {
                return fail(number, &format!("not the test point {points}"));
            }
            may_have_block = true;
        }
    }
    if points == planned {
        Ok(())
    } else {
        Err(Broken::new(format!("{planned} planned, {points} there")))
    }
}

/// The number of a test point whose directive, if any, is one that TAP knows.
fn point(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("not ").unwrap_or(line);
    let (number, description) = rest.strip_prefix("ok ")?.split_once(" - ")?;
    let plain = description.replace("\\\\", "").replace("\\#", "");
    let is_known = match plain.split_once('#') {
        None => true,
        Some((_, directive)) => {
            (directive.starts_with(" SKIP ") || directive.starts_with(" TODO "))
                && !directive.contains('#')
        }
    };
    (is_known && !plain.contains('\\')).then_some(())?;
    number.parse().ok()
}

/// A key and a value that both YAML and JSON read alike.
fn pair(line: &str) -> Option<(&str, Value)> {
    let (key, value) = line.strip_prefix("  ")?.split_once(": ")?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase());
    let value = serde_json::from_str(value).ok()?;
    is_key.then_some((key, value))
}
