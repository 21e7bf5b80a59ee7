//! What a scheduler tick sees (snapshots, taken by the store under locks) and what it decides (plans, applied in the
//! same transaction).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::task::{Ending, Standing};
use crate::graph::DagGraph;
use crate::ids::{DagRunKey, TaskInstanceKey};
use crate::state::RunState;
use crate::time::Timestamp;

/// A DAG that must be looked at: a tick is due, a run waits, or a run has ended.
#[derive(Debug, Clone)]
pub struct DagSnapshot {
    /// Its newest version.
    pub graph: Arc<DagGraph>,
    /// False once its file is gone: no new scheduled runs.
    pub is_active: bool,
    /// The planned tick.
    pub next_tick: Option<Timestamp>,
    /// When the DAG was seen for the first time.
    pub first_seen: Timestamp,
    /// Whether the schedule has ever created a run.
    pub has_scheduled_run: bool,
    /// Runs that are running now.
    pub running_runs: u32,
    /// All runs that are queued now.
    pub queued_runs: u32,
    /// Of a `@continuous` DAG: its newest runs that have ended, newest first.
    pub ended: Vec<EndedRun>,
    /// The queued runs that are first in line, at most as many as may start.
    pub waiting: Vec<WaitingRun>,
}

/// A run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedRun {
    /// It failed.
    pub has_failed: bool,
    /// When it started.
    pub started_at: Timestamp,
}

/// A queued run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingRun {
    /// Its key.
    pub run: DagRunKey,
    /// It does not start before this instant.
    pub run_after: Timestamp,
}

/// What to do about a DAG.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DagPlan {
    /// Scheduled runs to create (queued).
    pub create: Vec<PlannedRun>,
    /// Queued runs to start, besides those of `create` that may start at once.
    pub start: Vec<DagRunKey>,
    /// How many of the runs in `create`, from the first on, start at once.
    pub start_created: usize,
    /// Ticks that the catchup setting dropped.
    pub skipped_ticks: u64,
    /// The next planned tick.
    pub next_tick: Option<Timestamp>,
    /// When to look again; `None`: when something happens.
    pub check_at: Option<Timestamp>,
}

/// A run that the schedule wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedRun {
    /// Its logical date.
    pub logical_date: Timestamp,
    /// Start of its data interval.
    pub data_interval_start: Timestamp,
    /// End of its data interval.
    pub data_interval_end: Timestamp,
    /// When it is due.
    pub run_after: Timestamp,
}

/// What a tick sees of the runs whose tasks have moved, and of everything that could be queued.
#[derive(Debug, Clone, Default)]
pub struct TickSnapshot {
    /// Runs with changes, locked.
    pub runs: Vec<RunSnapshot>,
    /// Whether this tick may queue tasks (another scheduler may be doing so at this moment).
    pub may_admit: bool,
    /// Scheduled task instances from before this tick, the best few of each DAG and pool.
    pub ready: Vec<ReadyTask>,
    /// How much of each pool each DAG holds.
    pub live: Vec<LiveSlots>,
    /// How many instances of limited tasks are queued or running.
    pub live_tasks: Vec<LiveTask>,
    /// Slots of each pool; -1 is unlimited.
    pub pools: HashMap<String, i64>,
    /// Limits of the DAGs that occur above.
    pub dags: HashMap<String, DagLimits>,
}

/// A DAG's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DagLimits {
    /// Task instances that may be queued or running at once.
    pub max_active_tasks: i64,
    /// Nothing of a paused DAG is queued.
    pub is_paused: bool,
}

