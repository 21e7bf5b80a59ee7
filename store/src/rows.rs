//! Small conversions between rows and the model's types.

use std::str::FromStr;

use flow_model::{RunState, TaskState};
use sqlx::{Database, Decode, Type};

use crate::error::StoreError;

/// A value of a closed set, kept under its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<T>(pub T);

impl<DB: Database, T> Type<DB> for Named<T>
where
    String: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        String::type_info()
    }

    fn compatible(info: &DB::TypeInfo) -> bool {
        String::compatible(info)
    }
}

impl<'r, DB: Database, T: FromStr<Err = String>> Decode<'r, DB> for Named<T>
where
    String: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        Ok(Named(String::decode(value)?.parse()?))
    }
}

/// A count as the database's integer.
pub(crate) fn row_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count or index from the database.
pub(crate) fn index(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A task state's name from the database.
pub(crate) fn task_state(name: &str) -> Result<TaskState, StoreError> {
    name.parse().map_err(|why| StoreError::Corrupt { what: "task state", why })
}

/// A run state's name from the database.
pub(crate) fn run_state(name: &str) -> Result<RunState, StoreError> {
    name.parse().map_err(|why| StoreError::Corrupt { what: "run state", why })
}

/// What a column holds as JSON.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt { what, why: error.to_string() })
}

/// A list of keys or names as the one JSON value that a statement binds. PostgreSQL's text cannot hold the character
/// NUL: it becomes the replacement character, on both databases.
pub(crate) fn json<T: serde::Serialize + ?Sized>(rows: &T) -> String {
    let text = serde_json::to_string(rows).expect("rows have only string keys");
    without_nul(text, "\\ufffd")
}

/// A JSON value as the text in which both databases can keep it: where it has the character NUL, the text has its symbol, U+2400.
pub fn json_text(value: &serde_json::Value) -> String {
    without_nul(value.to_string(), "\\u2400")
}

/// `\u0000` is a NUL only where its backslash is not itself escaped.
fn without_nul(text: String, instead: &str) -> String {
    if !text.contains("\\u0000") {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        let escape_end = at + if rest[at..].starts_with("\\u") { 6 } else { 2 };
        let (before, escape) = rest[..escape_end].split_at(at);
        clean.push_str(before);
        clean.push_str(if escape == "\\u0000" { instead } else { escape });
        rest = &rest[escape_end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_and_a_backslash_is_not() {
        let text = json(&["a\0b", "\\u0000", "\\\0", "plain \n"]);
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, ["a\u{fffd}b", "\\u0000", "\\\u{fffd}", "plain \n"]);
        let value = serde_json::json!({ "a\0": ["\\u0000", "\\\0é"] });
        let back: serde_json::Value = serde_json::from_str(&json_text(&value)).unwrap();
        assert_eq!(back, serde_json::json!({ "a\u{2400}": ["\\u0000", "\\\u{2400}é"] }));
    }
}
