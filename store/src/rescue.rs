//! T11: task instances whose holder died are rerun, or fail with a reason that says so.

use flow_model::limits::LOSSES_MAX;
use flow_model::{TaskInstanceKey, TaskState, Timestamp};

use crate::callback::free_callbacks;
use crate::connect::Store;
use crate::error::{Abort, Result};
use crate::query::statement;
use crate::rows::{json, task_state};
use crate::transaction::{Transaction, step, steps};

/// A task instance that was taken from a dead holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescued {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// `scheduled` (it is rerun) or `failed`.
    pub state: TaskState,
}

impl Store {
    /// Declares processes dead whose lease ran out before `expired_before`, and rescues what they held. The caller must
    /// itself have been in touch with the database for longer than a lease (the observer rule of `docs/protocol.md`).
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn rescue_lost(&self, now: Timestamp, expired_before: Timestamp, actor_id: &str) -> Result<Vec<Rescued>> {
        let dead = self
            .transaction("declare silent processes dead", |tx| steps(declare_silent_dead(tx, now, expired_before)))
            .await?;
        let mut rescued = Vec::new();
        if !dead.is_empty() {
            rescued = self.rescue_held_by(now, &dead, actor_id, "lease_expired").await?;
        }
        // Also what a crash between the two transactions has left behind.
        rescued.extend(self.rescue_orphans(now, actor_id).await?);
        Ok(rescued)
    }

    pub(crate) async fn rescue_held_by(
        &self,
        now: Timestamp,
        processes: &[i64],
        actor_id: &str,
        reason: &str,
    ) -> Result<Vec<Rescued>> {
        let processes = json(processes);
        let rows: Vec<(i64, String)> = self
            .transaction("rescue lost task instances", |tx| {
                step(
                    tx.query(statement!("rescue"))
                        .bind(&processes)
                        .bind(now.as_micros())
                        .bind(actor_id)
                        .bind(reason)
                        .bind(LOSSES_MAX)
                        .all(),
                )
            })
            .await?;
        rescued(rows)
    }

    async fn rescue_orphans(&self, now: Timestamp, actor_id: &str) -> Result<Vec<Rescued>> {
        let dead: Vec<i64> = self
            .reading("look for tasks of dead processes", |tx| {
                step(
                    tx.query(
                        "select distinct t.holder from task_instance t
                         join process p on p.id = t.holder
                         where t.state = 'running' and p.state = 'dead'",
                    )
                    .scalars(),
                )
            })
            .await?;
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        self.rescue_held_by(now, &dead, actor_id, "lease_expired").await
    }
}

/// Declares processes dead whose lease ran out before `expired_before`. Gives their keys.
async fn declare_silent_dead(
    tx: &mut Transaction,
    now: Timestamp,
    expired_before: Timestamp,
) -> Result<Vec<i64>, Abort> {
    let dead: Vec<i64> = tx
        .query(
            "update process set state = 'dead', ended_at = $2 where state <> 'dead' and lease_until < $1
             returning id",
        )
        .bind(expired_before.as_micros())
        .bind(now.as_micros())
        .scalars()
        .await?;
    free_what_they_carried(tx, now, &dead).await?;
    Ok(dead)
}

/// Leaves the triggers and callbacks of processes that are dead to others.
pub(crate) async fn free_what_they_carried(tx: &mut Transaction, now: Timestamp, dead: &[i64]) -> Result<(), Abort> {
    if !dead.is_empty() {
        tx.query(statement!("free_triggers")).bind(json(dead)).execute().await?;
        free_callbacks(tx, now, dead).await?;
    }
    Ok(())
}

fn rescued(rows: Vec<(i64, String)>) -> Result<Vec<Rescued>> {
    rows.into_iter()
        .map(|(id, state)| Ok(Rescued { task_instance: TaskInstanceKey(id), state: task_state(&state)? }))
        .collect()
}
