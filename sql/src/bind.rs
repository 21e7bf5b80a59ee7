//! SQL whose text came from a template: its values become parameters, its names are quoted. Nothing of either is ever read as
//! SQL.

mod place;

use flow_model::sql::{Dialect, Kind, Token, scan};
use serde_json::{Map, Value};

use crate::SqlError;

use place::{Before, Literal};

/// A piece of SQL, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// The author's text.
    Text(String),
    /// A value, to be bound where it stands.
    Value(Value),
    /// A name of something in the database, in its parts: `[schema, table]`.
    Name(Vec<String>),
}

/// Text with `:name` for each value, and the values.
#[derive(Debug, PartialEq)]
pub struct Bound {
    /// The text.
    pub text: String,
    /// The values by name, those of the task among them.
    pub parameters: Map<String, Value>,
}

/// Bytes of a name in PostgreSQL, which cuts longer ones.
const POSTGRES_NAME_BYTES_MAX: usize = 63;

/// Puts a parameter in the place of each value, and quotes names as the database wants it. A text in quotes that holds
/// values becomes one parameter. `own` are the task's parameters.
///
/// # Errors
/// A value stands where none can be bound: in a name, in other quotes, within a word.
pub fn bind(dialect: Dialect, pieces: &[Piece], own: &Map<String, Value>) -> Result<Bound, SqlError> {
    let mark = Mark::free(pieces);
    let text = mark.text(pieces);
    let binder = Binder {
        dialect,
        pieces,
        mark,
        prefix: prefix(&text, own),
        bound: String::new(),
        starts: Vec::new(),
        own: own.clone(),
    };
    binder.bind(&text)
}

/// What stands for a value while the text is read: its number between two characters that the author's text does not have.
/// For whoever reads SQL they belong to words.
#[derive(Debug, Clone, Copy)]
struct Mark {
    open: char,
    close: char,
}

/// A part of a token.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Own(&'a str),
    /// The piece with this number.
    Piece(usize),
}

impl Mark {
    fn free(pieces: &[Piece]) -> Self {
        let is_free = |character: &char| {
            pieces.iter().all(|piece| !matches!(piece, Piece::Text(text) if text.contains(*character)))
        };
        // For private use: there are more of them than any text holds.
        let private = ('\u{e000}'..='\u{f8ff}').chain('\u{f0000}'..='\u{ffffd}');
        let mut free = private.filter(is_free);
        Mark { open: free.next().unwrap_or('\u{e000}'), close: free.next().unwrap_or('\u{e001}') }
    }

    fn text(self, pieces: &[Piece]) -> String {
        let written = pieces.iter().enumerate().map(|(index, piece)| match piece {
            Piece::Text(text) => text.clone(),
            _ => format!("{}{index}{}", self.open, self.close),
        });
        written.collect()
    }

    fn parts(self, text: &str) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((own, after)) = rest.split_once(self.open) {
            if !own.is_empty() {
                parts.push(Part::Own(own));
            }
            let (number, after) = after.split_once(self.close).unwrap_or((after, ""));
            parts.extend(number.parse().map(Part::Piece));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Own(rest));
        }
        parts
    }
}

/// The beginning of names that neither the text nor the task has.
fn prefix(text: &str, own: &Map<String, Value>) -> String {
    let mut prefix = "value_".to_owned();
    while text.contains(&prefix) || own.keys().any(|name| name.starts_with(&prefix)) {
        prefix.push('_');
    }
    prefix
}

struct Binder<'a> {
    dialect: Dialect,
    pieces: &'a [Piece],
    mark: Mark,
    prefix: String,
    bound: String,
    /// Where in it the tokens begin.
    starts: Vec<usize>,
    /// The parameters: the task's and those that are made.
    own: Map<String, Value>,
}

