//! DAGs that must be looked at: creating their scheduled runs and starting queued ones.

use std::collections::HashMap;

use flow_model::plan::{DagPlan, DagSnapshot, EndedRun, PlannedRun, WaitingRun};
use flow_model::schedule::Schedule;
use flow_model::state::{RunType, generated_run_id};
use flow_model::{DagRunKey, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::dag_run::new_task_instances;
use crate::dialect::statement;
use crate::error::Result;
use crate::rows::{json, row_count};
use crate::transaction::{reading, transaction};
use crate::versions::warm_versions;

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
        decide: impl Fn(&DagSnapshot, Timestamp) -> DagPlan,
    ) -> Result<DueDags> {
        // Most looks find nothing: they take one read, and neither a transaction nor SQLite's only writer.
        let is_any_due: bool = reading!(self, "look for due DAGs", |tx| {
            sqlx::query_scalar::<_, i64>(
                "select cast(1 as bigint) from dag where check_at <= $1 and not is_paused limit 1",
            )
            .bind(now.as_micros())
            .fetch_optional(&mut *tx)
            .await?
            .is_some()
        })?;
        if !is_any_due {
            return Ok(DueDags::default());
        }
        transaction!(self, "look at due DAGs", |tx| {
            let due: Vec<DueRow> = sqlx::query_as(statement!(tx, "due_dags"))
                .bind(now.as_micros())
                .bind(limit)
                .fetch_all(&mut *tx)
                .await?;
            if due.is_empty() {
                return Ok(DueDags::default());
            }
            warm_versions!(self, tx, due.iter().map(|row| row.version_id));
            let ids = json(&due.iter().map(|row| &row.dag_id).collect::<Vec<_>>());
            let mut counts: HashMap<(String, String), i64> =
                sqlx::query_as::<_, (String, String, i64)>(statement!(tx, "count_live_runs"))
                    .bind(&ids)
                    .fetch_all(&mut *tx)
                    .await?
                    .into_iter()
                    .map(|(dag, state, count)| ((dag, state), count))
                    .collect();
            let limits = json(
                &due.iter()
                    .map(|row| serde_json::json!({"dag": row.dag_id, "k": row.max_active_runs}))
                    .collect::<Vec<_>>(),
            );
            let mut waiting: HashMap<String, Vec<WaitingRun>> = HashMap::new();
            let rows: Vec<WaitingRow> =
                sqlx::query_as(statement!(tx, "waiting_runs")).bind(&limits).fetch_all(&mut *tx).await?;
            for row in rows {
                waiting
                    .entry(row.dag_id)
                    .or_default()
                    .push(WaitingRun { run: DagRunKey(row.id), run_after: Timestamp::from_micros(row.run_after) });
            }

            let mut continuous: Vec<&str> = Vec::new();
            for row in &due {
                let graph = self.dag_graph(flow_model::DagVersionKey(row.version_id)).await?;
                if graph.dag.schedule == Schedule::Continuous {
                    continuous.push(&row.dag_id);
                }
            }
            let mut ended: HashMap<String, Vec<EndedRun>> = HashMap::new();
            if !continuous.is_empty() {
                let rows: Vec<(String, bool, i64)> = sqlx::query_as(statement!(tx, "newest_ended_runs"))
                    .bind(json(&continuous))
                    .fetch_all(&mut *tx)
                    .await?;
                for (dag, has_failed, started_at) in rows {
                    let started_at = Timestamp::from_micros(started_at);
                    ended.entry(dag).or_default().push(EndedRun { has_failed, started_at });
                }
            }

            let mut report = DueDags { dags: due.len(), ..DueDags::default() };
            let mut creations = Vec::new();
            let mut start_created: Vec<(String, String)> = Vec::new();
            let mut starts: Vec<i64> = Vec::new();
            let mut updates = Vec::with_capacity(due.len());
            for row in &due {
                let graph = self.dag_graph(flow_model::DagVersionKey(row.version_id)).await?;
                let mut count = |state: &str| {
                    u32::try_from(counts.remove(&(row.dag_id.clone(), state.to_owned())).unwrap_or(0))
                        .unwrap_or(u32::MAX)
                };
                let snapshot = DagSnapshot {
                    graph,
                    is_active: row.is_active,
                    next_tick: row.next_tick.map(Timestamp::from_micros),
                    first_seen: Timestamp::from_micros(row.first_seen_at),
                    has_scheduled_run: row.has_scheduled_run,
                    running_runs: count("running"),
                    queued_runs: count("queued"),
                    ended: ended.remove(&row.dag_id).unwrap_or_default(),
                    waiting: waiting.remove(&row.dag_id).unwrap_or_default(),
                };
                let plan = decide(&snapshot, now);
                report.ticks_skipped += plan.skipped_ticks;
                starts.extend(plan.start.iter().map(|run| run.0));
                for (position, run) in plan.create.iter().enumerate() {
                    let new = new_scheduled_run(row, run);
                    if position < plan.start_created {
                        start_created.push((row.dag_id.clone(), new.run_id.clone()));
                    }
                    creations.push(new);
                }
                updates.push(DagUpdate {
                    dag: &row.dag_id,
                    next_tick: plan.next_tick.map(Timestamp::as_micros),
                    check_at: plan.check_at.map(Timestamp::as_micros),
                    created: !plan.create.is_empty(),
                });
            }

            if !creations.is_empty() {
                let rows: Vec<(i64, String, String)> = sqlx::query_as(statement!(tx, "create_scheduled_runs"))
                    .bind(json(&creations))
                    .bind(now.as_micros())
                    .bind(actor_id)
                    .fetch_all(&mut *tx)
                    .await?;
                report.runs_created = rows.len();
                starts.extend(
                    rows.into_iter()
                        .filter(|(_, dag, run)| start_created.iter().any(|(d, r)| d == dag && r == run))
                        .map(|(id, _, _)| id),
                );
            }
            sqlx::query(statement!(tx, "plan_dags")).bind(json(&updates)).execute(&mut *tx).await?;
            if !starts.is_empty() {
                let mut started: Vec<(i64, i64, bool)> = sqlx::query_as(statement!(tx, "start_runs"))
                    .bind(json(&starts))
                    .bind(now.as_micros())
                    .bind(actor_id)
                    .fetch_all(&mut *tx)
                    .await?;
                // Older runs get the lower keys, which break ties when slots are given out; RETURNING promises no order.
                started.sort_unstable();
                warm_versions!(self, tx, started.iter().map(|(_, version, _)| *version));
                report.runs_started = started.len();
                for (run, version, is_first_start) in started {
                    let graph = self.dag_graph(flow_model::DagVersionKey(version)).await?;
                    let deadline = graph.dag.dagrun_timeout.map(|timeout| (now + timeout).as_micros());
                    sqlx::query("update dag_run set deadline_at = $2 where id = $1 and ends_as is null")
                        .bind(run)
                        .bind(deadline)
                        .execute(&mut *tx)
                        .await?;
                    // A run that was cleared has its instances; the changes that the clear made are still to be taken in.
                    if !is_first_start {
                        continue;
                    }
                    let instances = new_task_instances(run, &graph);
                    for batch in instances.chunks(INSERT_BATCH_MAX) {
                        sqlx::query(statement!(tx, "create_task_instances"))
                            .bind(json(batch))
                            .bind(now.as_micros())
                            .bind(actor_id)
                            .execute(&mut *tx)
                            .await?;
                    }
                    let ready: Vec<u32> = instances.iter().filter(|new| new.is_ready).map(|new| new.index).collect();
                    sqlx::query(statement!(tx, "schedule_first_tasks"))
                        .bind(run)
                        .bind(json(&ready))
                        .bind(now.as_micros())
                        .bind(actor_id)
                        .execute(&mut *tx)
                        .await?;
                    sqlx::query("update dag_run set unfinished = $2 where id = $1")
                        .bind(run)
                        .bind(row_count(instances.len()))
                        .execute(&mut *tx)
                        .await?;
                    // Mapped tasks that wait for nothing else are expanded by the next tick.
                    let to_expand: Vec<u32> =
                        instances.iter().filter(|new| new.is_to_expand).map(|new| new.index).collect();
                    if !to_expand.is_empty() {
                        sqlx::query(statement!(tx, "look_at_tasks"))
                            .bind(run)
                            .bind(json(&to_expand))
                            .execute(&mut *tx)
                            .await?;
                    }
                    // Nothing would move by itself in a run without tasks, or whose tasks wait for the past.
                    if instances.is_empty() || instances.iter().any(|new| new.waits_for_past) {
                        sqlx::query(statement!(tx, "look_at_runs")).bind(json(&[run])).execute(&mut *tx).await?;
                    }
                }
            }
            report
        })
    }
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
