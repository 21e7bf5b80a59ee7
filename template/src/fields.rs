//! The fields of `dag`, `dag_run`, `task` and `ti`: what renders them and what checks templates go by one list.

use flow_model::Timestamp;
use minijinja::Value;

use crate::dates::DateValue;

/// What a field holds. Any of them may be none in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// A date.
    Date,
    /// A list of texts.
    Texts,
    /// A table with whatever keys somebody chose.
    Table,
    /// None as long as a template is rendered.
    Nothing,
}

use FieldKind::{Bool, Date, Nothing, Number, Table, Text, Texts};

/// Fields by name.
pub type Fields = [(&'static str, FieldKind)];

const OF_DAG: [(&str, FieldKind); 10] = [
    ("dag_id", Text),
    ("display_name", Text),
    ("description", Text),
    ("owner", Text),
    ("tags", Texts),
    ("doc_md", Text),
    ("max_active_runs", Number),
    ("max_active_tasks", Number),
    ("start_date", Date),
    ("end_date", Date),
];

const OF_DAG_RUN: [(&str, FieldKind); 12] = [
    ("run_id", Text),
    ("dag_id", Text),
    ("run_type", Text),
    ("conf", Table),
    ("run_after", Date),
    ("state", Text),
    ("logical_date", Date),
    ("start_date", Date),
    ("end_date", Nothing),
    ("data_interval_start", Date),
    ("data_interval_end", Date),
    ("external_trigger", Bool),
];

const OF_TASK: [(&str, FieldKind); 13] = [
    ("task_id", Text),
    ("owner", Text),
    ("retries", Number),
    ("pool", Text),
    ("queue", Text),
    ("operator", Text),
    ("upstream_task_ids", Texts),
    ("pool_slots", Number),
    ("priority_weight", Number),
    ("trigger_rule", Text),
    ("depends_on_past", Bool),
    ("display_name", Text),
    ("doc_md", Text),
];

const OF_TASK_INSTANCE: [(&str, FieldKind); 15] = [
    ("task_id", Text),
    ("dag_id", Text),
    ("run_id", Text),
    ("try_number", Number),
    ("max_tries", Number),
    ("map_index", Number),
    ("state", Text),
    ("start_date", Date),
    ("end_date", Nothing),
    ("duration", Nothing),
    ("operator", Text),
    ("queue", Text),
    ("pool", Text),
    ("hostname", Text),
    ("log_url", Text),
];

/// The names that have fields.
pub const WITH_FIELDS: [&str; 5] = ["dag", "dag_run", "task", "ti", "task_instance"];

/// The fields of a name of templates; `None`: it has no fixed ones.
pub fn fields_of(name: &str) -> Option<&'static Fields> {
    Some(match name {
        "dag" => &OF_DAG,
        "dag_run" => &OF_DAG_RUN,
        "task" => &OF_TASK,
        "ti" | "task_instance" => &OF_TASK_INSTANCE,
        _ => return None,
    })
}

/// What to write instead of a field that Airflow's object of this name has, and ours has not.
pub fn instead_of_field(name: &str, field: &str) -> Option<&'static str> {
    let name = if name == "task_instance" { "ti" } else { name };
    Some(match (name, field) {
        ("dag_run" | "ti", "execution_date") => "write `logical_date`",
        ("ti", "logical_date") => "write `logical_date`",
        ("ti" | "task", "dag_run") => "write `dag_run`",
        ("ti", "task") => "write `task`",
        ("ti" | "task", "dag") => "write `dag`",
        ("dag_run", "dag") => "write `dag`",
        ("task" | "ti", "dag_id") => "write `dag.dag_id`",
        ("task" | "ti" | "dag", "params") => "write `params`",
        ("dag_run", "params") => "write `params`, or `dag_run.conf` for what was passed",
        ("dag", "run_id") | ("task", "run_id") => "write `run_id`",
        ("dag", "timezone" | "schedule" | "schedule_interval" | "timetable") => {
            "templates do not know the schedule: `data_interval_start` and `data_interval_end` say what the run is about"
        }
        ("dag", "id") => "write `dag.dag_id`",
        ("task", "id") | ("ti", "id") => "write `task.task_id`",
        ("dag_run", "id") => "write `dag_run.run_id`",
        ("ti", "hostname_callable" | "host") => "write `ti.hostname`",
        ("ti", "xcom_push") => "leave the value as the task's output: docs/dag-file.md tells how for each operator",
        ("ti", "key") => "write `task_instance_key_str`",
        ("ti", "priority_weight") => "write `task.priority_weight`",
        ("task", "try_number" | "map_index") => "write `ti.try_number` or `ti.map_index`",
        ("dag", "owners") => "write `dag.owner`",
        ("dag_run", "trigger_type" | "is_backfill" | "type") => "write `dag_run.run_type`",
        ("dag_run", "queued_at") => "write `dag_run.start_date`, or `run_after`: when the run was due",
        _ => return None,
    })
}

/// A value of the types that the fields of a name have; `Table` is left out, as anything may be in it.
pub(crate) fn sample(name: &str, at: Timestamp) -> Option<Value> {
    let value = |kind: FieldKind| match kind {
        Text => Some(Value::from("text")),
        Number => Some(Value::from(1)),
        Bool => Some(Value::from(true)),
        Date => Some(DateValue::value(at)),
        Texts => Some(Value::from(vec!["text"])),
        Nothing => Some(Value::from(())),
        Table => None,
    };
    let fields = fields_of(name)?.iter().filter_map(|(field, kind)| Some((*field, value(*kind)?)));
    Some(Value::from_pairs(fields.collect::<Vec<_>>()))
}
