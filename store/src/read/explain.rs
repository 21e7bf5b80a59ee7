//! Gathers the facts from which `model::explain` says why a task instance is where it is. Only reads.

use std::sync::Arc;

use flow_model::decide::counts::{UpstreamState, look_upstream};
use flow_model::decide::expansion::mapping_stage;
use flow_model::decide::plan::{ReadyTask, RunSnapshot, TouchedTask};
use flow_model::decide::task::{Past, Standing};
use flow_model::explain::{
    DeferralFacts, Facts, OwnLimit, PastTask, PoolFacts, RunFacts, TaskFacts, UpstreamTask, WorkerFacts,
};
use flow_model::{DagGraph, Task, TaskInstanceKey, TaskState, Timestamp};

use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::query::Statement;
use crate::read::{ProcessRecord, RunRecord, TaskInstanceRecord, TaskTally};
use crate::rows::{Named, json, task_state};
use crate::suspended::deferral;
use crate::transaction::{Transaction, step, steps};

/// Upstream tasks that are looked at by name.
const UPSTREAM_MAX: usize = 200;

/// The task that is asked about, in its run.
struct Asked<'a> {
    run: &'a RunRecord,
    graph: &'a Arc<DagGraph>,
    index: u32,
    map_index: i64,
    instance: Option<&'a TaskInstanceRecord>,
}

/// What one reading finds about a task and what stands in its way.
struct Circumstances {
    upstream: Vec<UpstreamTask>,
    live_per_dag: i64,
    pool: Option<PoolFacts>,
    dag_live_tasks: i64,
    running_runs: i64,
    past: Vec<PastTask>,
    failed_first: Option<UpstreamTask>,
    must_expand: bool,
}

impl Store {
    /// The facts about a task of a run.
    ///
    /// # Errors
    /// The run's version has no such task, or the database failed.
    pub async fn explain_facts(&self, now: Timestamp, run: &RunRecord, task_id: &str, map_index: i64) -> Result<Facts> {
        let graph = self.dag_graph(run.version_id).await?;
        let index = graph
            .index_of(task_id)
            .ok_or_else(|| StoreError::NotFound { what: "task", name: format!("{}.{task_id}", run.dag_id) })?;
        let instance = self.find_task_instance(run, task_id, map_index).await?;
        let asked = Asked { run, graph: &graph, index, map_index, instance: instance.as_ref() };
        let dag = self.find_dag(&run.dag_id).await?;
        let processes = self.list_processes().await?;
        let instances = self.task_tallies(run.id, &[index]).await?;
        let found = self.circumstances(&asked).await?;
        let around = self.around(&asked, &found).await?;
        let is_alive = |process: &ProcessRecord| process.lease_until > now;
        let has = |kind: &str| processes.iter().any(|process| process.kind == kind && is_alive(process));
        let deferral = match asked.instance {
            Some(instance) if instance.state == TaskState::Deferred => {
                self.deferral_facts(instance.id, has("triggerer")).await?
            }
            _ => None,
        };
        let task = asked.task();
        Ok(Facts {
            now,
            dag_id: run.dag_id.clone(),
            task_id: task_id.to_owned(),
            dag_is_paused: dag.is_paused,
            run: RunFacts {
                state: run.state,
                run_after: run.run_after,
                reason: run.reason.clone(),
                running_runs: found.running_runs,
                max_active_runs: dag.max_active_runs,
            },
            trigger_rule: task.trigger_rule,
            upstream: found.upstream,
            pool: found.pool,
            instances: instances
                .iter()
                .filter(|tally| tally.last_map_index >= 0)
                .map(|tally| (tally.state, tally.instances))
                .collect(),
            own_limits: own_limits(task, &instances, found.live_per_dag),
            dag_live_tasks: found.dag_live_tasks,
            max_active_tasks: dag.max_active_tasks,
            past: found.past,
            standing: around.standing,
            setups: around.setups,
            deciders: around.deciders,
            left_out_by: around.left_out_by,
            producers: around.producers,
            failed_first: found.failed_first,
            workers: processes.iter().filter(|process| is_alive(process)).filter_map(worker_facts).collect(),
            has_scheduler: has("scheduler"),
            task: instance.map(|instance| task_facts(instance, deferral)),
        })
    }

