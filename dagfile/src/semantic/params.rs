//! Typed parameters.

use std::collections::BTreeMap;

use flow_model::params::Param;
use serde_json::{Map, Value, json};

use crate::diagnostic::Problems;
use crate::suggest::{listed, nearest};
use crate::tree::{Entry, Node};

/// JSON Schema keywords that make a table a declaration; any other table is a default value.
const KEYWORDS: [&str; 19] = [
    "type",
    "default",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "title",
    "description",
];

const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

/// Reads the params, and checks each default against its declaration.
pub(super) fn read(node: Option<&Node>, problems: &mut Problems) -> BTreeMap<String, Param> {
    let mut params = BTreeMap::new();
    for entry in node.map(Node::entries).unwrap_or_default() {
        let is_declaration = is_declaration(&entry.node);
        let param = if is_declaration { declared(&entry.node) } else { plain(&entry.node) };
        if !is_declaration || check_keywords(entry, problems) {
            check(entry, &param, problems);
        }
        params.insert(entry.key.clone(), param);
    }
    params
}

/// Nobody is there to pass values to the runs of a schedule.
pub(super) fn require_defaults(node: Option<&Node>, params: &BTreeMap<String, Param>, problems: &mut Problems) {
    for entry in node.map(Node::entries).unwrap_or_default() {
        if params.get(&entry.key).is_some_and(|param| param.default.is_none()) {
            problems
                .add(
                    entry.key_span.clone(),
                    format!("param `{}` has no default, but the DAG has a schedule", entry.key),
                )
                .hint("give it a `default`, or leave `schedule` out");
        }
    }
}

fn is_declaration(node: &Node) -> bool {
    node.entries().iter().any(|entry| KEYWORDS.contains(&entry.key.as_str()))
}

/// Keywords that are nearly right, which JSON Schema passes over in silence, and types that do not exist.
fn check_keywords(param: &Entry, problems: &mut Problems) -> bool {
    let mut is_good = true;
    for entry in param.node.entries().iter().filter(|entry| !KEYWORDS.contains(&entry.key.as_str())) {
        if let Some(meant) = nearest(&entry.key, KEYWORDS) {
            problems
                .add(entry.key_span.clone(), format!("param `{}`: there is no keyword `{}`", param.key, entry.key))
                .hint(format!("did you mean `{meant}`?"));
            is_good = false;
        }
    }
    for written in param.node.get("type").map(Node::items).unwrap_or_default() {
        let Some(name) = written.text().filter(|name| !TYPES.contains(name)) else { continue };
        let hint = match nearest(name, TYPES) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is one of {}", listed(TYPES)),
        };
        problems.add(written.span.clone(), format!("param `{}`: there is no type `{name}`", param.key)).hint(hint);
        is_good = false;
    }
    is_good
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
            problems
                .add(
                    entry.node.deepest(&["default"]).span.clone(),
                    format!("param `{}`: its default does not fit: {message}", entry.key),
                )
                .hint("change the default or the declaration so that they fit");
        }
    }
}

fn declared(node: &Node) -> Param {
    let Value::Object(mut schema) = node.to_json() else { return Param { default: None, schema: Map::new() } };
    let default = schema.remove("default");
    if let (None, Some(default)) = (schema.get("type").or(schema.get("enum")).or(schema.get("const")), &default) {
        schema.extend(inferred_type(default));
    }
    Param { default, schema }
}

/// A default alone declares its type. Dates are kept as text.
fn plain(node: &Node) -> Param {
    let default = node.to_json();
    Param { schema: inferred_type(&default), default: Some(default) }
}

fn inferred_type(value: &Value) -> Map<String, Value> {
    let name = match value {
        Value::Null => return Map::new(),
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    [("type".to_owned(), json!(name))].into_iter().collect()
}
