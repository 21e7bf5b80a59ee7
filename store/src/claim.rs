//! T3: a worker takes queued task instances.

use std::sync::Arc;

use flow_model::state::RunType;
use flow_model::{ClaimId, DagGraph, DagRunKey, DagVersionKey, Epoch, ProcessId, Task, TaskInstanceKey, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::query::statement;
use crate::rows::{index, json};
use crate::transaction::steps;

/// A hint that a worker wants to act on, with the claim id that it minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClaimRequest {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// The epoch that the hint named.
    pub epoch: Epoch,
    /// Minted for this claim.
    pub claim: ClaimId,
}

/// Everything that a worker needs to run a task instance.
#[derive(Debug, Clone)]
pub struct WorkOrder {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// Its epoch.
    pub epoch: Epoch,
    /// The worker's claim.
    pub claim: ClaimId,
    /// The run.
    pub run: DagRunKey,
    /// The run's id.
    pub run_id: String,
    /// What kind of run.
    pub run_type: RunType,
    /// The version that the run is pinned to.
    pub graph: Arc<DagGraph>,
    /// The task's position in it.
    pub task_index: u32,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// The values of this instance of a mapped task.
    pub map_values: Map<String, Value>,
    /// When its trigger rule held, or its retry delay was over: the same for all parts of a try, and for a try that is run
    /// again because it was lost.
    pub scheduled_at: Timestamp,
    /// This try: 1 is the first.
    pub try_number: u32,
    /// Retries are left while `try_number` is not above it.
    pub max_tries: u32,
    /// The run's logical date, if it has one.
    pub logical_date: Option<Timestamp>,
    /// The run's data interval, if it has one.
    pub data_interval: Option<(Timestamp, Timestamp)>,
    /// When the run was due.
    pub run_after: Timestamp,
    /// When the run started.
    pub run_started_at: Option<Timestamp>,
    /// What the trigger passed.
    pub conf: Map<String, Value>,
    /// When the try began, over all its parts.
    pub try_started_at: Timestamp,
    /// The try was suspended before: this goes on with it.
    pub is_continued: bool,
    /// What the part before left for this one: what it asked for itself, or what its trigger fired with (see
    /// `Deferral::resumed_with`).
    pub resume: Option<Value>,
    /// What earlier parts of the try have logged.
    pub log_before: LogBefore,
}

/// What the log of a try holds already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogBefore {
    /// The number of the next piece.
    pub next_seq: i64,
    /// Bytes written.
    pub bytes: u64,
    /// Lines written.
    pub lines: u64,
    /// Bytes that were not kept.
    pub bytes_dropped: u64,
}

