//! Parameters for PostgreSQL. The server says which type each place wants, as it does for a literal in quotes; the value
//! goes there as text, and the server reads it as that type. So a day given as text may stand where a date belongs.

use serde_json::Value;
use sqlx::postgres::{PgConnection, PgTypeKind};
use sqlx::{AssertSqlSafe, Either, Executor, SqlSafeStr, Statement, TypeInfo};

use crate::script::Rewritten;

/// What a parameter's place wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The type as it is written in a cast; `None`: it is text.
    cast: Option<String>,
    is_array: bool,
}

/// Asks the server what the placeholders of a statement have to be.
///
/// # Errors
/// The server refuses the statement.
pub(super) async fn types(connection: &mut PgConnection, statement: &Rewritten) -> Result<Vec<Place>, sqlx::Error> {
    let prepared = connection.prepare(AssertSqlSafe(statement.text.clone()).into_sql_str()).await?;
    let types = match prepared.parameters() {
        Some(Either::Left(types)) => types.to_vec(),
        _ => Vec::new(),
    };
    let mut places = Vec::new();
    for wanted in types {
        let cast = match wanted.oid() {
            Some(oid) if !matches!(wanted.name(), "TEXT" | "UNKNOWN") => {
                // With a modifier of -1 the name fits a cast: `bpchar`, not `character`, which would be one character.
                let name = sqlx::query_scalar("select format_type($1, -1)").bind(oid);
                Some(name.fetch_one(&mut *connection).await?)
            }
            _ => None,
        };
        places.push(Place { cast, is_array: matches!(wanted.kind(), PgTypeKind::Array(_)) });
    }
    Ok(places)
}

impl Place {
    /// The placeholder with what turns a text into the type.
    pub(super) fn placeholder(&self, number: usize) -> String {
        match &self.cast {
            Some(cast) => format!("(${number}::text)::{cast}"),
            None => format!("${number}::text"),
        }
    }
}

/// A value as PostgreSQL writes it in text; `None` is NULL.
///
/// # Errors
/// In words: it holds a character that PostgreSQL's texts cannot.
pub(super) fn text(value: &Value, place: &Place) -> Result<Option<String>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Array(items) if place.is_array => array(items),
        other => other.to_string(),
    };
    if text.contains('\0') {
        return Err(
            "holds the character NUL, which PostgreSQL's texts cannot\nhint: send it as bytes: decode(:name, 'base64')"
                .to_owned(),
        );
    }
    Ok(Some(text))
}

/// `{"a",NULL,{"b"}}`: everything in quotes, so no value is taken for a keyword or a separator.
fn array(items: &[Value]) -> String {
    let item = |item: &Value| match item {
        Value::Null => "NULL".to_owned(),
        Value::Array(items) => array(items),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
