//! DAGs that must be looked at: creating their scheduled runs and starting queued ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flow_model::decide::plan::{DagPlan, DagSnapshot, EndedRun, PlannedRun, WaitingRun};
use flow_model::schedule::Schedule;
use flow_model::state::{RunType, generated_run_id};
use flow_model::{DagGraph, DagRunKey, DagVersionKey, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::dag_run::{NewTaskInstance, new_task_instances};
use crate::error::{Abort, Result};
use crate::query::statement;
use crate::rows::{json, row_count};
use crate::transaction::{Transaction, step, steps};

/// Task instances inserted by one statement.
pub(crate) const INSERT_BATCH_MAX: usize = 5_000;

/// What looking at the due DAGs did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueDags {
    /// DAGs looked at; as many as the limit means that there may be more.
    pub dags: usize,
    /// Scheduled runs created.
    pub runs_created: usize,
    /// Runs started.
    pub runs_started: usize,
    /// Missed ticks that were dropped.
    pub ticks_skipped: u64,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    dag_id: String,
    version_id: i64,
    is_active: bool,
    next_tick: Option<i64>,
    first_seen_at: i64,
    has_scheduled_run: bool,
    max_active_runs: i64,
}

#[derive(sqlx::FromRow)]
struct WaitingRow {
    dag_id: String,
    id: i64,
    run_after: i64,
}

#[derive(Serialize)]
struct NewScheduledRun<'a> {
    dag: &'a str,
    run_id: String,
    version: i64,
    logical_date: i64,
    interval_start: i64,
    interval_end: i64,
    run_after: i64,
}

#[derive(Serialize)]
struct DagUpdate<'a> {
    dag: &'a str,
    next_tick: Option<i64>,
    check_at: Option<i64>,
    created: bool,
}

/// One look at the DAGs that are due: who looks, and when.
struct Look<'a> {
    store: &'a Store,
    now: Timestamp,
    actor_id: &'a str,
}

impl Store {
    /// Looks at up to `limit` DAGs whose time has come: locks them, asks `decide` about each, creates and starts runs,
    /// and notes when to look again. Other schedulers skip the locked ones.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn check_due_dags(
        &self,
        now: Timestamp,
        limit: i64,
        actor_id: &str,
        decide: impl Fn(&DagSnapshot, Timestamp) -> DagPlan + Sync,
    ) -> Result<DueDags> {
        if !self.is_any_dag_due(now).await? {
            return Ok(DueDags::default());
        }
        let look = &Look { store: self, now, actor_id };
        let decide = &decide;
        self.transaction("look at due DAGs", |tx| {
            steps(async move {
                let due: Vec<DueRow> = tx.query(statement!("due_dags")).bind(now.as_micros()).bind(limit).all().await?;
                if due.is_empty() {
                    return Ok(DueDags::default());
                }
                let snapshots = look.snapshots(tx, &due).await?;
                let mut report = DueDags { dags: due.len(), ..DueDags::default() };
                let mut plans = Plans::default();
                for (row, snapshot) in due.iter().zip(&snapshots) {
                    let plan = decide(snapshot, now);
                    report.ticks_skipped += plan.skipped_ticks;
                    plans.add(row, &plan);
                }
                report.runs_created = look.create_runs(tx, &mut plans).await?;
                tx.query(statement!("plan_dags")).bind(json(&plans.updates)).execute().await?;
                report.runs_started = look.start_runs(tx, &plans.start).await?;
                Ok(report)
            })
        })
        .await
    }

    /// Most looks find nothing: they take one read, and neither a transaction nor SQLite's only writer.
    async fn is_any_dag_due(&self, now: Timestamp) -> Result<bool> {
        let first: Option<i64> = self
            .reading("look for due DAGs", |tx| {
                step(
                    tx.query("select cast(1 as bigint) from dag where check_at <= $1 and not is_paused limit 1")
                        .bind(now.as_micros())
                        .optional_scalar(),
                )
            })
            .await?;
        Ok(first.is_some())
    }
}

/// What is planned for all DAGs of a look.
#[derive(Default)]
struct Plans<'a> {
    create: Vec<NewScheduledRun<'a>>,
    /// DAG and id of those of them that start at once.
    start_created: HashSet<(String, String)>,
    /// Keys of runs that start.
    start: Vec<i64>,
    updates: Vec<DagUpdate<'a>>,
}

