//! Gathers the facts from which `model::explain` says why a task instance is where it is. Only reads.

use std::sync::Arc;

use flow_model::decision::{Past, Standing};
use flow_model::explain::{
    DeferralFacts, Facts, OwnLimit, PastTask, PoolFacts, RunFacts, TaskFacts, UpstreamTask, WorkerFacts,
};
use flow_model::plan::{ReadyTask, RunSnapshot, TouchedTask};
use flow_model::{DagGraph, Task, TaskInstanceKey, TaskState, Timestamp};

use crate::advance::changes::{UpstreamState, leaves_out, look_upstream};
use crate::advance::rows::mapping_stage;
use crate::connect::Store;
use crate::dialect::Dialect;
use crate::error::{Result, StoreError};
use crate::read::{RunRecord, TaskInstanceRecord, TaskTally};
use crate::rows::{index, json, task_state};
use crate::suspended::deferral;
use crate::transaction::reading;

/// Upstream tasks that are looked at by name.
const UPSTREAM_MAX: usize = 200;

impl Store {
    /// The facts about a task of a run.
    ///
    /// # Errors
    /// The run's version has no such task, or the database failed.
    pub async fn explain_facts(&self, now: Timestamp, run: &RunRecord, task_id: &str, map_index: i64) -> Result<Facts> {
        let graph = self.dag_graph(run.version_id).await?;
        let task_index = graph
            .index_of(task_id)
            .ok_or_else(|| StoreError::NotFound { what: "task", name: format!("{}.{task_id}", run.dag_id) })?;
        let task = &graph.dag.tasks[task_index as usize];
        let instance = self.find_task_instance(run, task_id, map_index).await?;
        let dag = self.find_dag(&run.dag_id).await?;
        let processes = self.list_processes().await?;
        let before: Vec<u32> = graph.upstream[task_index as usize].iter().copied().take(UPSTREAM_MAX).collect();
        let looks_back = task.depends_on_past || task.wait_for_downstream;
        let children = graph.downstream[task_index as usize].iter().filter(|_| task.wait_for_downstream);
        let looked_back_at: Vec<&str> = std::iter::once(task_index)
            .chain(children.copied())
            .map(|index| graph.dag.tasks[index as usize].task_id.as_str())
            .collect();

        // Within a mapped group only the instances of the same map index count.
        let (beside, whole): (Vec<u32>, Vec<u32>) =
            before.iter().partition(|&&other| graph.go_together(task_index, other));
        let instances = self.task_tallies(run.id, &[task_index]).await?;
        let (upstream, live_per_dag, pool, used, dag_live_tasks, running_runs, past, failed_first, must_expand) =
            reading!(self, "explain a task", |tx| {
                let upstream: Vec<UpstreamRow> = sqlx::query_as(tx.choose(
                    "select task_id, state, count(*) as instances from task_instance where dag_run_id = $1
                    and (task_index in (select value::bigint from json_array_elements_text($2::json)) or map_index = $4
                        and task_index in (select value::bigint from json_array_elements_text($3::json)))
                 group by task_index, task_id, state order by task_index, state",
                    "select task_id, state, count(*) as instances from task_instance where dag_run_id = $1
                    and (task_index in (select value from json_each($2)) or map_index = $4
                        and task_index in (select value from json_each($3)))
                 group by task_index, task_id, state order by task_index, state",
                ))
                .bind(run.id.0)
                .bind(json(&whole))
                .bind(json(&beside))
                .bind(map_index)
                .fetch_all(&mut *tx)
                .await?;
                let live_per_dag: i64 = match task.max_active_tis_per_dag {
                    None => 0,
                    Some(_) => {
                        sqlx::query_scalar(
                            "select count(*) from task_instance
                         where dag_id = $1 and task_id = $2 and state in ('queued', 'running')",
                        )
                        .bind(&run.dag_id)
                        .bind(task_id)
                        .fetch_one(&mut *tx)
                        .await?
                    }
                };
                let pool: Option<i64> = sqlx::query_scalar("select slots from pool where name = $1")
                    .bind(&task.pool)
                    .fetch_optional(&mut *tx)
                    .await?;
                let used: i64 = sqlx::query_scalar(
                    "select cast(coalesce(sum(pool_slots), 0) as bigint) from task_instance
                 where pool = $1 and state in ('queued', 'running')",
                )
                .bind(&task.pool)
                .fetch_one(&mut *tx)
                .await?;
                let dag_live_tasks: i64 = sqlx::query_scalar(
                    "select count(*) from task_instance where dag_id = $1 and state in ('queued', 'running')",
                )
                .bind(&run.dag_id)
                .fetch_one(&mut *tx)
                .await?;
                let running_runs: i64 = sqlx::query_scalar(tx.choose(
                    "select count(*) from dag_run where dag_id = $1 and state = 'running'",
                    "select count(*) from dag_run indexed by dag_run_live where dag_id = $1 and state = 'running'",
                ))
                .bind(&run.dag_id)
                .fetch_one(&mut *tx)
                .await?;
                let past: Vec<PastRow> = match run.logical_date.filter(|_| looks_back) {
                    None => Vec::new(),
                    Some(logical_date) => sqlx::query_as(tx.choose(
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
                    .bind(&run.dag_id)
                    .bind(logical_date.as_micros())
                    .bind(json(&looked_back_at))
                    .fetch_all(&mut *tx)
                    .await?,
                };
                let failed_first: Option<(String, i64)> = sqlx::query_as(tx.choose(
                    "select task_id, map_index from task_instance where dag_run_id = $1 and state = 'failed'
                        and task_index in (select value::bigint from json_array_elements_text($2::json))
                     order by ended_at, id limit 1",
                    "select task_id, map_index from task_instance where dag_run_id = $1 and state = 'failed'
                        and task_index in (select value from json_each($2))
                     order by ended_at, id limit 1",
                ))
                .bind(run.id.0)
                .bind(json(&graph.reachable(&[task_index], &graph.upstream)))
                .fetch_optional(&mut *tx)
                .await?;
                let must_expand: bool = sqlx::query_scalar("select must_expand from task_instance where id = $1")
                    .bind(instance.as_ref().map_or(0, |instance| instance.id.0))
                    .fetch_optional(&mut *tx)
                    .await?
                    .unwrap_or_default();
                (upstream, live_per_dag, pool, used, dag_live_tasks, running_runs, past, failed_first, must_expand)
            })?;

        let past = waited_for(past, task_id)?;
        let around = match &instance {
            Some(instance) => {
                let mut standing = Standing {
                    upstream: instance.upstream(),
                    mapping: mapping_stage(&graph, task_index, must_expand),
                    ..Standing::new(task.trigger_rule)
                };
                standing.past = if past.is_empty() { Past::Clear } else { Past::Blocked };
                self.around(&graph, run, instance, task_index, standing).await?
            }
            None => Around::default(),
        };
        let upstream = if instance.is_none() {
            before
                .iter()
                .map(|&index| UpstreamTask {
                    task_id: graph.dag.tasks[index as usize].task_id.clone(),
                    state: TaskState::None,
                    instances: 1,
                })
                .collect()
        } else {
            upstream
                .into_iter()
                .map(|row| {
                    let state = task_state(&row.state)?;
                    Ok(UpstreamTask { task_id: row.task_id, state, instances: row.instances })
                })
                .collect::<Result<Vec<_>>>()?
        };
        let is_alive = |until: Timestamp| until > now;
        let has_triggerer =
            processes.iter().any(|process| process.kind == "triggerer" && is_alive(process.lease_until));
        let deferral = match &instance {
            Some(instance) if instance.state == TaskState::Deferred => {
                self.deferral_facts(instance.id, has_triggerer).await?
            }
            _ => None,
        };
        Ok(Facts {
            now,
            dag_id: run.dag_id.clone(),
            task_id: task_id.to_owned(),
            dag_is_paused: dag.is_paused,
            run: RunFacts {
                state: run.state,
                run_after: run.run_after,
                reason: run.reason.clone(),
                running_runs,
                max_active_runs: dag.max_active_runs,
            },
            trigger_rule: task.trigger_rule,
            upstream,
            pool: pool.map(|slots| PoolFacts { slots, used }),
            instances: instances
                .iter()
                .filter(|tally| tally.last_map_index >= 0)
                .map(|tally| (tally.state, tally.instances))
                .collect(),
            own_limits: own_limits(task, &instances, live_per_dag),
            dag_live_tasks,
            max_active_tasks: dag.max_active_tasks,
            past,
            standing: around.standing,
            setups: around.setups,
            deciders: around.deciders,
            left_out_by: around.left_out_by,
            producers: around.producers,
            failed_first: failed_first.map(|(task_id, _)| UpstreamTask {
                task_id,
                state: TaskState::Failed,
                instances: 1,
            }),
            workers: processes
                .iter()
                .filter(|process| process.kind == "worker" && process.state == "live" && is_alive(process.lease_until))
                .map(|process| WorkerFacts {
                    queues: process.queues.as_deref().unwrap_or("").split(',').map(str::to_owned).collect(),
                    running: process.running,
                    concurrency: process.concurrency,
                })
                .collect(),
            has_scheduler: processes.iter().any(|process| process.kind == "scheduler" && is_alive(process.lease_until)),
            task: instance.map(|instance| TaskFacts {
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
            }),
        })
    }

    /// What the scheduler would look at for the task instance, with the names of what it looks at.
    async fn around(
        &self,
        graph: &Arc<DagGraph>,
        run: &RunRecord,
        instance: &TaskInstanceRecord,
        task_index: u32,
        standing: Standing,
    ) -> Result<Around> {
        let ready = ReadyTask {
            task_instance: instance.id,
            dag_id: run.dag_id.clone(),
            pool: instance.pool.clone(),
            pool_slots: instance.pool_slots,
            priority: 0,
            limits: None,
        };
        let touched = TouchedTask {
            task_instance: instance.id,
            task_index,
            map_index: instance.map_index,
            is_delayed: false,
            standing,
            ready,
        };
        let mut seen = [RunSnapshot {
            run: run.id,
            state: run.state,
            graph: Arc::clone(graph),
            unfinished: 0,
            failed_leaves: 0,
            retries_used: 0,
            ends_as: None,
            touched: vec![touched],
        }];
        let states = self.states_upstream(&seen).await?;
        look_upstream(&mut seen, &states)?;
        let named = |of: &[u32], is_wanted: &dyn Fn(&UpstreamState) -> bool| -> Result<Vec<UpstreamTask>> {
            let wanted = states.iter().filter(|state| of.contains(&index(state.task_index)) && is_wanted(state));
            wanted
                .map(|row| {
                    let task_id = graph.dag.tasks[index(row.task_index) as usize].task_id.clone();
                    Ok(UpstreamTask { task_id, state: task_state(&row.state)?, instances: row.instances })
                })
                .collect()
        };
        let at = task_index as usize;
        let is_left_out = |state: &UpstreamState| state.state == "success" && leaves_out(state, task_index);
        Ok(Around {
            setups: named(&graph.setups[at], &|_| true)?,
            deciders: named(&graph.deciders[at], &|_| true)?,
            left_out_by: named(&graph.deciders[at], &is_left_out)?,
            producers: named(&graph.producers[at], &|_| true)?,
            standing: seen[0].touched.pop().map(|touched| touched.standing),
        })
    }

    async fn deferral_facts(&self, key: TaskInstanceKey, has_triggerer: bool) -> Result<Option<DeferralFacts>> {
        let row: Option<DeferralRow> = reading!(self, "explain a deferral", |tx| {
            sqlx::query_as(
                "select args, created_at, deadline_at, is_timer, checks, next_check_at, note,
                    owner is not null as is_carried
                 from trigger where task_instance_id = $1",
            )
            .bind(key.0)
            .fetch_optional(&mut *tx)
            .await?
        })?;
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
    state: String,
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
