//! Checks the whole history against the protocol's invariants: `flowctl audit verify`.

use std::collections::HashMap;
use std::time::Duration;

use flow_model::audit::{
    Attempt, DagLimits, Occupancy, OutboxFacts, ProcessFacts, Question, RunEvent, RunHistory, ScheduledRun, Schedules,
    TaskEvent, TaskHistory, Violation, XCom, check_outbox, check_run,
};
use flow_model::{ClaimId, DagRunKey, DagVersionKey, Epoch, ProcessId, TaskInstanceKey, Timestamp};
use futures_util::TryStreamExt;

use crate::connect::Store;
use crate::dialect::statement;
use crate::error::{Result, StoreError};
use crate::rows::{index, json, run_state, task_state};
use crate::transaction::snapshot;
use crate::versions::warm_versions;

/// Runs held in memory at once.
const PAGE_RUNS: i64 = 20;

/// Violations reported at most; what goes beyond is one broken thing repeated.
const VIOLATIONS_MAX: usize = 1_000;

/// How long a hint may wait in the outbox.
const OUTBOX_PATIENCE: Duration = Duration::from_secs(10);

/// What an audit has looked at, and what it found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct AuditReport {
    /// Runs looked at.
    pub runs: u64,
    /// Task instances looked at.
    pub task_instances: u64,
    /// Events looked at.
    pub events: u64,
    /// What cannot have happened; the first thousand.
    pub violations: Vec<Violation>,
}

#[derive(sqlx::FromRow)]
struct RunRow {
    id: i64,
    run_id: String,
    run_type: String,
    state: String,
    event_no: i64,
    version_id: i64,
}

#[derive(sqlx::FromRow)]
struct RunEventRow {
    dag_run_id: i64,
    event_no: i64,
    from_state: Option<String>,
    to_state: String,
    actor: String,
    reason: Option<String>,
}

#[derive(sqlx::FromRow)]
struct TaskRow {
    id: i64,
    dag_run_id: i64,
    task_index: i64,
    map_index: i64,
    state: String,
    epoch: i64,
    try_number: i64,
    max_tries: i64,
    lost_count: i64,
    event_no: i64,
}