impl<'a> Plans<'a> {
    fn add(&mut self, row: &'a DueRow, plan: &DagPlan) {
        self.start.extend(plan.start.iter().map(|run| run.0));
        for (position, run) in plan.create.iter().enumerate() {
            let new = new_scheduled_run(row, run);
            if position < plan.start_created {
                self.start_created.insert((row.dag_id.clone(), new.run_id.clone()));
            }
            self.create.push(new);
        }
        self.updates.push(DagUpdate {
            dag: &row.dag_id,
            next_tick: plan.next_tick.map(Timestamp::as_micros),
            check_at: plan.check_at.map(Timestamp::as_micros),
            created: !plan.create.is_empty(),
        });
    }
}

impl Look<'_> {
    /// What is decided on, for each of the DAGs.
    async fn snapshots(&self, tx: &mut Transaction, due: &[DueRow]) -> Result<Vec<DagSnapshot>, Abort> {
        self.store.warm_versions(tx, due.iter().map(|row| row.version_id)).await?;
        let mut graphs = Vec::with_capacity(due.len());
        for row in due {
            graphs.push(self.store.dag_graph(DagVersionKey(row.version_id)).await?);
        }
        let mut live = count_live_runs(tx, due).await?;
        let mut waiting = waiting_runs(tx, due).await?;
        let continuous = due.iter().zip(&graphs).filter(|(_, graph)| graph.dag.schedule == Schedule::Continuous);
        let mut ended = ended_runs(tx, &continuous.map(|(row, _)| row.dag_id.as_str()).collect::<Vec<_>>()).await?;
        let snapshot = |(row, graph): (&DueRow, Arc<DagGraph>)| {
            let mut count = |state: &str| {
                let count = live.remove(&(row.dag_id.clone(), state.to_owned())).unwrap_or(0);
                u32::try_from(count).unwrap_or(u32::MAX)
            };
            DagSnapshot {
                graph,
                is_active: row.is_active,
                next_tick: row.next_tick.map(Timestamp::from_micros),
                first_seen: Timestamp::from_micros(row.first_seen_at),
                has_scheduled_run: row.has_scheduled_run,
                running_runs: count("running"),
                queued_runs: count("queued"),
                ended: ended.remove(&row.dag_id).unwrap_or_default(),
                waiting: waiting.remove(&row.dag_id).unwrap_or_default(),
            }
        };
        Ok(due.iter().zip(graphs).map(snapshot).collect())
    }

    /// Creates the planned runs; those that start at once join the others. Gives how many were new.
    async fn create_runs(&self, tx: &mut Transaction, plans: &mut Plans<'_>) -> Result<usize, Abort> {
        if plans.create.is_empty() {
            return Ok(0);
        }
        let rows: Vec<(i64, String, String)> = tx
            .query(statement!("create_scheduled_runs"))
            .bind(json(&plans.create))
            .bind(self.now.as_micros())
            .bind(self.actor_id)
            .all()
            .await?;
        let created = rows.len();
        let starts =
            rows.into_iter().filter_map(|(id, dag, run)| plans.start_created.contains(&(dag, run)).then_some(id));
        plans.start.extend(starts);
        Ok(created)
    }

    /// Starts runs: their task instances come into being, and those that wait for nothing are scheduled. Gives how many runs.
    async fn start_runs(&self, tx: &mut Transaction, runs: &[i64]) -> Result<usize, Abort> {
        if runs.is_empty() {
            return Ok(0);
        }
        let mut started: Vec<(i64, i64, bool)> = tx
            .query(statement!("start_runs"))
            .bind(json(runs))
            .bind(self.now.as_micros())
            .bind(self.actor_id)
            .all()
            .await?;
        // Older runs get the lower keys, which break ties when slots are given out; RETURNING promises no order.
        started.sort_unstable();
        self.store.warm_versions(tx, started.iter().map(|(_, version, _)| *version)).await?;
        for &(run, version, is_first_start) in &started {
            let graph = self.store.dag_graph(DagVersionKey(version)).await?;
            let deadline = graph.dag.dagrun_timeout.map(|timeout| (self.now + timeout).as_micros());
            tx.query("update dag_run set deadline_at = $2 where id = $1 and ends_as is null")
                .bind(run)
                .bind(deadline)
                .execute()
                .await?;
            // A run that was cleared has its instances; the changes that the clear made are still to be taken in.
            if is_first_start {
                self.create_task_instances(tx, run, &new_task_instances(run, &graph)).await?;
            }
        }
        Ok(started.len())
    }

    async fn create_task_instances(
        &self,
        tx: &mut Transaction,
        run: i64,
        instances: &[NewTaskInstance<'_>],
    ) -> Result<(), Abort> {
        for batch in instances.chunks(INSERT_BATCH_MAX) {
            tx.query(statement!("create_task_instances"))
                .bind(json(batch))
                .bind(self.now.as_micros())
                .bind(self.actor_id)
                .execute()
                .await?;
        }
        let ready: Vec<u32> = instances.iter().filter(|new| new.is_ready).map(|new| new.index).collect();
        tx.query(statement!("schedule_first_tasks"))
            .bind(run)
            .bind(json(&ready))
            .bind(self.now.as_micros())
            .bind(self.actor_id)
            .execute()
            .await?;
        tx.query("update dag_run set unfinished = $2 where id = $1")
            .bind(run)
            .bind(row_count(instances.len()))
            .execute()
            .await?;
        // Mapped tasks that wait for nothing else are expanded by the next tick.
        let to_expand: Vec<u32> = instances.iter().filter(|new| new.is_to_expand).map(|new| new.index).collect();
        if !to_expand.is_empty() {
            tx.query(statement!("look_at_tasks")).bind(run).bind(json(&to_expand)).execute().await?;
        }
        // Nothing would move by itself in a run without tasks, or whose tasks wait for the past.
        if instances.is_empty() || instances.iter().any(|new| new.waits_for_past) {
            tx.query(statement!("look_at_runs")).bind(json(&[run])).execute().await?;
        }
        Ok(())
    }
}

