//! `trigger_dag`: starts a run of another DAG.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::RunState;
use crate::time::duration_text;

/// Starts a run of another DAG, and waits for its end if asked to, without holding a slot. The run's id becomes the
/// XCom `return_value`. A try that is run again after its worker was lost finds the run that it has started.
///
/// ```toml
/// [tasks.report.trigger_dag]
/// trigger_dag_id = "report"
/// conf = { day = "{{ ds }}" }
/// wait_for_completion = true
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerDag {
    /// The other DAG (a template).
    #[schemars(extend("x-template" = "text"))]
    pub trigger_dag_id: String,
    /// Values for its params; every text inside is a template.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(extend("x-template" = "value"))]
    pub conf: Map<String, Value>,
    /// The id of the new run (a template; default: one that tells the task instance and its try).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub trigger_run_id: Option<String>,
    /// The logical date of the new run (a template, for instance `{{ ts }}`; default: the present).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub logical_date: Option<String>,
    /// With a `trigger_run_id` that exists already: skips the task instead of failing it.
    #[serde(default)]
    pub skip_when_already_exists: bool,
    /// With a `trigger_run_id` that exists already: clears that run, so that it runs again, instead of failing the task.
    #[serde(default)]
    pub reset_dag_run: bool,
    /// Fails the task if the other DAG is paused; otherwise the run waits until somebody unpauses it.
    #[serde(default)]
    pub fail_when_dag_is_paused: bool,
    /// Waits until the run has ended.
    #[serde(default)]
    pub wait_for_completion: bool,
    /// When waiting: states of the run with which the task succeeds.
    #[serde(default = "success")]
    pub allowed_states: Vec<RunState>,
    /// When waiting: states of the run with which it fails.
    #[serde(default = "failed")]
    pub failed_states: Vec<RunState>,
    /// When waiting: how often to look.
    #[serde(default = "default_poke_interval", with = "duration_text")]
    #[schemars(schema_with = "super::duration_schema")]
    pub poke_interval: Duration,
}

fn success() -> Vec<RunState> {
    vec![RunState::Success]
}

fn failed() -> Vec<RunState> {
    vec![RunState::Failed]
}

const fn default_poke_interval() -> Duration {
    Duration::from_secs(10)
}
