//! What a tick reads, and how it becomes the snapshot that is decided on.

use std::sync::Arc;

use flow_model::decision::{MappingStage, Standing};
use flow_model::plan::{ReadyTask, RunSnapshot, TaskLimits, TouchedTask};
use flow_model::trigger_rule::UpstreamCounts;
use flow_model::{DagGraph, DagRunKey, RunState, TaskInstanceKey, TaskState, Timestamp};

use crate::error::Result;
use crate::rows::{index, run_state};

#[derive(sqlx::FromRow)]
pub(super) struct RunRow {
    pub id: i64,
    pub dag_id: String,
    #[sqlx(try_from = "String")]
    state: RunState,
    pub version_id: i64,
    pub unfinished: i64,
    pub failed_leaves: i64,
    pub retries_used: i64,
    pub ends_as: Option<String>,
    pub is_paused: bool,
    pub max_active_tasks: i64,
}

impl RunRow {
    pub fn snapshot(&self, graph: Arc<DagGraph>) -> Result<RunSnapshot> {
        Ok(RunSnapshot {
            run: DagRunKey(self.id),
            state: self.state,
            graph,
            unfinished: self.unfinished,
            failed_leaves: self.failed_leaves,
            retries_used: index(self.retries_used),
            ends_as: self.ends_as.as_deref().map(run_state).transpose()?,
            touched: Vec::new(),
        })
    }
}

/// An undecided task instance.
#[derive(sqlx::FromRow)]
pub(super) struct TaskRow {
    pub id: i64,
    pub dag_run_id: i64,
    dag_id: String,
    task_id: String,
    task_index: i64,
    map_index: i64,
    must_expand: bool,
    not_before: Option<i64>,
    #[sqlx(try_from = "String")]
    pub state: TaskState,
    pool: String,
    pool_slots: i64,
    priority: i64,
    max_per_dag: Option<i64>,
    max_per_run: Option<i64>,
    upstream_total: i64,
    upstream_success: i64,
    upstream_failed: i64,
    upstream_upstream_failed: i64,
    upstream_skipped: i64,
    upstream_removed: i64,
}

impl TaskRow {
    pub fn touched(self, graph: &DagGraph, now: Timestamp) -> TouchedTask {
        TouchedTask {
            task_instance: TaskInstanceKey(self.id),
            task_index: index(self.task_index),
            map_index: self.map_index,
            is_delayed: self.not_before.is_some_and(|not_before| not_before > now.as_micros()),
            standing: Standing {
                upstream: UpstreamCounts {
                    total: self.upstream_total,
                    success: self.upstream_success,
                    failed: self.upstream_failed,
                    upstream_failed: self.upstream_upstream_failed,
                    skipped: self.upstream_skipped,
                    removed: self.upstream_removed,
                },
                mapping: mapping_stage(graph, index(self.task_index), self.must_expand),
                ..Standing::new(graph.dag.tasks[self.task_index as usize].trigger_rule)
            },
            ready: ReadyTask {
                task_instance: TaskInstanceKey(self.id),
                limits: limits(self.dag_run_id, &self.task_id, self.max_per_dag, self.max_per_run),
                dag_id: self.dag_id,
                pool: self.pool,
                pool_slots: self.pool_slots,
                priority: self.priority,
            },
        }
    }
}

/// Whether an instance of the task still has to be expanded.
pub(crate) fn mapping_stage(graph: &DagGraph, task: u32, must_expand: bool) -> MappingStage {
    match graph.scope_of(task) {
        Some(scope) if must_expand && scope.group_id.is_some() => MappingStage::OfGroup,
        Some(_) if must_expand => MappingStage::OfTask,
        _ => MappingStage::Done,
    }
}

/// A task instance that may be queued.
#[derive(sqlx::FromRow)]
pub(super) struct ReadyRow {
    pub id: i64,
    pub dag_id: String,
    pub pool: String,
    pool_slots: i64,
    pub priority: i64,
    dag_run_id: i64,
    task_id: String,
    max_per_dag: Option<i64>,
    max_per_run: Option<i64>,
}

impl ReadyRow {
    pub fn ready(self) -> ReadyTask {
        ReadyTask {
            task_instance: TaskInstanceKey(self.id),
            limits: limits(self.dag_run_id, &self.task_id, self.max_per_dag, self.max_per_run),
            dag_id: self.dag_id,
            pool: self.pool,
            pool_slots: self.pool_slots,
            priority: self.priority,
        }
    }
}

fn limits(run: i64, task_id: &str, per_dag: Option<i64>, per_run: Option<i64>) -> Option<TaskLimits> {
    (per_dag.is_some() || per_run.is_some()).then(|| TaskLimits {
        run: DagRunKey(run),
        task_id: task_id.to_owned(),
        per_dag,
        per_run,
    })
}
