//! Task instances, their tries and their XComs.

use flow_model::trigger_rule::UpstreamCounts;
use flow_model::{DagRunKey, DagVersionKey, TaskInstanceKey, TaskState, Timestamp};
use serde_json::Value;

use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::query::Statement;
use crate::read::{Page, RunRecord, record, records};
use crate::rows::json;
use crate::transaction::{Transaction, step, steps};

/// Moves of one task instance that its tries are found from.
const EVENTS_OF_TASK_MAX: i64 = 2_000;

record!(
    /// A task instance and what it takes from its run.
    TaskInstanceRecord from TaskInstanceRow {
        /// Its key.
        id: TaskInstanceKey,
        /// Its run.
        dag_run_id: DagRunKey,
        /// Its DAG.
        dag_id: String,
        /// Its run's id.
        run_id: String,
        /// Its run's logical date.
        logical_date: Option<Timestamp>,
        /// When its run was due.
        run_after: Timestamp,
        /// The version its run is pinned to.
        version_id: DagVersionKey,
        /// Its task.
        task_id: String,
        /// The task's position in the DAG.
        task_index: i64,
        /// -1 for a task that is not mapped.
        map_index: i64,
        /// What its instance of a mapped task is called.
        map_label: Option<String>,
        /// Its state.
        state: TaskState,
        /// Its newest try; 0 before the first.
        try_number: i64,
        /// Retries are left while `try_number` is not above it.
        max_tries: i64,
        /// How often its worker was lost.
        lost_count: i64,
        /// Its pool.
        pool: String,
        /// Slots it takes there.
        pool_slots: i64,
        /// Its queue.
        queue: String,
        /// Its effective priority.
        priority: i64,
        /// Not to be run before this instant.
        not_before: Option<Timestamp>,
        /// Upstream task instances.
        upstream_total: i64,
        /// Of them in success.
        upstream_success: i64,
        /// Of them failed.
        upstream_failed: i64,
        /// Of them upstream_failed.
        upstream_upstream_failed: i64,
        /// Of them skipped.
        upstream_skipped: i64,
        /// Of them removed.
        upstream_removed: i64,
        /// Whether `depends_on_past` still has to be looked at.
        waits_for_past: bool,
        /// When its trigger rule held.
        scheduled_at: Option<Timestamp>,
        /// When it got its slots.
        queued_at: Option<Timestamp>,
        /// When its newest try started.
        started_at: Option<Timestamp>,
        /// When it ended.
        ended_at: Option<Timestamp>,
        /// When its state changed.
        changed_at: Timestamp,
        /// Why it is in its state.
        reason: Option<String>,
        /// The machine that runs it at present.
        hostname: Option<String>,
    }
);

impl TaskInstanceRecord {
    /// How its upstream stands.
    pub const fn upstream(&self) -> UpstreamCounts {
        UpstreamCounts {
            total: self.upstream_total,
            success: self.upstream_success,
            failed: self.upstream_failed,
            upstream_failed: self.upstream_upstream_failed,
            skipped: self.upstream_skipped,
            removed: self.upstream_removed,
        }
    }
}

/// One try of a task instance.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// 1 is the first.
    pub try_number: i64,
    /// `running`, or the state that its end led to.
    pub state: TaskState,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<String>,
    /// The machine it ran on, where that is still known.
    pub hostname: Option<String>,
    /// The process's exit code.
    pub exit_code: Option<i64>,
    /// The rendered fields.
    pub rendered: Option<Value>,
    /// Bytes it wrote to its log.
    pub log_bytes: Option<i64>,
    /// Lines it wrote to its log.
    pub log_lines: Option<i64>,
    /// Bytes beyond the limits, which were not kept.
    pub log_bytes_dropped: Option<i64>,
}

/// Which task instances of a run are listed.
#[derive(Debug, Clone, Default)]
pub struct TaskInstanceFilter {
    /// Of the tasks at these positions in the DAG; `None`: of all.
    pub tasks: Option<Vec<u32>>,
    /// In one of these states; empty: in any.
    pub states: Vec<TaskState>,
    /// Only those that are not mapped, or not expanded yet.
    pub is_unmapped: bool,
}

