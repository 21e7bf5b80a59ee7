//! T13: what people do to task instances: clear and mark. What they do to whole runs is in `end`.
//!
//! All of it happens under the run's row lock, so that it never races with a tick's decision, and raises the epoch, so
//! that a running attempt loses the right to act at once.

use std::collections::HashSet;
use std::sync::Arc;

use flow_model::moves::{self, TaskEvent};
use flow_model::{DagGraph, DagRunKey, DagVersionKey, RunState, TaskInstanceKey, TaskState, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::query::statement;
use crate::rows::{index, json};
use crate::selected::Selected;
use crate::transaction::{Transaction, steps};

/// Which tasks of a run are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Their ids, or ids of groups for all tasks in them; empty means all, unless instances are named.
    pub task_ids: Vec<String>,
    /// Single instances of mapped tasks or groups: the task or group, and the map index.
    pub instances: Vec<(String, i64)>,
    /// Also everything before them.
    pub upstream: bool,
    /// Also everything after them.
    pub downstream: bool,
}

impl Selection {
    /// A task, or the one instance of it that a map index names.
    pub fn of(task_id: String, map_index: Option<i64>) -> Self {
        match map_index {
            Some(map_index) => Selection { instances: vec![(task_id, map_index)], ..Selection::default() },
            None => Selection { task_ids: vec![task_id], ..Selection::default() },
        }
    }
}

/// Asks to run tasks again.
#[derive(Debug, Clone)]
pub struct ClearRequest {
    /// The run.
    pub run: DagRunKey,
    /// The tasks.
    pub tasks: Selection,
    /// Only those that failed or are upstream_failed.
    pub only_failed: bool,
    /// Who asks.
    pub principal: String,
}

/// The state that somebody gives to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As if it had succeeded.
    Success,
    /// As if it had failed.
    Failed,
    /// As if it had been skipped.
    Skipped,
}

impl Mark {
    const fn event(self) -> TaskEvent {
        match self {
            Mark::Success => TaskEvent::MarkSuccess,
            Mark::Failed => TaskEvent::MarkFailed,
            Mark::Skipped => TaskEvent::MarkSkipped,
        }
    }
}

/// Asks to give tasks a state.
#[derive(Debug, Clone)]
pub struct MarkRequest {
    /// The run.
    pub run: DagRunKey,
    /// The tasks.
    pub tasks: Selection,
    /// The state.
    pub to: Mark,
    /// Who asks.
    pub principal: String,
}

/// What was changed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Affected {
    /// The task instances with the states they had.
    pub tasks: Vec<AffectedTask>,
}

/// A task instance that is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedTask {
    /// Its key.
    pub task_instance: TaskInstanceKey,
    /// Its task.
    pub task_id: String,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// The state it had.
    pub from: TaskState,
}

#[derive(sqlx::FromRow)]
pub(crate) struct LockedRun {
    pub dag_id: String,
    #[sqlx(try_from = "String")]
    pub state: RunState,
    pub version_id: i64,
    /// It ends like this, once its teardowns are over.
    pub ends_as: Option<String>,
}

#[derive(sqlx::FromRow)]
pub(crate) struct InstanceRow {
    pub id: i64,
    task_id: String,
    task_index: i64,
    map_index: i64,
    #[sqlx(try_from = "String")]
    pub state: TaskState,
}

impl InstanceRow {
    /// Its task and its map index.
    pub fn place(&self) -> (u32, i64) {
        (index(self.task_index), self.map_index)
    }
}

#[derive(Serialize)]
pub(crate) struct Move {
    id: i64,
    to_state: &'static str,
    reason: &'static str,
    retries: u32,
}