/// How many live runs each DAG has in each state.
async fn count_live_runs(tx: &mut Transaction, due: &[DueRow]) -> Result<HashMap<(String, String), i64>, Abort> {
    let ids = json(&due.iter().map(|row| &row.dag_id).collect::<Vec<_>>());
    let rows: Vec<(String, String, i64)> = tx.query(statement!("count_live_runs")).bind(&ids).all().await?;
    Ok(rows.into_iter().map(|(dag, state, count)| ((dag, state), count)).collect())
}

/// The queued runs that could start, of each DAG as many as may run at once.
async fn waiting_runs(tx: &mut Transaction, due: &[DueRow]) -> Result<HashMap<String, Vec<WaitingRun>>, Abort> {
    let limit = |row: &DueRow| serde_json::json!({"dag": row.dag_id, "k": row.max_active_runs});
    let limits = json(&due.iter().map(limit).collect::<Vec<_>>());
    let rows: Vec<WaitingRow> = tx.query(statement!("waiting_runs")).bind(&limits).all().await?;
    let mut waiting: HashMap<String, Vec<WaitingRun>> = HashMap::new();
    for row in rows {
        let run = WaitingRun { run: DagRunKey(row.id), run_after: Timestamp::from_micros(row.run_after) };
        waiting.entry(row.dag_id).or_default().push(run);
    }
    Ok(waiting)
}

/// How the newest runs of continuous DAGs ended.
async fn ended_runs(tx: &mut Transaction, dags: &[&str]) -> Result<HashMap<String, Vec<EndedRun>>, Abort> {
    let mut ended: HashMap<String, Vec<EndedRun>> = HashMap::new();
    if dags.is_empty() {
        return Ok(ended);
    }
    let rows: Vec<(String, bool, i64)> = tx.query(statement!("newest_ended_runs")).bind(json(dags)).all().await?;
    for (dag, has_failed, started_at) in rows {
        let started_at = Timestamp::from_micros(started_at);
        ended.entry(dag).or_default().push(EndedRun { has_failed, started_at });
    }
    Ok(ended)
}

fn new_scheduled_run<'a>(row: &'a DueRow, run: &PlannedRun) -> NewScheduledRun<'a> {
    NewScheduledRun {
        dag: &row.dag_id,
        run_id: generated_run_id(RunType::Scheduled, run.logical_date),
        version: row.version_id,
        logical_date: run.logical_date.as_micros(),
        interval_start: run.data_interval_start.as_micros(),
        interval_end: run.data_interval_end.as_micros(),
        run_after: run.run_after.as_micros(),
    }
}
