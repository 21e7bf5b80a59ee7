//! The JSON Schema of DAG files, put together from the types that hold their parts.

use std::sync::OnceLock;

use flow_model::operator::sensor::{
    CommandSensor, DateTimeSensor, DayOfWeekSensor, ExternalTaskSensor, FileSensor, HttpSensor, RedisKeySensor,
    RedisStreamSensor, SqlSensor, TimeDeltaSensor, TimeSensor,
};
use flow_model::operator::{
    Approval, Bash, Branch, Command, Docker, Email, Form, Http, KubernetesPod, LatestOnly, Noop, Plugin, Python,
    ShortCircuit, Slack, Sleep, Sql, TriggerDag, Webhook,
};
use flow_model::template_kind::KEYWORD;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::spec::{DagSettings, GroupSettings, TaskSettings};

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
pub(crate) const OPERATORS: [OperatorForm; 30] = [
    OperatorForm { name: "bash", short_field: Some("command"), short_type: "string", schema: schema_of::<Bash> },
    OperatorForm { name: "command", short_field: Some("argv"), short_type: "array", schema: schema_of::<Command> },
    OperatorForm { name: "python", short_field: Some("code"), short_type: "string", schema: schema_of::<Python> },
    OperatorForm { name: "http", short_field: Some("url"), short_type: "string", schema: schema_of::<Http> },
    OperatorForm { name: "sql", short_field: Some("query"), short_type: "string", schema: schema_of::<Sql> },
    OperatorForm { name: "webhook", short_field: Some("url"), short_type: "string", schema: schema_of::<Webhook> },
    OperatorForm { name: "slack", short_field: Some("text"), short_type: "string", schema: schema_of::<Slack> },
    OperatorForm { name: "email", short_field: Some("subject"), short_type: "string", schema: schema_of::<Email> },
    OperatorForm { name: "plugin", short_field: Some("name"), short_type: "string", schema: schema_of::<Plugin> },
    OperatorForm { name: "docker", short_field: Some("image"), short_type: "string", schema: schema_of::<Docker> },
    OperatorForm {
        name: "kubernetes_pod",
        short_field: Some("image"),
        short_type: "string",
        schema: schema_of::<KubernetesPod>,
    },
    OperatorForm { name: "noop", short_field: None, short_type: "boolean", schema: schema_of::<Noop> },
    OperatorForm { name: "sleep", short_field: Some("duration"), short_type: "string", schema: schema_of::<Sleep> },
    OperatorForm { name: "branch", short_field: Some("choose"), short_type: "string", schema: schema_of::<Branch> },
    OperatorForm {
        name: "short_circuit",
        short_field: Some("condition"),
        short_type: "string",
        schema: schema_of::<ShortCircuit>,
    },
    OperatorForm {
        name: "trigger_dag",
        short_field: Some("trigger_dag_id"),
        short_type: "string",
        schema: schema_of::<TriggerDag>,
    },
    OperatorForm { name: "latest_only", short_field: None, short_type: "boolean", schema: schema_of::<LatestOnly> },
    OperatorForm {
        name: "approval",
        short_field: Some("subject"),
        short_type: "string",
        schema: schema_of::<Approval>,
    },
    OperatorForm { name: "form", short_field: Some("subject"), short_type: "string", schema: schema_of::<Form> },
    OperatorForm {
        name: "time_sensor",
        short_field: Some("target_time"),
        short_type: "string",
        schema: schema_of::<TimeSensor>,
    },
    OperatorForm {
        name: "date_time_sensor",
        short_field: Some("target_time"),
        short_type: "string",
        schema: schema_of::<DateTimeSensor>,
    },
    OperatorForm {
        name: "time_delta_sensor",
        short_field: Some("delta"),
        short_type: "string",
        schema: schema_of::<TimeDeltaSensor>,
    },
    OperatorForm {
        name: "day_of_week_sensor",
        short_field: Some("week_day"),
        short_type: "array",
        schema: schema_of::<DayOfWeekSensor>,
    },
    OperatorForm {
        name: "file_sensor",
        short_field: Some("filepath"),
        short_type: "string",
        schema: schema_of::<FileSensor>,
    },
    OperatorForm {
        name: "http_sensor",
        short_field: Some("url"),
        short_type: "string",
        schema: schema_of::<HttpSensor>,
    },
    OperatorForm {
        name: "sql_sensor",
        short_field: Some("query"),
        short_type: "string",
        schema: schema_of::<SqlSensor>,
    },
    OperatorForm {
        name: "redis_key_sensor",
        short_field: Some("key"),
        short_type: "string",
        schema: schema_of::<RedisKeySensor>,
    },
    OperatorForm {
        name: "redis_stream_sensor",
        short_field: Some("stream"),
        short_type: "string",
        schema: schema_of::<RedisStreamSensor>,
    },
    OperatorForm {
        name: "external_task_sensor",
        short_field: Some("external_dag_id"),
        short_type: "string",
        schema: schema_of::<ExternalTaskSensor>,
    },
    OperatorForm {
        name: "command_sensor",
        short_field: Some("command"),
        short_type: "string",
        schema: schema_of::<CommandSensor>,
    },
];

