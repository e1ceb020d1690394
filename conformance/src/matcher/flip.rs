//! A matcher with one leaf turned round: what it asked for is what it now refuses. For the proof that the leaf bears load.

use super::rules::Rule;
use super::{FieldMatcher, Matcher};

impl Matcher {
    /// Each variant of this matcher in which one leaf is turned round, with the path of that leaf.
    pub(crate) fn flips(&self) -> Vec<(String, Matcher)> {
        let mut flips = Vec::new();
        for (index, (field, matcher)) in self.fields.iter().enumerate() {
            for (path, flipped) in matcher.flips() {
                let mut changed = self.clone();
                if let Some((_, slot)) = changed.fields.get_mut(index) {
                    *slot = flipped;
                }
                let dot = if path.is_empty() || path.starts_with('[') {
                    ""
                } else {
                    "."
                };
                flips.push((format!("{}{dot}{path}", field.name()), changed));
            }
        }
        flips
    }
}

impl FieldMatcher {
    fn flips(&self) -> Vec<(String, FieldMatcher)> {
        match self {
            FieldMatcher::Equal(_) => vec![(String::new(), self.negated())],
            FieldMatcher::Message(matcher) => {
                let inner = matcher.flips().into_iter();
                inner
                    .map(|(path, flipped)| (path, FieldMatcher::Message(flipped)))
                    .collect()
            }
            FieldMatcher::Items(items) => {
                let mut flips = flips_of(items, FieldMatcher::Items);
                // One item more or less than the file says.
                let mut fewer = items.clone();
                match fewer.pop() {
                    Some(_) => flips.push(("[]".to_owned(), FieldMatcher::Items(fewer))),
                    None => flips.push(("[]".to_owned(), self.negated())),
                }
                flips
            }
            FieldMatcher::Rules(rules) => {
                let mut flips = Vec::new();
                for (index, rule) in rules.iter().enumerate() {
                    for (path, flipped) in rule.flips() {
                        let mut changed = rules.clone();
                        if let Some(slot) = changed.get_mut(index) {
                            *slot = flipped;
                        }
                        flips.push((path, FieldMatcher::Rules(changed)));
                    }
                }
                flips
            }
        }
    }

    /// Each variant in which one leaf is this one.
    fn with_each_leaf(&self, leaf: &FieldMatcher) -> Vec<(String, FieldMatcher)> {
        let FieldMatcher::Message(matcher) = self else {
            return vec![(String::new(), leaf.clone())];
        };
        let mut variants = Vec::new();
        for (index, (field, inner)) in matcher.fields.iter().enumerate() {
            for (path, replaced) in inner.with_each_leaf(leaf) {
                let mut changed = matcher.clone();
                if let Some((_, slot)) = changed.fields.get_mut(index) {
                    *slot = replaced;
                }
                variants.push((
                    format!(".{}{path}", field.name()),
                    FieldMatcher::Message(changed),
                ));
            }
        }
        variants
    }

    fn negated(&self) -> FieldMatcher {
        FieldMatcher::Rules(vec![Rule::Not(Box::new(self.clone()))])
    }
}

impl Rule {
    /// A name that is given asks for nothing, so there is nothing to turn round; of a list each item is, too.
    fn flips(&self) -> Vec<(String, Rule)> {
        let whole = |rule: Rule| (String::new(), rule);
        match self {
            Rule::Bind(_) => Vec::new(),
            Rule::Present => vec![whole(Rule::Absent)],
            Rule::Absent => vec![whole(Rule::Present)],
            Rule::Not(matcher) => match &**matcher {
                FieldMatcher::Rules(rules) if rules.len() == 1 => {
                    rules.iter().cloned().map(whole).collect()
                }
                _ => vec![whole(self.negated())],
            },
            Rule::Unordered(items) => searched(items, Rule::Unordered),
            Rule::Contains(items) => searched(items, Rule::Contains),
            Rule::Compare(..)
            | Rule::Len(..)
            | Rule::Prefix(_)
            | Rule::Distinct(_)
            | Rule::BitsSet(_)
            | Rule::BitsClear(_) => vec![whole(self.negated())],
        }
    }

    fn negated(&self) -> Rule {
        Rule::Not(Box::new(FieldMatcher::Rules(vec![self.clone()])))
    }
}

/// An item is looked for: turned round it might fit another, so each leaf becomes one that nothing fits.
fn searched(items: &[FieldMatcher], whole: fn(Vec<FieldMatcher>) -> Rule) -> Vec<(String, Rule)> {
    let impossible = FieldMatcher::Rules(vec![Rule::Present, Rule::Absent]);
    let mut flips = Vec::new();
    for (index, item) in items.iter().enumerate() {
        for (path, flipped) in item.with_each_leaf(&impossible) {
            let mut changed = items.to_vec();
            if let Some(slot) = changed.get_mut(index) {
                *slot = flipped;
            }
            flips.push((format!("[{index}]{path}"), whole(changed)));
        }
    }
    flips
}

fn flips_of<T>(items: &[FieldMatcher], whole: impl Fn(Vec<FieldMatcher>) -> T) -> Vec<(String, T)> {
    let mut flips = Vec::new();
    for (index, item) in items.iter().enumerate() {
        for (path, flipped) in item.flips() {
            let mut changed = items.to_vec();
            if let Some(slot) = changed.get_mut(index) {
                *slot = flipped;
            }
            flips.push((format!("[{index}]{path}"), whole(changed)));
        }
    }
    flips
}
