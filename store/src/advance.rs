//! The scheduler's tick: takes in what has changed, applies what is decided about it, and fills the free slots.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use flow_model::plan::{DagLimits, LiveSlots, Past, ReadyTask, RunSnapshot, TickPlan, TickSnapshot, TouchedTask};
use flow_model::trigger_rule::UpstreamCounts;
use flow_model::{DagGraph, DagRunKey, DagVersionKey, Epoch, RunState, TaskInstanceKey, TaskState, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::dialect::{Dialect, statement};
use crate::error::Result;
use crate::outbox::OutboxEntry;
use crate::rows::{index, json, run_state, task_state};
use crate::transaction::transaction;
use crate::versions::warm_versions;

/// The key of PostgreSQL's advisory lock under which slots are given out, so that limits hold with many schedulers.
const ADMISSION_LOCK: i64 = 0x464c_4f57;

/// Task instances of one DAG and pool that are looked at in one tick, however many there is room for.
const READY_PER_DAG_MAX: i64 = 1_000;

/// Task instances looked at beyond those there is room for: where large ones do not fit, smaller ones may.
const READY_BEYOND_ROOM: i64 = 16;

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
    /// Task instances that went to the queue, best first.
    pub queued: Vec<OutboxEntry>,
    /// Runs that ended.
    pub finished: Vec<(DagRunKey, RunState)>,
    /// There may be more to do at once: a bound was reached, or another scheduler was giving out slots.
    pub is_unfinished: bool,
}

#[derive(sqlx::FromRow)]
struct RunRow {
    id: i64,
    dag_id: String,
    state: String,
    version_id: i64,
    unfinished: i64,
    failed_leaves: i64,
    is_paused: bool,
    max_active_tasks: i64,
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    dag_run_id: i64,
    task_index: i64,
    from_state: String,
    to_state: String,
}

/// How the upstream counts of a task change.
#[derive(Serialize, Default)]
struct CountDelta {
    run: i64,
    index: u32,
    success: i64,
    failed: i64,
    upstream_failed: i64,
    skipped: i64,
    removed: i64,
}

#[derive(sqlx::FromRow)]
struct TaskRow {
    id: i64,
    dag_run_id: i64,
    dag_id: String,
    task_index: i64,
    state: String,
    pool: String,
    pool_slots: i64,
    priority: i64,
    upstream_total: i64,
    upstream_success: i64,
    upstream_failed: i64,
    upstream_upstream_failed: i64,
    upstream_skipped: i64,
    upstream_removed: i64,
}

#[derive(sqlx::FromRow)]
struct PairRow {
    dag_id: String,
    pool: String,
    max_active_tasks: i64,
    is_paused: bool,
}

#[derive(sqlx::FromRow)]
struct ReadyRow {
    id: i64,
    dag_id: String,
    pool: String,
    pool_slots: i64,
    priority: i64,
}

