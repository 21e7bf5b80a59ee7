//! What an explanation follows from.

use crate::Timestamp;
use crate::decide::task::Standing;
use crate::state::{RunState, TaskState};
use crate::trigger_rule::TriggerRule;

/// Everything that the answer follows from.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The present instant.
    pub now: Timestamp,
    /// The DAG.
    pub dag_id: String,
    /// The task.
    pub task_id: String,
    /// Whether the DAG is paused.
    pub dag_is_paused: bool,
    /// The run.
    pub run: RunFacts,
    /// The task instance; `None` while its run has not started.
    pub task: Option<TaskFacts>,
    /// When the task may start.
    pub trigger_rule: TriggerRule,
    /// The tasks directly before it and their states.
    pub upstream: Vec<UpstreamTask>,
    /// What is before it, as the scheduler sees it; `None` while its run has not started.
    pub standing: Option<Standing>,
    /// The setups that it needs, directly before it or not.
    pub setups: Vec<UpstreamTask>,
    /// The branches and short circuits that may leave it out.
    pub deciders: Vec<UpstreamTask>,
    /// Those of them that left it out.
    pub left_out_by: Vec<UpstreamTask>,
    /// The tasks that leave what it is mapped over.
    pub producers: Vec<UpstreamTask>,
    /// Of everything before it, the task that failed first.
    pub failed_first: Option<UpstreamTask>,
    /// How many instances of it are in which state, where it is mapped and has been expanded.
    pub instances: Vec<(TaskState, i64)>,
    /// Limits on how many instances of it may be live at once, where it has any.
    pub own_limits: Vec<OwnLimit>,
    /// Its pool; `None` if there is no pool of that name.
    pub pool: Option<PoolFacts>,
    /// Task instances of the DAG that are queued or running.
    pub dag_live_tasks: i64,
    /// How many of them there may be.
    pub max_active_tasks: i64,
    /// For `depends_on_past` and `wait_for_downstream`: what is not done in the previous run.
    pub past: Vec<PastTask>,
    /// Live workers.
    pub workers: Vec<WorkerFacts>,
    /// Whether a scheduler is alive.
    pub has_scheduler: bool,
}

/// The run of the task instance.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// Its state.
    pub state: RunState,
    /// It does not start before this instant.
    pub run_after: Timestamp,
    /// Why it is in its state.
    pub reason: Option<String>,
    /// Runs of the DAG that are running.
    pub running_runs: i64,
    /// How many there may be.
    pub max_active_runs: i64,
}

/// The task instance itself.
#[derive(Debug, Clone)]
pub struct TaskFacts {
    /// Its state.
    pub state: TaskState,
    /// Why it is in its state.
    pub reason: Option<String>,
    /// Its newest try; 0 before the first.
    pub try_number: i64,
    /// Retries are left while `try_number` is not above it.
    pub max_tries: i64,
    /// Not to be run before this instant.
    pub not_before: Option<Timestamp>,
    /// Its queue.
    pub queue: String,
    /// Its pool.
    pub pool: String,
    /// Slots it takes there.
    pub pool_slots: i64,
    /// When its newest try started.
    pub started_at: Option<Timestamp>,
    /// The machine that runs it.
    pub hostname: Option<String>,
    /// What it waits for in the triggerer.
    pub deferral: Option<DeferralFacts>,
}

/// What a deferred task instance waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferralFacts {
    /// In a few words: `for the file ...`, `until ...`.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// When the waiting is over at the latest.
    pub deadline_at: Option<Timestamp>,
    /// It fires by itself; nobody looks.
    pub is_timer: bool,
    /// How often it was looked at.
    pub checks: i64,
    /// When it is looked at next.
    pub next_check_at: Option<Timestamp>,
    /// What the last look has found.
    pub note: Option<String>,
    /// A triggerer carries it.
    pub is_carried: bool,
    /// A triggerer is alive.
    pub has_triggerer: bool,
}

/// A task directly before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTask {
    /// Its id.
    pub task_id: String,
    /// The state of some of its instances.
    pub state: TaskState,
    /// How many of them are in that state: 1, unless it is mapped.
    pub instances: i64,
}

/// A limit that a task has for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLimit {
    /// Its name in the DAG file.
    pub name: &'static str,
    /// Instances that are queued or running.
    pub live: i64,
    /// How many may be.
    pub most: i64,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolFacts {
    /// Its slots; -1 is unlimited.
    pub slots: i64,
    /// Slots that queued and running task instances hold.
    pub used: i64,
}

/// A task in the previous run that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTask {
    /// The previous run.
    pub run_id: String,
    /// The task: the same one, or one directly after it.
    pub task_id: String,
    /// Its state there; `None` while that run has not started.
    pub state: Option<TaskState>,
}

/// A live worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFacts {
    /// The queues it serves.
    pub queues: Vec<String>,
    /// Attempts it runs.
    pub running: i64,
    /// Attempts it may run at once, if it says so.
    pub concurrency: Option<i64>,
}