    async fn circumstances(&self, asked: &Asked<'_>) -> Result<Circumstances> {
        self.reading("explain a task", |tx| {
            steps(async move {
                let task = asked.task();
                Ok(Circumstances {
                    upstream: upstream_of(tx, asked).await?,
                    live_per_dag: live_per_dag(tx, asked).await?,
                    pool: pool_facts(tx, &task.pool).await?,
                    dag_live_tasks: tx
                        .query(
                            "select count(*) from task_instance where dag_id = $1 and state in ('queued', 'running')",
                        )
                        .bind(&asked.run.dag_id)
                        .scalar()
                        .await?,
                    running_runs: running_runs(tx, &asked.run.dag_id).await?,
                    past: past_of(tx, asked).await?,
                    failed_first: failed_first(tx, asked).await?,
                    must_expand: tx
                        .query("select must_expand from task_instance where id = $1")
                        .bind(asked.instance.map_or(0, |instance| instance.id.0))
                        .optional_scalar()
                        .await?
                        .unwrap_or_default(),
                })
            })
        })
        .await
    }

    /// What the scheduler would look at for the task instance, with the names of what it looks at.
    async fn around(&self, asked: &Asked<'_>, found: &Circumstances) -> Result<Around> {
        let Some(instance) = asked.instance else { return Ok(Around::default()) };
        let graph = asked.graph;
        let mut seen = [asked.snapshot(instance, found)];
        let states = self.states_upstream(&seen).await?;
        look_upstream(&mut seen, &states);
        let named = |of: &[u32], is_wanted: &dyn Fn(&UpstreamState) -> bool| -> Result<Vec<UpstreamTask>> {
            let wanted = states.iter().filter(|state| of.contains(&state.task_index) && is_wanted(state));
            wanted
                .map(|row| {
                    let task_id = graph.dag.tasks[row.task_index as usize].task_id.clone();
                    Ok(UpstreamTask { task_id, state: row.state, instances: row.instances })
                })
                .collect()
        };
        let at = asked.index as usize;
        let is_left_out = |state: &UpstreamState| state.state == TaskState::Success && state.leaves_out(asked.index);
        Ok(Around {
            setups: named(&graph.setups[at], &|_| true)?,
            deciders: named(&graph.deciders[at], &|_| true)?,
            left_out_by: named(&graph.deciders[at], &is_left_out)?,
            producers: named(&graph.producers[at], &|_| true)?,
            standing: seen[0].touched.pop().map(|touched| touched.standing),
        })
    }

    async fn deferral_facts(&self, key: TaskInstanceKey, has_triggerer: bool) -> Result<Option<DeferralFacts>> {
        let row: Option<DeferralRow> = self
            .reading("explain a deferral", |tx| {
                step(
                    tx.query(
                        "select args, created_at, deadline_at, is_timer, checks, next_check_at, note,
                            owner is not null as is_carried
                         from trigger where task_instance_id = $1",
                    )
                    .bind(key.0)
                    .optional(),
                )
            })
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(DeferralFacts {
            what: deferral(&row.args)?.trigger.summary(),
            since: Timestamp::from_micros(row.created_at),
            deadline_at: row.deadline_at.map(Timestamp::from_micros),
            is_timer: row.is_timer,
            checks: row.checks,
            next_check_at: row.next_check_at.map(Timestamp::from_micros),
            note: row.note,
            is_carried: row.is_carried,
            has_triggerer,
        }))
    }
}

impl Asked<'_> {
    fn task(&self) -> &Task {
        &self.graph.dag.tasks[self.index as usize]
    }

    /// The first of the tasks before it.
    fn before(&self) -> impl Iterator<Item = u32> {
        self.graph.upstream[self.index as usize].iter().copied().take(UPSTREAM_MAX)
    }

    /// The tasks of the previous run that it looks at.
    fn looked_back_at(&self) -> Vec<&str> {
        let task = self.task();
        let children = self.graph.downstream[self.index as usize].iter().filter(|_| task.wait_for_downstream);
        let itself = std::iter::once(&self.index).filter(|_| task.depends_on_past || task.wait_for_downstream);
        itself.chain(children).map(|&index| self.graph.dag.tasks[index as usize].task_id.as_str()).collect()
    }

    /// The run as a tick would see it, with nothing but this instance touched.
    fn snapshot(&self, instance: &TaskInstanceRecord, found: &Circumstances) -> RunSnapshot {
        let standing = Standing {
            upstream: instance.upstream(),
            mapping: mapping_stage(self.graph, self.index, found.must_expand),
            past: if found.past.is_empty() { Past::Clear } else { Past::Blocked },
            ..Standing::new(self.task().trigger_rule)
        };
        let ready = ReadyTask {
            task_instance: instance.id,
            dag_id: self.run.dag_id.clone(),
            pool: instance.pool.clone(),
            pool_slots: instance.pool_slots,
            priority: 0,
            limits: None,
        };
        let touched = TouchedTask {
            task_instance: instance.id,
            task_index: self.index,
            map_index: instance.map_index,
            is_delayed: false,
            standing,
            ready,
        };
        RunSnapshot {
            run: self.run.id,
            state: self.run.state,
            graph: Arc::clone(self.graph),
            unfinished: 0,
            failed_leaves: 0,
            retries_used: 0,
            ends_as: None,
            touched: vec![touched],
        }
    }
}

