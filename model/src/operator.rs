//! What a task does: one struct per operator. The DAG file's parsing, its JSON Schema, its documentation and the
//! worker's dispatch all follow from these types.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operator::sensor::{
    CommandSensor, DateTimeSensor, DayOfWeekSensor, ExternalTaskSensor, FileSensor, HttpSensor, RedisKeySensor,
    RedisStreamSensor, SqlSensor, TimeDeltaSensor, TimeSensor, Waiting,
};
use crate::time::duration_text;

pub mod branch;
pub mod docker;
pub mod kubernetes_pod;
pub mod notice;
pub mod people;
mod plugin;
mod python;
pub mod sensor;
pub mod sql;
mod status;
mod trigger_dag;

pub use branch::{Branch, LatestOnly, ShortCircuit};
pub use docker::Docker;
pub use kubernetes_pod::KubernetesPod;
pub use notice::{Email, Slack, Webhook};
pub use people::{Approval, Form};
pub use plugin::Plugin;
pub use python::{Python, Requirements};
pub use sql::Sql;
pub use trigger_dag::TriggerDag;

/// The work of a task. Serialised as a table with one key, the operator's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// A shell script, run by `bash`.
    Bash(Bash),
    /// A program with its arguments, no shell in between.
    Command(Command),
    /// Python code or a Python script.
    Python(Python),
    /// One HTTP request.
    Http(Http),
    /// SQL.
    Sql(Sql),
    /// A JSON message.
    Webhook(Webhook),
    /// A message to a Slack channel.
    Slack(Slack),
    /// An e-mail.
    Email(Box<Email>),
    /// An executable that speaks the plugin protocol.
    Plugin(Plugin),
    /// A container on the worker's Docker daemon.
    Docker(Box<Docker>),
    /// A pod in a Kubernetes cluster.
    KubernetesPod(Box<KubernetesPod>),
    /// Nothing at all: a joint between other tasks.
    Noop(Noop),
    /// Waits for a while.
    Sleep(Sleep),
    /// Chooses which tasks go on.
    Branch(Branch),
    /// Goes on only if a condition holds.
    ShortCircuit(ShortCircuit),
    /// Goes on only in the newest scheduled run.
    LatestOnly(LatestOnly),
    /// Starts a run of another DAG.
    TriggerDag(TriggerDag),
    /// Asks people for a decision.
    Approval(Box<Approval>),
    /// Asks people to fill in a form.
    Form(Box<Form>),
    /// Waits until a time of day.
    TimeSensor(TimeSensor),
    /// Waits until an instant.
    DateTimeSensor(DateTimeSensor),
    /// Waits for a while after the end of the data interval.
    TimeDeltaSensor(TimeDeltaSensor),
    /// Waits until a day of the week.
    DayOfWeekSensor(DayOfWeekSensor),
    /// Waits for a file.
    FileSensor(FileSensor),
    /// Waits for an HTTP answer.
    HttpSensor(HttpSensor),
    /// Waits for a row in a database.
    SqlSensor(SqlSensor),
    /// Waits for a key in a Redis.
    RedisKeySensor(RedisKeySensor),
    /// Waits for entries of a stream in a Redis.
    RedisStreamSensor(RedisStreamSensor),
    /// Waits for another DAG.
    ExternalTaskSensor(ExternalTaskSensor),
    /// Waits until a script succeeds.
    CommandSensor(CommandSensor),
}

