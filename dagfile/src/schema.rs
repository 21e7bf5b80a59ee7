//! The JSON Schema of DAG files, put together from the types that hold their parts.

use std::sync::OnceLock;

use flow_model::operator::{Bash, Command, Http, Noop, Python, Sleep};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::spec::{DagSettings, TaskSettings};

/// An operator's key in a task's table.
pub(crate) struct OperatorForm {
    /// The key.
    pub name: &'static str,
    /// The field that the short form fills; `None`: the short form is `true`.
    pub short_field: Option<&'static str>,
    /// JSON type of the short form.
    short_type: &'static str,
    schema: fn() -> Value,
}

/// Every operator. A new one is a struct in the model and a line here.
pub(crate) const OPERATORS: [OperatorForm; 6] = [
    OperatorForm { name: "bash", short_field: Some("command"), short_type: "string", schema: schema_of::<Bash> },
    OperatorForm { name: "command", short_field: Some("argv"), short_type: "array", schema: schema_of::<Command> },
    OperatorForm { name: "python", short_field: Some("code"), short_type: "string", schema: schema_of::<Python> },
    OperatorForm { name: "http", short_field: Some("url"), short_type: "string", schema: schema_of::<Http> },
    OperatorForm { name: "noop", short_field: None, short_type: "boolean", schema: schema_of::<Noop> },
    OperatorForm { name: "sleep", short_field: Some("duration"), short_type: "string", schema: schema_of::<Sleep> },
];

/// The JSON Schema of a DAG file (draft 2020-12): give it to an editor, and it completes and checks.
pub fn schema() -> Value {
    whole().clone()
}

/// The schema, built once.
pub(crate) fn whole() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(build)
}

fn build() -> Value {
    let mut properties = properties_of::<DagSettings>();
    let defaults = properties_of::<TaskSettings>();
    let mut task = defaults.clone();
    task.insert(
        "depends_on".to_owned(),
        json!({
            "description": "Ids of the tasks directly before this one.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        }),
    );
    for operator in &OPERATORS {
        task.insert(operator.name.to_owned(), operator.property());
    }
    properties.insert(
        "params".to_owned(),
        json!({
            "description": "Typed parameters: a JSON Schema with a `default`, or just the default.",
            "type": "object",
        }),
    );
    properties.insert(
        "default_args".to_owned(),
        json!({
            "description": "Settings for all tasks of the file; a task's own settings win.",
            "type": "object", "additionalProperties": false, "properties": defaults,
        }),
    );
    properties.insert(
        "tasks".to_owned(),
        json!({
            "description": "The tasks by id.",
            "type": "object",
            "additionalProperties": { "type": "object", "additionalProperties": false, "properties": task },
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow DAG",
        "type": "object",
        "additionalProperties": false,
        "required": ["tasks"],
        "properties": properties,
    })
}

impl OperatorForm {
    fn property(&self) -> Value {
        let long = (self.schema)();
        let short = match self.short_type {
            "array" => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
            "boolean" => json!({ "type": "boolean", "const": true }),
            _ if self.name == "sleep" => json!({ "type": "string", "format": "flow-duration" }),
            short_type => json!({ "type": short_type }),
        };
        let description = long["description"].clone();
        json!({ "description": description, "anyOf": [short, long] })
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn properties_of<T: JsonSchema>() -> Map<String, Value> {
    schema_of::<T>()["properties"].as_object().cloned().unwrap_or_default()
}
