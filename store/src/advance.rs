//! The scheduler's tick: takes in what has changed, applies what is decided about it, and fills the free slots.

pub(crate) mod changes;
mod expand;
mod restart;
pub(crate) mod rows;
mod slots;

use std::collections::{BTreeMap, HashMap, HashSet};

use flow_model::decision::{Ending, Past};
use flow_model::plan::{DagLimits, LiveSlots, RunSnapshot, TickPlan, TickSnapshot};
use flow_model::{DagRunKey, DagVersionKey, Epoch, RunState, TaskInstanceKey, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::dialect::{Dialect, statement};
use crate::error::Result;
use crate::outbox::OutboxEntry;
use crate::rows::json;
use crate::transaction::{reading, transaction};
use crate::versions::warm_versions;

use changes::{ChangeRow, UpstreamState, look_upstream, take_in, upstream_questions};
use expand::expand_mappings;
use restart::{GroupTries, group_restarts, may_restart_groups, run_restart, start_over};
use rows::{ReadyRow, RunRow, TaskRow};
use slots::{LiveTaskRow, PairRow, best_of_each, full_tasks, offers};

/// The key of PostgreSQL's advisory lock under which slots are given out, so that limits hold with many schedulers.
const ADMISSION_LOCK: i64 = 0x464c_4f57;

/// Bounds and circumstances of one tick.
#[derive(Debug, Clone)]
pub struct AdvanceLimits {
    /// Runs taken in at most.
    pub runs_max: i64,
    /// Also look at all tasks that wait for the past (otherwise only at those of DAGs with changes).
    pub look_at_past: bool,
    /// Write what is queued into the outbox, for a queue outside this process.
    pub use_outbox: bool,
    /// Who ticks, for the history.
    pub actor_id: String,
}

/// What a tick did.
#[derive(Debug, Clone, Default)]
pub struct Advanced {
    /// Moves into or out of finished states that were taken in.
    pub changes: usize,
    /// Task instances whose retry delay was over, or that come back from a reschedule.
    pub retries_due: u64,
    /// Task instances that were scheduled, skipped or failed by their upstream.
    pub decided: usize,
    /// Those of them that were skipped or failed by their upstream: the tasks after them have to be looked at.
    pub ended_undecided: usize,
    /// Task instances that start again because their group or run has retries left. Attempts of them may be running.
    pub restarted: usize,
    /// Task instances that went to the queue, best first.
    pub queued: Vec<OutboxEntry>,
    /// Runs that ended.
    pub finished: Vec<(DagRunKey, RunState)>,
    /// There may be more to do at once: a bound was reached, or another scheduler was giving out slots.
    pub is_unfinished: bool,
}

#[derive(Serialize)]
struct PastQuestion<'a> {
    ti: i64,
    task: &'a str,
}

#[derive(Serialize)]
struct RunUpdate {
    run: i64,
    unfinished: i64,
    failed_leaves: i64,
    state: Option<&'static str>,
}

