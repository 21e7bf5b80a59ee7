//! Finds the texts of a value, and what the schema says each of them is.

use flow_model::TemplateKind;
use flow_model::template_kind::KEYWORD;
use serde_json::Value;

use crate::schema::resolve;
use crate::tree::{Kind, Node};
use crate::walk::fits_type;

/// A text of the file.
pub(super) struct Text<'a> {
    pub node: &'a Node,
    pub text: &'a str,
    /// What it is; `None`: a word of the machinery.
    pub kind: Option<TemplateKind>,
    /// The key that it belongs to.
    pub key: &'a str,
}

/// Every text inside a value. What does not fit the schema has been complained about.
pub(super) fn collect<'a>(node: &'a Node, schema: &'static Value, key: &'a str, found: &mut Vec<Text<'a>>) {
    let schema = resolve(schema);
    if let Some(kind) = schema[KEYWORD].as_str().and_then(|kind| kind.parse().ok()) {
        return all(node, kind, key, found);
    }
    if let Some(alternatives) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        if let Some(fitting) = alternatives.iter().find(|alternative| fits_type(node, alternative)) {
            collect(node, fitting, key, found);
        }
        return;
    }
    match &node.kind {
        Kind::Text(text) => found.push(Text { node, text, kind: None, key }),
        Kind::List(items) if schema["items"].is_object() => {
            items.iter().for_each(|item| collect(item, &schema["items"], key, found));
        }
        Kind::Table(entries) => {
            for entry in entries {
                let property = schema["properties"].get(&entry.key);
                let more = Some(&schema["additionalProperties"]).filter(|more| more.is_object());
                if let Some(below) = property.or(more) {
                    collect(&entry.node, below, &entry.key, found);
                }
            }
        }
        _ => {}
    }
}

fn all<'a>(node: &'a Node, kind: TemplateKind, key: &'a str, found: &mut Vec<Text<'a>>) {
    match &node.kind {
        Kind::Text(text) => found.push(Text { node, text, kind: Some(kind), key }),
        Kind::List(items) => items.iter().for_each(|item| all(item, kind, key, found)),
        Kind::Table(entries) => entries.iter().for_each(|entry| all(&entry.node, kind, key, found)),
        _ => {}
    }
}

/// The texts of a mapping: what it names is like a template, and what is written out is not.
pub(super) fn collect_mapped<'a>(node: &'a Node, key: &'a str, found: &mut Vec<Text<'a>>) {
    match &node.kind {
        // What a task leaves has been looked at where the mapping was read.
        Kind::Text(text) if text.contains("params") => {
            found.push(Text { node, text, kind: Some(TemplateKind::Value), key });
        }
        Kind::List(_) => all(node, TemplateKind::Data, key, found),
        Kind::Table(entries) => {
            for entry in entries {
                match (&entry.node.kind, entry.key.as_str()) {
                    (Kind::List(items), "zip" | "concat") => {
                        items.iter().for_each(|item| collect_mapped(item, key, found));
                    }
                    (_, "xcom" | "key") => {}
                    _ => collect_mapped(&entry.node, &entry.key, found),
                }
            }
        }
        _ => {}
    }
}