impl WorkOrder {
    /// The task, as the run's version of the DAG says it.
    pub fn task(&self) -> &Task {
        &self.graph.dag.tasks[self.task_index as usize]
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct OrderRow {
    id: i64,
    epoch: i64,
    claim_id: i64,
    dag_run_id: i64,
    run_id: String,
    run_type: String,
    pub(crate) version_id: i64,
    task_index: i64,
    map_index: i64,
    map_value: Option<String>,
    scheduled_at: Option<i64>,
    try_number: i64,
    max_tries: i64,
    logical_date: Option<i64>,
    data_interval_start: Option<i64>,
    data_interval_end: Option<i64>,
    run_after: i64,
    started_at: Option<i64>,
    conf: String,
    try_started_at: Option<i64>,
    is_continued: bool,
    resume: Option<String>,
    suspended_try_number: Option<i64>,
    log_next_seq: Option<i64>,
    log_bytes: Option<i64>,
    log_lines: Option<i64>,
    log_bytes_dropped: Option<i64>,
}

impl Store {
    /// Claims those of the requested task instances that are still queued at the named epoch, for a process that is live
    /// and not draining. A request that was granted before (its answer was lost) is answered the same way again.
    ///
    /// # Errors
    /// The database failed; asking again with the same claim ids is safe.
    pub async fn claim(&self, now: Timestamp, process: ProcessId, requests: &[ClaimRequest]) -> Result<Vec<WorkOrder>> {
        let requested = &json(requests);
        let rows: Vec<OrderRow> = self
            .transaction("claim task instances", |tx| {
                steps(async move {
                    tx.query(statement!("claim"))
                        .bind(requested)
                        .bind(now.as_micros())
                        .bind(process.0)
                        .bind(process.to_string())
                        .execute()
                        .await?;
                    let rows: Vec<OrderRow> = tx.query(statement!("claimed")).bind(requested).all().await?;
                    self.warm_versions(tx, rows.iter().map(|row| row.version_id)).await?;
                    Ok(rows)
                })
            })
            .await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in rows {
            let graph = self.dag_graph(DagVersionKey(row.version_id)).await?;
            orders.push(work_order(row, graph)?);
        }
        Ok(orders)
    }

    /// Queued task instances of the given queues, best first: what an idle worker looks for when no hint has come.
    ///
    /// # Errors
    /// The database failed.
    pub async fn queued_hints(&self, queues: &[String], limit: usize) -> Result<Vec<(TaskInstanceKey, Epoch)>> {
        let queues = &json(queues);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.reading("look for queued task instances", |tx| {
            steps(async move {
                Ok(tx
                    .query(statement!("queued_hints"))
                    .bind(queues)
                    .bind(limit)
                    .all::<(i64, i64)>()
                    .await?
                    .into_iter()
                    .map(|(id, epoch)| (TaskInstanceKey(id), Epoch(epoch)))
                    .collect())
            })
        })
        .await
    }
}

pub(crate) fn work_order(row: OrderRow, graph: Arc<DagGraph>) -> Result<WorkOrder> {
    let corrupt = |what: &'static str, why: String| StoreError::Corrupt { what, why };
    let conf = serde_json::from_str(&row.conf).map_err(|error| corrupt("run's conf", error.to_string()))?;
    let resume = match &row.resume {
        Some(text) => Some(serde_json::from_str(text).map_err(|error| corrupt("suspended try", error.to_string()))?),
        None => None,
    };
    let log_before = log_before(&row);
    Ok(WorkOrder {
        task_instance: TaskInstanceKey(row.id),
        epoch: Epoch(row.epoch),
        claim: ClaimId(row.claim_id),
        run: DagRunKey(row.dag_run_id),
        run_id: row.run_id,
        run_type: row.run_type.parse().map_err(|why| corrupt("run type", why))?,
        graph,
        task_index: index(row.task_index),
        map_index: row.map_index,
        scheduled_at: Timestamp::from_micros(row.scheduled_at.unwrap_or(row.run_after)),
        map_values: row
            .map_value
            .as_deref()
            .map_or(Ok(Map::new()), serde_json::from_str)
            .map_err(|error| corrupt("values of a mapped task", error.to_string()))?,
        try_number: index(row.try_number),
        max_tries: index(row.max_tries),
        logical_date: row.logical_date.map(Timestamp::from_micros),
        data_interval: row
            .data_interval_start
            .zip(row.data_interval_end)
            .map(|(start, end)| (Timestamp::from_micros(start), Timestamp::from_micros(end))),
        run_after: Timestamp::from_micros(row.run_after),
        run_started_at: row.started_at.map(Timestamp::from_micros),
        conf,
        try_started_at: Timestamp::from_micros(row.try_started_at.unwrap_or_default()),
        is_continued: row.is_continued,
        resume,
        log_before,
    })
}

/// A try that was lost after it had been suspended is another one, with a log of its own.
fn log_before(row: &OrderRow) -> LogBefore {
    if row.suspended_try_number != Some(row.try_number) {
        return LogBefore::default();
    }
    let count = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
    LogBefore {
        next_seq: row.log_next_seq.unwrap_or(0),
        bytes: count(row.log_bytes),
        lines: count(row.log_lines),
        bytes_dropped: count(row.log_bytes_dropped),
    }
}