impl Operator {
    /// The key that names the operator in a DAG file.
    pub const fn name(&self) -> &'static str {
        match self {
            Operator::Bash(_) => "bash",
            Operator::Command(_) => "command",
            Operator::Python(_) => "python",
            Operator::Http(_) => "http",
            Operator::Sql(_) => "sql",
            Operator::Webhook(_) => "webhook",
            Operator::Slack(_) => "slack",
            Operator::Email(_) => "email",
            Operator::Plugin(_) => "plugin",
            Operator::Docker(_) => "docker",
            Operator::KubernetesPod(_) => "kubernetes_pod",
            Operator::Noop(_) => "noop",
            Operator::Sleep(_) => "sleep",
            Operator::Branch(_) => "branch",
            Operator::ShortCircuit(_) => "short_circuit",
            Operator::LatestOnly(_) => "latest_only",
            Operator::TriggerDag(_) => "trigger_dag",
            Operator::Approval(_) => "approval",
            Operator::Form(_) => "form",
            Operator::TimeSensor(_) => "time_sensor",
            Operator::DateTimeSensor(_) => "date_time_sensor",
            Operator::TimeDeltaSensor(_) => "time_delta_sensor",
            Operator::DayOfWeekSensor(_) => "day_of_week_sensor",
            Operator::FileSensor(_) => "file_sensor",
            Operator::HttpSensor(_) => "http_sensor",
            Operator::SqlSensor(_) => "sql_sensor",
            Operator::RedisKeySensor(_) => "redis_key_sensor",
            Operator::RedisStreamSensor(_) => "redis_stream_sensor",
            Operator::ExternalTaskSensor(_) => "external_task_sensor",
            Operator::CommandSensor(_) => "command_sensor",
        }
    }

    /// Whether a success leaves a value (the XCom `return_value`, or others) that `outputs` can declare.
    pub const fn leaves_value(&self) -> bool {
        match self {
            Operator::Bash(_)
            | Operator::Command(_)
            | Operator::Python(_)
            | Operator::Http(_)
            | Operator::Sql(_)
            | Operator::Webhook(_)
            | Operator::Slack(_)
            | Operator::Email(_)
            | Operator::Plugin(_)
            | Operator::Docker(_)
            | Operator::KubernetesPod(_)
            | Operator::Branch(_)
            | Operator::ShortCircuit(_)
            | Operator::LatestOnly(_)
            | Operator::TriggerDag(_)
            | Operator::Approval(_)
            | Operator::Form(_)
            | Operator::FileSensor(_)
            | Operator::HttpSensor(_)
            | Operator::SqlSensor(_)
            | Operator::RedisKeySensor(_)
            | Operator::RedisStreamSensor(_)
            | Operator::CommandSensor(_) => true,
            Operator::Noop(_)
            | Operator::Sleep(_)
            | Operator::TimeSensor(_)
            | Operator::DateTimeSensor(_)
            | Operator::TimeDeltaSensor(_)
            | Operator::DayOfWeekSensor(_)
            | Operator::ExternalTaskSensor(_) => false,
        }
    }

    /// Whether it may skip tasks directly after it.
    pub const fn decides_what_follows(&self) -> bool {
        matches!(self, Operator::Branch(_) | Operator::ShortCircuit(_) | Operator::LatestOnly(_))
    }

    /// Whether it may skip everything after it, whatever the trigger rules say.
    pub const fn may_skip_all_after(&self) -> bool {
        matches!(self, Operator::ShortCircuit(ShortCircuit { ignore_downstream_trigger_rules: true, .. }))
    }

    /// Files that must stand beside the DAG file; they are published with the DAG version.
    pub fn files(&self) -> Vec<&str> {
        match self {
            Operator::Bash(bash) => bash.script.as_deref().into_iter().collect(),
            Operator::Python(python) => python.script.as_deref().into_iter().collect(),
            Operator::Sql(sql) => sql.file.as_deref().into_iter().collect(),
            // A plugin may also be installed on the workers: see `Plugin::published_path`.
            _ => Vec::new(),
        }
    }

    /// How it waits, if it is a sensor.
    pub fn waiting(&self) -> Option<Waiting> {
        match self {
            Operator::TimeSensor(sensor) => Some(sensor.waiting()),
            Operator::DateTimeSensor(sensor) => Some(sensor.waiting()),
            Operator::TimeDeltaSensor(sensor) => Some(sensor.waiting()),
            Operator::DayOfWeekSensor(sensor) => Some(sensor.waiting()),
            Operator::FileSensor(sensor) => Some(sensor.waiting()),
            Operator::HttpSensor(sensor) => Some(sensor.waiting()),
            Operator::SqlSensor(sensor) => Some(sensor.waiting()),
            Operator::RedisKeySensor(sensor) => Some(sensor.waiting()),
            Operator::RedisStreamSensor(sensor) => Some(sensor.waiting()),
            Operator::ExternalTaskSensor(sensor) => Some(sensor.waiting()),
            Operator::CommandSensor(sensor) => Some(sensor.waiting()),
            _ => None,
        }
    }
}

/// Runs a shell script with `bash`.
///
/// Template expressions in `command` are never spliced into the code: each becomes a shell variable that is quoted for
/// the place it stands in, so the script sees exactly the value.
///
/// ```toml
/// [tasks.count]
/// bash = 'ls "$FOLDER" | wc -l'
/// env = { FOLDER = "/var/log" }
///
/// [tasks.load.bash]
/// script = "scripts/load.sh"
/// args = ["{{ ds }}", "{{ params.region }}"]
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bash {
    /// The script's text (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "shell"))]
    pub command: Option<String>,
    /// A script file beside the DAG file, instead of `command`. It is published with the DAG, and a template as far as its
    /// braces name something that templates know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Whether every brace of the `script` is the template's, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<bool>,
    /// Arguments for the script: `$1`, `$2` ... (templates).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub args: Vec<String>,
    /// Text that the script reads from its standard input (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub stdin: Option<String>,
    /// Exit codes that mean "skipped" (Airflow: 99).
    #[serde(default = "default_skip_on_exit_code", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "exit_codes_schema")]
    pub skip_on_exit_code: Vec<i32>,
}

