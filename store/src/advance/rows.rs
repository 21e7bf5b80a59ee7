//! What a tick reads, and how it becomes the snapshot that is decided on.

use std::sync::Arc;

use flow_model::decide::counts::{Change, UpstreamState};
use flow_model::decide::expansion::{MappingXCom, ScopeInstance, mapping_stage};
use flow_model::decide::offers::{LimitedTask, ReadyPair};
use flow_model::decide::plan::{DagLimits, LiveTask, ReadyTask, RunSnapshot, TaskLimits, TouchedTask};
use flow_model::decide::restart::GroupTries;
use flow_model::decide::task::Standing;
use flow_model::trigger_rule::UpstreamCounts;
use flow_model::{DagGraph, DagRunKey, RunState, TaskInstanceKey, TaskState, Timestamp};

use crate::error::Result;
use crate::rows::{Named, from_json, index, run_state};

#[derive(sqlx::FromRow)]
pub(super) struct RunRow {
    pub id: i64,
    pub dag_id: String,
    state: Named<RunState>,
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
            state: self.state.0,
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
    pub state: Named<TaskState>,
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

/// A task instance that may be queued.
#[derive(sqlx::FromRow)]
pub(super) struct ReadyRow {
    id: i64,
    dag_id: String,
    pool: String,
    pool_slots: i64,
    priority: i64,
    dag_run_id: i64,
    task_id: String,
    max_per_dag: Option<i64>,
    max_per_run: Option<i64>,
}

impl From<ReadyRow> for ReadyTask {
    fn from(row: ReadyRow) -> Self {
        ReadyTask {
            task_instance: TaskInstanceKey(row.id),
            limits: limits(row.dag_run_id, &row.task_id, row.max_per_dag, row.max_per_run),
            dag_id: row.dag_id,
            pool: row.pool,
            pool_slots: row.pool_slots,
            priority: row.priority,
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

#[derive(sqlx::FromRow)]
pub(super) struct PairRow {
    dag_id: String,
    pool: String,
    max_active_tasks: i64,
    is_paused: bool,
}

impl From<PairRow> for ReadyPair {
    fn from(row: PairRow) -> Self {
        let limits = DagLimits { max_active_tasks: row.max_active_tasks, is_paused: row.is_paused };
        ReadyPair { dag_id: row.dag_id, pool: row.pool, limits }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct LiveTaskRow {
    dag_id: String,
    dag_run_id: i64,
    task_id: String,
    max_per_dag: Option<i64>,
    max_per_run: Option<i64>,
    instances: i64,
}

impl From<LiveTaskRow> for LimitedTask {
    fn from(row: LiveTaskRow) -> Self {
        let (dag_id, run, task_id) = (row.dag_id, DagRunKey(row.dag_run_id), row.task_id);
        LimitedTask {
            live: LiveTask { dag_id, run, task_id, instances: row.instances },
            max_per_dag: row.max_per_dag,
            max_per_run: row.max_per_run,
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct ChangeRow {
    id: i64,
    dag_run_id: i64,
    task_instance_id: i64,
    task_index: i64,
    map_index: i64,
    from_state: Named<TaskState>,
    to_state: Named<TaskState>,
}

impl From<ChangeRow> for Change {
    fn from(row: ChangeRow) -> Self {
        Change {
            id: row.id,
            run: DagRunKey(row.dag_run_id),
            task_instance: TaskInstanceKey(row.task_instance_id),
            task_index: index(row.task_index),
            map_index: row.map_index,
            from: row.from_state.0,
            to: row.to_state.0,
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct GroupTriesRow {
    dag_run_id: i64,
    group_id: String,
    map_index: i64,
    tries: i64,
}

impl From<GroupTriesRow> for GroupTries {
    fn from(row: GroupTriesRow) -> Self {
        let run = DagRunKey(row.dag_run_id);
        GroupTries { run, group_id: row.group_id, map_index: row.map_index, tries: row.tries }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct UpstreamStateRow {
    dag_run_id: i64,
    task_index: i64,
    map_index: Option<i64>,
    state: Named<TaskState>,
    skips: Option<String>,
    is_whole: bool,
    instances: i64,
}

impl UpstreamStateRow {
    pub fn state(self) -> Result<UpstreamState> {
        Ok(UpstreamState {
            run: DagRunKey(self.dag_run_id),
            task_index: index(self.task_index),
            map_index: self.map_index,
            state: self.state.0,
            skips: self.skips.as_deref().map_or(Ok(Vec::new()), |text| from_json("list of skipped tasks", text))?,
            is_whole: self.is_whole,
            instances: self.instances,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct MappingXComRow {
    dag_run_id: i64,
    task_id: String,
    map_index: i64,
    key: String,
    value: String,
}

impl MappingXComRow {
    pub fn xcom(self) -> Result<MappingXCom> {
        let (run, value) = (DagRunKey(self.dag_run_id), from_json("XCom", &self.value)?);
        Ok(MappingXCom { run, task_id: self.task_id, map_index: self.map_index, key: self.key, value })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct ScopeInstanceRow {
    id: i64,
    task_index: i64,
    map_index: i64,
    state: Named<TaskState>,
    must_expand: bool,
}

impl From<ScopeInstanceRow> for ScopeInstance {
    fn from(row: ScopeInstanceRow) -> Self {
        ScopeInstance {
            id: TaskInstanceKey(row.id),
            task_index: index(row.task_index),
            map_index: row.map_index,
            state: row.state.0,
            must_expand: row.must_expand,
        }
    }
}