impl Store {
    /// Clears tasks: they become undecided and run again when their trigger rule holds. A finished run is queued again.
    /// With `dry_run` nothing changes.
    ///
    /// # Errors
    /// There is no such run or task, or the database failed.
    pub async fn clear_tasks(&self, now: Timestamp, request: &ClearRequest, dry_run: bool) -> Result<Affected> {
        self.change_tasks(now, request.run, &request.principal, dry_run, |graph, rows| {
            let selected = select(graph, &request.tasks)?;
            // As in Airflow: what a task needs is set up again, and torn down.
            let around = selected.around(graph, |tasks| graph.with_setups_and_teardowns(tasks));
            Ok(rows
                .iter()
                .filter(|row| selected.has(row.place()) || around.has(row.place()))
                .filter(|row| {
                    !request.only_failed || matches!(row.state, TaskState::Failed | TaskState::UpstreamFailed)
                })
                .map(|row| (row.id, TaskEvent::Clear, "cleared"))
                .collect())
        })
        .await
    }

    /// Gives tasks a state. Tasks after them that had failed because of them get another chance, and a finished run is
    /// queued again so that its result is found anew. With `dry_run` nothing changes.
    ///
    /// # Errors
    /// There is no such run or task, or the database failed.
    pub async fn mark_tasks(&self, now: Timestamp, request: &MarkRequest, dry_run: bool) -> Result<Affected> {
        self.change_tasks(now, request.run, &request.principal, dry_run, |graph, rows| {
            let selected = select(graph, &request.tasks)?;
            let after = match request.to {
                Mark::Failed => Selected::default(),
                Mark::Success | Mark::Skipped => {
                    selected.around(graph, |tasks| graph.reachable(tasks, &graph.downstream))
                }
            };
            Ok(rows
                .iter()
                .filter_map(|row| {
                    if selected.has(row.place()) {
                        Some((row.id, request.to.event(), "marked"))
                    } else if after.has(row.place()) && row.state == TaskState::UpstreamFailed {
                        Some((row.id, TaskEvent::Clear, "upstream_marked"))
                    } else {
                        None
                    }
                })
                .collect())
        })
        .await
    }

