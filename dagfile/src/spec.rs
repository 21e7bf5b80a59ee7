//! The parts of a DAG file as types: parsing, the JSON Schema and the check of keys and types follow from them.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_model::TriggerRule;
use flow_model::dag::{Output, Overlap, WeightRule};
use flow_model::limits::DURATION_SECONDS_MAX;
use flow_model::start::{FileArrival, RedisStream, Webhook};
use flow_model::time::duration_text;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use flow_model::callback::Notifier;

use crate::control::{FailureRuleSpec, RepeatSpec, outputs_schema};
use crate::schema::schema_of;

/// Top-level keys of a DAG file, besides `tasks`, `params` and `default_args`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct DagSettings {
    /// Unique id of the DAG (default: the file's name without `.toml`).
    pub dag_id: Option<String>,
    /// A name for people.
    #[schemars(extend("x-template" = "prose"))]
    pub display_name: Option<String>,
    /// One line about what the DAG does.
    #[schemars(extend("x-template" = "prose"))]
    pub description: Option<String>,
    /// Documentation in Markdown.
    #[schemars(extend("x-template" = "documentation"))]
    pub doc_md: Option<String>,
    /// Who answers for it (default: `flow`).
    #[schemars(extend("x-template" = "prose"))]
    pub owner: Option<String>,
    /// Labels to find it by.
    #[schemars(extend("x-template" = "prose"))]
    pub tags: Vec<String>,
    /// When it runs: a cron expression, a preset such as `@daily`, a table with `cron`, `every` or `at`, what starts it from
    /// outside (a table with `webhook`, `stream` or `files`), or a list of these.
    #[schemars(schema_with = "schedule_schema")]
    pub schedule: Option<Value>,
    /// IANA zone of the schedule and of dates without an offset (default: `UTC`).
    pub timezone: Option<String>,
    /// No tick before this instant.
    #[schemars(schema_with = "date_schema")]
    pub start_date: Option<String>,
    /// No tick after this instant.
    #[schemars(schema_with = "date_schema")]
    pub end_date: Option<String>,
    /// What happens to ticks that were missed: `none`, `latest` (the default) or `all`. False and true are understood, too.
    #[schemars(schema_with = "catchup_schema")]
    pub catchup: Option<Value>,
    /// Runs that may be running at once (default: 16).
    #[schemars(range(min = 1))]
    pub max_active_runs: Option<u32>,
    /// Task instances, over all runs, that may be queued or running at once (default: 16).
    #[schemars(range(min = 1))]
    pub max_active_tasks: Option<u32>,
    /// A run that takes longer fails.
    pub dagrun_timeout: Option<DurationSpec>,
    /// Whether the DAG is paused when it is seen for the first time.
    pub is_paused_upon_creation: Option<bool>,
    /// What is done besides when a run has succeeded.
    pub on_success: Option<Vec<Notifier>>,
    /// What is done besides when a run has failed.
    pub on_failure: Option<Vec<Notifier>>,
    /// Instances that one mapping of the DAG may have (default: 1024).
    #[schemars(range(min = 1, max = 100_000))]
    pub max_map_length: Option<u32>,
    /// How often a run that failed starts again at what failed (default: 0).
    #[schemars(range(min = 0, max = 1000))]
    pub run_retries: Option<u32>,
    /// Time before a failed run starts again (default: `5m`).
    pub run_retry_delay: Option<DurationSpec>,
}

/// Keys of a task group, besides what it holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct GroupSettings {
    /// A name for people.
    #[schemars(extend("x-template" = "prose"))]
    pub display_name: Option<String>,
    /// Documentation in Markdown.
    #[schemars(extend("x-template" = "documentation"))]
    pub doc_md: Option<String>,
    /// Whether ids of its tasks begin with the group's id (default: true).
    #[allow(dead_code, reason = "read while the groups are unfolded; here for the schema")]
    pub prefix_group_id: Option<bool>,
    /// How often the whole group starts again after one of its tasks has failed for good (default: 0).
    #[schemars(range(min = 0, max = 1000))]
    pub retries: Option<u32>,
    /// Time before it starts again (default: `5m`).
    pub retry_delay: Option<DurationSpec>,
}