#[derive(sqlx::FromRow)]
struct TaskEventRow {
    seq: i64,
    task_instance_id: i64,
    event_no: i64,
    from_state: Option<String>,
    to_state: String,
    epoch: i64,
    claim_id: Option<i64>,
    try_number: i64,
    actor: String,
    actor_id: Option<String>,
    reason: Option<String>,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct AttemptRow {
    task_instance_id: i64,
    try_number: i64,
    claim_id: i64,
    state: String,
    ended_at: i64,
}

#[derive(sqlx::FromRow)]
struct XComRow {
    task_instance_id: i64,
    key: String,
    epoch: i64,
}

#[derive(sqlx::FromRow)]
struct CallbackRow {
    dag_run_id: i64,
    task_instance_id: Option<i64>,
    event_no: i64,
    event: String,
}

#[derive(sqlx::FromRow)]
struct QuestionRow {
    task_instance_id: i64,
    epoch: i64,
    question: String,
    responded_by: Option<String>,
    is_open: bool,
}

#[derive(sqlx::FromRow)]
struct OccupancyRow {
    dag_id: String,
    pool: String,
    pool_slots: i64,
    from_state: Option<String>,
    to_state: String,
}

#[derive(sqlx::FromRow)]
struct RunMoveRow {
    dag_id: String,
    from_state: Option<String>,
    to_state: String,
}

#[derive(sqlx::FromRow)]
struct TickRow {
    run_id: String,
    version_id: i64,
    run_after: i64,
    logical_date: i64,
}

#[derive(sqlx::FromRow)]
struct OutboxRow {
    task_instance_id: i64,
    epoch: i64,
    current_epoch: Option<i64>,
    created_at: i64,
}

impl Store {
    /// Checks everything that rows can tell of the invariants of `docs/protocol.md`, in one snapshot of the database and
    /// a few runs at a time. With `since`, only runs that have moved since then, or are not over, and no limits (I12),
    /// which only the whole history can tell.
    ///
    /// # Errors
    /// The database failed, or holds what this binary cannot read.
    pub async fn audit(&self, since: Option<Timestamp>, now: Timestamp) -> Result<AuditReport> {
        let since_micros = since.map_or(i64::MIN, Timestamp::as_micros);
        snapshot!(self, "audit the history", |tx| {
            let mut report = AuditReport::default();
            let processes: HashMap<ProcessId, ProcessFacts> =
                sqlx::query_as::<_, (i64, String, String)>("select id, slot, state from process")
                    .fetch_all(&mut *tx)
                    .await?
                    .into_iter()
                    .map(|(id, slot, state)| (ProcessId(id), ProcessFacts { slot, is_dead: state == "dead" }))
                    .collect();

            // Run by run.
            let mut last = 0;
            loop {
                let rows: Vec<RunRow> = sqlx::query_as(
                    "select id, run_id, run_type, state, event_no, version_id from dag_run
                     where id > $1 and (changed_at >= $2 or state in ('queued', 'running'))
                     order by id limit $3",
                )
                .bind(last)
                .bind(since_micros)
                .bind(PAGE_RUNS)
                .fetch_all(&mut *tx)
                .await?;
                let Some(end) = rows.last() else { break };
                last = end.id;
                let ids = json(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
                warm_versions!(self, tx, rows.iter().map(|row| row.version_id));
                let mut page = Page::default();
                for row in rows {
                    let graph = self.dag_graph(DagVersionKey(row.version_id)).await?;
                    page.add_run(row, graph)?;
                }
                let events: Vec<RunEventRow> =
                    sqlx::query_as(statement!(tx, "audit_run_events")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_run_events(events)?;
                let tasks: Vec<TaskRow> =
                    sqlx::query_as(statement!(tx, "audit_tasks")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_tasks(tasks)?;
                let events: Vec<TaskEventRow> =
                    sqlx::query_as(statement!(tx, "audit_task_events")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_task_events(events)?;
                let attempts: Vec<AttemptRow> =
                    sqlx::query_as(statement!(tx, "audit_attempts")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_attempts(attempts)?;
                let xcoms: Vec<XComRow> =
                    sqlx::query_as(statement!(tx, "audit_xcoms")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_xcoms(xcoms);
                let triggers: Vec<(i64, i64)> =
                    sqlx::query_as(statement!(tx, "audit_triggers")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_triggers(triggers);
                let callbacks: Vec<CallbackRow> =
                    sqlx::query_as(statement!(tx, "audit_callbacks")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_callbacks(callbacks)?;
                let questions: Vec<QuestionRow> =
                    sqlx::query_as(statement!(tx, "audit_questions")).bind(&ids).fetch_all(&mut *tx).await?;
                page.add_questions(questions)?;
                page.check(&processes, &mut report);
            }

            // I4 over all runs.
            let repeated: Vec<(i64, i64)> = sqlx::query_as(
                "select claim_id, count(*) from task_instance_event where to_state = 'running' and at >= $1
                 group by claim_id having count(*) > 1 order by claim_id limit 100",
            )
            .bind(since_micros)
            .fetch_all(&mut *tx)
            .await?;
            report.violations.extend(repeated.into_iter().map(|(claim, times)| Violation {
                invariant: "I4",
                subject: format!("claim {claim}"),
                detail: format!("the claim id was used {times} times"),
            }));

            // I14: nothing is carried by the dead.
            let forgotten: Vec<(i64, i64)> = sqlx::query_as(
                "select g.task_instance_id, g.owner from trigger g join process p on p.id = g.owner
                 where p.state = 'dead' order by g.task_instance_id limit 100",
            )
            .fetch_all(&mut *tx)
            .await?;
            report.violations.extend(forgotten.into_iter().map(|(task_instance, owner)| Violation {
                invariant: "I14",
                subject: format!("trigger of task instance {task_instance}"),
                detail: format!("process {owner} carries it, and is dead"),
            }));

            // I25: a delivery is tried so often, and has an owner exactly while it is tried, who is not dead.
            let astray: Vec<(i64, String, i64)> = sqlx::query_as(
                "select id, state, tries from callback
                 where tries > $1 or (state = 'running') <> (owner is not null)
                    or (state = 'running' and owner in (select p.id from process p where p.state = 'dead'))
                 order by id limit 100",
            )
            .bind(i64::from(flow_model::callback::TRIES_MAX))
            .fetch_all(&mut *tx)
            .await?;
            report.violations.extend(astray.into_iter().map(|(id, state, tries)| Violation {
                invariant: "I25",
                subject: format!("callback {id}"),
                detail: format!("it is {state} after {tries} tries"),
            }));

            // I27.
            let shared: Vec<(i64, i64)> = sqlx::query_as(
                "select e.dag_run_id, count(*) from start_event e
                 left join dag_run r on r.id = e.dag_run_id and r.dag_id = e.dag_id and r.run_type = 'asset_triggered'
                 where e.dag_run_id is not null group by e.dag_run_id having count(*) <> 1 or count(r.id) <> 1
                 order by e.dag_run_id limit 100",
            )
            .fetch_all(&mut *tx)
            .await?;
            report.violations.extend(shared.into_iter().map(|(run, events)| Violation {
                invariant: "I27",
                subject: format!("dag run {run}"),
                detail: format!("{events} events are said to have started it, which has to be one of its DAG's"),
            }));

            // I9.
            let mut schedules = Schedules::default();
            let mut ticks = sqlx::query_as::<_, TickRow>(
                "select run_id, version_id, run_after, logical_date from dag_run
                 where run_type = 'scheduled' and logical_date is not null and created_at >= $1
                 order by dag_id, run_after, id",
            )
            .bind(since_micros)
            .fetch(&mut *tx);
            while let Some(row) = ticks.try_next().await? {
                schedules.run(ScheduledRun {
                    graph: self.dag_graph(DagVersionKey(row.version_id)).await?,
                    run_id: row.run_id,
                    tick: Timestamp::from_micros(row.run_after),
                    logical_date: Timestamp::from_micros(row.logical_date),
                });
            }
            drop(ticks);
            report.violations.extend(schedules.finish());

            // I12.
            if since.is_none() {
                let pools: Vec<(String, i64)> =
                    sqlx::query_as("select name, slots from pool").fetch_all(&mut *tx).await?;
                let changes: Vec<(String, Option<String>)> =
                    sqlx::query_as("select object, detail from audit_log where action = 'set_pool'")
                        .fetch_all(&mut *tx)
                        .await?;
                let dags: Vec<(String, i64, i64)> =
                    sqlx::query_as(statement!(tx, "audit_dag_limits")).fetch_all(&mut *tx).await?;
                let mut occupancy = Occupancy::new(largest_pools(pools, changes), dag_limits(dags));
                let mut moves = sqlx::query_as::<_, OccupancyRow>(
                    "select t.dag_id, t.pool, t.pool_slots, e.from_state, e.to_state
                     from task_instance_event e join task_instance t on t.id = e.task_instance_id
                     where e.from_state in ('queued', 'running') or e.to_state in ('queued', 'running')
                     order by e.id",
                )
                .fetch(&mut *tx);
                while let Some(row) = moves.try_next().await? {
                    let from = row.from_state.as_deref().map(task_state).transpose()?;
                    occupancy.task_moved(&row.dag_id, &row.pool, row.pool_slots, from, task_state(&row.to_state)?);
                }
                drop(moves);
                let mut moves = sqlx::query_as::<_, RunMoveRow>(
                    "select r.dag_id, e.from_state, e.to_state
                     from dag_run_event e join dag_run r on r.id = e.dag_run_id order by e.id",
                )
                .fetch(&mut *tx);
                while let Some(row) = moves.try_next().await? {
                    let from = row.from_state.as_deref().map(run_state).transpose()?;
                    occupancy.run_moved(&row.dag_id, from, run_state(&row.to_state)?);
                }
                drop(moves);
                report.violations.extend(occupancy.finish());
            }

            // I20.
            let mut entries = sqlx::query_as::<_, OutboxRow>(
                "select o.task_instance_id, o.epoch, t.epoch as current_epoch, o.created_at
                 from dispatch_outbox o left join task_instance t on t.id = o.task_instance_id order by o.id",
            )
            .fetch(&mut *tx);
            while let Some(row) = entries.try_next().await? {
                let entry = OutboxFacts {
                    task_instance: TaskInstanceKey(row.task_instance_id),
                    epoch: Epoch(row.epoch),
                    current_epoch: row.current_epoch.map(Epoch),
                    created_at: Timestamp::from_micros(row.created_at),
                };
                report.violations.extend(check_outbox(&entry, now, OUTBOX_PATIENCE));
            }
            drop(entries);
            report.violations.truncate(VIOLATIONS_MAX);
            report
        })
    }
}

/// A few runs on their way to the checker.
#[derive(Default)]
struct Page {
    runs: Vec<RunHistory>,
    run_at: HashMap<i64, usize>,
    /// Where each task instance is: its run's place, and its own.
    task_at: HashMap<i64, (usize, usize)>,
}

impl Page {
    fn add_run(&mut self, row: RunRow, graph: std::sync::Arc<flow_model::DagGraph>) -> Result<()> {
        self.run_at.insert(row.id, self.runs.len());
        self.runs.push(RunHistory {
            key: DagRunKey(row.id),
            run_type: named("run type", &row.run_type)?,
            state: run_state(&row.state)?,
            run_id: row.run_id,
            event_no: row.event_no,
            graph,
            events: Vec::new(),
            tasks: Vec::new(),
            callbacks: Vec::new(),
        });
        Ok(())
    }

    fn add_callbacks(&mut self, rows: Vec<CallbackRow>) -> Result<()> {
        for row in rows {
            let Some(&at) = self.run_at.get(&row.dag_run_id) else { continue };
            let event = named("callback's event", &row.event)?;
            self.runs[at].callbacks.push((row.task_instance_id.map(TaskInstanceKey), row.event_no, event));
        }
        Ok(())
    }

    fn add_questions(&mut self, rows: Vec<QuestionRow>) -> Result<()> {
        for row in rows {
            let Some(task) = self.task(row.task_instance_id) else { continue };
            task.questions.push(Question {
                epoch: Epoch(row.epoch),
                assignees: crate::question::parse(&row.question)?.assignees,
                answered_by: row.responded_by,
                is_open: row.is_open,
            });
        }
        Ok(())
    }

    fn add_run_events(&mut self, rows: Vec<RunEventRow>) -> Result<()> {
        for row in rows {
            let Some(&at) = self.run_at.get(&row.dag_run_id) else { continue };
            self.runs[at].events.push(RunEvent {
                event_no: row.event_no,
                from: row.from_state.as_deref().map(run_state).transpose()?,
                to: run_state(&row.to_state)?,
                actor: named("actor", &row.actor)?,
                reason: row.reason,
            });
        }
        Ok(())
    }

    fn add_tasks(&mut self, rows: Vec<TaskRow>) -> Result<()> {
        for row in rows {
            let Some(&at) = self.run_at.get(&row.dag_run_id) else { continue };
            let tasks = &mut self.runs[at].tasks;
            self.task_at.insert(row.id, (at, tasks.len()));
            tasks.push(TaskHistory {
                key: TaskInstanceKey(row.id),
                task_index: index(row.task_index),
                map_index: row.map_index,
                state: task_state(&row.state)?,
                epoch: Epoch(row.epoch),
                try_number: row.try_number,
                max_tries: row.max_tries,
                lost_count: row.lost_count,
                event_no: row.event_no,
                events: Vec::new(),
                attempts: Vec::new(),
                xcoms: Vec::new(),
                triggers: Vec::new(),
                questions: Vec::new(),
            });
        }
        Ok(())
    }

    fn task(&mut self, id: i64) -> Option<&mut TaskHistory> {
        let &(run, task) = self.task_at.get(&id)?;
        Some(&mut self.runs[run].tasks[task])
    }

    fn add_task_events(&mut self, rows: Vec<TaskEventRow>) -> Result<()> {
        for row in rows {
            let Some(task) = self.task(row.task_instance_id) else { continue };
            task.events.push(TaskEvent {
                seq: row.seq,
                event_no: row.event_no,
                from: row.from_state.as_deref().map(task_state).transpose()?,
                to: task_state(&row.to_state)?,
                epoch: Epoch(row.epoch),
                claim: row.claim_id.map(ClaimId),
                try_number: row.try_number,
                actor: named("actor", &row.actor)?,
                actor_id: row.actor_id,
                reason: row.reason,
                at: Timestamp::from_micros(row.at),
            });
        }
        Ok(())
    }

    fn add_attempts(&mut self, rows: Vec<AttemptRow>) -> Result<()> {
        for row in rows {
            let Some(task) = self.task(row.task_instance_id) else { continue };
            task.attempts.push(Attempt {
                try_number: row.try_number,
                claim: ClaimId(row.claim_id),
                state: task_state(&row.state)?,
                ended_at: Timestamp::from_micros(row.ended_at),
            });
        }
        Ok(())
    }

    fn add_xcoms(&mut self, rows: Vec<XComRow>) {
        for row in rows {
            let Some(task) = self.task(row.task_instance_id) else { continue };
            task.xcoms.push(XCom { key: row.key, epoch: Epoch(row.epoch) });
        }
    }

    fn add_triggers(&mut self, rows: Vec<(i64, i64)>) {
        for (task, epoch) in rows {
            let Some(task) = self.task(task) else { continue };
            task.triggers.push(Epoch(epoch));
        }
    }

    fn check(&self, processes: &HashMap<ProcessId, ProcessFacts>, report: &mut AuditReport) {
        for run in &self.runs {
            report.runs += 1;
            report.task_instances += run.tasks.len() as u64;
            report.events += (run.events.len() + run.tasks.iter().map(|task| task.events.len()).sum::<usize>()) as u64;
            report.violations.extend(check_run(run, processes));
        }
        report.violations.truncate(VIOLATIONS_MAX);
    }
}

fn named<T: std::str::FromStr<Err = String>>(what: &'static str, name: &str) -> Result<T> {
    name.parse().map_err(|why| StoreError::Corrupt { what, why })
}

/// The most slots that each pool has ever had, by the log of what people did; -1, which is unlimited, is the most.
fn largest_pools(now: Vec<(String, i64)>, changes: Vec<(String, Option<String>)>) -> HashMap<String, i64> {
    let mut largest: HashMap<String, i64> = HashMap::new();
    let logged =
        changes.into_iter().filter_map(|(name, detail)| Some((name, detail?.strip_prefix("slots = ")?.parse().ok()?)));
    for (name, slots) in now.into_iter().chain(logged) {
        let most = largest.entry(name).or_insert(slots);
        *most = if *most < 0 || slots < 0 { -1 } else { slots.max(*most) };
    }
    // The pool that every installation begins with.
    if let Some(slots) = largest.get_mut("default_pool").filter(|slots| **slots >= 0) {
        *slots = (*slots).max(128);
    }
    largest
}

fn dag_limits(rows: Vec<(String, i64, i64)>) -> HashMap<String, DagLimits> {
    rows.into_iter()
        .map(|(dag_id, max_active_tasks, max_active_runs)| (dag_id, DagLimits { max_active_tasks, max_active_runs }))
        .collect()
}