/// Which values are listed; `None`: all.
#[derive(Debug, Clone, Copy, Default)]
pub struct XComFilter<'a> {
    /// Of this task.
    pub task_id: Option<&'a str>,
    /// Of the instance with this map index.
    pub map_index: Option<i64>,
    /// With this key.
    pub key: Option<&'a str>,
}

record!(
    /// A value that a task left for others.
    XComRecord from XComRow {
        /// Its key.
        key: String,
        /// Its task.
        task_id: String,
        /// -1 for a task that is not mapped.
        map_index: i64,
        /// The value.
        value: Value,
        /// When it was written.
        created_at: Timestamp,
    }
);

record!(
    /// One cell of a grid of runs and tasks.
    GridCell from GridRow {
        /// The run.
        dag_run_id: DagRunKey,
        /// The task.
        task_id: String,
        /// The state of some of its instances.
        state: TaskState,
        /// How many of them are in that state.
        instances: i64,
        /// The newest try among them.
        try_number: i64,
    }
);

#[derive(sqlx::FromRow)]
struct MoveRow {
    to_state: String,
    try_number: i64,
    actor_id: Option<String>,
    reason: Option<String>,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct EndedRow {
    try_number: i64,
    exit_code: Option<i64>,
    rendered: Option<String>,
    log_bytes: i64,
    log_lines: i64,
    log_bytes_dropped: i64,
}

const COLUMNS: &str = "select t.id, t.dag_run_id, t.dag_id, r.run_id, r.logical_date, r.run_after, r.version_id,
    t.task_id, t.task_index, t.map_index, t.map_label, t.state, t.try_number, t.max_tries, t.lost_count, t.pool, t.pool_slots,
    t.queue, t.priority, t.not_before, t.upstream_total, t.upstream_success, t.upstream_failed,
    t.upstream_upstream_failed, t.upstream_skipped, t.upstream_removed, t.waits_for_past, t.scheduled_at, t.queued_at,
    t.started_at, t.ended_at, t.changed_at, t.reason, p.host as hostname
 from task_instance t join dag_run r on r.id = t.dag_run_id left join process p on p.id = t.holder ";

impl Store {
    /// Task instances of a run in the order of the DAG and of their map indexes, and how many there are. A run that has not
    /// started yet has none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_task_instances(
        &self,
        run: DagRunKey,
        filter: &TaskInstanceFilter,
        page: Page,
    ) -> Result<(Vec<TaskInstanceRecord>, i64)> {
        let (rows, total): (Vec<TaskInstanceRow>, i64) = self
            .reading("list task instances", |tx| {
                steps(async move {
                    let tasks = match &filter.tasks {
                        None => "cast($2 as text) is null",
                        Some(_) => tx.choose(
                            "task_index in (select value::bigint from json_array_elements_text($2::json))",
                            "task_index in (select value from json_each($2))",
                        ),
                    };
                    let states = match filter.states.as_slice() {
                        [] => "cast($3 as text) is not null",
                        _ => tx.choose(
                            "state in (select json_array_elements_text($3::json))",
                            "state in (select value from json_each($3))",
                        ),
                    };
                    let unmapped = if filter.is_unmapped { " and map_index = -1" } else { "" };
                    let fitting =
                        format!("from task_instance where dag_run_id = $1 and {tasks} and {states}{unmapped}");
                    let indexes = filter.tasks.as_ref().map(json);
                    let states = json(&filter.states);
                    // What is skipped is read from the index alone.
                    let list = format!(
                "{COLUMNS} where t.id in (select id {fitting} order by task_index, map_index limit $4 offset $5)
                 order by t.task_index, t.map_index"
            );
                    let rows = tx
                        .query(sqlx::AssertSqlSafe(list))
                        .bind(run.0)
                        .bind(&indexes)
                        .bind(&states)
                        .bind(page.limit())
                        .bind(page.offset())
                        .all()
                        .await?;
                    let total = tx
                        .query(sqlx::AssertSqlSafe(format!("select count(*) {fitting}")))
                        .bind(run.0)
                        .bind(&indexes)
                        .bind(&states)
                        .scalar()
                        .await?;
                    Ok((rows, total))
                })
            })
            .await?;
        Ok((records(rows)?, total))
    }

