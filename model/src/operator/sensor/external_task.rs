//! A sensor that waits for another DAG.

use std::time::Duration;

use super::sensor;
use crate::state::TaskState;

sensor!(
    /// Waits for a run of another DAG with the same logical date, or for tasks of it.
    ///
    /// ```toml
    /// [tasks.upstream]
    /// external_task_sensor = { external_dag_id = "ingest", external_task_id = "load", execution_delta = "1h" }
    /// ```
    ExternalTaskSensor {
        /// The other DAG (a template).
        #[schemars(extend("x-template" = "text"))]
        external_dag_id: String,
        /// A task of it; without any task or group the whole run is waited for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_task_id: Option<String>,
        /// Several tasks of it: all of them are waited for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        external_task_ids: Vec<String>,
        /// A task group of it: all its tasks are waited for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_task_group_id: Option<String>,
        /// States that are waited for.
        #[serde(default = "success")]
        allowed_states: Vec<TaskState>,
        /// States that fail the sensor at once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failed_states: Vec<TaskState>,
        /// States that skip it at once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skipped_states: Vec<TaskState>,
        /// How much earlier the logical date of the other run is.
        #[serde(default, with = "crate::time::duration_text::option", skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "crate::operator::duration_schema")]
        execution_delta: Option<Duration>,
        /// The logical date of the other run, where it is not a fixed while earlier (a template that gives an instant, such
        /// as `{{ data_interval_end }}`; Airflow: `execution_date_fn`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-template" = "text"))]
        external_logical_date: Option<String>,
        /// Whether it fails at once if there is no such DAG or task, instead of waiting for it.
        #[serde(default)]
        check_existence: bool,
    }
);

fn success() -> Vec<TaskState> {
    vec![TaskState::Success]
}
