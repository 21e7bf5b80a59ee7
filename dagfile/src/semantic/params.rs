//! Typed parameters.

use std::collections::BTreeMap;

use flow_model::params::Param;
use serde_json::{Map, Value, json};

use crate::diagnostic::Problems;
use crate::tree::{Kind, Node};

/// JSON Schema keywords that make a table a declaration; any other table is a default value.
const KEYWORDS: [&str; 12] = [
    "type",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "items",
    "properties",
    "description",
];

/// Reads the params, and checks each default against its declaration.
pub(super) fn read(node: Option<&Node>, problems: &mut Problems) -> BTreeMap<String, Param> {
    let mut params = BTreeMap::new();
    for entry in node.map(Node::entries).unwrap_or_default() {
        let param = declaration(&entry.node);
        if let Err(messages) = check(&param) {
            let span = entry.node.get("default").map_or_else(|| entry.node.span.clone(), |node| node.span.clone());
            for message in messages {
                let hint = if message.contains("JSON Schema") {
                    "the keywords are JSON Schema's: type, enum, minimum, pattern, ..."
                } else {
                    "change the default or the declaration so that they fit"
                };
                problems.add(span.clone(), format!("param `{}`: {message}", entry.key)).hint(hint);
            }
        }
        params.insert(entry.key.clone(), param);
    }
    params
}

fn check(param: &Param) -> Result<(), Vec<String>> {
    match &param.default {
        Some(default) => param.check(default).map_err(|messages| {
            messages
                .into_iter()
                .map(|message| {
                    if message.contains("JSON Schema") {
                        message
                    } else {
                        format!("its default does not fit: {message}")
                    }
                })
                .collect()
        }),
        // Any value shows whether the schema itself is usable.
        None => match param.check(&Value::Null) {
            Err(messages) if messages.iter().any(|message| message.contains("JSON Schema")) => Err(messages),
            _ => Ok(()),
        },
    }
}

fn declaration(node: &Node) -> Param {
    let is_declaration = matches!(node.kind, Kind::Table(_))
        && node.entries().iter().any(|entry| KEYWORDS.contains(&entry.key.as_str()));
    if !is_declaration {
        let default = node.to_json();
        return Param { schema: inferred_type(&default), default: Some(default) };
    }
    let Value::Object(mut schema) = node.to_json() else { return Param { default: None, schema: Map::new() } };
    let default = schema.remove("default");
    if let (None, Some(default)) = (schema.get("type").or(schema.get("enum")), &default) {
        let mut inferred = inferred_type(default);
        schema.extend(inferred.remove("type").map(|name| ("type".to_owned(), name)));
    }
    Param { default, schema }
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