impl Binder<'_> {
    fn bind(mut self, text: &str) -> Result<Bound, SqlError> {
        let tokens = scan(self.dialect, text);
        for (index, token) in tokens.iter().enumerate() {
            let part = &text[token.range.clone()];
            self.starts.push(self.bound.len());
            if !part.contains(self.mark.open) {
                self.bound.push_str(part);
                continue;
            }
            let before = Before { dialect: self.dialect, text, tokens: &tokens[..index] };
            self.place(token, part, &before, &tokens[index + 1..], text).map_err(|why| {
                let line = text[..token.range.start].matches('\n').count() + 1;
                SqlError::Request(format!("line {line} of the SQL: {why}"))
            })?;
        }
        Ok(Bound { text: self.bound, parameters: self.own })
    }

    fn place(
        &mut self,
        token: &Token,
        part: &str,
        before: &Before<'_>,
        after: &[Token],
        text: &str,
    ) -> Result<(), String> {
        let parts = self.mark.parts(part);
        match token.kind {
            Kind::Comment => self.comment(&parts),
            Kind::Word => match parts.as_slice() {
                [Part::Piece(index)] => self.piece(*index, before),
                _ => Err(place::WITHIN_A_WORD.to_owned()),
            },
            Kind::Quoted if part.starts_with('\'') => {
                let literal = before.literal(after.iter().map(|token| (token.kind, &text[token.range.clone()])))?;
                let said = self.said(part)?;
                self.literal(literal, said);
                Ok(())
            }
            Kind::Quoted => Err(place::in_quotes(part)),
            _ => Err(place::NOWHERE.to_owned()),
        }
    }

    /// Nobody reads a comment, unless it is an order.
    fn comment(&mut self, parts: &[Part<'_>]) -> Result<(), String> {
        let is_read = matches!(parts.first(), Some(Part::Own(own)) if ["/*!", "/*M!", "/*+"].iter().any(|begin| own.starts_with(begin)));
        if is_read {
            return Err(place::IN_A_HINT.to_owned());
        }
        for part in parts {
            if let Part::Own(own) = part {
                self.bound.push_str(own);
            }
        }
        Ok(())
    }

    fn piece(&mut self, index: usize, before: &Before<'_>) -> Result<(), String> {
        match &self.pieces[index] {
            Piece::Name(names) => {
                before.check_name()?;
                let quoted = quoted(self.dialect, names)?;
                self.bound.push_str(&quoted);
            }
            Piece::Value(value) => {
                before.check_value()?;
                self.parameter(value.clone());
            }
            Piece::Text(text) => self.bound.push_str(text),
        }
        Ok(())
    }

    fn literal(&mut self, literal: Literal<'_>, said: String) {
        match literal {
            Literal::Text => self.parameter(Value::String(said)),
            // `date '2026-11-24'` is a literal as a whole.
            Literal::Typed { token, to } => {
                self.bound.truncate(self.starts[token]);
                self.bound.push_str("cast(");
                self.parameter(Value::String(said));
                self.bound.push_str(" as ");
                self.bound.push_str(to);
                self.bound.push(')');
            }
        }
    }

    /// Writes a parameter, apart from what it must not become a part of.
    fn parameter(&mut self, value: Value) {
        let name = format!("{}{}", self.prefix, self.own.len() + 1);
        if !self.bound.is_empty() && !self.bound.ends_with(|c: char| c.is_ascii_whitespace() || c == '(') {
            self.bound.push(' ');
        }
        self.bound.push(':');
        self.bound.push_str(&name);
        self.own.insert(name, value);
    }

    /// What a text in single quotes says, with its values.
    fn said(&self, text: &str) -> Result<String, String> {
        if text.contains('\\') && self.dialect.has_backslash_escapes(b'\'', false) {
            return Err("a value stands in a text with a backslash\nhint: make the text in the template: `{{ \"...\" ~ params.x }}`".to_owned());
        }
        let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        let inner = inner.filter(|inner| !inner.contains('\'') || inner.replace("''", "").find('\'').is_none());
        let inner = inner.ok_or("the text that a value stands in has no end\nhint: close its quotes")?;
        let mut said = String::new();
        for part in self.mark.parts(inner) {
            match part {
                Part::Own(own) => said.push_str(&own.replace("''", "'")),
                Part::Piece(index) => said.push_str(&self.text_of(index)?),
            }
        }
        Ok(said)
    }

    fn text_of(&self, index: usize) -> Result<String, String> {
        let what = match &self.pieces[index] {
            Piece::Value(Value::String(text)) | Piece::Text(text) => return Ok(text.clone()),
            Piece::Value(value @ (Value::Number(_) | Value::Bool(_))) => return Ok(value.to_string()),
            Piece::Value(Value::Null) => "none",
            Piece::Value(Value::Array(_)) => "a list",
            Piece::Value(Value::Object(_)) => "a table",
            Piece::Name(_) => "an identifier",
        };
        Err(format!("{what} stands inside of a text in quotes\nhint: write it without quotes around it"))
    }
}

fn quoted(dialect: Dialect, names: &[String]) -> Result<String, String> {
    // SQLite takes `"x"` for a text where there is no such column; `x` in these quotes is always a name.
    let quote = if dialect == Dialect::Postgres { '"' } else { '`' };
    let one = |name: &String| {
        if name.is_empty() || name.contains('\0') {
            return Err("an identifier is empty, or holds a NUL character".to_owned());
        }
        if dialect == Dialect::Postgres && name.len() > POSTGRES_NAME_BYTES_MAX {
            return Err(format!(
                "the identifier `{name}` has {} bytes, and PostgreSQL would cut it after {POSTGRES_NAME_BYTES_MAX}",
                name.len()
            ));
        }
        let doubled = name.replace(quote, &format!("{quote}{quote}"));
        Ok(format!("{quote}{doubled}{quote}"))
    };
    let parts: Vec<String> = names.iter().map(one).collect::<Result<_, _>>()?;
    if parts.is_empty() { Err("an identifier has no name".to_owned()) } else { Ok(parts.join(".")) }
}

#[cfg(test)]
mod tests;
