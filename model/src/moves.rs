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

/// The reason of moves that are a person's answer, which ends the try or lets it go on.
pub const ANSWERED: &str = "answered";

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
    /// T7: it gives its slot back and goes on later, as the same try.
    Reschedule,
    /// T7: it waits for a person's answer.
    AwaitInput,
    /// T8: its trigger fired and a worker goes on with it.
    Resume,
    /// T8: its trigger fired, and that was all there was to do.
    FireSuccess,
    /// T8: its trigger says skip.
    FireSkipped,
    /// T8: its trigger failed, tries are left.
    FireRetry,
    /// T8: its trigger failed for good.
    FireFailed,
    /// T9: its trigger's time ran out and the task is told so.
    ResumeOverdue,
    /// T9: its trigger's time ran out and that skips it.
    SkipOverdue,
    /// T9: its trigger's time ran out, tries are left.
    RetryOverdue,
    /// T9: its trigger's time ran out and that fails it.
    FailOverdue,
    /// Nobody answered in time: the answer by default lets it succeed.
    DefaultSuccess,
    /// Nobody answered in time: the answer by default skips it.
    DefaultSkipped,
    /// Nobody answered in time, and that fails it.
    DefaultFailed,
    /// Somebody's answer lets it succeed.
    AnswerSuccess,
    /// Somebody's answer skips it.
    AnswerSkipped,
    /// Somebody's answer fails it.
    AnswerFailed,
    /// A worker goes on with somebody's answer.
    AnswerResume,
    /// It cannot be expanded into its mapped instances.
    FailToExpand,
    /// Its mapping has become shorter: it is no longer needed.
    Remove,
    /// Its mapping has become longer again.
    Restore,
    /// The group or run that it belongs to is tried again as a whole.
    RetryScope,
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
        TaskEvent::Reschedule,
        TaskEvent::AwaitInput,
        TaskEvent::Resume,
        TaskEvent::FireSuccess,
        TaskEvent::FireSkipped,
        TaskEvent::FireRetry,
        TaskEvent::FireFailed,
        TaskEvent::ResumeOverdue,
        TaskEvent::SkipOverdue,
        TaskEvent::RetryOverdue,
        TaskEvent::FailOverdue,
        TaskEvent::DefaultSuccess,
        TaskEvent::DefaultSkipped,
        TaskEvent::DefaultFailed,
        TaskEvent::AnswerSuccess,
        TaskEvent::AnswerSkipped,
        TaskEvent::AnswerFailed,
        TaskEvent::AnswerResume,
        TaskEvent::FailToExpand,
        TaskEvent::Remove,
        TaskEvent::Restore,
        TaskEvent::RetryScope,
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
            | E::ResumeOverdue
            | E::SkipOverdue
            | E::RetryOverdue
            | E::FailOverdue
            | E::DefaultSuccess
            | E::DefaultSkipped
            | E::DefaultFailed
            | E::FailToExpand
            | E::Remove
            | E::Restore
            | E::RetryScope
            | E::Lose
            | E::LoseForGood
            | E::RunTimedOut => Actor::Scheduler,
            E::Claim
            | E::Succeed
            | E::SkipItself
            | E::Retry
            | E::Fail
            | E::Defer
            | E::Reschedule
            | E::AwaitInput
            | E::Release => Actor::Worker,
            E::Resume | E::FireSuccess | E::FireSkipped | E::FireRetry | E::FireFailed => Actor::Triggerer,
            E::Clear
            | E::MarkSuccess
            | E::MarkFailed
            | E::MarkSkipped
            | E::AnswerSuccess
            | E::AnswerSkipped
            | E::AnswerFailed
            | E::AnswerResume => Actor::User,
        }
    }

    /// The state that the event leads to.
    pub const fn target(self) -> TaskState {
        use TaskEvent as E;
        match self {
            E::Schedule | E::Resume | E::ResumeOverdue | E::AnswerResume | E::RetryDue | E::Lose | E::Release => {
                TaskState::Scheduled
            }
            E::SkipByRule
            | E::SkipItself
            | E::FireSkipped
            | E::SkipOverdue
            | E::DefaultSkipped
            | E::AnswerSkipped
            | E::MarkSkipped
            | E::RunTimedOut => TaskState::Skipped,
            E::FailByUpstream => TaskState::UpstreamFailed,
            E::Enqueue => TaskState::Queued,
            E::Claim => TaskState::Running,
            E::Succeed | E::FireSuccess | E::DefaultSuccess | E::AnswerSuccess | E::MarkSuccess => TaskState::Success,
            E::Retry | E::FireRetry | E::RetryOverdue => TaskState::UpForRetry,
            E::Fail
            | E::FireFailed
            | E::FailOverdue
            | E::DefaultFailed
            | E::AnswerFailed
            | E::FailToExpand
            | E::LoseForGood
            | E::MarkFailed => TaskState::Failed,
            E::Defer => TaskState::Deferred,
            E::Reschedule => TaskState::UpForReschedule,
            E::AwaitInput => TaskState::AwaitingInput,
            E::Remove => TaskState::Removed,
            E::Clear | E::Restore | E::RetryScope => TaskState::None,
        }
    }

    /// Whether the event takes the right to act from whoever holds it, and so must raise the epoch.
    pub const fn raises_epoch(self) -> bool {
        use TaskEvent as E;
        match self {
            E::Enqueue
            | E::Defer
            | E::Reschedule
            | E::AwaitInput
            | E::Lose
            | E::LoseForGood
            | E::Release
            | E::RetryScope
            | E::Clear
            | E::MarkSuccess
            | E::MarkFailed
            | E::MarkSkipped
            | E::AnswerSuccess
            | E::AnswerSkipped
            | E::AnswerFailed
            | E::AnswerResume
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
            | E::FireSuccess
            | E::FireSkipped
            | E::FireRetry
            | E::FireFailed
            | E::ResumeOverdue
            | E::SkipOverdue
            | E::RetryOverdue
            | E::FailOverdue
            | E::DefaultSuccess
            | E::DefaultSkipped
            | E::DefaultFailed
            | E::FailToExpand
            | E::Remove
            | E::Restore
            | E::RetryDue => false,
        }
    }
}

