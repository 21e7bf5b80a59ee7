//! Values as they leave a template: one that is a whole expression gives its value, not the text of it.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::{Map, Number, Value as Json};

use crate::engine::is_missing;
use crate::json::digits;

/// The expression of a template that is nothing but one: `{{ ... }}`.
pub(crate) fn whole_expression(source: &str) -> Option<&str> {
    let inside = source.strip_prefix("{{")?.strip_suffix("}}")?;
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    Some(inside.strip_suffix(['-', '+']).unwrap_or(inside))
}

/// Why a value has no form in JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoJson {
    /// It, or something in it, is not defined.
    Missing,
    /// In words, with a hint.
    Refused(String),
}

/// A value of a template as JSON.
///
/// # Errors
/// Something in it is not defined, or JSON has no such value.
pub(crate) fn to_json(value: &Value) -> Result<Json, NoJson> {
    match value.kind() {
        ValueKind::Undefined if is_missing(value) => Err(NoJson::Missing),
        ValueKind::Undefined | ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => number(value).map_err(NoJson::Refused),
        ValueKind::String => Ok(Json::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Map => {
            let mut entries = Map::new();
            for key in items(value)? {
                let wrong = |error| NoJson::Refused(crate::words::words(&error, None).0);
                let item = value.get_item(&key).map_err(wrong)?;
                entries.insert(name(&key).map_err(NoJson::Refused)?, to_json(&item)?);
            }
            Ok(Json::Object(entries))
        }
        ValueKind::Seq | ValueKind::Iterable => items(value)?.iter().map(to_json).collect(),
        // Dates, among others: their text.
        ValueKind::Plain => {
            Ok(digits(value).map_or_else(|| Json::String(value.to_string()), |number| Json::Number(number.clone())))
        }
        kind => Err(NoJson::Refused(format!(
            "a value of the kind `{kind}` is no JSON\nhint: make a text of it first, with `| string`"
        ))),
    }
}

fn items(value: &Value) -> Result<Vec<Value>, NoJson> {
    let named = || {
        format!(
            "`{value}` is a name to look things up in, and no value itself\nhint: name what is meant: `{{{{ {value}.<name> }}}}`"
        )
    };
    value.try_iter().map(Iterator::collect).map_err(|_| NoJson::Refused(named()))
}

fn name(key: &Value) -> Result<String, String> {
    match key.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(key.to_string()),
        kind => Err(format!("a key of a table is a text in JSON; here it is `{key}`, of the kind `{kind}`")),
    }
}

fn number(value: &Value) -> Result<Json, String> {
    let number = if value.is_integer() {
        value.to_string().parse().ok()
    } else {
        f64::try_from(value.clone()).ok().and_then(Number::from_f64)
    };
    number.map(Json::Number).ok_or_else(|| {
        format!("the number {value} is none that JSON can hold\nhint: pass it on as text, with `| string`")
    })
}

/// What a value is called that cannot stand inside a text of JSON or SQL: its text is none of theirs.
pub(crate) fn stays_no_text(kind: ValueKind) -> Option<&'static str> {
    match kind {
        ValueKind::None => Some("none"),
        ValueKind::Seq | ValueKind::Iterable => Some("a list"),
        ValueKind::Map => Some("a table"),
        _ => None,
    }
}