/// Runs a program directly, without a shell: each argument reaches the program exactly as it is rendered.
///
/// ```toml
/// [tasks.pack]
/// command = ["tar", "-czf", "{{ params.target }}", "/srv/reports"]
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments (templates).
    #[schemars(length(min = 1))]
    #[schemars(extend("x-template" = "text"))]
    pub argv: Vec<String>,
    /// Text that the program reads from its standard input (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub stdin: Option<String>,
    /// Exit codes that mean "skipped" (Airflow: 99).
    #[serde(default = "default_skip_on_exit_code", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "exit_codes_schema")]
    pub skip_on_exit_code: Vec<i32>,
}

/// Sends one HTTP request from the worker.
///
/// ```toml
/// [tasks.rates]
/// http = { url = "https://rates.example.org/daily", query = { day = "{{ ds }}" }, expected_status = ["200"] }
/// output = "json"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where to (a template); with a `connection` the path there.
    #[schemars(extend("x-template" = "url"))]
    pub url: String,
    /// A connection of type `http`, which has the host and with what it lets us in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The HTTP method.
    #[serde(default = "default_method")]
    pub method: String,
    /// Request headers (values are templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub headers: BTreeMap<String, String>,
    /// Query parameters, added to the URL and encoded (values are templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub query: BTreeMap<String, String>,
    /// Request body as text (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub body: Option<String>,
    /// Request body as JSON; every text inside is a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "value"))]
    pub json: Option<serde_json::Value>,
    /// Status codes that mean success: single codes, or classes such as `2xx`.
    #[serde(default = "default_expected_status", deserialize_with = "status::read")]
    #[schemars(with = "Vec<status::WrittenStatus>")]
    pub expected_status: Vec<String>,
    /// How long the whole exchange may take.
    #[serde(default = "default_http_timeout", with = "duration_text")]
    #[schemars(schema_with = "duration_schema")]
    pub timeout: Duration,
    /// Answer bytes that are read at most; more fails the task.
    #[serde(default = "default_response_bytes_max")]
    pub response_bytes_max: u64,
}

impl Http {
    /// A plain request for a URL.
    pub fn to(url: impl Into<String>) -> Self {
        Http {
            url: url.into(),
            connection: None,
            method: default_method(),
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            body: None,
            json: None,
            expected_status: default_expected_status(),
            timeout: default_http_timeout(),
            response_bytes_max: default_response_bytes_max(),
        }
    }
}

/// Does nothing and succeeds at once.
///
/// ```toml
/// [tasks.joint]
/// noop = true
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noop {}

/// Waits for a fixed time inside the worker, holding its slot, or in the triggerer.
///
/// ```toml
/// [tasks.cool_down]
/// sleep = { duration = "2h", deferrable = true }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// How long to wait, e.g. `30s`.
    #[serde(with = "duration_text")]
    #[schemars(schema_with = "duration_schema")]
    pub duration: Duration,
    /// Whether it waits in the triggerer, holding no worker slot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferrable: bool,
}

pub(crate) fn default_skip_on_exit_code() -> Vec<i32> {
    vec![99]
}
fn default_method() -> String {
    "GET".to_owned()
}
fn default_expected_status() -> Vec<String> {
    vec!["2xx".to_owned()]
}
fn default_http_timeout() -> Duration {
    Duration::from_secs(60)
}
fn default_response_bytes_max() -> u64 {
    1 << 20
}

pub(crate) fn one_or_many<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        One(T),
        Many(Vec<T>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(code) => vec![code],
        OneOrMany::Many(codes) => codes,
    })
}

pub(crate) fn exit_codes_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 255 },
            { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } }
        ]
    })
}

/// The JSON Schema of a duration: text with units, or a number of seconds.
pub fn duration_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [
        { "type": "string", "format": "flow-duration", "examples": ["30s", "5m", "1h 30m", "2d"] },
        { "type": "number", "minimum": 0, "maximum": crate::limits::DURATION_SECONDS_MAX },
    ]})
}