    /// These task instances, in the order of the DAG and of their map indexes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn task_instances_of(&self, keys: &[TaskInstanceKey]) -> Result<Vec<TaskInstanceRecord>> {
        let rows: Vec<TaskInstanceRow> = self
            .reading("read task instances", |tx| {
                steps(async move {
                    let listed = tx.choose(
                        "(select value::bigint from json_array_elements_text($1::json))",
                        "(select value from json_each($1))",
                    );
                    let text =
                        format!("{COLUMNS} where t.id in {listed} order by t.dag_run_id, t.task_index, t.map_index");
                    Ok(tx.query(sqlx::AssertSqlSafe(text)).bind(json(keys)).all().await?)
                })
            })
            .await?;
        records(rows)
    }

    /// The instance of a task in a run; `None` while the run has not started.
    ///
    /// # Errors
    /// The run's version has no such task, or the database failed.
    pub async fn find_task_instance(
        &self,
        run: &RunRecord,
        task_id: &str,
        map_index: i64,
    ) -> Result<Option<TaskInstanceRecord>> {
        let graph = self.dag_graph(run.version_id).await?;
        let task_index = graph
            .index_of(task_id)
            .ok_or_else(|| StoreError::NotFound { what: "task", name: format!("{}.{task_id}", run.dag_id) })?;
        let row: Option<TaskInstanceRow> = self
            .reading("read a task instance", |tx| {
                steps(async move {
                    let text = format!("{COLUMNS} where t.dag_run_id = $1 and t.task_index = $2 and t.map_index = $3");
                    Ok(tx
                        .query(sqlx::AssertSqlSafe(text))
                        .bind(run.id.0)
                        .bind(i64::from(task_index))
                        .bind(map_index)
                        .optional()
                        .await?)
                })
            })
            .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// The tries of a task instance, oldest first, found from its history: a try whose worker was lost is among them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_attempts(&self, task_instance: TaskInstanceKey) -> Result<Vec<AttemptRecord>> {
        let (moves, ended, hosts) =
            self.reading("list the tries of a task instance", |tx| steps(attempt_rows(tx, task_instance))).await?;
        let mut attempts: Vec<AttemptRecord> = Vec::new();
        for step in moves {
            if step.to_state == "running" {
                let holder: Option<i64> = step.actor_id.as_ref().and_then(|id| id.parse().ok());
                attempts.push(AttemptRecord {
                    try_number: step.try_number,
                    state: TaskState::Running,
                    started_at: Timestamp::from_micros(step.at),
                    ended_at: None,
                    reason: None,
                    hostname: hosts.iter().find(|(id, _)| Some(*id) == holder).map(|(_, host)| host.clone()),
                    exit_code: None,
                    rendered: None,
                    log_bytes: None,
                    log_lines: None,
                    log_bytes_dropped: None,
                });
            } else if let Some(open) = attempts.last_mut().filter(|attempt| attempt.state == TaskState::Running) {
                open.state = crate::rows::task_state(&step.to_state)?;
                open.ended_at = Some(Timestamp::from_micros(step.at));
                open.reason = step.reason;
            }
        }
        for row in ended {
            let Some(attempt) = attempts.iter_mut().rfind(|attempt| attempt.try_number == row.try_number) else {
                continue;
            };
            attempt.exit_code = row.exit_code;
            attempt.rendered = row.rendered.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
            attempt.log_bytes = Some(row.log_bytes);
            attempt.log_lines = Some(row.log_lines);
            attempt.log_bytes_dropped = Some(row.log_bytes_dropped);
        }
        Ok(attempts)
    }

    /// What tasks of a run left for others, in order of task, map index and key; and how many values there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_xcoms(
        &self,
        run: DagRunKey,
        filter: &XComFilter<'_>,
        page: Page,
    ) -> Result<(Vec<XComRecord>, i64)> {
        let (rows, total): (Vec<XComRow>, i64) = self
            .reading("list XComs", |tx| {
                steps(async move {
                    const FITTING: &str =
                        "from xcom where dag_run_id = $1 and (cast($2 as text) is null or task_id = $2)
                and (cast($3 as bigint) is null or map_index = $3) and (cast($4 as text) is null or key = $4)";
                    let total = tx
                        .query(sqlx::AssertSqlSafe(format!("select count(*) {FITTING}")))
                        .bind(run.0)
                        .bind(filter.task_id)
                        .bind(filter.map_index)
                        .bind(filter.key)
                        .scalar()
                        .await?;
                    let rows = tx
                        .query(sqlx::AssertSqlSafe(format!(
                            "select key, task_id, map_index, value, created_at {FITTING}
                             order by task_id, map_index, key limit $5 offset $6"
                        )))
                        .bind(run.0)
                        .bind(filter.task_id)
                        .bind(filter.map_index)
                        .bind(filter.key)
                        .bind(page.limit())
                        .bind(page.offset())
                        .all()
                        .await?;
                    Ok((rows, total))
                })
            })
            .await?;
        Ok((records(rows)?, total))
    }

    /// States of the first `tasks_max` tasks of each of the runs.
    ///
    /// # Errors
    /// The database failed.
    pub async fn grid(&self, runs: &[DagRunKey], tasks_max: i64) -> Result<Vec<GridCell>> {
        let runs = json(runs);
        let rows: Vec<GridRow> = self
            .reading("read a grid", |tx| {
                step(
                    tx.query(tx.choose(
                        "select dag_run_id, task_id, state, count(*) as instances, max(try_number) as try_number
                         from task_instance
                         where dag_run_id in (select value::bigint from json_array_elements_text($1::json)) and task_index < $2
                         group by dag_run_id, task_id, state",
                        "select dag_run_id, task_id, state, count(*) as instances, max(try_number) as try_number
                         from task_instance
                         where dag_run_id in (select value from json_each($1)) and task_index < $2
                         group by dag_run_id, task_id, state",
                    ))
                    .bind(&runs)
                    .bind(tasks_max)
                    .all(),
                )
            })
            .await?;
        records(rows)
    }
}