/// What is before the task, by state. Within a mapped group only the instances of the same map index count.
async fn upstream_of(tx: &mut Transaction, asked: &Asked<'_>) -> Result<Vec<UpstreamTask>, Abort> {
    if asked.instance.is_none() {
        let named = |index: u32| asked.graph.dag.tasks[index as usize].task_id.clone();
        let waiting = |index| UpstreamTask { task_id: named(index), state: TaskState::None, instances: 1 };
        return Ok(asked.before().map(waiting).collect());
    }
    let (beside, whole): (Vec<u32>, Vec<u32>) =
        asked.before().partition(|&other| asked.graph.go_together(asked.index, other));
    let rows: Vec<UpstreamRow> = tx
        .query(Statement::Both(
            "select task_id, state, count(*) as instances from task_instance where dag_run_id = $1
                and (task_index in (select value::bigint from json_array_elements_text($2::json)) or map_index = $4
                    and task_index in (select value::bigint from json_array_elements_text($3::json)))
             group by task_index, task_id, state order by task_index, state",
            "select task_id, state, count(*) as instances from task_instance where dag_run_id = $1
                and (task_index in (select value from json_each($2)) or map_index = $4
                    and task_index in (select value from json_each($3)))
             group by task_index, task_id, state order by task_index, state",
        ))
        .bind(asked.run.id.0)
        .bind(json(&whole))
        .bind(json(&beside))
        .bind(asked.map_index)
        .all()
        .await?;
    let mut upstream = Vec::with_capacity(rows.len());
    for row in rows {
        upstream.push(UpstreamTask { task_id: row.task_id, state: row.state.0, instances: row.instances });
    }
    Ok(upstream)
}

/// Live instances of the task in all runs, where that is limited.
async fn live_per_dag(tx: &mut Transaction, asked: &Asked<'_>) -> Result<i64, Abort> {
    let task = asked.task();
    if task.max_active_tis_per_dag.is_none() {
        return Ok(0);
    }
    let live = tx
        .query(
            "select count(*) from task_instance
             where dag_id = $1 and task_id = $2 and state in ('queued', 'running')",
        )
        .bind(&asked.run.dag_id)
        .bind(&task.task_id)
        .scalar()
        .await?;
    Ok(live)
}

async fn pool_facts(tx: &mut Transaction, pool: &str) -> Result<Option<PoolFacts>, Abort> {
    let slots: Option<i64> = tx.query("select slots from pool where name = $1").bind(pool).optional_scalar().await?;
    let used = tx
        .query(
            "select cast(coalesce(sum(pool_slots), 0) as bigint) from task_instance
             where pool = $1 and state in ('queued', 'running')",
        )
        .bind(pool)
        .scalar()
        .await?;
    Ok(slots.map(|slots| PoolFacts { slots, used }))
}

async fn running_runs(tx: &mut Transaction, dag_id: &str) -> Result<i64, Abort> {
    let running = tx
        .query(Statement::Both(
            "select count(*) from dag_run where dag_id = $1 and state = 'running'",
            "select count(*) from dag_run indexed by dag_run_live where dag_id = $1 and state = 'running'",
        ))
        .bind(dag_id)
        .scalar()
        .await?;
    Ok(running)
}

/// What blocks the task in the previous run of its DAG.
async fn past_of(tx: &mut Transaction, asked: &Asked<'_>) -> Result<Vec<PastTask>, Abort> {
    let looked_back_at = asked.looked_back_at();
    let Some(logical_date) = asked.run.logical_date.filter(|_| !looked_back_at.is_empty()) else {
        return Ok(Vec::new());
    };
    let rows: Vec<PastRow> = tx
        .query(Statement::Both(
            "select q.run_id, q.state = 'queued' and q.started_at is null as is_waiting, t.task_id, t.state
             from dag_run q left join task_instance t on t.dag_run_id = q.id
                and t.task_id in (select json_array_elements_text($3::json))
                and t.state not in ('success', 'skipped', 'removed')
             where q.id = (select id from dag_run where dag_id = $1 and logical_date < $2
                order by logical_date desc, id desc limit 1)
             order by t.task_index, t.map_index limit 10",
            "select q.run_id, q.state = 'queued' and q.started_at is null as is_waiting, t.task_id, t.state
             from dag_run q left join task_instance t on t.dag_run_id = q.id
                and t.task_id in (select value from json_each($3))
                and t.state not in ('success', 'skipped', 'removed')
             where q.id = (select id from dag_run where dag_id = $1 and logical_date < $2
                order by logical_date desc, id desc limit 1)
             order by t.task_index, t.map_index limit 10",
        ))
        .bind(&asked.run.dag_id)
        .bind(logical_date.as_micros())
        .bind(json(&looked_back_at))
        .all()
        .await?;
    Ok(waited_for(rows, &asked.task().task_id)?)
}

