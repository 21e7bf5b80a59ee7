//! The history of a run's task instances for those who follow it; and counts of what is live.

use flow_model::{DagRunKey, TaskInstanceKey, TaskState, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::error::Result;
use crate::query::statement;
use crate::read::{record, records};
use crate::rows::json;
use crate::transaction::{step, steps};

record!(
    /// A move of a task instance.
    RunEvent from RunEventRow {
        /// The task instance.
        task_instance_id: TaskInstanceKey,
        /// 1, 2 ... within the task instance, without gaps.
        event_no: i64,
        /// The task.
        task_id: String,
        /// -1 for a task that is not mapped.
        map_index: i64,
        /// The state it moved to.
        to_state: TaskState,
        /// Its try then.
        try_number: i64,
        /// When.
        at: Timestamp,
        /// Why.
        reason: Option<String>,
    }
);

/// How far the history of a task instance has come, or has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct HistoryMark {
    /// The task instance's key.
    pub id: i64,
    /// Its newest event, or the last one that was read (0: none).
    pub event_no: i64,
}

/// How many task instances and runs are live, by state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Task instances that are not finished.
    pub task_instances: Vec<(String, i64)>,
    /// Runs that are not finished.
    pub runs: Vec<(String, i64)>,
}

impl Store {
    /// How far the histories of a run's task instances have come, for those that changed at or after `since`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn history_marks(&self, run: DagRunKey, since: Timestamp) -> Result<Vec<HistoryMark>> {
        self.reading("look for moves in a run", |tx| {
            step(
                tx.query("select id, event_no from task_instance where dag_run_id = $1 and changed_at >= $2")
                    .bind(run.0)
                    .bind(since.as_micros())
                    .all(),
            )
        })
        .await
    }

    /// The moves of the task instances after what was read of each, in order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events_after(&self, read: &[HistoryMark]) -> Result<Vec<RunEvent>> {
        let read = json(read);
        let rows: Vec<RunEventRow> = self
            .reading("read moves of task instances", |tx| step(tx.query(statement!("read_events")).bind(&read).all()))
            .await?;
        records(rows)
    }

    /// How many task instances and runs are live, by state.
    ///
    /// # Errors
    /// The database failed.
    pub async fn live_counts(&self) -> Result<LiveCounts> {
        self.reading("count what is live", |tx| {
            steps(async move {
                let task_instances = tx
                    .query(
                        "select state, count(*) from task_instance
                         where state not in ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
                         group by state order by state",
                    )
                    .all()
                    .await?;
                let runs = tx
                    .query(
                        "select 'queued' as state, count(*) from dag_run where state = 'queued'
                         union all select 'running', count(*) from dag_run where state = 'running'",
                    )
                    .all()
                    .await?;
                Ok(LiveCounts { task_instances, runs })
            })
        })
        .await
    }
}
