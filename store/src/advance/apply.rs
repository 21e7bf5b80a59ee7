//! What a tick writes: the decisions of its plan.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use flow_model::decide::plan::{RunSnapshot, TickPlan};
use flow_model::decide::restart::{Restart, run_restart};
use flow_model::decide::task::Ending;
use flow_model::{DagRunKey, Epoch, RunState, TaskInstanceKey};
use serde::Serialize;

use super::{Advanced, Tick};
use crate::error::{Abort, Result};
use crate::outbox::OutboxEntry;
use crate::query::statement;
use crate::rows::{index, json};
use crate::transaction::Transaction;

#[derive(Serialize)]
struct RunUpdate {
    run: i64,
    unfinished: i64,
    failed_leaves: i64,
    state: Option<&'static str>,
}

impl Tick<'_> {
    /// Schedules tasks, ends those that will not run, and lets others wait for the past.
    pub(super) async fn apply_decisions(
        &self,
        tx: &mut Transaction,
        plan: &TickPlan,
        advanced: &mut Advanced,
    ) -> Result<(), Abort> {
        advanced.ended_undecided = plan.end.len();
        advanced.decided = plan.schedule.len() + advanced.ended_undecided;
        // What was passed over is asked for again with the full tasks left out.
        advanced.is_unfinished |= plan.has_passed_over && !plan.admit.is_empty();
        self.schedule_tasks(tx, &plan.schedule).await?;
        for ((state, reason), tasks) in by_ending(&plan.end) {
            self.end_undecided(tx, &tasks, state, reason).await?;
        }
        if !plan.wait_for_past.is_empty() {
            tx.query(statement!("wait_for_past")).bind(json(&plan.wait_for_past)).execute().await?;
        }
        Ok(())
    }

    pub(super) async fn schedule_tasks<T: Serialize + Sync>(
        &self,
        tx: &mut Transaction,
        tasks: &[T],
    ) -> Result<(), Abort> {
        if !tasks.is_empty() {
            tx.query(statement!("schedule_tasks"))
                .bind(json(tasks))
                .bind(self.now.as_micros())
                .bind(&self.limits.actor_id)
                .execute()
                .await?;
        }
        Ok(())
    }

    /// Ends task instances that will not run.
    pub(super) async fn end_undecided<T: Serialize + Sync>(
        &self,
        tx: &mut Transaction,
        tasks: &[T],
        state: &str,
        reason: &str,
    ) -> Result<(), Abort> {
        tx.query(statement!("end_undecided_tasks"))
            .bind(json(tasks))
            .bind(self.now.as_micros())
            .bind(&self.limits.actor_id)
            .bind(state)
            .bind(reason)
            .execute()
            .await?;
        Ok(())
    }

    /// Gives the admitted task instances their slots, and writes them into the outbox where the queue is outside.
    pub(super) async fn queue_admitted(
        &self,
        tx: &mut Transaction,
        plan: &TickPlan,
        advanced: &mut Advanced,
    ) -> Result<(), Abort> {
        if plan.admit.is_empty() {
            return Ok(());
        }
        let rows: Vec<(i64, i64, String)> = tx
            .query(statement!("queue_tasks"))
            .bind(json(&plan.admit))
            .bind(self.now.as_micros())
            .bind(&self.limits.actor_id)
            .all()
            .await?;
        advanced.queued = in_order(&plan.admit, rows);
        if self.limits.use_outbox {
            let ids: Vec<i64> = tx
                .query(statement!("fill_outbox"))
                .bind(json(&advanced.queued))
                .bind(self.now.as_micros())
                .scalars()
                .await?;
            for (entry, id) in advanced.queued.iter_mut().zip(ids) {
                entry.id = Some(id);
            }
        }
        Ok(())
    }

    /// Starts runs again that failed and have retries left, each after its delay.
    pub(super) async fn restart_runs(
        &self,
        tx: &mut Transaction,
        runs: &[RunSnapshot],
        retry: &[(DagRunKey, Duration)],
        advanced: &mut Advanced,
    ) -> Result<(), Abort> {
        for (run, delay) in retry {
            let Some(run) = runs.iter().find(|snapshot| snapshot.run == *run) else { continue };
            let failed: Vec<(i64, i64)> = tx
                .query(
                    "select task_index, map_index from task_instance
                     where dag_run_id = $1 and state in ('failed', 'upstream_failed')",
                )
                .bind(run.run.0)
                .all()
                .await?;
            let failed: Vec<_> = failed.into_iter().map(|(task, map)| (index(task), map)).collect();
            advanced.restarted += self.start_over(tx, &run_restart(run, &failed, self.now + *delay)).await?;
            tx.query("update dag_run set retries_used = retries_used + 1 where id = $1")
                .bind(run.run.0)
                .execute()
                .await?;
        }
        advanced.is_unfinished |= advanced.restarted > 0;
        Ok(())
    }

    /// Lets the tasks of a restart become undecided again, and forgets what they left. Gives how many instances.
    pub(super) async fn start_over(&self, tx: &mut Transaction, restart: &Restart) -> Result<usize, Abort> {
        let ids: Vec<i64> = tx
            .query(statement!("start_over"))
            .bind(restart.run.0)
            .bind(self.now.as_micros())
            .bind(&self.limits.actor_id)
            .bind(restart.not_before.as_micros())
            .bind(restart.reason)
            .bind(json(&restart.tasks))
            .scalars()
            .await?;
        tx.query(statement!("forget_xcoms")).bind(json(&ids)).bind(restart.run.0).execute().await?;
        Ok(ids.len())
    }

    /// Writes the counts of the runs, and the states of those that ended, whose DAGs are then looked at.
    pub(super) async fn update_runs(
        &self,
        tx: &mut Transaction,
        runs: &[RunSnapshot],
        plan: &TickPlan,
    ) -> Result<(), Abort> {
        let at = self.now.as_micros();
        let updates = run_updates(runs, plan);
        if !updates.is_empty() {
            tx.query(statement!("update_runs"))
                .bind(json(&updates))
                .bind(at)
                .bind(&self.limits.actor_id)
                .execute()
                .await?;
        }
        if !plan.finish.is_empty() {
            let runs = json(&plan.finish.iter().map(|(run, _)| run).collect::<Vec<_>>());
            tx.query(statement!("check_dags_of_runs")).bind(&runs).bind(at).execute().await?;
        }
        Ok(())
    }
}