    async fn change_tasks(
        &self,
        now: Timestamp,
        run: DagRunKey,
        principal: &str,
        dry_run: bool,
        choose: impl Fn(&DagGraph, &[InstanceRow]) -> Result<Vec<(i64, TaskEvent, &'static str)>> + Sync,
    ) -> Result<Affected> {
        let choose = &choose;
        self.transaction("change task instances", |tx| {
            steps(async move {
                let (locked, graph, rows) = self.lock_whole_run(tx, run).await?;
                let (moves, affected) = plan_moves(&graph, &rows, &choose(&graph, &rows)?)?;
                // A run that was ended before it started has no task instances yet; they come when it starts.
                if !dry_run && (!moves.is_empty() || rows.is_empty()) {
                    move_tasks(tx, now, run, principal, &moves).await?;
                    open_run(tx, now, run, principal, &locked, &moves).await?;
                }
                // Also where nothing changes: a tick may have passed over the run because it was locked here.
                tx.query(CHECK_DAG).bind(&locked.dag_id).bind(now.as_micros()).execute().await?;
                Ok(affected)
            })
        })
        .await
    }

    /// A run under its lock, what its version says, and all its task instances.
    pub(crate) async fn lock_whole_run(
        &self,
        tx: &mut Transaction,
        run: DagRunKey,
    ) -> Result<(LockedRun, Arc<DagGraph>, Vec<InstanceRow>), Abort> {
        let locked: Option<LockedRun> = tx.query(statement!("lock_run")).bind(run.0).optional().await?;
        let locked = locked.ok_or_else(|| StoreError::NotFound { what: "dag run", name: run.to_string() })?;
        self.warm_versions(tx, [locked.version_id]).await?;
        let graph = self.dag_graph(DagVersionKey(locked.version_id)).await?;
        let rows = tx.query(statement!("instances_of_run")).bind(run.0).all().await?;
        Ok((locked, graph, rows))
    }
}

/// Moves task instances for a person, and forgets what they left.
async fn move_tasks(
    tx: &mut Transaction,
    now: Timestamp,
    run: DagRunKey,
    principal: &str,
    moves: &[Move],
) -> Result<(), Abort> {
    tx.query(statement!("user_moves")).bind(json(moves)).bind(now.as_micros()).bind(principal).execute().await?;
    let ids: Vec<i64> = moves.iter().map(|change| change.id).collect();
    tx.query(statement!("forget_xcoms")).bind(json(&ids)).bind(run.0).execute().await?;
    // A person gives everything its full number of tries again.
    tx.query("delete from group_try where dag_run_id = $1").bind(run.0).execute().await?;
    tx.query("update dag_run set retries_used = 0 where id = $1").bind(run.0).execute().await?;
    Ok(())
}

/// A run in which something is to run again is not meant to end, and one that has ended is queued again.
async fn open_run(
    tx: &mut Transaction,
    now: Timestamp,
    run: DagRunKey,
    principal: &str,
    locked: &LockedRun,
    moves: &[Move],
) -> Result<(), Abort> {
    if locked.ends_as.is_some() && moves.iter().any(|change| change.to_state == TaskState::None.as_str()) {
        tx.query("update dag_run set ends_as = null, reason = null where id = $1").bind(run.0).execute().await?;
    }
    if locked.state.is_finished() {
        tx.query(
            "update dag_run set state = 'queued', ended_at = null, changed_at = $2, event_no = event_no + 1,
                actor = 'user', actor_id = $3, reason = 'cleared', ends_as = null
             where id = $1",
        )
        .bind(run.0)
        .bind(now.as_micros())
        .bind(principal)
        .execute()
        .await?;
    }
    Ok(())
}

pub(crate) const CHECK_DAG: &str = "update dag set check_at = $2 where dag_id = $1";

fn select(graph: &DagGraph, selection: &Selection) -> Result<Selected> {
    let find = |id: &String| match graph.index_of(id) {
        Some(task) => Ok(vec![task]),
        None if graph.dag.groups.iter().any(|group| group.group_id == *id) => Ok(graph.tasks_of(id)),
        None => Err(StoreError::NotFound { what: "task or group", name: format!("{}.{id}", graph.dag.dag_id) }),
    };
    if selection.task_ids.is_empty() && selection.instances.is_empty() {
        return Ok(Selected { tasks: (0..graph.dag.tasks.len() as u32).collect(), instances: HashSet::new() });
    }
    let mut named = Selected::default();
    for id in &selection.task_ids {
        named.tasks.extend(find(id)?);
    }
    for (id, map_index) in &selection.instances {
        named.instances.extend(find(id)?.into_iter().map(|task| (task, *map_index)));
    }
    let before = selection.upstream.then(|| named.around(graph, |tasks| graph.reachable(tasks, &graph.upstream)));
    let after = selection.downstream.then(|| named.around(graph, |tasks| graph.reachable(tasks, &graph.downstream)));
    before.into_iter().chain(after).for_each(|more| named.add(more));
    Ok(named)
}

/// The legal ones of the chosen moves (clearing what is undecided, or marking what is so already, changes nothing).
pub(crate) fn plan_moves(
    graph: &DagGraph,
    rows: &[InstanceRow],
    chosen: &[(i64, TaskEvent, &'static str)],
) -> Result<(Vec<Move>, Affected)> {
    let mut plan = Vec::new();
    let mut affected = Affected::default();
    let mut rows = rows.iter().peekable();
    for &(id, event, reason) in chosen {
        // Both lists are in the same order.
        let Some(row) = rows.by_ref().find(|row| row.id == id) else { continue };
        let from = row.state;
        let Some(to) = moves::next(from, event) else { continue };
        let retries = graph.dag.tasks.get(row.task_index as usize).map_or(0, |task| task.retry.retries);
        plan.push(Move { id, to_state: to.as_str(), reason, retries });
        affected.tasks.push(AffectedTask {
            task_instance: TaskInstanceKey(id),
            task_id: row.task_id.clone(),
            map_index: row.map_index,
            from,
        });
    }
    Ok((plan, affected))
}
