//! The one table of legal moves of a task instance.
//!
//! The statements in the store repeat these guards in their WHERE clauses, the databases hold the same table
//! (`legal_move`) and refuse any other edge; a test feeds every pair to both and compares.

use crate::state::{TaskState, named_enum};

named_enum!(
    /// Who makes a move. Written into the history.
    Actor {
        /// A scheduler's tick.
        Scheduler = "scheduler",
        /// A worker, about an attempt that it holds.
        Worker = "worker",
        /// A triggerer, about a trigger that it holds.
        Triggerer = "triggerer",
        /// A person or a script, through the web role.
        User = "user",
    }
);

/// Something that happens to a task instance. The codes T0 to T14 are those of `docs/protocol.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// T1: its trigger rule holds.
    Schedule,
    /// T1: its trigger rule says skip.
    SkipByRule,
    /// T1: its trigger rule says that something before it failed.
    FailByUpstream,
    /// T2: the limits allow it to run.
    Enqueue,
    /// T3: a worker takes it.
    Claim,
    /// T5: its attempt succeeded.
    Succeed,
    /// T5: its attempt asked to be skipped.
    SkipItself,
    /// T6: its attempt failed, tries are left.
    Retry,
    /// T6: its attempt failed for good.
    Fail,
    /// T7: it waits in the triggerer.
    Defer,
    /// T8 and T9: its trigger fired, or its trigger's time ran out and the task is told so.
    Resume,
    /// T9: its trigger's time ran out and that fails it.
    FailDeferred,
    /// T10: its retry delay is over.
    RetryDue,
    /// T11: its holder died; it is rerun.
    Lose,
    /// T11: its holder died once too often, or it may run at most once.
    LoseForGood,
    /// T12: a draining worker gives it back.
    Release,
    /// T13: somebody clears it.
    Clear,
    /// T13: somebody marks it as succeeded.
    MarkSuccess,
    /// T13: somebody marks it as failed, or cancels its run.
    MarkFailed,
    /// T13: somebody marks it as skipped.
    MarkSkipped,
    /// The run's time is over: what is unfinished is skipped.
    RunTimedOut,
}

impl TaskEvent {
    /// Every event.
    pub const ALL: &'static [TaskEvent] = &[
        TaskEvent::Schedule,
        TaskEvent::SkipByRule,
        TaskEvent::FailByUpstream,
        TaskEvent::Enqueue,
        TaskEvent::Claim,
        TaskEvent::Succeed,
        TaskEvent::SkipItself,
        TaskEvent::Retry,
        TaskEvent::Fail,
        TaskEvent::Defer,
        TaskEvent::Resume,
        TaskEvent::FailDeferred,
        TaskEvent::RetryDue,
        TaskEvent::Lose,
        TaskEvent::LoseForGood,
        TaskEvent::Release,
        TaskEvent::Clear,
        TaskEvent::MarkSuccess,
        TaskEvent::MarkFailed,
        TaskEvent::MarkSkipped,
        TaskEvent::RunTimedOut,
    ];

    /// Who may cause it.
    pub const fn actor(self) -> Actor {
        use TaskEvent as E;
        match self {
            E::Schedule
            | E::SkipByRule
            | E::FailByUpstream
            | E::Enqueue
            | E::RetryDue
            | E::FailDeferred
            | E::Lose
            | E::LoseForGood
            | E::RunTimedOut => Actor::Scheduler,
            E::Claim | E::Succeed | E::SkipItself | E::Retry | E::Fail | E::Defer | E::Release => Actor::Worker,
            E::Resume => Actor::Triggerer,
            E::Clear | E::MarkSuccess | E::MarkFailed | E::MarkSkipped => Actor::User,
        }
    }

    /// The state that the event leads to.
    pub const fn target(self) -> TaskState {
        use TaskEvent as E;
        match self {
            E::Schedule | E::Resume | E::RetryDue | E::Lose | E::Release => TaskState::Scheduled,
            E::SkipByRule | E::SkipItself | E::MarkSkipped | E::RunTimedOut => TaskState::Skipped,
            E::FailByUpstream => TaskState::UpstreamFailed,
            E::Enqueue => TaskState::Queued,
            E::Claim => TaskState::Running,
            E::Succeed | E::MarkSuccess => TaskState::Success,
            E::Retry => TaskState::UpForRetry,
            E::Fail | E::FailDeferred | E::LoseForGood | E::MarkFailed => TaskState::Failed,
            E::Defer => TaskState::Deferred,
            E::Clear => TaskState::None,
        }
    }

    /// Whether the event takes the right to act from whoever holds it, and so must raise the epoch.
    pub const fn raises_epoch(self) -> bool {
        use TaskEvent as E;
        match self {
            E::Enqueue
            | E::Defer
            | E::Lose
            | E::LoseForGood
            | E::Release
            | E::Clear
            | E::MarkSuccess
            | E::MarkFailed
            | E::MarkSkipped
            | E::RunTimedOut => true,
            E::Schedule
            | E::SkipByRule
            | E::FailByUpstream
            | E::Claim
            | E::Succeed
            | E::SkipItself
            | E::Retry
            | E::Fail
            | E::Resume
            | E::FailDeferred
            | E::RetryDue => false,
        }
    }
}

/// The state after `event` in `state`, or `None` where the move is not legal.
pub const fn next(state: TaskState, event: TaskEvent) -> Option<TaskState> {
    use TaskEvent as E;
    use TaskState as S;
    let legal = match event {
        E::Schedule | E::SkipByRule | E::FailByUpstream => matches!(state, S::None),
        E::Enqueue => matches!(state, S::Scheduled),
        E::Claim => matches!(state, S::Queued),
        E::Succeed | E::SkipItself | E::Retry | E::Fail | E::Defer | E::Release | E::Lose | E::LoseForGood => {
            matches!(state, S::Running)
        }
        E::Resume | E::FailDeferred => matches!(state, S::Deferred),
        E::RetryDue => matches!(state, S::UpForRetry | S::UpForReschedule),
        // A person may clear whatever has been decided about; there is nothing to clear before that.
        E::Clear => !matches!(state, S::None | S::Removed),
        E::MarkSuccess => !matches!(state, S::Success | S::Removed),
        E::MarkFailed => !matches!(state, S::Failed | S::Removed),
        E::MarkSkipped => !matches!(state, S::Skipped | S::Removed),
        E::RunTimedOut => !state.is_finished(),
    };
    if legal { Some(event.target()) } else { None }
}

/// Every legal edge with its actor, sorted and without repetition: the content of the databases' `legal_move` table.
pub fn legal_moves() -> Vec<(TaskState, TaskState, Actor)> {
    let mut moves: Vec<_> = TaskEvent::ALL
        .iter()
        .flat_map(|&event| {
            TaskState::ALL.iter().filter_map(move |&from| next(from, event).map(|to| (from, to, event.actor())))
        })
        .collect();
    moves.sort();
    moves.dedup();
    moves
}
