//! Creating DAG runs by hand, and the insertion of their task instances.

use flow_model::state::{RunType, TriggeredBy, generated_run_id};
use flow_model::{DagGraph, DagRunKey, Timestamp, TriggerRule};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::transaction::{Transaction, steps};

/// A run that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The DAG.
    pub dag_id: String,
    /// Its id; generated from `run_after` where `None`.
    pub run_id: Option<String>,
    /// What kind of run.
    pub run_type: RunType,
    /// Through which door it came.
    pub triggered_by: TriggeredBy,
    /// Who asked.
    pub principal: String,
    /// Its logical date, if it has one.
    pub logical_date: Option<Timestamp>,
    /// Its data interval, where it has one: see [`flow_model::schedule::Schedule::manual_interval`].
    pub data_interval: Option<(Timestamp, Timestamp)>,
    /// It does not start before this instant.
    pub run_after: Timestamp,
    /// Configuration passed by the trigger, already checked against the DAG's params.
    pub conf: Map<String, Value>,
    /// A note for people.
    pub note: Option<String>,
}

/// A run that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCreated {
    /// Its key.
    pub key: DagRunKey,
    /// Its id.
    pub run_id: String,
    /// Whether the DAG is paused, so that the run waits until somebody unpauses it.
    pub dag_is_paused: bool,
}

/// Generated ids that are tried when the first is taken: by another run of the same microsecond.
const GENERATED_IDS_MAX: u32 = 100;

/// Inserts a queued run that is pinned to a version, and has the scheduler look at its DAG. Gives its key and its id.
pub(crate) async fn insert_run(
    tx: &mut Transaction,
    now: Timestamp,
    new: &NewRun,
    version: i64,
) -> Result<(DagRunKey, String), Abort> {
    let (key, run_id) = insert_under_free_id(tx, now, new, version).await?;
    tx.query("update dag set check_at = case when check_at < $2 then check_at else $2 end where dag_id = $1")
        .bind(&new.dag_id)
        .bind(new.run_after.as_micros().max(now.as_micros()))
        .execute()
        .await?;
    Ok((DagRunKey(key), run_id))
}

async fn insert_under_free_id(
    tx: &mut Transaction,
    now: Timestamp,
    new: &NewRun,
    version: i64,
) -> Result<(i64, String), Abort> {
    let generated = generated_run_id(new.run_type, new.run_after);
    let conf = Value::Object(new.conf.clone()).to_string();
    let mut run_id = new.run_id.clone().unwrap_or_else(|| generated.clone());
    for suffix in 1..=GENERATED_IDS_MAX {
        let created: Option<i64> = tx
            .query(
                "insert into dag_run (dag_id, run_id, run_type, triggered_by, principal, note, version_id, state,
                    logical_date, data_interval_start, data_interval_end, run_after, conf, created_at, changed_at,
                    actor, actor_id)
                 values ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $12, $13, $9, $10, $11, $11, 'user', $5)
                 on conflict (dag_id, run_id) do nothing
                 returning id",
            )
            .bind(&new.dag_id)
            .bind(&run_id)
            .bind(new.run_type.as_str())
            .bind(new.triggered_by.as_str())
            .bind(&new.principal)
            .bind(&new.note)
            .bind(version)
            .bind(new.logical_date.map(Timestamp::as_micros))
            .bind(new.run_after.as_micros())
            .bind(&conf)
            .bind(now.as_micros())
            .bind(new.data_interval.map(|(start, _)| start.as_micros()))
            .bind(new.data_interval.map(|(_, end)| end.as_micros()))
            .optional_scalar()
            .await?;
        if let Some(key) = created {
            return Ok((key, run_id));
        }
        if new.run_id.is_some() {
            break;
        }
        run_id = format!("{generated}-{suffix}");
    }
    let dag_id = &new.dag_id;
    Err(StoreError::Conflict(format!(
        "dag `{dag_id}` already has a run `{run_id}`; hint: choose another run id, or leave it out"
    ))
    .into())
}

impl Store {
    /// Creates a queued run, pinned to the DAG's newest version.
    ///
    /// # Errors
    /// There is no such DAG; a run with that id exists (conflict); or the database failed.
    pub async fn create_run(&self, now: Timestamp, new: &NewRun) -> Result<RunCreated> {
        self.transaction("create a DAG run", |tx| {
            steps(async move {
                let dag: Option<(Option<i64>, bool)> = tx
                    .query("select version_id, is_paused from dag where dag_id = $1")
                    .bind(&new.dag_id)
                    .optional()
                    .await?;
                let Some((Some(version), dag_is_paused)) = dag else {
                    return Err(StoreError::NotFound { what: "dag", name: new.dag_id.clone() }.into());
                };
                let (key, run_id) = insert_run(tx, now, new, version).await?;
                Ok(RunCreated { key, run_id, dag_is_paused })
            })
        })
        .await
    }
}

/// A row of `task_instance` as JSON, for the statement `create_task_instances`.
#[derive(Serialize)]
pub(crate) struct NewTaskInstance<'a> {
    run: i64,
    dag: &'a str,
    task: &'a str,
    pub(crate) index: u32,
    max_tries: u32,
    at_most_once: bool,
    pool: &'a str,
    pool_slots: u32,
    queue: &'a str,
    priority: i64,
    upstream: usize,
    is_leaf: bool,
    /// Its rule holds with nothing done upstream, and it does not look at the past.
    pub(crate) is_ready: bool,
    /// Its rule holds, but the past has to be looked at first.
    pub(crate) waits_for_past: bool,
    must_expand: bool,
    /// Its rule holds, and its mapping can be evaluated at once.
    #[serde(skip)]
    pub(crate) is_to_expand: bool,
    max_per_dag: Option<u32>,
    max_per_run: Option<u32>,
    callbacks: i64,
}

/// The task instances of a run that starts.
pub(crate) fn new_task_instances<'a>(run: i64, graph: &'a DagGraph) -> Vec<NewTaskInstance<'a>> {
    graph
        .dag
        .tasks
        .iter()
        .enumerate()
        .map(|(index, task)| {
            let upstream = graph.upstream[index].len();
            let may_start = upstream == 0 || task.trigger_rule == TriggerRule::Always;
            let looks_back = task.depends_on_past || task.wait_for_downstream;
            let is_mapped = graph.scope_of(index as u32).is_some();
            NewTaskInstance {
                run,
                dag: &graph.dag.dag_id,
                task: &task.task_id,
                index: index as u32,
                max_tries: task.retry.retries,
                at_most_once: task.at_most_once,
                pool: &task.pool,
                pool_slots: task.pool_slots,
                queue: &task.queue,
                priority: graph.priority[index],
                upstream,
                is_leaf: graph.is_leaf(index as u32),
                is_ready: may_start && !looks_back && !is_mapped,
                waits_for_past: may_start && looks_back,
                must_expand: is_mapped,
                is_to_expand: may_start && !looks_back && is_mapped,
                max_per_dag: task.max_active_tis_per_dag,
                max_per_run: task.max_active_tis_per_dagrun,
                callbacks: task.callbacks.mask(),
            }
        })
        .collect()
}
