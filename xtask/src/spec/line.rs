//! One line of a chapter: a heading with its anchor, or a requirement.

use std::collections::BTreeMap;

use super::{Level, Observability, Role};

/// The anchors that GitHub gives to the headings of one file.
#[derive(Default)]
pub(super) struct Anchors {
    pub(super) current: String,
    seen: BTreeMap<String, u32>,
}

impl Anchors {
    pub(super) fn heading(&mut self, line: &str) {
        let slug = slug(line.trim_start_matches('#').trim());
        let count = self.seen.entry(slug.clone()).or_insert(0);
        self.current = if *count == 0 {
            slug
        } else {
            format!("{slug}-{count}")
        };
        *count += 1;
    }
}

/// GitHub's anchor of a heading: lower case, punctuation dropped, spaces to hyphens.
pub fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Whether `text` has the form of an id: three capitals, a hyphen, three digits.
pub fn is_id(text: &str) -> bool {
    text.len() == 7
        && text.bytes().enumerate().all(|(i, b)| match i {
            0..=2 => b.is_ascii_uppercase(),
            3 => b == b'-',
            _ => b.is_ascii_digit(),
        })
}

/// A line is meant as a requirement when capitals and a hyphen follow the bracket; list items that are links are not.
pub(super) fn looks_like_id(rest: &str) -> bool {
    let capitals = rest.bytes().take_while(u8::is_ascii_uppercase).count();
    capitals >= 2 && rest.as_bytes().get(capitals) == Some(&b'-')
}

pub(super) type Parsed = (String, Role, Observability, Level, String);

pub(super) fn parse_line(rest: &str) -> Result<Parsed, String> {
    let (id, rest) = rest
        .split_once("] (")
        .ok_or("a requirement has the form `- [ID] (role; observability) sentence`")?;
    if !is_id(id) {
        return Err(format!(
            "`{id}` is not an id of three capitals, a hyphen and three digits"
        ));
    }
    let (head, sentence) = rest
        .split_once(") ")
        .ok_or_else(|| format!("{id}: the bracket is not closed"))?;
    let (role, observability) = head
        .split_once("; ")
        .ok_or_else(|| format!("{id}: no `; ` in `({head})`"))?;
    let role = match role {
        "client" => Role::Client,
        "server" => Role::Server,
        "both" => Role::Both,
        "codec" => Role::Codec,
        other => return Err(format!("{id}: unknown role `{other}`")),
    };
    let observability = match observability {
        "wire" => Observability::Wire,
        "state" => Observability::State,
        "clock" => Observability::Clock,
        "none" => Observability::None,
        other => return Err(format!("{id}: unknown observability `{other}`")),
    };
    if sentence.trim() != sentence || !sentence.ends_with('.') || sentence.contains("  ") {
        return Err(format!(
            "{id}: a sentence ends with a full stop and has single spaces"
        ));
    }
    let level = level(sentence)
        .map_err(|found| format!("{id}: one of MUST, SHOULD, MAY is wanted once, found {found}"))?;
    Ok((
        id.to_owned(),
        role,
        observability,
        level,
        sentence.to_owned(),
    ))
}

/// The one keyword of a sentence, or how many there are.
fn level(sentence: &str) -> Result<Level, usize> {
    // An underscore belongs to its word, so ANYONE_MAY_SEND is no keyword.
    let words = sentence.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let mut levels = words.filter_map(|word| match word {
        "MUST" => Some(Level::Must),
        "SHOULD" => Some(Level::Should),
        "MAY" => Some(Level::May),
        _ => None,
    });
    match (levels.next(), levels.count()) {
        (Some(level), 0) => Ok(level),
        (None, _) => Err(0),
        (Some(_), more) => Err(more + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_whole_words() {
        assert_eq!(
            level("It MUST NOT do so, unless the group has ANYONE_MAY_SEND."),
            Ok(Level::Must)
        );
        assert_eq!(level("It MUST do this and MAY do that."), Err(2));
        assert_eq!(level("It does."), Err(0));
    }

    #[test]
    fn slugs_are_githubs() {
        assert_eq!(slug("Online only"), "online-only");
        assert_eq!(
            slug("`requires`, and what it's for"),
            "requires-and-what-its-for"
        );
    }
}
