//! T13: what people do to task instances: clear and mark. What they do to whole runs is in `end`.
//!
//! All of it happens under the run's row lock, so that it never races with a tick's decision, and raises the epoch, so
//! that a running attempt loses the right to act at once.

use std::sync::Arc;

use flow_model::decide::intervention::{
    self, Affected, Instance, Mark, Move, Selection, UnknownTask, Wish, plan_moves,
};
use flow_model::{DagGraph, DagRunKey, DagVersionKey, RunState, TaskInstanceKey, TaskState, Timestamp};

use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::query::statement;
use crate::rows::{Named, index, json};
use crate::transaction::{Transaction, steps};

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

#[derive(sqlx::FromRow)]
pub(crate) struct LockedRun {
    pub dag_id: String,
    pub state: Named<RunState>,
    pub version_id: i64,
    /// It ends like this, once its teardowns are over.
    pub ends_as: Option<String>,
}

#[derive(sqlx::FromRow)]
struct InstanceRow {
    id: i64,
    task_id: String,
    task_index: i64,
    map_index: i64,
    state: Named<TaskState>,
}

impl From<InstanceRow> for Instance {
    fn from(row: InstanceRow) -> Self {
        Instance {
            id: TaskInstanceKey(row.id),
            task_id: row.task_id,
            task_index: index(row.task_index),
            map_index: row.map_index,
            state: row.state.0,
        }
    }
}

/// All task instances of a run, in the order of the DAG and of their map indexes.
pub(crate) async fn instances_of_run(tx: &mut Transaction, run: DagRunKey) -> Result<Vec<Instance>, Abort> {
    let rows: Vec<InstanceRow> = tx.query(statement!("instances_of_run")).bind(run.0).all().await?;
    Ok(rows.into_iter().map(Instance::from).collect())
}

impl Store {
    /// Clears tasks: they become undecided and run again when their trigger rule holds. A finished run is queued again.
    /// With `dry_run` nothing changes.
    ///
    /// # Errors
    /// There is no such run or task, or the database failed.
    pub async fn clear_tasks(&self, now: Timestamp, request: &ClearRequest, dry_run: bool) -> Result<Affected> {
        self.change_tasks(now, request.run, &request.principal, dry_run, |graph, instances| {
            intervention::clear(graph, instances, &request.tasks, request.only_failed)
        })
        .await
    }

    /// Gives tasks a state. Tasks after them that had failed because of them get another chance, and a finished run is
    /// queued again so that its result is found anew. With `dry_run` nothing changes.
    ///
    /// # Errors
    /// There is no such run or task, or the database failed.
    pub async fn mark_tasks(&self, now: Timestamp, request: &MarkRequest, dry_run: bool) -> Result<Affected> {
        self.change_tasks(now, request.run, &request.principal, dry_run, |graph, instances| {
            intervention::mark(graph, instances, &request.tasks, request.to)
        })
        .await
    }

    async fn change_tasks(
        &self,
        now: Timestamp,
        run: DagRunKey,
        principal: &str,
        dry_run: bool,
        choose: impl Fn(&DagGraph, &[Instance]) -> Result<Vec<Wish>, UnknownTask> + Sync,
    ) -> Result<Affected> {
        let choose = &choose;
        self.transaction("change task instances", |tx| {
            steps(async move {
                let (locked, graph, instances) = self.lock_whole_run(tx, run).await?;
                let wishes = choose(&graph, &instances)
                    .map_err(|UnknownTask(name)| StoreError::NotFound { what: "task or group", name })?;
                let (moves, affected) = plan_moves(&graph, &instances, &wishes);
                // A run that was ended before it started has no task instances yet; they come when it starts.
                if !dry_run && (!moves.is_empty() || instances.is_empty()) {
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
    ) -> Result<(LockedRun, Arc<DagGraph>, Vec<Instance>), Abort> {
        let locked: Option<LockedRun> = tx.query(statement!("lock_run")).bind(run.0).optional().await?;
        let locked = locked.ok_or_else(|| StoreError::NotFound { what: "dag run", name: run.to_string() })?;
        self.warm_versions(tx, [locked.version_id]).await?;
        let graph = self.dag_graph(DagVersionKey(locked.version_id)).await?;
        let instances = instances_of_run(tx, run).await?;
        Ok((locked, graph, instances))
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
    let ids: Vec<TaskInstanceKey> = moves.iter().map(|change| change.id).collect();
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
    if locked.ends_as.is_some() && moves.iter().any(|change| change.to_state == TaskState::None) {
        tx.query("update dag_run set ends_as = null, reason = null where id = $1").bind(run.0).execute().await?;
    }
    if locked.state.0.is_finished() {
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
