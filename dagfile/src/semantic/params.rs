//! Typed parameters.

use flow_model::params::{FORMATS, Param, Params, is_format};
use flow_model::suggest::{listed, nearest};
use serde_json::{Map, Value, json};

use crate::diagnostic::Problems;
use crate::tree::{Entry, Kind, Node};

/// Keywords of a declaration, JSON Schema's and Airflow's. One of them makes a table a declaration; any other table is
/// a default value.
pub(crate) const KEYWORDS: [&str; 30] = [
    "type",
    "default",
    "enum",
    "const",
    "examples",
    "title",
    "description",
    "description_md",
    "section",
    "values_display",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "additionalProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
];

/// Keywords whose value is text.
const WORDS: [&str; 6] = ["title", "description", "description_md", "section", "format", "pattern"];

/// What `type` may name.
pub(crate) const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

/// Reads the params, and checks each default against its declaration.
pub(super) fn read(node: Option<&Node>, problems: &mut Problems) -> Params {
    let mut params = Params::default();
    for entry in node.map(Node::entries).unwrap_or_default() {
        let is_declaration = is_declaration(&entry.node);
        let param = if is_declaration { declared(&entry.node) } else { plain(&entry.node) };
        if !entry.node.has_broken() && (!is_declaration || check_keywords(entry, problems)) {
            check(entry, &param, problems);
        }
        params.insert(entry.key.clone(), param);
    }
    params
}

/// Nobody is there to pass values to the runs of a schedule.
pub(super) fn require_defaults(node: Option<&Node>, params: &Params, problems: &mut Problems) {
    for entry in node.map(Node::entries).unwrap_or_default() {
        if !entry.node.has_broken() && params.get(&entry.key).is_some_and(|param| param.default_value().is_none()) {
            problems
                .add(
                    entry.key_span.clone(),
                    format!("param `{}` has no default, but the DAG has a schedule", entry.key),
                )
                .hint("give it a `default`, allow `null` in its `type`, or leave `schedule` out");
        }
    }
}

fn is_declaration(node: &Node) -> bool {
    node.entries().iter().any(|entry| KEYWORDS.contains(&entry.key.as_str()))
}

/// What JSON Schema passes over in silence or says in words of its own: keywords, types and formats that do not exist,
/// patterns that cannot be used.
fn check_keywords(param: &Entry, problems: &mut Problems) -> bool {
    let count = problems.len();
    for entry in param.node.entries() {
        let key = entry.key.as_str();
        if !KEYWORDS.contains(&key) {
            let hint = match nearest(key, KEYWORDS) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "a table that is the value itself is written `{ default = { ... } }`".to_owned(),
            };
            problems
                .add(entry.key_span.clone(), format!("param `{}`: there is no keyword `{key}`", param.key))
                .hint(hint);
        } else if WORDS.contains(&key) && entry.node.text().is_none() {
            problems
                .add(entry.node.span.clone(), format!("param `{}`: `{key}` must be text", param.key))
                .hint(format!("put it into quotes: `{key} = \"...\"`"));
        }
    }
    for written in param.node.get("type").map(Node::items).unwrap_or_default() {
        let Some(name) = written.text().filter(|name| !TYPES.contains(name)) else { continue };
        let hint = match nearest(name, TYPES) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is one of {}", listed(TYPES)),
        };
        problems.add(written.span.clone(), format!("param `{}`: there is no type `{name}`", param.key)).hint(hint);
    }
    check_format(param, problems);
    check_pattern(param, problems);
    check_labels(param, problems);
    problems.len() == count
}

fn check_format(param: &Entry, problems: &mut Problems) {
    let Some(node) = param.node.get("format") else { return };
    let Some(name) = node.text().filter(|name| !is_format(name)) else { return };
    let formats = FORMATS.iter().map(|(known, _)| *known);
    let hint = match nearest(name, formats.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it is one of {}", listed(formats)),
    };
    problems.add(node.span.clone(), format!("param `{}`: there is no format `{name}`", param.key)).hint(hint);
}

