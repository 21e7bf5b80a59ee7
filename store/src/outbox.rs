//! Queued task instances that the queue has not been told about yet.
//!
//! The row is written in the transaction that queues the task; it is deleted after the queue has the hint. A crash in
//! between means a second hint, which is harmless; a lost hint is found by the sweeper, the auditor or the workers' poll.

use flow_model::{Epoch, TaskInstanceKey, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::error::Result;
use crate::query::statement;
use crate::rows::json;
use crate::transaction::steps;

/// A hint to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboxEntry {
    /// The outbox row, where there is one.
    pub id: Option<i64>,
    /// The queued task instance.
    pub task_instance: TaskInstanceKey,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its queue.
    pub queue: String,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: i64,
    task_instance_id: i64,
    epoch: i64,
    queue: String,
}

impl From<EntryRow> for OutboxEntry {
    fn from(row: EntryRow) -> Self {
        OutboxEntry {
            id: Some(row.id),
            task_instance: TaskInstanceKey(row.task_instance_id),
            epoch: Epoch(row.epoch),
            queue: row.queue,
        }
    }
}

impl Store {
    /// Forgets entries that have been published.
    ///
    /// # Errors
    /// The database failed; the entries are then published again, which is harmless.
    pub async fn forget_outbox(&self, ids: &[i64]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.transaction("forget published outbox entries", |tx| {
            steps(async move {
                tx.query(statement!("forget_outbox")).bind(json(ids)).execute().await?;
                Ok(())
            })
        })
        .await
    }

    /// Entries older than `before`: their publisher has died or the queue was away.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stale_outbox(&self, before: Timestamp, limit: i64) -> Result<Vec<OutboxEntry>> {
        self.reading("read the outbox", |tx| {
            steps(async move {
                Ok(tx
                    .query(
                        "select id, task_instance_id, epoch, queue from dispatch_outbox where created_at < $1
                         order by id limit $2",
                    )
                    .bind(before.as_micros())
                    .bind(limit)
                    .all::<EntryRow>()
                    .await?
                    .into_iter()
                    .map(OutboxEntry::from)
                    .collect())
            })
        })
        .await
    }

    /// Task instances that have been queued since before `before` and that nobody has claimed: all of them may be
    /// published again when the queue has forgotten things.
    ///
    /// # Errors
    /// The database failed.
    pub async fn long_queued(&self, before: Timestamp, limit: i64) -> Result<Vec<OutboxEntry>> {
        self.reading("list queued task instances", |tx| {
            steps(async move {
                Ok(tx
                    .query(
                        "select cast(0 as bigint) as id, id as task_instance_id, epoch, queue from task_instance
                         where state = 'queued' and queued_at < $1 order by queue, priority desc, task_instance_id limit $2",
                    )
                    .bind(before.as_micros())
                    .bind(limit)
                    .all::<EntryRow>()
                    .await?
                    .into_iter()
                    .map(|row| OutboxEntry { id: None, ..OutboxEntry::from(row) })
                    .collect())
            })
        })
        .await
    }
}