mod published;

/// The JSON Schema of a DAG file (draft 2020-12): give it to an editor, and it completes and checks.
///
/// It takes what the parser takes, as far as a schema can say it; what only the parser knows is listed in the test that
/// compares the two (`dagfile/tests/schema.rs`).
pub fn schema() -> Value {
    published::from(whole())
}

/// The schema, built once.
pub(crate) fn whole() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(build)
}

/// The schema of a task's table.
pub(crate) fn task_schema() -> &'static Value {
    &whole()["$defs"]["task"]
}

/// The schema of a group's table.
pub(crate) fn group_schema() -> &'static Value {
    &whole()["$defs"]["task_group"]
}

fn build() -> Value {
    let mut properties = properties_of::<DagSettings>();
    let defaults = properties_of::<TaskSettings>();
    let mut task = defaults.clone();
    let names = |description: &str| {
        json!({
            "description": description,
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    };
    task.insert("depends_on".to_owned(), names("Ids of the tasks and groups directly before this one."));
    task.insert(
        "teardown_of".to_owned(),
        names("Ids of the setups that this task cleans up after: it runs once they succeeded, whatever happened in between."),
    );
    task.extend(mapping_keys());
    let mut group = properties_of::<GroupSettings>();
    group.insert("depends_on".to_owned(), names("Ids of the tasks and groups before the group."));
    group.insert(
        "default_args".to_owned(),
        json!({
            "description": "Settings for all tasks of the group, on top of the file's.",
            "type": "object", "additionalProperties": false, "properties": defaults,
        }),
    );
    group.extend(mapping_keys());
    group.extend(holders());
    for operator in &OPERATORS {
        task.insert(operator.name.to_owned(), operator.property());
    }
    properties.insert(
        "params".to_owned(),
        json!({
            "description": "Typed parameters: a JSON Schema with a `default`, or just the default.",
            "type": "object", (KEYWORD): "data",
        }),
    );
    properties.insert(
        "default_args".to_owned(),
        json!({
            "description": "Settings for all tasks of the file; a task's own settings win.",
            "type": "object", "additionalProperties": false, "properties": defaults,
        }),
    );
    properties.extend(holders());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow DAG",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": {
            "task": { "type": "object", "additionalProperties": false, "properties": task },
            "task_group": { "type": "object", "additionalProperties": false, "properties": group },
        },
    })
}

/// Where tasks and groups stand: in the file, and in each group.
fn holders() -> Map<String, Value> {
    let holder = |description: &str, of: &str| json!({ "description": description, "type": "object", "additionalProperties": { "$ref": format!("#/$defs/{of}") } });
    [
        ("tasks".to_owned(), holder("The tasks by id.", "task")),
        ("task_groups".to_owned(), holder("Groups of tasks by id; groups may hold groups.", "task_group")),
    ]
    .into_iter()
    .collect()
}

fn mapping_keys() -> Map<String, Value> {
    let expand = json!({
        "description": "Makes one instance for every combination of the named values: each is a list, \"{{ xcom.<task> }}\", \"{{ params.<name> }}\", or a table with `zip`, `concat`, or `xcom` and `key`.",
        "type": "object",
    });
    let kwargs = json!({
        "description": "Makes one instance for each table of a list: its keys are the names in templates.",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "object" } }],
    });
    [("expand".to_owned(), expand), ("expand_kwargs".to_owned(), kwargs)].into_iter().collect()
}

/// The schema that a reference means, or the schema itself.
pub(crate) fn resolve(schema: &'static Value) -> &'static Value {
    let definition = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    definition.map_or(schema, |name| &whole()["$defs"][name])
}

impl OperatorForm {
    fn property(&self) -> Value {
        let long = (self.schema)();
        let mut short = match self.short_type {
            // Its values are names out of a list.
            "array" if self.name == "day_of_week_sensor" => long["properties"]["week_day"].clone(),
            "array" => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
            "boolean" => json!({ "type": "boolean", "const": true }),
            _ if matches!(self.name, "sleep" | "time_delta_sensor") => {
                flow_model::operator::duration_schema(&mut schemars::SchemaGenerator::default()).to_value()
            }
            short_type => json!({ "type": short_type }),
        };
        // The short form is one of the fields, and rendered as that one is.
        if let Some(kind) = self.short_field.and_then(|field| long["properties"][field].get(KEYWORD)) {
            short[KEYWORD] = kind.clone();
        }
        let description = long["description"].clone();
        json!({ "description": description, "anyOf": [short, long] })
    }
}

pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn properties_of<T: JsonSchema>() -> Map<String, Value> {
    schema_of::<T>()["properties"].as_object().cloned().unwrap_or_default()
}
