//! The sorts of reasons.

use crate::state::named_enum;

named_enum!(
    /// What sort of thing holds a task instance, or brought it where it is: a word for programs.
    ReasonKind {
        /// Its DAG is paused.
        Paused = "paused",
        /// Its run starts later.
        RunAfter = "run_after",
        /// As many runs of the DAG are running as may.
        MaxActiveRuns = "max_active_runs",
        /// A branch or short circuit may still leave it out.
        Branch = "branch",
        /// A setup that it needs is not over.
        Setup = "setup",
        /// What it is mapped over is not known yet.
        Mapping = "mapping",
        /// Its trigger rule waits for tasks before it.
        Upstream = "upstream",
        /// The previous run has not come that far.
        DependsOnPast = "depends_on_past",
        /// It is started again later.
        NotBefore = "not_before",
        /// Its pool is full, too small, or not there.
        Pool = "pool",
        /// As many of its own instances are live as may be.
        MaxActiveTis = "max_active_tis",
        /// As many task instances of the DAG are live as may be.
        MaxActiveTasks = "max_active_tasks",
        /// No live worker serves its queue.
        NoWorker = "no_worker",
        /// All workers of its queue have as much as they take.
        WorkersBusy = "workers_busy",
        /// A worker takes it at any moment.
        Claim = "claim",
        /// It failed, and its next try starts later.
        Retry = "retry",
        /// It has given its slot back, and looks again later.
        Reschedule = "reschedule",
        /// It waits in the triggerer.
        Deferred = "deferred",
        /// No triggerer is alive.
        NoTriggerer = "no_triggerer",
        /// No triggerer has taken it up.
        TriggerersFull = "triggerers_full",
        /// What the triggerer found when it looked last.
        LastCheck = "last_check",
        /// When its waiting is over at the latest.
        Deadline = "deadline",
        /// It waits for a person.
        Input = "input",
        /// No scheduler is alive.
        NoScheduler = "no_scheduler",
        /// Nothing holds it: the scheduler has not looked yet.
        NextTick = "next_tick",
        /// It was cleared while it ran.
        Restarting = "restarting",
        /// Its run ended before it started.
        RunEnded = "run_ended",
        /// It is mapped, and its instances have the answers.
        Mapped = "mapped",
        /// It runs.
        Running = "running",
        /// It succeeded.
        Success = "success",
        /// It failed.
        Failed = "failed",
        /// A task before it failed.
        UpstreamFailed = "upstream_failed",
        /// It was skipped.
        Skipped = "skipped",
        /// It is no longer part of its run.
        Removed = "removed",
    }
);