fn check_pattern(param: &Entry, problems: &mut Problems) {
    let Some(node) = param.node.get("pattern") else { return };
    let Some(pattern) = node.text() else { return };
    let alone = Param { default: None, schema: [("pattern".to_owned(), json!(pattern))].into_iter().collect() };
    if alone.check(&Value::Null).is_err() {
        problems
            .add(node.span.clone(), format!("param `{}`: `{pattern}` is not a regular expression", param.key))
            .hint("it is one as in JavaScript; in single quotes TOML leaves backslashes alone: '^\\d+$'");
    }
}

/// `values_display` maps values of `enum` or `examples` to what people read.
fn check_labels(param: &Entry, problems: &mut Problems) {
    let Some(labels) = param.node.get("values_display") else { return };
    let choices = param.node.get("enum").or(param.node.get("examples")).map(Node::items).unwrap_or_default();
    let choices: Vec<String> = choices.iter().map(|choice| text_of(&choice.to_json())).collect();
    if !matches!(labels.kind, Kind::Table(_)) || labels.entries().iter().any(|label| label.node.text().is_none()) {
        problems
            .add(labels.span.clone(), format!("param `{}`: `values_display` must be a table of texts", param.key))
            .hint("write `values_display = { eu = \"Europe\", us = \"America\" }`");
        return;
    }
    for label in labels.entries().iter().filter(|label| !choices.contains(&label.key)) {
        let hint = match nearest(&label.key, choices.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if choices.is_empty() => "list the values in `enum` or `examples`".to_owned(),
            None => format!("`enum` or `examples` has {}", listed(choices.iter().map(String::as_str))),
        };
        problems
            .add(label.key_span.clone(), format!("param `{}`: `{}` is none of its values", param.key, label.key))
            .hint(hint);
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn check(entry: &Entry, param: &Param, problems: &mut Problems) {
    // Any value shows whether the declaration itself is usable.
    let Err(messages) = param.check(param.default.as_ref().unwrap_or(&Value::Null)) else { return };
    for message in messages {
        if message.contains("JSON Schema") {
            problems
                .add(entry.node.span.clone(), format!("param `{}`: {message}", entry.key))
                .hint("the keywords are JSON Schema's: `type`, `enum`, `minimum`, `pattern`, ...");
        } else if param.default.is_some() {
            let what = FORMATS.iter().find(|(name, _)| message.ends_with(&format!("is not a \"{name}\"")));
            problems
                .add(
                    entry.node.deepest(&["default"]).span.clone(),
                    format!("param `{}`: its default does not fit: {message}", entry.key),
                )
                .hint(match what {
                    Some((_, words)) => format!("write {words}"),
                    None => "change the default or the declaration so that they fit".to_owned(),
                });
        }
    }
}

fn declared(node: &Node) -> Param {
    let Value::Object(mut schema) = node.to_json() else { return Param { default: None, schema: Map::new() } };
    let default = schema.remove("default");
    let says_nothing =
        !["type", "enum", "const", "anyOf", "oneOf", "allOf"].iter().any(|key| schema.contains_key(*key));
    if let (true, Some(value), Some(written)) = (says_nothing, &default, node.get("default")) {
        for (keyword, inferred) in inferred(written, value) {
            schema.entry(keyword).or_insert(inferred);
        }
    }
    Param { default, schema }
}

/// A default alone declares its type.
fn plain(node: &Node) -> Param {
    let default = node.to_json();
    Param { schema: inferred(node, &default), default: Some(default) }
}

/// The type of a value. Dates are kept as text, of a format.
fn inferred(node: &Node, value: &Value) -> Map<String, Value> {
    let name = match value {
        Value::Null => return Map::new(),
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let mut schema: Map<String, Value> = [("type".to_owned(), json!(name))].into_iter().collect();
    if let Kind::Date(date) = &node.kind {
        let format = match (date.date, date.time, date.offset) {
            (Some(_), None, _) => Some("date"),
            (Some(_), Some(_), Some(_)) => Some("date-time"),
            (None, Some(_), _) => Some("time"),
            _ => None,
        };
        schema.extend(format.map(|format| ("format".to_owned(), json!(format))));
    }
    schema
}
