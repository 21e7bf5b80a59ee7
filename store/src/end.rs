//! T13 for whole runs: they are cancelled, marked, or their time is over. Teardowns have duties beyond the run: those whose setup has
//! succeeded still run, and the run ends after them.

use std::collections::HashSet;

use flow_model::decide::intervention::{self, Affected, plan_moves, teardowns_to_run};
use flow_model::{DagRunKey, RunState, Timestamp};

use crate::clear::CHECK_DAG;
use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::query::statement;
use crate::rows::json;
use crate::transaction::steps;

impl Store {
    /// Ends a run as failed: what has started is stopped and fails, what has not is skipped. Teardowns whose setup has succeeded
    /// run all the same, and the run ends after them; asked a second time, they are ended, too.
    ///
    /// # Errors
    /// There is no such run, it is over already, or the database failed.
    pub async fn cancel_run(&self, now: Timestamp, run: DagRunKey, principal: &str) -> Result<Affected> {
        self.end_run(now, run, RunState::Failed, principal, "cancelled").await
    }

    /// Gives a run a final state, and that to its tasks that have started; the others are skipped, and what is over stays. Teardowns
    /// run as in [`Store::cancel_run`], and the run gets the state after them.
    ///
    /// # Errors
    /// There is no such run, the state is not final, or the database failed.
    pub async fn mark_run(&self, now: Timestamp, run: DagRunKey, to: RunState, principal: &str) -> Result<Affected> {
        if !to.is_finished() {
            return Err(StoreError::Conflict(format!("a run can be marked success or failed, not {to}")));
        }
        self.end_run(now, run, to, principal, "marked").await
    }

    async fn end_run(
        &self,
        now: Timestamp,
        run: DagRunKey,
        to: RunState,
        principal: &str,
        reason: &'static str,
    ) -> Result<Affected> {
        self.transaction("end a run", |tx| {
            steps(async move {
                let (locked, graph, instances) = self.lock_whole_run(tx, run).await?;
                let state = locked.state.0;
                if state == to || (reason == "cancelled" && state.is_finished()) {
                    let why = format!("the run is {state} already; hint: clear it to run it again");
                    return Err(StoreError::Conflict(why).into());
                }
                let spared = match locked.ends_as {
                    Some(_) => HashSet::new(),
                    None => teardowns_to_run(&graph, &instances),
                };
                let wishes = intervention::end(&instances, &spared, to, reason);
                let (moves, affected) = plan_moves(&graph, &instances, &wishes);
                if !moves.is_empty() {
                    tx.query(statement!("user_moves"))
                        .bind(json(&moves))
                        .bind(now.as_micros())
                        .bind(principal)
                        .execute()
                        .await?;
                }
                tx.query(if spared.is_empty() { END_NOW } else { END_AFTER_TEARDOWNS })
                    .bind(run.0)
                    .bind(now.as_micros())
                    .bind(principal)
                    .bind(to.as_str())
                    .bind(reason)
                    .execute()
                    .await?;
                tx.query(CHECK_DAG).bind(&locked.dag_id).bind(now.as_micros()).execute().await?;
                Ok(affected)
            })
        })
        .await
    }
}

const END_NOW: &str = "update dag_run set state = $4, ended_at = $2, changed_at = $2, event_no = event_no + 1,
        actor = 'user', actor_id = $3, reason = $5, ends_as = null
     where id = $1";

/// The run's own time does not cut its teardowns off.
const END_AFTER_TEARDOWNS: &str =
    "update dag_run set ends_as = $4, deadline_at = null, changed_at = $2, actor = 'user',
        actor_id = $3, reason = $5
     where id = $1";