/// Settings of a task; `default_args` gives them for all tasks of the file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct TaskSettings {
    /// A name for people.
    #[schemars(extend("x-template" = "prose"))]
    pub display_name: Option<String>,
    /// Documentation in Markdown.
    #[schemars(extend("x-template" = "documentation"))]
    pub doc_md: Option<String>,
    /// Who answers for it (default: the DAG's owner).
    #[schemars(extend("x-template" = "prose"))]
    pub owner: Option<String>,
    /// When the task may start, given how the tasks before it ended (default: `all_success`).
    pub trigger_rule: Option<TriggerRule>,
    /// Further tries after a failure (default: 0).
    #[schemars(range(min = 0, max = 1000))]
    pub retries: Option<u32>,
    /// Time before the first retry (default: `5m`).
    pub retry_delay: Option<DurationSpec>,
    /// Whether each retry waits twice as long as the one before; a number is the factor.
    #[schemars(schema_with = "backoff_schema")]
    pub retry_exponential_backoff: Option<Value>,
    /// No retry waits longer than this (default: `1d`).
    pub max_retry_delay: Option<DurationSpec>,
    /// Share of the delay by which it is varied at random (default: 0).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub retry_jitter: Option<f64>,
    /// A try that takes longer is killed and counts as failed.
    pub execution_timeout: Option<DurationSpec>,
    /// The pool whose slots the task uses (default: `default_pool`).
    #[schemars(length(min = 1))]
    pub pool: Option<String>,
    /// Slots of the pool that it uses (default: 1).
    #[schemars(range(min = 1))]
    pub pool_slots: Option<u32>,
    /// Tasks with a higher weight go first (default: 1).
    pub priority_weight: Option<i64>,
    /// How the weights of the tasks around it count: `downstream` (the default), `upstream` or `absolute`.
    pub weight_rule: Option<WeightRule>,
    /// The queue whose workers run it (default: `default`).
    #[schemars(length(min = 1))]
    pub queue: Option<String>,
    /// Waits until the same task of the previous run has succeeded or was skipped (default: false).
    pub depends_on_past: Option<bool>,
    /// Also waits for the tasks directly after it in the previous run (default: false).
    pub wait_for_downstream: Option<bool>,
    /// Is never rerun after its worker was lost: it fails instead (default: false).
    pub at_most_once: Option<bool>,
    /// Whether a rerun may start while a lost attempt might still be running: `allow` (the default) or `forbid`.
    pub overlap: Option<Overlap>,
    /// Environment variables (values are templates).
    #[schemars(schema_with = "env_schema")]
    #[schemars(extend("x-template" = "text"))]
    pub env: Option<BTreeMap<String, Value>>,
    /// Files of the DAG folder that its program finds where they are here: paths and patterns relative to the DAG file.
    /// Scripts, and what they import of ours, need not be named.
    pub files: Option<Vec<String>>,
    /// A template; where it says no (nothing, `false`, `0`, `no`, `none`, `off`), the task is skipped.
    #[schemars(extend("x-template" = "value"))]
    pub run_if: Option<String>,
    /// What failures mean; the first rule that matches decides.
    pub failure_rules: Option<Vec<FailureRuleSpec>>,
    /// Does the work again until a condition holds.
    pub repeat: Option<RepeatSpec>,
    /// What is done besides when the task has succeeded.
    pub on_success: Option<Vec<Notifier>>,
    /// What is done besides when the task has failed for good.
    pub on_failure: Option<Vec<Notifier>>,
    /// What is done besides when a try has failed and there will be another one.
    pub on_retry: Option<Vec<Notifier>>,
    /// What is done besides when the task has skipped itself.
    pub on_skipped: Option<Vec<Notifier>>,
    /// XComs that the task must leave, with their JSON Schemas.
    #[schemars(schema_with = "outputs_schema")]
    #[schemars(extend("x-template" = "documentation"))]
    pub outputs: Option<BTreeMap<String, Value>>,
    /// Working directory (a template; default: a temporary folder).
    #[schemars(extend("x-template" = "path"))]
    pub cwd: Option<String>,
    /// What of the standard output becomes the XCom `return_value`: `none`, `last_line` (the default), `text` or `json`.
    pub output: Option<Output>,
    /// Values for the task's templates, on top of the DAG's params.
    #[schemars(extend("x-template" = "data"))]
    pub params: Option<BTreeMap<String, Value>>,
    /// What each instance of a mapped task is called (a template).
    #[schemars(extend("x-template" = "text"))]
    pub map_index_template: Option<String>,
    /// Instances of the task, over all runs, that may be queued or running at once.
    #[schemars(range(min = 1))]
    pub max_active_tis_per_dag: Option<u32>,
    /// Instances of the task in one run that may be queued or running at once.
    #[schemars(range(min = 1))]
    pub max_active_tis_per_dagrun: Option<u32>,
    /// Prepares something for the tasks after it, which wait for it whatever their trigger rules say.
    pub setup: Option<bool>,
    /// For a teardown: whether its failure fails the run (default: false).
    pub on_failure_fail_dagrun: Option<bool>,
}

/// A duration: text with units, or a number of seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DurationSpec(pub Duration);

impl<'de> Deserialize<'de> for DurationSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        duration_text::deserialize(deserializer).map(DurationSpec)
    }
}

impl JsonSchema for DurationSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        flow_model::operator::duration_schema(generator)
    }
}

fn date_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "flow-date" })
}

fn catchup_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "enum": ["none", "latest", "all"] }, { "type": "boolean" }] })
}

fn backoff_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "number", "minimum": 1 }] })
}

fn env_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "anyOf": [
        { "type": "string" }, { "type": "number" }, { "type": "boolean" },
    ]}})
}

fn schedule_schema(_: &mut SchemaGenerator) -> Schema {
    let rule = serde_json::json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "cron": { "description": "A cron expression or a preset, or several of them.", "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] },
            "timezone": { "description": "IANA zone of its times (default: the file's `timezone`).", "type": "string" },
            "every": { "description": "Runs every so often, counted from `start_date`.", "anyOf": [{ "type": "string", "format": "flow-duration" }, { "type": "number", "minimum": 1, "maximum": DURATION_SECONDS_MAX }] },
            "at": { "description": "Runs at exactly these instants.", "anyOf": [
                { "type": "string", "format": "flow-date" },
                { "type": "array", "items": { "type": "string", "format": "flow-date" }, "minItems": 1 },
            ]},
            "data_intervals": {
                "description": "Gives runs Airflow's data intervals: a run covers the time since the tick before (default: false).",
                "type": "boolean",
            },
            "webhook": schema_of::<Webhook>(),
            "stream": schema_of::<RedisStream>(),
            "files": schema_of::<FileArrival>(),
        },
    });
    let one =
        serde_json::json!({ "type": "string", "examples": ["0 6 * * 1-5", "@daily", "@once", "@continuous", "none"] });
    json_schema!({ "anyOf": [
        one.clone(),
        rule.clone(),
        { "type": "array", "minItems": 1, "items": { "anyOf": [one, rule] } },
    ]})
}
