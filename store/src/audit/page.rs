//! A few runs with everything that is remembered of them, on their way to the checker.

use std::collections::HashMap;

use flow_model::audit::{
    Attempt, ProcessFacts, Question, RunEvent, RunHistory, TaskEvent, TaskHistory, XCom, check_run,
};
use flow_model::state::RunType;
use flow_model::{
    ClaimId, DagRunKey, DagVersionKey, Epoch, ProcessId, RunState, TaskInstanceKey, TaskState, Timestamp,
};

use super::{AuditReport, VIOLATIONS_MAX};
use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::query::statement;
use crate::rows::{Named, index, json, run_state, task_state};
use crate::transaction::Transaction;

#[derive(sqlx::FromRow)]
pub(super) struct RunRow {
    pub id: i64,
    run_id: String,
    run_type: Named<RunType>,
    state: Named<RunState>,
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
    state: Named<TaskState>,
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
    state: Named<TaskState>,
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

impl Store {
    /// Everything that is remembered of the runs.
    pub(super) async fn read_page(&self, tx: &mut Transaction, rows: Vec<RunRow>) -> Result<Page, Abort> {
        let ids = &json(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
        self.warm_versions(tx, rows.iter().map(|row| row.version_id)).await?;
        let mut page = Page::default();
        for row in rows {
            let graph = self.dag_graph(DagVersionKey(row.version_id)).await?;
            page.add_run(row, graph)?;
        }
        page.add_run_events(tx.query(statement!("audit_run_events")).bind(ids).all().await?)?;
        page.add_tasks(tx.query(statement!("audit_tasks")).bind(ids).all().await?)?;
        page.add_task_events(tx.query(statement!("audit_task_events")).bind(ids).all().await?)?;
        page.add_attempts(tx.query(statement!("audit_attempts")).bind(ids).all().await?)?;
        page.add_xcoms(tx.query(statement!("audit_xcoms")).bind(ids).all().await?);
        page.add_triggers(tx.query(statement!("audit_triggers")).bind(ids).all().await?);
        page.add_callbacks(tx.query(statement!("audit_callbacks")).bind(ids).all().await?)?;
        page.add_questions(tx.query(statement!("audit_questions")).bind(ids).all().await?)?;
        Ok(page)
    }
}

/// A few runs on their way to the checker.
#[derive(Default)]
pub(super) struct Page {
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
            run_type: row.run_type.0,
            state: row.state.0,
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
                state: row.state.0,
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
                state: row.state.0,
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

    pub(super) fn check(&self, processes: &HashMap<ProcessId, ProcessFacts>, report: &mut AuditReport) {
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
