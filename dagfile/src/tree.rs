//! The parsed file with the place of every key and value.

mod mend;
mod remedy;
mod statements;

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Problems;

use mend::Mended;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
}

/// What TOML knows.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date(toml::value::Datetime),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// What could not be read, and was told already: it fits everywhere.
    Broken,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub node: Node,
}

/// Parses a file. Where there are mistakes, the tree holds what could be read.
///
/// A value that cannot be read is [`Kind::Broken`]; a statement of which not even the key can be read is left out.
pub(crate) fn parse(source: &str, problems: &mut Problems) -> Node {
    let (_, errors) = DeTable::parse_recoverable(source);
    if errors.is_empty() {
        return Reader { mended: Mended::untouched(source), problems }.file();
    }
    let mended = mend::mend(source, problems);
    Reader { mended, problems }.file()
}

/// What to do about an error that the TOML parser describes.
fn syntax_hint(message: &str) -> &'static str {
    const HINTS: [(&str, &str); 13] = [
        ("leading zero", "take the zeros before the number away; as a text it stands in quotes"),
        ("missing comma", "put a comma between them"),
        ("extra `=`", "write one `=` between key and value"),
        ("unexpected key or value", "a line is one `key = value`: take away what stands behind it"),
        ("invalid unquoted key", "a key has letters, digits, `_` and `-`, or stands in quotes; `=` stands behind it"),
        ("duplicate key", "this table has the key already: keep one of them"),
        ("unclosed table", "close the table's name, as in `[tasks.load]`"),
        ("unclosed array", "close the list with `]`"),
        ("unclosed inline table", "close the table with `}`"),
        ("basic string", "close the text with the quotes that it begins with; `\"` within it is written `\\\"`"),
        ("literal string", "put text into quotes, and write one `key = value` per line"),
        ("keys cannot be empty", "a line is `key = value`, `[table]` or `# comment`"),
        ("key with no value", "a line is `key = value`, `[table]` or `# comment`"),
    ];
    let known = HINTS.iter().find(|(part, _)| message.contains(part));
    known.map_or("docs/dag-file.md shows how DAG files are written; https://toml.io has TOML's rules", |(_, hint)| hint)
}

struct Reader<'a> {
    mended: Mended,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn file(mut self) -> Node {
        let text = std::mem::take(&mut self.mended.text);
        let (table, errors) = DeTable::parse_recoverable(&text);
        // Each statement can be read: what is wrong is how they stand together.
        for error in errors {
            let message = error.message().trim().replace('\n', "; ");
            let hint = syntax_hint(&message);
            let span = self.mended.place(&error.span().unwrap_or(0..0));
            self.problems.add(span, format!("this is not TOML: {message}")).hint(hint);
        }
        let entries = self.entries(table.get_ref());
        Node { span: self.mended.place(&table.span()), kind: Kind::Table(entries) }
    }

    fn entries(&mut self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (key, value) in table {
            if self.mended.broken_at(&key.span()).is_some() {
                continue;
            }
            let key_span = self.mended.place(&key.span());
            refuse_nul(key.get_ref(), &key_span, self.problems);
            entries.push(Entry { key: key.get_ref().to_string(), key_span, node: self.node(value) });
        }
        // As written, so that mistakes are found in order.
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = self.mended.place(&value.span());
        if self.mended.broken_at(&value.span()).is_some() {
            return Node { span, kind: Kind::Broken };
        }
        let kind = match value.get_ref() {
            DeValue::String(text) => {
                refuse_nul(text, &span, self.problems);
                Kind::Text(text.to_string())
            }
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix());
                number.map_or_else(
                    |_| {
                        let problem = self.problems.add(span.clone(), "this number is too large");
                        problem.hint("whole numbers have at most 64 bits");
                        Kind::Broken
                    },
                    Kind::Integer,
                )
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().unwrap_or(f64::NAN);
                if number.is_finite() {
                    Kind::Float(number)
                } else {
                    let problem = self.problems.add(span.clone(), "this is not a finite number");
                    problem.hint("write a number such as `1.5`");
                    Kind::Broken
                }
            }
            DeValue::Boolean(value) => Kind::Bool(*value),
            DeValue::Datetime(date) => Kind::Date(*date),
            DeValue::Array(items) => Kind::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Kind::Table(self.entries(table)),
        };
        Node { span, kind }
    }
}

/// Neither databases nor the environment of a process can hold NUL.
fn refuse_nul(text: &str, span: &Range<usize>, problems: &mut Problems) {
    if text.contains('\0') {
        problems.add(span.clone(), "this text holds a NUL character").hint("take `\\u0000` out");
    }
}

impl Node {
    /// The entries of a table; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; a single value counts as a list of one.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Whether what stands at a place could not be read.
    pub fn is_broken_at(&self, span: &Range<usize>) -> bool {
        match &self.kind {
            Kind::Broken => self.span == *span,
            Kind::List(items) => items.iter().any(|item| item.is_broken_at(span)),
            Kind::Table(entries) => entries.iter().any(|entry| entry.node.is_broken_at(span)),
            _ => false,
        }
    }

    /// Whether something in it could not be read.
    pub fn has_broken(&self) -> bool {
        match &self.kind {
            Kind::Broken => true,
            Kind::List(items) => items.iter().any(Node::has_broken),
            Kind::Table(entries) => entries.iter().any(|entry| entry.node.has_broken()),
            _ => false,
        }
    }

    /// The node at the end of a path of keys; the innermost that exists.
    pub fn deepest(&self, path: &[&str]) -> &Node {
        match path.split_first().and_then(|(key, rest)| Some((self.get(key)?, rest))) {
            Some((node, rest)) => node.deepest(rest),
            None => self,
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same as JSON; dates become text, and what could not be read is left out.
    pub fn to_json(&self) -> Json {
        match &self.kind {
            Kind::Broken => Json::Null,
            Kind::Text(text) => Json::String(text.clone()),
            Kind::Integer(integer) => Json::from(*integer),
            Kind::Float(float) => Json::from(*float),
            Kind::Bool(value) => Json::Bool(*value),
            Kind::Date(date) => Json::String(date.to_string()),
            Kind::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Kind::Table(entries) => {
                let readable = entries.iter().filter(|entry| !matches!(entry.node.kind, Kind::Broken));
                Json::Object(readable.map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// The type in words.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Broken => "something that cannot be read",
            Kind::Text(_) => "text",
            Kind::Integer(_) => "a whole number",
            Kind::Float(_) => "a decimal number",
            Kind::Bool(_) => "true or false",
            Kind::Date(_) => "a date",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }
}