/// A locked run and those of its task instances that may be affected by the changes.
#[derive(Debug, Clone)]
pub struct RunSnapshot {
    /// Its key.
    pub run: DagRunKey,
    /// Its state.
    pub state: RunState,
    /// The version it is pinned to.
    pub graph: Arc<DagGraph>,
    /// Task instances that are not finished, the changes included.
    pub unfinished: i64,
    /// Leaves that failed, the changes included.
    pub failed_leaves: i64,
    /// How often it has been tried again as a whole.
    pub retries_used: u32,
    /// Somebody has ended it, or its time is over: it gets this state once its teardowns are done.
    pub ends_as: Option<RunState>,
    /// Undecided task instances (state `none`) whose upstream has changed.
    pub touched: Vec<TouchedTask>,
}

impl RunSnapshot {
    /// Whether it runs, and is not only waiting for its teardowns.
    pub fn is_going_on(&self) -> bool {
        self.state == RunState::Running && self.ends_as.is_none()
    }
}

/// An undecided task instance.
#[derive(Debug, Clone)]
pub struct TouchedTask {
    /// Its key.
    pub task_instance: TaskInstanceKey,
    /// Its position in the DAG.
    pub task_index: u32,
    /// -1 for an instance that is not mapped, or not expanded yet.
    pub map_index: i64,
    /// Not to be queued yet, although its rule may hold: its group or run starts again after a pause.
    pub is_delayed: bool,
    /// What is before it, and how that stands.
    pub standing: Standing,
    /// Its pool, slots and priority, should it become ready.
    pub ready: ReadyTask,
}

/// A task instance that may be queued when limits allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyTask {
    /// Its key.
    pub task_instance: TaskInstanceKey,
    /// Its DAG.
    pub dag_id: String,
    /// Its pool.
    pub pool: String,
    /// Slots it takes there.
    pub pool_slots: i64,
    /// Higher goes first.
    pub priority: i64,
    /// Its task's own limits, where it has any.
    pub limits: Option<TaskLimits>,
}

/// Limits on how many instances of one task may be queued or running at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLimits {
    /// The run.
    pub run: DagRunKey,
    /// The task.
    pub task_id: String,
    /// In all runs of the DAG.
    pub per_dag: Option<i64>,
    /// In this run.
    pub per_run: Option<i64>,
}

/// Queued and running instances of a task that has limits of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTask {
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub run: DagRunKey,
    /// The task.
    pub task_id: String,
    /// How many.
    pub instances: i64,
}

/// Slots of a pool that a DAG's queued and running task instances hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSlots {
    /// The pool.
    pub pool: String,
    /// The DAG.
    pub dag_id: String,
    /// Task instances.
    pub instances: i64,
    /// Slots.
    pub slots: i64,
}

/// What a tick decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TickPlan {
    /// Their trigger rule holds.
    pub schedule: Vec<TaskInstanceKey>,
    /// They end without having run.
    pub end: Vec<(TaskInstanceKey, Ending)>,
    /// Their trigger rule holds, and their mapping has to be evaluated: by run, the instances that asked for it.
    pub expand: Vec<Expansion>,
    /// Their rule holds, but the past does not allow them yet.
    pub wait_for_past: Vec<TaskInstanceKey>,
    /// They get their slots and go to the queue.
    pub admit: Vec<TaskInstanceKey>,
    /// Some were passed over because of their task's own limits: there may be others behind them.
    pub has_passed_over: bool,
    /// Runs that are over.
    pub finish: Vec<(DagRunKey, RunState)>,
    /// Runs that failed, and start again at what failed after a delay.
    pub retry: Vec<(DagRunKey, Duration)>,
}

/// A mapping to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The run.
    pub run: DagRunKey,
    /// The scope in the DAG's graph.
    pub scope: u32,
    /// The tasks of the scope whose trigger rule holds.
    pub ready: Vec<u32>,
    /// The undecided instances of these.
    pub instances: Vec<TaskInstanceKey>,
    /// Instances in a group that will end without running, however many there come to be, and how.
    pub ending: Vec<(TaskInstanceKey, Ending)>,
    /// Producers that had nothing to do: what they leave is an empty list.
    pub empty: Vec<u32>,
}
