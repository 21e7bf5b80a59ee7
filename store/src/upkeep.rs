//! What time alone brings about: runs that take too long, and when the scheduler must wake up next.

use std::collections::HashSet;

use flow_model::decide::intervention::teardowns_to_run;
use flow_model::{DagRunKey, DagVersionKey, Timestamp};

use crate::clear::instances_of_run;
use crate::connect::Store;
use crate::error::Result;
use crate::query::statement;
use crate::rows::json;
use crate::transaction::steps;

impl Store {
    /// Fails the runs whose `dagrun_timeout` is over and skips what is unfinished in them; running attempts lose the
    /// right to act. Teardowns whose setup has succeeded still run, and such a run fails after them. Returns the runs.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn time_out_runs(&self, now: Timestamp, actor_id: &str) -> Result<Vec<DagRunKey>> {
        self.transaction("time out runs", |tx| {
            steps(async move {
                let overdue: Vec<(i64, i64)> =
                    tx.query(statement!("lock_overdue_runs")).bind(now.as_micros()).all().await?;
                if !overdue.is_empty() {
                    self.warm_versions(tx, overdue.iter().map(|(_, version)| *version)).await?;
                    let (mut now_over, mut over_later, mut spared) = (Vec::new(), Vec::new(), HashSet::new());
                    for &(run, version) in &overdue {
                        let graph = self.dag_graph(DagVersionKey(version)).await?;
                        let mut to_run = HashSet::new();
                        if graph.dag.tasks.iter().any(|task| task.is_teardown) {
                            to_run = teardowns_to_run(&graph, &instances_of_run(tx, DagRunKey(run)).await?);
                        }
                        let runs = if to_run.is_empty() { &mut now_over } else { &mut over_later };
                        runs.push(run);
                        spared.extend(to_run);
                    }
                    tx.query(statement!("skip_unfinished"))
                        .bind(json(&[now_over.as_slice(), over_later.as_slice()].concat()))
                        .bind(now.as_micros())
                        .bind(actor_id)
                        .bind(json(&spared))
                        .execute()
                        .await?;
                    tx.query(statement!("time_out_runs"))
                        .bind(json(&now_over))
                        .bind(now.as_micros())
                        .bind(actor_id)
                        .execute()
                        .await?;
                    tx.query(statement!("time_out_runs_later"))
                        .bind(json(&over_later))
                        .bind(now.as_micros())
                        .execute()
                        .await?;
                    tx.query(statement!("check_dags_of_runs"))
                        .bind(json(&now_over))
                        .bind(now.as_micros())
                        .execute()
                        .await?;
                }
                Ok(overdue.into_iter().map(|(run, _)| DagRunKey(run)).collect())
            })
        })
        .await
    }

    /// The earliest instant at which something is due by time alone: a tick, a retry, a delayed task, a
    /// deadline.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next_check(&self) -> Result<Option<Timestamp>> {
        self.reading("find the next due instant", |tx| {
            steps(async move {
                let due: Vec<Option<i64>> = tx
                    .query(
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
                    .scalars()
                    .await?;
                Ok(due.into_iter().flatten().min().map(Timestamp::from_micros))
            })
        })
        .await
    }

    /// Compares the counts that scheduling rests on with what they count, for running runs, and repairs them;
    /// the next tick looks at those runs. Returns how many runs were wrong: any number but 0 is a bug.
    ///
    /// # Errors
    /// The database failed.
    pub async fn repair_counts(&self, now: Timestamp) -> Result<u64> {
        self.transaction("check the counts of runs", |tx| {
            steps(async move {
                let repaired: Vec<i64> = tx.query(statement!("repair_runs")).bind(now.as_micros()).scalars().await?;
                if !repaired.is_empty() {
                    tx.query(statement!("look_at_runs")).bind(json(&repaired)).execute().await?;
                }
                Ok(repaired.len() as u64)
            })
        })
        .await
    }
}