/// The state after `event` in `state`, or `None` where the move is not legal.
pub const fn next(state: TaskState, event: TaskEvent) -> Option<TaskState> {
    use TaskEvent as E;
    use TaskState as S;
    let legal = match event {
        E::Schedule | E::SkipByRule | E::FailByUpstream | E::FailToExpand | E::Remove => matches!(state, S::None),
        E::Restore => matches!(state, S::Removed),
        E::Enqueue => matches!(state, S::Scheduled),
        E::Claim => matches!(state, S::Queued),
        E::Succeed
        | E::SkipItself
        | E::Retry
        | E::Fail
        | E::Defer
        | E::Reschedule
        | E::AwaitInput
        | E::Release
        | E::Lose
        | E::LoseForGood => matches!(state, S::Running),
        E::Resume
        | E::FireSuccess
        | E::FireSkipped
        | E::FireRetry
        | E::FireFailed
        | E::ResumeOverdue
        | E::SkipOverdue
        | E::RetryOverdue
        | E::FailOverdue => matches!(state, S::Deferred),
        E::DefaultSuccess
        | E::DefaultSkipped
        | E::DefaultFailed
        | E::AnswerSuccess
        | E::AnswerSkipped
        | E::AnswerFailed
        | E::AnswerResume => matches!(state, S::AwaitingInput),
        E::RetryDue => matches!(state, S::UpForRetry | S::UpForReschedule),
        // A person may clear whatever has been decided about; there is nothing to clear before that.
        E::Clear | E::RetryScope => !matches!(state, S::None | S::Removed),
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