/// Task instances that end without running, by the state and the reason they get.
fn by_ending(endings: &[(TaskInstanceKey, Ending)]) -> BTreeMap<(&'static str, &'static str), Vec<TaskInstanceKey>> {
    let mut found: BTreeMap<_, Vec<TaskInstanceKey>> = BTreeMap::new();
    for &(task, ending) in endings {
        found.entry(ending.state_and_reason()).or_default().push(task);
    }
    found
}

/// The queued task instances in the order of the plan (RETURNING promises none).
fn in_order(plan: &[TaskInstanceKey], rows: Vec<(i64, i64, String)>) -> Vec<OutboxEntry> {
    let mut rows: HashMap<i64, (i64, String)> =
        rows.into_iter().map(|(id, epoch, queue)| (id, (epoch, queue))).collect();
    plan.iter()
        .filter_map(|task| {
            rows.remove(&task.0).map(|(epoch, queue)| OutboxEntry {
                id: None,
                task_instance: *task,
                epoch: Epoch(epoch),
                queue,
            })
        })
        .collect()
}

fn run_updates(runs: &[RunSnapshot], plan: &TickPlan) -> Vec<RunUpdate> {
    let finished: HashMap<DagRunKey, RunState> = plan.finish.iter().copied().collect();
    runs.iter()
        .map(|run| RunUpdate {
            run: run.run.0,
            unfinished: run.unfinished,
            failed_leaves: run.failed_leaves,
            state: finished.get(&run.run).map(|state| state.as_str()),
        })
        .collect()
}
