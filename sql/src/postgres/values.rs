//! Parameters for PostgreSQL. The server says which type each place wants, as it does for a literal in quotes; the value
//! goes there as text, and the server reads it as that type. So a day given as text may stand where a date belongs.

use serde_json::Value;
use sqlx::postgres::{PgConnection, PgTypeInfo, PgTypeKind};
use sqlx::{AssertSqlSafe, Either, Executor, SqlSafeStr, Statement, TypeInfo};

use crate::calendar;
use crate::rewrite::Rewritten;

/// What a parameter's place wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The type as it is written in a cast; `None`: it is text.
    cast: Option<String>,
    takes: Takes,
    is_array: bool,
}

/// What the text of a value has to be, of an array those of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Json,
    Date,
    Other,
}

impl Takes {
    fn of(wanted: &PgTypeInfo) -> Takes {
        match wanted.name().to_ascii_lowercase().trim_end_matches("[]") {
            "json" | "jsonb" => Takes::Json,
            "date" | "timestamp" | "timestamptz" => Takes::Date,
            _ => Takes::Other,
        }
    }
}

/// The type without the names and conditions of domains.
fn base(wanted: &PgTypeInfo) -> &PgTypeInfo {
    match wanted.kind() {
        PgTypeKind::Domain(of) => base(of),
        _ => wanted,
    }
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
        let (takes, is_array) = match base(&wanted).kind() {
            PgTypeKind::Array(element) => (Takes::of(base(element)), true),
            _ => (Takes::of(base(&wanted)), false),
        };
        places.push(Place { cast, takes, is_array });
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
/// In words: it is a list or a table where none belongs, or holds a character that PostgreSQL's texts cannot.
pub(super) fn text(value: &Value, place: &Place) -> Result<Option<String>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Array(items) if place.is_array => array(items, place.takes),
        Value::Array(_) | Value::Object(_) if place.takes != Takes::Json || place.is_array => {
            return Err(misplaced(value, place));
        }
        other => element(other, place.takes),
    };
    if text.contains('\0') {
        return Err(
            "holds the character NUL, which PostgreSQL's texts cannot\nhint: send it as bytes: decode(:name, 'base64')"
                .to_owned(),
        );
    }
    Ok(Some(text))
}

fn misplaced(value: &Value, place: &Place) -> String {
    let wanted = place.cast.as_deref().unwrap_or("text");
    match value {
        Value::Array(_) => format!(
            "is a list, and its place wants {wanted}\nhint: compare with `= any(:name)` instead of `in`, say which array it is (`:name::text[]`), or that it is JSON (`:name::jsonb`)"
        ),
        _ => format!("is a table, and its place wants {wanted}\nhint: say that it is JSON: `:name::jsonb`"),
    }
}

fn element(value: &Value, takes: Takes) -> String {
    match value {
        Value::String(text) if takes == Takes::Date => calendar::for_postgres(text).unwrap_or_else(|| text.clone()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `{"a",NULL,{"b"}}`: everything in quotes, so no value is taken for a keyword or a separator.
fn array(items: &[Value], takes: Takes) -> String {
    let item = |item: &Value| match item {
        Value::Null => "NULL".to_owned(),
        Value::Array(items) if takes != Takes::Json => array(items, takes),
        other => quoted(&element(other, takes)),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
