//! T13 for whole runs: they are cancelled, marked, or their time is over. Teardowns have duties beyond the run: those whose setup has
//! succeeded still run, and the run ends after them.

use std::collections::HashSet;

use flow_model::moves::TaskEvent;
use flow_model::{DagGraph, DagRunKey, RunState, TaskState, Timestamp};

use crate::clear::{Affected, CHECK_DAG, InstanceRow, plan_moves};
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
                let (locked, graph, rows) = self.lock_whole_run(tx, run).await?;
                let state = locked.state;
                if state == to || (reason == "cancelled" && state.is_finished()) {
                    let why = format!("the run is {state} already; hint: clear it to run it again");
                    return Err(StoreError::Conflict(why).into());
                }
                let spared = if locked.ends_as.is_some() { HashSet::new() } else { teardowns_to_run(&graph, &rows)? };
                let chosen = endings(&rows, &spared, to, reason);
                let (moves, affected) = plan_moves(&graph, &rows, &chosen)?;
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

/// What ending a run does to its task instances, those that are spared left out.
fn endings(
    rows: &[InstanceRow],
    spared: &HashSet<i64>,
    to: RunState,
    reason: &'static str,
) -> Vec<(i64, TaskEvent, &'static str)> {
    let ended = rows.iter().filter(|row| !spared.contains(&row.id));
    ended.filter_map(|row| ending_event(row.state, to).map(|event| (row.id, event, reason))).collect()
}

fn is_teardown(graph: &DagGraph, row: &InstanceRow) -> bool {
    graph.dag.tasks.get(row.place().0 as usize).is_some_and(|task| task.is_teardown)
}

/// The instances of teardowns that are not over, and of which a setup has succeeded.
pub(crate) fn teardowns_to_run(graph: &DagGraph, rows: &[InstanceRow]) -> Result<HashSet<i64>> {
    let mut to_run = HashSet::new();
    for row in rows.iter().filter(|row| is_teardown(graph, row)) {
        let (teardown, map_index) = row.place();
        let setups = &graph.setups[teardown as usize];
        let belongs = |other: &&InstanceRow| {
            let (setup, index) = other.place();
            let is_apart = graph.go_together(teardown, setup) && index >= 0 && map_index >= 0 && index != map_index;
            setups.contains(&setup) && !is_apart && other.state == TaskState::Success
        };
        let is_over = row.state.is_finished();
        if !is_over && (setups.is_empty() || rows.iter().any(|other| belongs(&other))) {
            to_run.insert(row.id);
        }
    }
    Ok(to_run)
}

/// What ending a run as `to` does to a task instance in `state`: one that has started takes its state, one that has not is
/// skipped, and what is over stays as it is.
const fn ending_event(state: TaskState, to: RunState) -> Option<TaskEvent> {
    match (state, to) {
        (
            TaskState::Running | TaskState::Deferred | TaskState::UpForReschedule | TaskState::AwaitingInput,
            RunState::Success,
        ) => Some(TaskEvent::MarkSuccess),
        (TaskState::Running | TaskState::Deferred | TaskState::UpForReschedule | TaskState::AwaitingInput, _) => {
            Some(TaskEvent::MarkFailed)
        }
        (
            TaskState::None | TaskState::Scheduled | TaskState::Queued | TaskState::UpForRetry | TaskState::Restarting,
            _,
        ) => Some(TaskEvent::MarkSkipped),
        (
            TaskState::Success
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::UpstreamFailed
            | TaskState::Removed,
            _,
        ) => None,
    }
}
