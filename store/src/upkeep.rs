//! What time alone brings about: runs that take too long, and when the scheduler must wake up next.

use flow_model::{DagRunKey, Timestamp};

use crate::connect::Store;
use crate::dialect::statement;
use crate::error::Result;
use crate::rows::json;
use crate::transaction::{reading, transaction};

impl Store {
    /// Fails the runs whose `dagrun_timeout` is over and skips what is unfinished in them; running attempts lose the
    /// right to act. Returns the runs.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn time_out_runs(&self, now: Timestamp, actor_id: &str) -> Result<Vec<DagRunKey>> {
        transaction!(self, "time out runs", |tx| {
            let runs: Vec<i64> = sqlx::query_scalar(statement!(tx, "lock_overdue_runs"))
                .bind(now.as_micros())
                .fetch_all(&mut *tx)
                .await?;
            if !runs.is_empty() {
                let ids = json(&runs);
                sqlx::query(statement!(tx, "skip_unfinished"))
                    .bind(&ids)
                    .bind(now.as_micros())
                    .bind(actor_id)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query(statement!(tx, "time_out_runs"))
                    .bind(&ids)
                    .bind(now.as_micros())
                    .bind(actor_id)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query(statement!(tx, "check_dags_of_runs"))
                    .bind(&ids)
                    .bind(now.as_micros())
                    .execute(&mut *tx)
                    .await?;
            }
            runs.into_iter().map(DagRunKey).collect()
        })
    }

    /// The earliest instant at which something is due by time alone: a tick, a retry, a delayed task, a
    /// deadline.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next_check(&self) -> Result<Option<Timestamp>> {
        reading!(self, "find the next due instant", |tx| {
            let due: Vec<Option<i64>> = sqlx::query_scalar(
                "select min(check_at) from dag where check_at is not null and not is_paused
                 union all
                 select min(not_before) from task_instance where state in ('up_for_retry', 'up_for_reschedule')
                 union all
                 select min(deadline_at) from trigger where deadline_at is not null
                 union all
                 select min(not_before) from task_instance where state = 'scheduled' and not_before is not null
                 union all
                 select min(deadline_at) from dag_run where state = 'running' and deadline_at is not null",
            )
            .fetch_all(&mut *tx)
            .await?;
            due.into_iter().flatten().min().map(Timestamp::from_micros)
        })
    }

    /// Compares the counts that scheduling rests on with what they count, for running runs, and repairs them;
    /// the next tick looks at those runs. Returns how many runs were wrong: any number but 0 is a bug.
    ///
    /// # Errors
    /// The database failed.
    pub async fn repair_counts(&self, now: Timestamp) -> Result<u64> {
        transaction!(self, "check the counts of runs", |tx| {
            let repaired: Vec<i64> =
                sqlx::query_scalar(statement!(tx, "repair_runs")).bind(now.as_micros()).fetch_all(&mut *tx).await?;
            if !repaired.is_empty() {
                sqlx::query(statement!(tx, "look_at_runs")).bind(json(&repaired)).execute(&mut *tx).await?;
            }
            repaired.len() as u64
        })
    }
}