/// The failed task before it that was the first to fail.
async fn failed_first(tx: &mut Transaction, asked: &Asked<'_>) -> Result<Option<UpstreamTask>, Abort> {
    let first: Option<String> = tx
        .query(Statement::Both(
            "select task_id from task_instance where dag_run_id = $1 and state = 'failed'
                and task_index in (select value::bigint from json_array_elements_text($2::json))
             order by ended_at, id limit 1",
            "select task_id from task_instance where dag_run_id = $1 and state = 'failed'
                and task_index in (select value from json_each($2))
             order by ended_at, id limit 1",
        ))
        .bind(asked.run.id.0)
        .bind(json(&asked.graph.reachable(&[asked.index], &asked.graph.upstream)))
        .optional_scalar()
        .await?;
    Ok(first.map(|task_id| UpstreamTask { task_id, state: TaskState::Failed, instances: 1 }))
}

/// A live worker.
fn worker_facts(process: &ProcessRecord) -> Option<WorkerFacts> {
    (process.kind == "worker" && process.state == "live").then(|| WorkerFacts {
        queues: process.queues.as_deref().unwrap_or("").split(',').map(str::to_owned).collect(),
        running: process.running,
        concurrency: process.concurrency,
    })
}

fn task_facts(instance: TaskInstanceRecord, deferral: Option<DeferralFacts>) -> TaskFacts {
    TaskFacts {
        state: instance.state,
        reason: instance.reason,
        try_number: instance.try_number,
        max_tries: instance.max_tries,
        not_before: instance.not_before,
        queue: instance.queue,
        pool: instance.pool,
        pool_slots: instance.pool_slots,
        started_at: instance.started_at,
        hostname: instance.hostname,
        deferral,
    }
}

/// The limits that the task has for itself, and how much of them is used.
fn own_limits(task: &Task, of_run: &[TaskTally], live_per_dag: i64) -> Vec<OwnLimit> {
    let is_live = |tally: &&TaskTally| matches!(tally.state, TaskState::Queued | TaskState::Running);
    let live_per_run = of_run.iter().filter(is_live).map(|tally| tally.instances).sum();
    let limit = |name, most: Option<u32>, live| most.map(|most| OwnLimit { name, live, most: i64::from(most) });
    [
        limit("max_active_tis_per_dagrun", task.max_active_tis_per_dagrun, live_per_run),
        limit("max_active_tis_per_dag", task.max_active_tis_per_dag, live_per_dag),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is before a task instance, by name.
#[derive(Default)]
struct Around {
    standing: Option<Standing>,
    setups: Vec<UpstreamTask>,
    deciders: Vec<UpstreamTask>,
    left_out_by: Vec<UpstreamTask>,
    producers: Vec<UpstreamTask>,
}

#[derive(sqlx::FromRow)]
struct PastRow {
    run_id: String,
    is_waiting: bool,
    task_id: Option<String>,
    state: Option<String>,
}

/// What blocks in the previous run: tasks that are not done, or all of it while it has not started.
fn waited_for(rows: Vec<PastRow>, task_id: &str) -> Result<Vec<PastTask>> {
    let mut waited_for = Vec::new();
    for row in rows {
        match (row.task_id, row.state) {
            (Some(task_id), Some(state)) => {
                waited_for.push(PastTask { run_id: row.run_id, task_id, state: Some(task_state(&state)?) });
            }
            _ if row.is_waiting => {
                waited_for.push(PastTask { run_id: row.run_id, task_id: task_id.to_owned(), state: None });
            }
            _ => {}
        }
    }
    Ok(waited_for)
}

#[derive(sqlx::FromRow)]
struct UpstreamRow {
    task_id: String,
    state: Named<TaskState>,
    instances: i64,
}

#[derive(sqlx::FromRow)]
struct DeferralRow {
    args: String,
    created_at: i64,
    deadline_at: Option<i64>,
    is_timer: bool,
    checks: i64,
    next_check_at: Option<i64>,
    note: Option<String>,
    is_carried: bool,
}
