//! Values as Lua writes them.

use std::fmt::{self, Write as _};

/// A value of Lua, tables as lists of pairs so that their order is that of their source.
#[derive(Clone, Debug)]
pub(super) enum Lua {
    Number(i64),
    Text(String),
    Flag(bool),
    Table(Vec<(Key, Lua)>),
}

/// A key of a table.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// A word that is none of the language's own.
    Name(String),
    Number(i64),
    /// A number that is read in hex.
    Hex(u16),
}

impl Lua {
    pub(super) fn text(text: impl Into<String>) -> Lua {
        Lua::Text(text.into())
    }

    /// A table whose keys are names.
    pub(super) fn named<'a>(pairs: impl IntoIterator<Item = (&'a str, Lua)>) -> Lua {
        let pairs = pairs.into_iter();
        Lua::Table(
            pairs
                .map(|(name, value)| (Key::Name(name.to_owned()), value))
                .collect(),
        )
    }

    /// The table over several lines, as deep as `lines` says; what is deeper stands on one line.
    pub(super) fn write(&self, out: &mut String, lines: usize, indent: usize) -> fmt::Result {
        match self {
            Lua::Number(number) => write!(out, "{number}"),
            Lua::Flag(flag) => write!(out, "{flag}"),
            Lua::Text(text) => quote(out, text),
            Lua::Table(pairs) if lines == 0 => {
                out.push_str("{ ");
                for (index, (key, value)) in pairs.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    write!(out, "{key} = ")?;
                    value.write(out, 0, indent)?;
                }
                out.push_str(" }");
                Ok(())
            }
            Lua::Table(pairs) => {
                out.push_str("{\n");
                for (key, value) in pairs {
                    write!(out, "{:1$}{key} = ", "", (indent + 1) * 2)?;
                    value.write(out, lines - 1, indent + 1)?;
                    out.push_str(",\n");
                }
                write!(out, "{:1$}}}", "", indent * 2)
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Name(name) => f.write_str(name),
            Key::Number(number) => write!(f, "[{number}]"),
            Key::Hex(number) => write!(f, "[0x{number:04X}]"),
        }
    }
}

fn quote(out: &mut String, text: &str) -> fmt::Result {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
    out.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn tables_are_as_deep_as_they_are_told() {
        let table = Lua::Table(vec![
            (
                Key::Hex(0x201),
                Lua::named([("name", Lua::text("a \"b\" \\")), ("last", Lua::Flag(true))]),
            ),
            (Key::Number(-1), Lua::Number(7)),
        ]);
        let mut out = String::new();
        table.write(&mut out, 1, 0).unwrap();
        let expected = concat!(
            "{\n",
            r#"  [0x0201] = { name = "a \"b\" \\", last = true },"#,
            "\n  [-1] = 7,\n}"
        );
        assert_eq!(out, expected);
    }
}
