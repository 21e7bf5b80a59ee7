//! The parsed file with the place of every key and value.

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Problems;

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
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub node: Node,
}

/// Parses a file. Where there are mistakes, the tree holds what could be read.
pub(crate) fn parse(source: &str, problems: &mut Problems) -> Node {
    let (table, errors) = DeTable::parse_recoverable(source);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim().replace('\n', "; ");
        let hint = syntax_hint(&message);
        problems.add(span, format!("this is not TOML: {message}")).hint(hint);
    }
    let span = table.span();
    let entries = entries(table.get_ref(), problems);
    Node { span, kind: Kind::Table(entries) }
}

/// What to do about an error that the TOML parser describes.
fn syntax_hint(message: &str) -> &'static str {
    const HINTS: [(&str, &str); 8] = [
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

fn entries(table: &DeTable<'_>, problems: &mut Problems) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| {
            refuse_nul(key.get_ref(), &key.span(), problems);
            Entry { key: key.get_ref().to_string(), key_span: key.span(), node: node(value, problems) }
        })
        .collect();
    // As written, so that mistakes are found in order.
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn node(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Node {
    let span = value.span();
    let kind = match value.get_ref() {
        DeValue::String(text) => {
            refuse_nul(text, &span, problems);
            Kind::Text(text.to_string())
        }
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Kind::Integer(integer),
            Err(_) => {
                problems.add(span.clone(), "this number is too large").hint("whole numbers have at most 64 bits");
                Kind::Integer(0)
            }
        },
        DeValue::Float(float) => {
            let number = float.as_str().parse().unwrap_or(f64::NAN);
            if !number.is_finite() {
                problems.add(span.clone(), "this is not a finite number").hint("write a number such as `1.5`");
            }
            Kind::Float(number)
        }
        DeValue::Boolean(value) => Kind::Bool(*value),
        DeValue::Datetime(date) => Kind::Date(*date),
        DeValue::Array(items) => Kind::List(items.iter().map(|item| node(item, problems)).collect()),
        DeValue::Table(table) => Kind::Table(entries(table, problems)),
    };
    Node { span, kind }
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

    /// The node at the end of a path of keys; the innermost that exists.
    pub fn deepest(&self, path: &[&str]) -> &Node {
        match path.split_first().and_then(|(key, rest)| Some((self.get(key)?, rest))) {
            Some((node, rest)) => node.deepest(rest),
            None => self,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same as JSON; dates become text.
    pub fn to_json(&self) -> Json {
        match &self.kind {
            Kind::Text(text) => Json::String(text.clone()),
            Kind::Integer(integer) => Json::from(*integer),
            Kind::Float(float) => Json::from(*float),
            Kind::Bool(value) => Json::Bool(*value),
            Kind::Date(date) => Json::String(date.to_string()),
            Kind::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Kind::Table(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// The type in words.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
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
