//! A TOML document as a tree in which every value knows its line, and a reader of tables that leaves no key unread.

use std::fmt;

use toml::de::{DeTable, DeValue};

/// What is wrong with a file, and in which line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Fault {
        Fault {
            line,
            message: message.into(),
        }
    }
}

/// A value and the line that it starts in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) data: Data,
}

/// What a session file can hold. Floats and dates have no use in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Text(String),
    /// Wider than TOML's 64 bits with a sign, because `uint64` fields have to be written too.
    Int(i128),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) node: Node,
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Data::Text(_) => "a string",
            Data::Int(_) => "an integer",
            Data::Bool(_) => "a boolean",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        })
    }
}

/// Parses a whole document.
pub(crate) fn parse(text: &str) -> Result<Fields, Fault> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        Fault::new(line, format!("not TOML: {}", error.message()))
    })?;
    Ok(Fields {
        line: 1,
        entries: entries(table.get_ref(), &lines)?,
    })
}

struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }
}

fn entries(table: &DeTable<'_>, lines: &Lines) -> Result<Vec<Entry>, Fault> {
    let mut found = Vec::with_capacity(table.len());
    for (key, value) in table {
        let line = lines.at(key.span().start);
        let node = node(value.get_ref(), lines.at(value.span().start), lines)?;
        found.push(Entry {
            key: key.get_ref().to_string(),
            line,
            node,
        });
    }
    // The map sorts by key; the order of the file is the one that people read.
    found.sort_by_key(|entry| entry.line);
    Ok(found)
}

fn node(value: &DeValue<'_>, line: usize, lines: &Lines) -> Result<Node, Fault> {
    let data = match value {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Boolean(yes) => Data::Bool(*yes),
        DeValue::Integer(number) => Data::Int(
            i128::from_str_radix(number.as_str(), number.radix()).map_err(|_| {
                Fault::new(line, format!("integer {} is out of range", number.as_str()))
            })?,
        ),
        DeValue::Array(items) => Data::List(
            items
                .iter()
                .map(|item| node(item.get_ref(), lines.at(item.span().start), lines))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Data::Table(entries(table, lines)?),
        other => {
            return Err(Fault::new(
                line,
                format!("{} has no use here", other.type_str()),
            ));
        }
    };
    Ok(Node { line, data })
}

impl Node {
    pub(crate) fn text(self) -> Result<String, Fault> {
        match self.data {
            Data::Text(text) => Ok(text),
            other => Err(Fault::new(
                self.line,
                format!("expected a string, found {other}"),
            )),
        }
    }

    pub(crate) fn boolean(self) -> Result<bool, Fault> {
        match self.data {
            Data::Bool(yes) => Ok(yes),
            other => Err(Fault::new(
                self.line,
                format!("expected true or false, found {other}"),
            )),
        }
    }

    pub(crate) fn int(self) -> Result<i128, Fault> {
        match self.data {
            Data::Int(number) => Ok(number),
            other => Err(Fault::new(
                self.line,
                format!("expected an integer, found {other}"),
            )),
        }
    }

    /// A count or size: an integer from 0 on that fits this machine.
    pub(crate) fn size(self) -> Result<usize, Fault> {
        let line = self.line;
        let number = self.int()?;
        usize::try_from(number).map_err(|_| Fault::new(line, format!("{number} is not a count")))
    }

    pub(crate) fn list(self) -> Result<Vec<Node>, Fault> {
        match self.data {
            Data::List(items) => Ok(items),
            other => Err(Fault::new(
                self.line,
                format!("expected a list, found {other}"),
            )),
        }
    }

    pub(crate) fn texts(self) -> Result<Vec<String>, Fault> {
        self.list()?.into_iter().map(Node::text).collect()
    }

    pub(crate) fn fields(self) -> Result<Fields, Fault> {
        match self.data {
            Data::Table(entries) => Ok(Fields {
                line: self.line,
                entries,
            }),
            other => Err(Fault::new(
                self.line,
                format!("expected a table, found {other}"),
            )),
        }
    }

    /// Only `true` means anything here: a verb that is switched on.
    pub(crate) fn only_true(self) -> Result<(), Fault> {
        let line = self.line;
        if self.boolean()? {
            Ok(())
        } else {
            Err(Fault::new(line, "only true has a meaning here"))
        }
    }
}

/// A table that is being read. Every key has to be taken before [`Fields::finish`].
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) line: usize,
    pub(crate) entries: Vec<Entry>,
}

impl Fields {
    pub(crate) fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at).node)
    }

    pub(crate) fn need(&mut self, key: &str) -> Result<Node, Fault> {
        self.take(key)
            .ok_or_else(|| Fault::new(self.line, format!("key `{key}` is missing")))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub(crate) fn finish(self, what: &str) -> Result<(), Fault> {
        match self.entries.into_iter().next() {
            None => Ok(()),
            Some(entry) => Err(Fault::new(
                entry.line,
                format!("unknown key `{}` in {what}", entry.key),
            )),
        }
    }
}