#[derive(Serialize)]
struct Offer<'a> {
    dag: &'a str,
    pool: &'a str,
    /// Slots that are free; a task that needs more is passed over.
    slots: i64,
    k: i64,
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
                let changes: Vec<ChangeRow> =
                    sqlx::query_as(statement!(tx, "take_changes")).bind(&run_ids).fetch_all(&mut *tx).await?;
                advanced.changes = changes.len();
                let mut runs = HashMap::with_capacity(run_rows.len());
                for row in &run_rows {
                    let graph = self.dag_graph(DagVersionKey(row.version_id)).await?;
                    let limits = DagLimits { max_active_tasks: row.max_active_tasks, is_paused: row.is_paused };
                    snapshot.dags.insert(row.dag_id.clone(), limits);
                    runs.insert(row.id, run_snapshot(row, graph)?);
                }
                let deltas = take_in(&mut runs, &changes)?;
                if !deltas.is_empty() {
                    let rows: Vec<TaskRow> = sqlx::query_as(statement!(tx, "count_upstream"))
                        .bind(json(&deltas))
                        .fetch_all(&mut *tx)
                        .await?;
                    for row in rows.into_iter().filter(|row| row.state == "none") {
                        if let Some(run) = runs.get_mut(&row.dag_run_id) {
                            run.touched.push(touched_task(row));
                        }
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
                    snapshot.runs.push(run_snapshot(row, graph)?);
                }
                for row in waiting {
                    if let Some(run) = snapshot.runs.iter_mut().find(|run| run.run.0 == row.dag_run_id)
                        && !run.touched.iter().any(|task| task.task_instance.0 == row.id)
                    {
                        run.touched.push(touched_task(row));
                    }
                }
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
                        task.past = Past::Blocked;
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
                let offers = offers(&pairs, &snapshot);
                if !offers.is_empty() {
                    let ready: Vec<ReadyRow> = sqlx::query_as(statement!(tx, "ready_tasks"))
                        .bind(json(&offers))
                        .bind(at)
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
            advanced.ended_undecided = plan.skip.len() + plan.fail_by_upstream.len();
            advanced.decided = plan.schedule.len() + advanced.ended_undecided;
            if !plan.schedule.is_empty() {
                sqlx::query(statement!(tx, "schedule_tasks"))
                    .bind(json(&plan.schedule))
                    .bind(at)
                    .bind(actor_id)
                    .execute(&mut *tx)
                    .await?;
            }
            for (tasks, state, reason) in [
                (&plan.skip, "skipped", "trigger_rule"),
                (&plan.fail_by_upstream, "upstream_failed", "upstream_failed"),
            ] {
                if !tasks.is_empty() {
                    sqlx::query(statement!(tx, "end_undecided_tasks"))
                        .bind(json(tasks))
                        .bind(at)
                        .bind(actor_id)
                        .bind(state)
                        .bind(reason)
                        .execute(&mut *tx)
                        .await?;
                }
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

fn run_snapshot(row: &RunRow, graph: Arc<DagGraph>) -> Result<RunSnapshot> {
    Ok(RunSnapshot {
        run: DagRunKey(row.id),
        state: run_state(&row.state)?,
        graph,
        unfinished: row.unfinished,
        failed_leaves: row.failed_leaves,
        touched: Vec::new(),
    })
}

/// Takes the changes into the runs' counts, and says how the counts of the tasks after them change. A task that became
/// undecided again (it was cleared) is touched itself, with no change of its counts.
fn take_in(runs: &mut HashMap<i64, RunSnapshot>, changes: &[ChangeRow]) -> Result<Vec<CountDelta>> {
    let mut deltas: BTreeMap<(i64, u32), UpstreamCounts> = BTreeMap::new();
    for change in changes {
        let Some(run) = runs.get_mut(&change.dag_run_id) else { continue };
        let (from, to) = (task_state(&change.from_state)?, task_state(&change.to_state)?);
        let task = index(change.task_index);
        // A change of nothing is there only to have the run looked at.
        let Some(children) = run.graph.downstream.get(task as usize) else { continue };
        run.unfinished += i64::from(from.is_finished()) - i64::from(to.is_finished());
        if children.is_empty() {
            run.failed_leaves += i64::from(is_failure(to)) - i64::from(is_failure(from));
        }
        for &child in children {
            let counts = deltas.entry((change.dag_run_id, child)).or_default();
            counts.add(from, -1);
            counts.add(to, 1);
        }
        if to == TaskState::None {
            deltas.entry((change.dag_run_id, task)).or_default();
        }
    }
    Ok(deltas
        .into_iter()
        .map(|((run, index), counts)| CountDelta {
            run,
            index,
            success: counts.success,
            failed: counts.failed,
            upstream_failed: counts.upstream_failed,
            skipped: counts.skipped,
            removed: counts.removed,
        })
        .collect())
}

const fn is_failure(state: TaskState) -> bool {
    matches!(state, TaskState::Failed | TaskState::UpstreamFailed)
}

fn touched_task(row: TaskRow) -> TouchedTask {
    TouchedTask {
        task_instance: TaskInstanceKey(row.id),
        task_index: index(row.task_index),
        upstream: UpstreamCounts {
            total: row.upstream_total,
            success: row.upstream_success,
            failed: row.upstream_failed,
            upstream_failed: row.upstream_upstream_failed,
            skipped: row.upstream_skipped,
            removed: row.upstream_removed,
        },
        past: Past::Clear,
        ready: ReadyTask {
            task_instance: TaskInstanceKey(row.id),
            dag_id: row.dag_id,
            pool: row.pool,
            pool_slots: row.pool_slots,
            priority: row.priority,
        },
    }
}

fn ready_task(row: ReadyRow) -> ReadyTask {
    ReadyTask {
        task_instance: TaskInstanceKey(row.id),
        dag_id: row.dag_id,
        pool: row.pool,
        pool_slots: row.pool_slots,
        priority: row.priority,
    }
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

/// How many task instances of each DAG and pool could be queued at most, leaving out what has no room.
fn offers<'a>(pairs: &'a [PairRow], snapshot: &TickSnapshot) -> Vec<Offer<'a>> {
    let mut by_pool: HashMap<&str, i64> = HashMap::new();
    let mut by_dag: HashMap<&str, i64> = HashMap::new();
    for live in &snapshot.live {
        *by_pool.entry(&live.pool).or_default() += live.slots;
        *by_dag.entry(&live.dag_id).or_default() += live.instances;
    }
    pairs
        .iter()
        .filter(|pair| !pair.is_paused)
        .filter_map(|pair| {
            let slots = match snapshot.pools.get(&pair.pool) {
                Some(-1) => i64::MAX,
                Some(slots) => slots - by_pool.get(pair.pool.as_str()).copied().unwrap_or(0),
                None => 0,
            };
            let room = pair.max_active_tasks - by_dag.get(pair.dag_id.as_str()).copied().unwrap_or(0);
            let fit = slots.min(room);
            let k = fit.saturating_add(READY_BEYOND_ROOM).min(READY_PER_DAG_MAX);
            (fit > 0).then_some(Offer { dag: &pair.dag_id, pool: &pair.pool, slots, k })
        })
        .collect()
}

/// The first few of each DAG and pool: SQLite's statement gives every pair as many as the largest offer.
fn best_of_each(offers: &[Offer<'_>], mut rows: Vec<ReadyRow>) -> Vec<ReadyTask> {
    let offer_of: HashMap<(&str, &str), usize> =
        offers.iter().enumerate().map(|(at, offer)| ((offer.dag, offer.pool), at)).collect();
    let mut left: Vec<i64> = offers.iter().map(|offer| offer.k).collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.id));
    rows.retain(|row| match offer_of.get(&(row.dag_id.as_str(), row.pool.as_str())) {
        Some(&at) => {
            left[at] -= 1;
            left[at] >= 0
        }
        None => false,
    });
    rows.into_iter().map(ready_task).collect()
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
