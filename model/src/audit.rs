//! The checker of the protocol's invariants: given what is remembered of a run, says what cannot have happened.
//!
//! The codes I1 to I27 are those of `docs/protocol.md`. Events carry the number under which the database appended them
//! (`seq`); whatever a decision rested on was committed before the decision, and so has a lower number.

mod answers;
mod callbacks;
mod limits;
mod run;
mod schedule;
mod scopes;
mod task;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

pub use limits::{DagLimits, Occupancy};
pub use schedule::{ScheduledRun, Schedules};

use crate::callback::CallbackEvent;
use crate::moves::Actor;
use crate::state::{RunState, RunType, TaskState};
use crate::{ClaimId, DagGraph, DagRunKey, Epoch, ProcessId, TaskInstanceKey, Timestamp};

/// Something that cannot have happened if the protocol was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant, e.g. `I2`.
    pub invariant: &'static str,
    /// What it is about: a run, a task instance, a pool.
    pub subject: String,
    /// What is wrong.
    pub detail: String,
}

/// A move of a task instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEvent {
    /// Its number among all events of task instances.
    pub seq: i64,
    /// Its number among those of the task instance: 1 is the creation.
    pub event_no: i64,
    /// The state before; `None` at the creation.
    pub from: Option<TaskState>,
    /// The state after.
    pub to: TaskState,
    /// The epoch after it.
    pub epoch: Epoch,
    /// The claim after it; at the end of an attempt the claim of that attempt.
    pub claim: Option<ClaimId>,
    /// The try after it.
    pub try_number: i64,
    /// Who made it.
    pub actor: Actor,
    /// The process or person.
    pub actor_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When, by the database's clock.
    pub at: Timestamp,
}

/// A move of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// Its number among those of the run: 1 is the creation.
    pub event_no: i64,
    /// The state before; `None` at the creation.
    pub from: Option<RunState>,
    /// The state after.
    pub to: RunState,
    /// Who made it.
    pub actor: Actor,
    /// Why.
    pub reason: Option<String>,
}

/// What is remembered of an ended attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The try.
    pub try_number: i64,
    /// Its claim.
    pub claim: ClaimId,
    /// The state that it led to.
    pub state: TaskState,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// A visible XCom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XCom {
    /// Its key.
    pub key: String,
    /// The epoch of the attempt that wrote it.
    pub epoch: Epoch,
}

/// A question that a task instance has asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The epoch while it waits for the answer.
    pub epoch: Epoch,
    /// Who may answer; empty: everybody.
    pub assignees: Vec<String>,
    /// Who has.
    pub answered_by: Option<String>,
    /// It still waits.
    pub is_open: bool,
}

/// A task instance as it is now, and its past.
#[derive(Debug, Clone)]
pub struct TaskHistory {
    /// Its key.
    pub key: TaskInstanceKey,
    /// Its position in the DAG.
    pub task_index: u32,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// Its state.
    pub state: TaskState,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its try.
    pub try_number: i64,
    /// Retries are left while `try_number` is not above it.
    pub max_tries: i64,
    /// Losses since it was last cleared.
    pub lost_count: i64,
    /// The number of its last event.
    pub event_no: i64,
    /// Its events, by number.
    pub events: Vec<TaskEvent>,
    /// Its ended attempts.
    pub attempts: Vec<Attempt>,
    /// Its XComs.
    pub xcoms: Vec<XCom>,
    /// The epochs of the triggers that wait for it.
    pub triggers: Vec<Epoch>,
    /// What it has asked people.
    pub questions: Vec<Question>,
}

/// A run as it is now, and its past.
#[derive(Debug, Clone)]
pub struct RunHistory {
    /// Its key.
    pub key: DagRunKey,
    /// Its id.
    pub run_id: String,
    /// What kind of run.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// The number of its last event.
    pub event_no: i64,
    /// The version it is pinned to.
    pub graph: Arc<DagGraph>,
    /// Its events, by number.
    pub events: Vec<RunEvent>,
    /// Its task instances.
    pub tasks: Vec<TaskHistory>,
    /// Its callbacks: of which task instance (none: of the run), for which of its events.
    pub callbacks: Vec<(Option<TaskInstanceKey>, i64, CallbackEvent)>,
}

/// A process that has ever registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFacts {
    /// The name that it keeps over restarts.
    pub slot: String,
    /// It was declared dead, or has ended.
    pub is_dead: bool,
}

/// A hint that waits to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxFacts {
    /// The queued task instance.
    pub task_instance: TaskInstanceKey,
    /// The epoch of the hint.
    pub epoch: Epoch,
    /// The task instance's epoch now; `None` where there is no such task instance.
    pub current_epoch: Option<Epoch>,
    /// When it was written.
    pub created_at: Timestamp,
}

/// Checks a run by itself: I1 to I6, I8, I10, I11, I13 to I15, I25, I26 and what rows tell of I7 and I18.
pub fn check_run(run: &RunHistory, processes: &HashMap<ProcessId, ProcessFacts>) -> Vec<Violation> {
    let mut found = Findings { subject: format!("{} {}", run.graph.dag.dag_id, run.run_id), violations: Vec::new() };
    run::check(run, &mut found);
    callbacks::check(run, &mut found);
    scopes::check(run, &mut found);
    for task in &run.tasks {
        found.subject = subject(run, task);
        task::check(task, &run.graph, processes, &mut found);
        answers::check(task, &mut found);
    }
    found.violations
}

/// I20: a hint waits at most `patience`, and is about an epoch that has been.
pub fn check_outbox(entry: &OutboxFacts, now: Timestamp, patience: std::time::Duration) -> Option<Violation> {
    let violation = |detail| Violation {
        invariant: "I20",
        subject: format!("outbox entry of task instance {}", entry.task_instance),
        detail,
    };
    match entry.current_epoch {
        None => Some(violation("there is no such task instance".to_owned())),
        Some(current) if current < entry.epoch => {
            Some(violation(format!("it names epoch {}, the task instance is at {current}", entry.epoch)))
        }
        Some(_) if entry.created_at + patience < now => Some(violation(format!("it waits since {}", entry.created_at))),
        Some(_) => None,
    }
}

/// How a task instance is called in findings: `dag run task`, with its map index where it has one.
fn subject(run: &RunHistory, task: &TaskHistory) -> String {
    let task_id = run.graph.dag.tasks.get(task.task_index as usize).map_or("?", |task| task.task_id.as_str());
    let name = format!("{} {} {task_id}", run.graph.dag.dag_id, run.run_id);
    if task.map_index < 0 { name } else { format!("{name}[{}]", task.map_index) }
}

/// Violations of one subject after another.
struct Findings {
    subject: String,
    violations: Vec<Violation>,
}

impl Findings {
    fn add(&mut self, invariant: &'static str, detail: impl Into<String>) {
        self.violations.push(Violation { invariant, subject: self.subject.clone(), detail: detail.into() });
    }
}
