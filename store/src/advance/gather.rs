//! What a tick reads: changes, what waits for the past or for what is before it, and the room there is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flow_model::decide::counts::{Change, Deltas, look_upstream, take_in, upstream_questions};
use flow_model::decide::offers::{LimitedTask, ReadyPair, best_of_each, full_tasks, offers};
use flow_model::decide::plan::{DagLimits, LiveSlots, ReadyTask, RunSnapshot, TickSnapshot};
use flow_model::decide::restart::{GroupTries, group_restarts, may_restart_groups};
use flow_model::decide::task::Past;
use flow_model::{DagRunKey, DagVersionKey, TaskState};
use serde::Serialize;

use super::rows::{ChangeRow, GroupTriesRow, LiveTaskRow, PairRow, ReadyRow, RunRow, TaskRow};
use super::{Advanced, Tick, states_upstream};
use crate::error::{Abort, Result};
use crate::query::statement;
use crate::rows::json;
use crate::transaction::Transaction;

/// The key of PostgreSQL's advisory lock under which slots are given out, so that limits hold with many schedulers.
const ADMISSION_LOCK: i64 = 0x464c_4f57;

#[derive(Serialize)]
struct PastQuestion<'a> {
    ti: i64,
    task: &'a str,
}

impl Tick<'_> {
    /// T10: retry delays that are over, and pauses between looks. Gives how many.
    pub(super) async fn end_delays(&self, tx: &mut Transaction) -> Result<u64, Abort> {
        let ended = tx
            .query(
                "update task_instance set state = 'scheduled', scheduled_at = $1, not_before = null, changed_at = $1,
                    event_no = event_no + 1, actor = 'scheduler', actor_id = $2, reason = null
                 where state in ('up_for_retry', 'up_for_reschedule') and not_before <= $1",
            )
            .bind(self.now.as_micros())
            .bind(&self.limits.actor_id)
            .execute()
            .await?;
        Ok(ended)
    }

    /// Runs that have changed and that nobody else is working on, with the tasks that their changes touch.
    pub(super) async fn take_in_changes(
        &self,
        tx: &mut Transaction,
        advanced: &mut Advanced,
    ) -> Result<TickSnapshot, Abort> {
        let rows: Vec<RunRow> = tx.query(statement!("lock_changed_runs")).bind(self.limits.runs_max).all().await?;
        advanced.is_unfinished = rows.len() as i64 >= self.limits.runs_max;
        let mut snapshot = TickSnapshot::default();
        if rows.is_empty() {
            return Ok(snapshot);
        }
        let opened = self.open_runs(tx, &rows, &mut snapshot).await?;
        let mut runs: HashMap<DagRunKey, RunSnapshot> = opened.into_iter().map(|run| (run.run, run)).collect();
        let ids = json(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
        let changes = self.take_changes(tx, &ids, &runs, advanced).await?;
        advanced.changes = changes.len();
        let deltas = take_in(&mut runs, &changes);
        for row in count_upstream(tx, &deltas).await? {
            if let Some(run) = runs.get_mut(&DagRunKey(row.dag_run_id)) {
                run.touched.push(row.touched(&Arc::clone(&run.graph), self.now));
            }
        }
        snapshot.runs = rows.iter().filter_map(|row| runs.remove(&DagRunKey(row.id))).collect();
        Ok(snapshot)
    }

    /// The snapshots of locked runs, nothing touched in them yet; the limits of their DAGs go into the tick's.
    async fn open_runs(
        &self,
        tx: &mut Transaction,
        rows: &[RunRow],
        snapshot: &mut TickSnapshot,
    ) -> Result<Vec<RunSnapshot>, Abort> {
        self.store.warm_versions(tx, rows.iter().map(|row| row.version_id)).await?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in rows {
            let graph = self.store.dag_graph(DagVersionKey(row.version_id)).await?;
            let limits = DagLimits { max_active_tasks: row.max_active_tasks, is_paused: row.is_paused };
            snapshot.dags.insert(row.dag_id.clone(), limits);
            runs.push(row.snapshot(graph)?);
        }
        Ok(runs)
    }

    /// All changes of the runs. Groups that failed and have tries left start again before their failure is counted anywhere, so
    /// that nothing after the group hears of it.
    async fn take_changes(
        &self,
        tx: &mut Transaction,
        ids: &str,
        runs: &HashMap<DagRunKey, RunSnapshot>,
        advanced: &mut Advanced,
    ) -> Result<Vec<Change>, Abort> {
        let mut changes: Vec<Change> = Vec::new();
        loop {
            let taken = changes.len();
            let more: Vec<ChangeRow> = tx.query(statement!("take_changes")).bind(ids).all().await?;
            changes.extend(more.into_iter().map(Change::from));
            if !may_restart_groups(runs, &changes[taken..]) {
                return Ok(changes);
            }
            let tries: Vec<GroupTriesRow> = tx.query(statement!("group_tries")).bind(ids).all().await?;
            let tries: Vec<GroupTries> = tries.into_iter().map(GroupTries::from).collect();
            let restarts = group_restarts(runs, &changes, &tries, self.now);
            if restarts.is_empty() {
                return Ok(changes);
            }
            for (_, restart) in &restarts {
                advanced.restarted += self.start_over(tx, restart).await?;
            }
            let counted: Vec<_> = restarts.iter().map(|(group_try, _)| group_try).collect();
            tx.query(statement!("count_group_tries")).bind(json(&counted)).execute().await?;
            // The changes that this made are taken next, and with them failures that were recorded meanwhile.
        }
    }

    /// Tasks that wait for the previous run of their DAG: those of DAGs with changes, or all of them.
    pub(super) async fn add_waiting_for_past(
        &self,
        tx: &mut Transaction,
        snapshot: &mut TickSnapshot,
    ) -> Result<(), Abort> {
        let looks_back = snapshot.runs.iter().any(|run| run.graph.dag.tasks.iter().any(|task| task.depends_on_past));
        if !looks_back && !self.limits.look_at_past {
            return Ok(());
        }
        let dags = json(&snapshot.dags.keys().collect::<Vec<_>>());
        let waiting: Vec<TaskRow> =
            tx.query(statement!("tasks_waiting_for_past")).bind(&dags).bind(self.limits.look_at_past).all().await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let known: HashSet<i64> = snapshot.runs.iter().map(|run| run.run.0).collect();
        let missing: HashSet<i64> =
            waiting.iter().map(|row| row.dag_run_id).filter(|run| !known.contains(run)).collect();
        let rows: Vec<RunRow> = tx.query(statement!("lock_runs")).bind(json(&missing)).all().await?;
        let opened = self.open_runs(tx, &rows, snapshot).await?;
        snapshot.runs.extend(opened);
        for row in waiting {
            if let Some(run) = snapshot.runs.iter_mut().find(|run| run.run.0 == row.dag_run_id)
                && !run.touched.iter().any(|task| task.task_instance.0 == row.id)
            {
                run.touched.push(row.touched(&Arc::clone(&run.graph), self.now));
            }
        }
        Ok(())
    }

    /// What may be queued, and the room there is. Only one scheduler at a time gives slots out; for another one there is none.
    pub(super) async fn read_room(
        &self,
        tx: &mut Transaction,
        snapshot: &mut TickSnapshot,
        advanced: &mut Advanced,
    ) -> Result<(), Abort> {
        let pairs: Vec<PairRow> = tx.query(statement!("ready_pairs")).all().await?;
        let pairs: Vec<ReadyPair> = pairs.into_iter().map(ReadyPair::from).collect();
        if pairs.is_empty() && snapshot.runs.iter().all(|run| run.touched.is_empty()) {
            return Ok(());
        }
        snapshot.may_admit = lock_admission(tx).await?;
        advanced.is_unfinished |= !snapshot.may_admit;
        if !snapshot.may_admit {
            return Ok(());
        }
        snapshot.pools = tx.query("select name, slots from pool").all::<(String, i64)>().await?.into_iter().collect();
        snapshot.live = live_slots(tx).await?;
        let limited = limited_tasks(tx).await?;
        snapshot.live_tasks = limited.iter().map(|limited| limited.live.clone()).collect();
        let offers = offers(&pairs, snapshot);
        if !offers.is_empty() {
            let ready: Vec<ReadyRow> = tx
                .query(statement!("ready_tasks"))
                .bind(json(&offers))
                .bind(self.now.as_micros())
                .bind(json(&full_tasks(&limited)))
                .all()
                .await?;
            snapshot.ready = best_of_each(&offers, ready.into_iter().map(ReadyTask::from).collect());
        }
        for pair in pairs {
            snapshot.dags.insert(pair.dag_id, pair.limits);
        }
        Ok(())
    }
}