/// The moves of a task instance in their order, what is written down of its tries, and the hosts of its holders.
async fn attempt_rows(
    tx: &mut Transaction,
    task_instance: TaskInstanceKey,
) -> Result<(Vec<MoveRow>, Vec<EndedRow>, Vec<(i64, String)>), Abort> {
    let mut moves: Vec<MoveRow> = tx
        .query(
            "select to_state, try_number, actor_id, reason, at from task_instance_event
             where task_instance_id = $1 order by event_no desc limit $2",
        )
        .bind(task_instance.0)
        .bind(EVENTS_OF_TASK_MAX)
        .all()
        .await?;
    moves.reverse();
    let ended = tx
        .query(
            "select try_number, exit_code, rendered, log_bytes, log_lines, log_bytes_dropped
             from attempt where task_instance_id = $1",
        )
        .bind(task_instance.0)
        .all()
        .await?;
    let holders: Vec<i64> = moves
        .iter()
        .filter(|step| step.to_state == "running")
        .filter_map(|step| step.actor_id.as_ref()?.parse().ok())
        .collect();
    let hosts = tx
        .query(Statement::Both(
            "select id, host from process where id in (select value::bigint from json_array_elements_text($1::json))",
            "select id, host from process where id in (select value from json_each($1))",
        ))
        .bind(json(&holders))
        .all()
        .await?;
    Ok((moves, ended, hosts))
}
