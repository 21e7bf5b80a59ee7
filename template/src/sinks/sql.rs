//! SQL in pieces: the author's text, values to bind, names to quote.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::Value as Json;

use crate::pieces::{Piece, Pieces};
use crate::values::{self, NoJson};

/// A piece of SQL, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlPiece {
    /// The author's text.
    Text(String),
    /// A value, to be bound where it stands.
    Value(Json),
    /// A name of something in the database, in its parts.
    Name(Vec<String>),
}

/// Why SQL has no `safe`, and what it has instead.
pub(crate) const NO_SAFE: (&str, &str) = (
    "SQL takes no value as a part of itself, so there is no `safe`",
    "write a value as it is: it is bound; a name of a table or column is written `{{ ... | identifier }}`, and what differs otherwise stands in `{% if %}`",
);

/// What the filter `identifier` makes.
#[derive(Debug)]
pub(crate) struct Identifier {
    names: Vec<String>,
    /// Whether one of them has become a part of a text.
    is_spent: Arc<AtomicBool>,
}

impl Identifier {
    /// The names as people read them.
    pub fn text(&self) -> String {
        self.names.join(".")
    }
}

impl Object for Identifier {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.is_spent.store(true, Ordering::Relaxed);
        f.write_str(&self.text())
    }
}

/// Adds the filters of SQL. What comes back tells later whether an identifier has become a part of a text.
pub(crate) fn add_filters(environment: &mut Environment<'_>) -> Arc<AtomicBool> {
    let is_spent = Arc::new(AtomicBool::new(false));
    let spent = Arc::clone(&is_spent);
    environment.add_filter("identifier", move |value: Value| {
        names(&value).map(|names| Value::from_object(Identifier { names, is_spent: Arc::clone(&spent) }))
    });
    environment.add_filter("safe", |_: Value| {
        let (message, hint) = NO_SAFE;
        Err::<Value, _>(Error::new(ErrorKind::InvalidOperation, format!("{message}\nhint: {hint}")))
    });
    is_spent
}

fn names(value: &Value) -> Result<Vec<String>, Error> {
    let wrong = || {
        let message = format!(
            "`identifier` takes a name, or a list of names such as [\"schema\", \"table\"], and not {}",
            crate::python::text(value)
        );
        Error::new(ErrorKind::InvalidOperation, message)
    };
    if let Some(name) = value.as_str() {
        return Ok(vec![name.to_owned()]);
    }
    if value.kind() != ValueKind::Seq {
        return Err(wrong());
    }
    let names: Option<Vec<String>> = value.try_iter()?.map(|name| name.as_str().map(str::to_owned)).collect();
    names.filter(|names| !names.is_empty()).ok_or_else(wrong)
}

/// The pieces with their values as they are. `restored` gives the author's text its own braces back.
///
/// # Errors
/// A value has no form in JSON.
pub(crate) fn pieces(pieces: &Pieces, restored: impl Fn(&str) -> String) -> Result<Vec<SqlPiece>, NoJson> {
    let piece = |piece: &Piece| match piece {
        Piece::Own(text) => Ok(SqlPiece::Text(restored(text))),
        Piece::Value(value) => match value.native.downcast_object_ref::<Identifier>() {
            Some(identifier) => Ok(SqlPiece::Name(identifier.names.clone())),
            None => values::to_json(&value.native).map(SqlPiece::Value),
        },
    };
    pieces.iter().map(piece).collect()
}

/// What is said of an identifier that has become a part of a text.
pub(crate) const SPENT: &str = "an identifier became a part of a text, and would be bound as one\nhint: write each by itself, as in `{% for name in names %}{{ name | identifier }}{% if not loop.last %}, {% endif %}{% endfor %}`";