/// Adds what has ended to the counts of the tasks after it. Gives those of them that are undecided, the oldest first.
async fn count_upstream(tx: &mut Transaction, deltas: &Deltas) -> Result<Vec<TaskRow>, Abort> {
    let mut counted: HashMap<i64, TaskRow> = HashMap::new();
    for deltas in [&deltas.of_tasks, &deltas.of_instances] {
        if !deltas.is_empty() {
            let rows: Vec<TaskRow> = tx.query(statement!("count_upstream")).bind(json(deltas)).all().await?;
            counted.extend(rows.into_iter().map(|row| (row.id, row)));
        }
    }
    let mut undecided: Vec<TaskRow> = counted.into_values().filter(|row| row.state.0 == TaskState::None).collect();
    undecided.sort_unstable_by_key(|row| row.id);
    Ok(undecided)
}

/// Where the touched tasks depend on more than counts: the states of what is before them.
pub(super) async fn add_upstream_states(tx: &mut Transaction, snapshot: &mut TickSnapshot) -> Result<(), Abort> {
    let questions = upstream_questions(&snapshot.runs);
    if questions.is_empty() {
        return Ok(());
    }
    let states = states_upstream(tx, &json(&questions)).await?;
    look_upstream(&mut snapshot.runs, &states);
    Ok(())
}

