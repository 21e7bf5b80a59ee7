//! Many task instances in few words: how many are in which state, the one that people want to see first in front.

use std::collections::BTreeMap;

use flow_model::{TaskState, Timestamp};
use flow_store::read::TaskTally;

use super::mark::{Mark, duration};

/// What people want to see first where instances are in several states.
pub(super) const fn urgency(state: TaskState) -> u8 {
    match state {
        TaskState::Failed => 0,
        TaskState::UpstreamFailed => 1,
        TaskState::UpForRetry | TaskState::Restarting => 2,
        TaskState::AwaitingInput => 3,
        TaskState::Running => 4,
        TaskState::Queued | TaskState::Scheduled | TaskState::Deferred | TaskState::UpForReschedule => 5,
        TaskState::None => 6,
        TaskState::Success => 7,
        TaskState::Skipped | TaskState::Removed => 8,
    }
}

/// Task instances of one task or of a whole group.
#[derive(Default)]
pub(super) struct Tally {
    counts: BTreeMap<(u8, TaskState), i64>,
    try_number: i64,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// One state of it.
pub(super) struct Count {
    pub(super) mark: Mark,
    pub(super) instances: i64,
    /// Where they are listed; empty if nowhere.
    pub(super) path: String,
}

impl Tally {
    pub(super) fn add(&mut self, tally: &TaskTally) {
        *self.counts.entry((urgency(tally.state), tally.state)).or_default() += tally.instances;
        self.try_number = self.try_number.max(tally.try_number);
        self.started_at = [self.started_at, tally.started_at].into_iter().flatten().min();
        self.ended_at = self.ended_at.max(tally.ended_at);
    }

    pub(super) fn instances(&self) -> i64 {
        self.counts.values().sum()
    }

    /// The most urgent state.
    pub(super) fn mark(&self) -> Mark {
        self.counts.keys().next().map_or(TaskState::None, |(_, state)| *state).into()
    }

    /// Its states, the most urgent first; `path` says where those in a state are listed.
    pub(super) fn counts(&self, path: impl Fn(Mark) -> String) -> Vec<Count> {
        let count = |(&(_, state), &instances): (&(u8, TaskState), &i64)| {
            let mark = Mark::from(state);
            Count { mark, instances, path: path(mark) }
        };
        self.counts.iter().map(count).collect()
    }

    pub(super) const fn try_number(&self) -> i64 {
        self.try_number
    }

    pub(super) const fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// From the start of the first to the end of the last; to now while any of them is not finished.
    pub(super) fn duration(&self, now: Timestamp) -> String {
        let is_over = self.counts.keys().all(|(_, state)| state.is_finished());
        duration(self.started_at, self.ended_at.filter(|_| is_over), now)
    }
}