impl Store {
    /// One tick in one transaction: takes in the changes of runs nobody else is working on, updates the counts of the
    /// tasks after them, asks `decide`, and applies its plan. The cost follows the number of changes, not the size of
    /// the runs or of the history.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn advance(
        &self,
        now: Timestamp,
        limits: &AdvanceLimits,
        decide: impl Fn(&TickSnapshot) -> TickPlan,
    ) -> Result<Advanced> {
        let at = now.as_micros();
        let actor_id = &limits.actor_id;
        transaction!(self, "advance runs", |tx| {
            // T10.
            let retries_due = sqlx::query(
                "update task_instance set state = 'scheduled', scheduled_at = $1, not_before = null, changed_at = $1,
                    event_no = event_no + 1, actor = 'scheduler', actor_id = $2, reason = null
                 where state in ('up_for_retry', 'up_for_reschedule') and not_before <= $1",
            )
            .bind(at)
            .bind(actor_id)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            let mut advanced = Advanced { retries_due, ..Advanced::default() };

            let run_rows: Vec<RunRow> =
                sqlx::query_as(statement!(tx, "lock_changed_runs")).bind(limits.runs_max).fetch_all(&mut *tx).await?;
            advanced.is_unfinished = run_rows.len() as i64 >= limits.runs_max;
            let mut snapshot = TickSnapshot::default();
            if !run_rows.is_empty() {
                warm_versions!(self, tx, run_rows.iter().map(|row| row.version_id));
                let run_ids = json(&run_rows.iter().map(|row| row.id).collect::<Vec<_>>());
                let mut runs = HashMap::with_capacity(run_rows.len());
                for row in &run_rows {
                    let graph = self.dag_graph(DagVersionKey(row.version_id)).await?;
                    let limits = DagLimits { max_active_tasks: row.max_active_tasks, is_paused: row.is_paused };
                    snapshot.dags.insert(row.dag_id.clone(), limits);
                    runs.insert(row.id, row.snapshot(graph)?);
                }
                let mut changes: Vec<ChangeRow> = Vec::new();
                loop {
                    let taken = changes.len();
                    let more: Vec<ChangeRow> =
                        sqlx::query_as(statement!(tx, "take_changes")).bind(&run_ids).fetch_all(&mut *tx).await?;
                    changes.extend(more);
                    // Before the failure is counted anywhere, so that nothing after the group hears of it.
                    if !may_restart_groups(&runs, &changes[taken..]) {
                        break;
                    }
                    let tries: Vec<GroupTries> =
                        sqlx::query_as(statement!(tx, "group_tries")).bind(&run_ids).fetch_all(&mut *tx).await?;
                    let restarts = group_restarts(&runs, &changes, &tries, now);
                    if restarts.is_empty() {
                        break;
                    }
                    for (_, restart) in &restarts {
                        advanced.restarted += start_over!(tx, restart, at, actor_id);
                    }
                    let counted: Vec<_> = restarts.iter().map(|(group_try, _)| group_try).collect();
                    sqlx::query(statement!(tx, "count_group_tries")).bind(json(&counted)).execute(&mut *tx).await?;
                    // The changes that this made are taken next, and with them failures that were recorded meanwhile.
                }
                advanced.changes = changes.len();
                let deltas = take_in(&mut runs, &changes)?;
                let mut touched: HashMap<i64, TaskRow> = HashMap::new();
                for deltas in [&deltas.of_tasks, &deltas.of_instances] {
                    if !deltas.is_empty() {
                        let rows: Vec<TaskRow> = sqlx::query_as(statement!(tx, "count_upstream"))
                            .bind(json(deltas))
                            .fetch_all(&mut *tx)
                            .await?;
                        touched.extend(rows.into_iter().map(|row| (row.id, row)));
                    }
                }
                let mut touched: Vec<TaskRow> = touched.into_values().filter(|row| row.state == "none").collect();
                touched.sort_unstable_by_key(|row| row.id);
                for row in touched {
                    if let Some(run) = runs.get_mut(&row.dag_run_id) {
                        run.touched.push(row.touched(&std::sync::Arc::clone(&run.graph), now));
                    }
                }
                snapshot.runs = run_rows.iter().filter_map(|row| runs.remove(&row.id)).collect();
            }

            // Tasks that wait for the previous run of their DAG.
            let dags = json(&snapshot.dags.keys().collect::<Vec<_>>());
            let looks_back =
                snapshot.runs.iter().any(|run| run.graph.dag.tasks.iter().any(|task| task.depends_on_past));
            let waiting: Vec<TaskRow> = if looks_back || limits.look_at_past {
                sqlx::query_as(statement!(tx, "tasks_waiting_for_past"))
                    .bind(&dags)
                    .bind(limits.look_at_past)
                    .fetch_all(&mut *tx)
                    .await?
            } else {
                Vec::new()
            };
            if !waiting.is_empty() {
                let known: HashSet<i64> = snapshot.runs.iter().map(|run| run.run.0).collect();
                let missing: HashSet<i64> =
                    waiting.iter().map(|row| row.dag_run_id).filter(|run| !known.contains(run)).collect();
                let run_rows: Vec<RunRow> =
                    sqlx::query_as(statement!(tx, "lock_runs")).bind(json(&missing)).fetch_all(&mut *tx).await?;
                warm_versions!(self, tx, run_rows.iter().map(|row| row.version_id));
                for row in &run_rows {
                    let graph = self.dag_graph(DagVersionKey(row.version_id)).await?;
                    let limits = DagLimits { max_active_tasks: row.max_active_tasks, is_paused: row.is_paused };
                    snapshot.dags.insert(row.dag_id.clone(), limits);
                    snapshot.runs.push(row.snapshot(graph)?);
                }
                for row in waiting {
                    if let Some(run) = snapshot.runs.iter_mut().find(|run| run.run.0 == row.dag_run_id)
                        && !run.touched.iter().any(|task| task.task_instance.0 == row.id)
                    {
                        run.touched.push(row.touched(&std::sync::Arc::clone(&run.graph), now));
                    }
                }
            }
            let questions = upstream_questions(&snapshot.runs);
            if !questions.is_empty() {
                let states: Vec<UpstreamState> = sqlx::query_as(statement!(tx, "states_upstream"))
                    .bind(json(&questions))
                    .fetch_all(&mut *tx)
                    .await?;
                look_upstream(&mut snapshot.runs, &states)?;
            }
            let questions = past_questions(&snapshot.runs);
            if !questions.is_empty() {
                let blocked: Vec<i64> = sqlx::query_scalar(statement!(tx, "blocked_by_past"))
                    .bind(json(&questions))
                    .fetch_all(&mut *tx)
                    .await?;
                let blocked: HashSet<i64> = blocked.into_iter().collect();
                for task in snapshot.runs.iter_mut().flat_map(|run| &mut run.touched) {
                    if blocked.contains(&task.task_instance.0) {
                        task.standing.past = Past::Blocked;
                    }
                }
            }

            // What may be queued, and the room there is.
            let pairs: Vec<PairRow> = sqlx::query_as(statement!(tx, "ready_pairs")).fetch_all(&mut *tx).await?;
            let is_anything_ready = !pairs.is_empty() || snapshot.runs.iter().any(|run| !run.touched.is_empty());
            if is_anything_ready {
                snapshot.may_admit = match tx.choose("select pg_try_advisory_xact_lock($1)", "") {
                    "" => true,
                    lock => sqlx::query_scalar(lock).bind(ADMISSION_LOCK).fetch_one(&mut *tx).await?,
                };
                advanced.is_unfinished |= !snapshot.may_admit;
            }
            if snapshot.may_admit {
                snapshot.pools = sqlx::query_as::<_, (String, i64)>("select name, slots from pool")
                    .fetch_all(&mut *tx)
                    .await?
                    .into_iter()
                    .collect();
                snapshot.live = sqlx::query_as::<_, (String, String, i64, i64)>(
                    "select pool, dag_id, count(*), cast(coalesce(sum(pool_slots), 0) as bigint)
                     from task_instance where state in ('queued', 'running') group by pool, dag_id",
                )
                .fetch_all(&mut *tx)
                .await?
                .into_iter()
                .map(|(pool, dag_id, instances, slots)| LiveSlots { pool, dag_id, instances, slots })
                .collect();
                let live_tasks: Vec<LiveTaskRow> = sqlx::query_as(
                    "select dag_id, dag_run_id, task_id, max_per_dag, max_per_run, count(*) as instances
                     from task_instance
                     where state in ('queued', 'running') and (max_per_dag is not null or max_per_run is not null)
                     group by dag_id, dag_run_id, task_id, max_per_dag, max_per_run",
                )
                .fetch_all(&mut *tx)
                .await?;
                snapshot.live_tasks = live_tasks.iter().map(LiveTaskRow::live).collect();
                let offers = offers(&pairs, &snapshot);
                if !offers.is_empty() {
                    let ready: Vec<ReadyRow> = sqlx::query_as(statement!(tx, "ready_tasks"))
                        .bind(json(&offers))
                        .bind(at)
                        .bind(json(&full_tasks(&live_tasks)))
                        .fetch_all(&mut *tx)
                        .await?;
                    snapshot.ready = best_of_each(&offers, ready);
                }
                for pair in pairs {
                    let limits = DagLimits { max_active_tasks: pair.max_active_tasks, is_paused: pair.is_paused };
                    snapshot.dags.insert(pair.dag_id, limits);
                }
            }

            let plan = decide(&snapshot);

            // Apply: every statement repeats its guard.
            advanced.ended_undecided = plan.end.len();
            advanced.decided = plan.schedule.len() + advanced.ended_undecided;
            // What was passed over is asked for again with the full tasks left out.
            advanced.is_unfinished |= plan.has_passed_over && !plan.admit.is_empty();
            if !plan.schedule.is_empty() {
                sqlx::query(statement!(tx, "schedule_tasks"))
                    .bind(json(&plan.schedule))
                    .bind(at)
                    .bind(actor_id)
                    .execute(&mut *tx)
                    .await?;
            }
            for ((state, reason), tasks) in by_ending(&plan.end) {
                sqlx::query(statement!(tx, "end_undecided_tasks"))
                    .bind(json(&tasks))
                    .bind(at)
                    .bind(actor_id)
                    .bind(state)
                    .bind(reason)
                    .execute(&mut *tx)
                    .await?;
            }
            if !plan.wait_for_past.is_empty() {
                sqlx::query(statement!(tx, "wait_for_past")).bind(json(&plan.wait_for_past)).execute(&mut *tx).await?;
            }
            if !plan.admit.is_empty() {
                let rows: Vec<(i64, i64, String)> = sqlx::query_as(statement!(tx, "queue_tasks"))
                    .bind(json(&plan.admit))
                    .bind(at)
                    .bind(actor_id)
                    .fetch_all(&mut *tx)
                    .await?;
                advanced.queued = in_order(&plan.admit, rows);
                if limits.use_outbox {
                    let ids: Vec<i64> = sqlx::query_scalar(statement!(tx, "fill_outbox"))
                        .bind(json(&advanced.queued))
                        .bind(at)
                        .fetch_all(&mut *tx)
                        .await?;
                    for (entry, id) in advanced.queued.iter_mut().zip(ids) {
                        entry.id = Some(id);
                    }
                }
            }
            if !plan.expand.is_empty() {
                let moved = expand_mappings!(tx, snapshot.runs, &plan.expand, at, actor_id);
                advanced.decided += moved;
                // The new instances are offered slots in the next tick.
                advanced.is_unfinished |= moved > 0;
            }
            for (run, delay) in &plan.retry {
                let Some(run) = snapshot.runs.iter().find(|snapshot| snapshot.run == *run) else { continue };
                let failed: Vec<(i64, i64)> = sqlx::query_as(
                    "select task_index, map_index from task_instance
                     where dag_run_id = $1 and state in ('failed', 'upstream_failed')",
                )
                .bind(run.run.0)
                .fetch_all(&mut *tx)
                .await?;
                advanced.restarted += start_over!(tx, run_restart(run, &failed, now + *delay), at, actor_id);
                sqlx::query("update dag_run set retries_used = retries_used + 1 where id = $1")
                    .bind(run.run.0)
                    .execute(&mut *tx)
                    .await?;
            }
            advanced.is_unfinished |= advanced.restarted > 0;
            let updates = run_updates(&snapshot.runs, &plan);
            if !updates.is_empty() {
                sqlx::query(statement!(tx, "update_runs"))
                    .bind(json(&updates))
                    .bind(at)
                    .bind(actor_id)
                    .execute(&mut *tx)
                    .await?;
            }
            if !plan.finish.is_empty() {
                let runs = json(&plan.finish.iter().map(|(run, _)| run).collect::<Vec<_>>());
                sqlx::query(statement!(tx, "check_dags_of_runs")).bind(&runs).bind(at).execute(&mut *tx).await?;
            }
            advanced.finished = plan.finish;
            advanced
        })
    }
}

impl Store {
    /// What a tick would read about what the touched tasks look at. Changes nothing.
    pub(crate) async fn states_upstream(&self, runs: &[RunSnapshot]) -> Result<Vec<UpstreamState>> {
        let questions = json(&upstream_questions(runs));
        reading!(self, "look at what is before a task", |tx| {
            sqlx::query_as(statement!(tx, "states_upstream")).bind(&questions).fetch_all(&mut *tx).await?
        })
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

/// Which tasks of the previous run the touched tasks look at.
fn past_questions(runs: &[RunSnapshot]) -> Vec<PastQuestion<'_>> {
    let mut questions = Vec::new();
    for run in runs {
        for touched in &run.touched {
            let task = &run.graph.dag.tasks[touched.task_index as usize];
            if !task.depends_on_past && !task.wait_for_downstream {
                continue;
            }
            let ti = touched.task_instance.0;
            questions.push(PastQuestion { ti, task: &task.task_id });
            if task.wait_for_downstream {
                for &child in &run.graph.downstream[touched.task_index as usize] {
                    questions.push(PastQuestion { ti, task: &run.graph.dag.tasks[child as usize].task_id });
                }
            }
        }
    }
    questions
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