/// Which of the touched tasks the previous run of their DAG blocks.
pub(super) async fn add_past(tx: &mut Transaction, snapshot: &mut TickSnapshot) -> Result<(), Abort> {
    let questions = json(&match past_questions(&snapshot.runs) {
        questions if questions.is_empty() => return Ok(()),
        questions => questions,
    });
    let blocked: Vec<i64> = tx.query(statement!("blocked_by_past")).bind(&questions).scalars().await?;
    let blocked: HashSet<i64> = blocked.into_iter().collect();
    for task in snapshot.runs.iter_mut().flat_map(|run| &mut run.touched) {
        if blocked.contains(&task.task_instance.0) {
            task.standing.past = Past::Blocked;
        }
    }
    Ok(())
}

/// Whether this scheduler may give slots out, until the transaction ends. SQLite has one writer anyway.
async fn lock_admission(tx: &mut Transaction) -> Result<bool, Abort> {
    match tx.choose("select pg_try_advisory_xact_lock($1)", "") {
        "" => Ok(true),
        lock => Ok(tx.query(lock).bind(ADMISSION_LOCK).scalar().await?),
    }
}

async fn live_slots(tx: &mut Transaction) -> Result<Vec<LiveSlots>, Abort> {
    let rows: Vec<(String, String, i64, i64)> = tx
        .query(
            "select pool, dag_id, count(*), cast(coalesce(sum(pool_slots), 0) as bigint)
             from task_instance where state in ('queued', 'running') group by pool, dag_id",
        )
        .all()
        .await?;
    let slots = |(pool, dag_id, instances, slots)| LiveSlots { pool, dag_id, instances, slots };
    Ok(rows.into_iter().map(slots).collect())
}

/// Queued and running instances of tasks that have limits of their own.
async fn limited_tasks(tx: &mut Transaction) -> Result<Vec<LimitedTask>, Abort> {
    let rows: Vec<LiveTaskRow> = tx
        .query(
            "select dag_id, dag_run_id, task_id, max_per_dag, max_per_run, count(*) as instances
             from task_instance
             where state in ('queued', 'running') and (max_per_dag is not null or max_per_run is not null)
             group by dag_id, dag_run_id, task_id, max_per_dag, max_per_run",
        )
        .all()
        .await?;
    Ok(rows.into_iter().map(LimitedTask::from).collect())
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
