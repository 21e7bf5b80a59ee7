//! What a key takes, in words.

use serde_json::Value;

/// Numbers above this are limits that nobody needs to read about.
const LIMIT_TOLD: f64 = 1_000_000.0;

/// What a schema takes: `text`, `duration`, `"a"` or `"b"`, `list of text`, `table`.
pub fn in_words(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return code(value);
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    let variants = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(variants) = variants.filter(|_| schema.get("properties").is_none()) {
        return one_of(variants);
    }
    match (kind(schema), schema["format"].as_str()) {
        (Some("string"), Some("flow-duration")) => "duration".to_owned(),
        (Some("string"), Some("flow-date")) => "date".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some("boolean"), _) => "true or false".to_owned(),
        (Some("integer"), _) => format!("whole number{}", bounds(schema)),
        (Some("number"), _) => format!("number{}", bounds(schema)),
        (Some("array"), _) => format!("list of {}", plural(&in_words(&schema["items"]))),
        (Some("object"), _) => match schema.get("additionalProperties").filter(|more| more.is_object()) {
            Some(more) => format!("table of {}", plural(&in_words(more))),
            None => "table".to_owned(),
        },
        _ => "any value".to_owned(),
    }
}

/// The table that a value of this schema is, if it has keys.
pub fn table_inside(schema: &'static Value) -> Option<&'static Value> {
    let has_keys = |schema: &&'static Value| schema["properties"].as_object().is_some_and(|keys| !keys.is_empty());
    let variants = schema["anyOf"].as_array();
    std::iter::once(schema).chain(variants.into_iter().flatten()).find(has_keys)
}

/// A default as it would be written; none where it only says that nothing is set.
pub fn default(value: &Value) -> Option<String> {
    let is_nothing = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    (!is_nothing).then(|| code(value))
}

fn code(value: &Value) -> String {
    format!("`{value}`")
}

/// The JSON type, besides null.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    }
}

fn one_of(variants: &[Value]) -> String {
    let variants: Vec<&Value> = variants.iter().filter(|variant| variant["type"] != "null").collect();
    let are_words = variants.iter().all(|variant| variant.get("const").is_some());
    let mut words: Vec<String> = Vec::new();
    for variant in variants {
        let told = in_words(variant);
        if !words.contains(&told) {
            words.push(told);
        }
    }
    // Wherever a duration may be text with units, a number of seconds is understood as well.
    if words.first().is_some_and(|word| word == "duration") {
        words.truncate(1);
    }
    if are_words {
        return words.join(", ");
    }
    let words = words.join(" or ");
    // Of three, the first two are told apart by a comma.
    if words.starts_with("true or false or ") { words.replacen("true or ", "true, ", 1) } else { words }
}

fn bounds(schema: &Value) -> String {
    let bound = |name: &str| schema[name].as_f64().filter(|limit| limit.abs() < LIMIT_TOLD);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) if least > 0.0 => format!(", {least} or more"),
        _ => String::new(),
    }
}

fn plural(words: &str) -> String {
    match words {
        "table" => "tables".to_owned(),
        "text" | "any value" => words.to_owned(),
        _ => words.replace("whole number", "whole numbers"),
    }
}
