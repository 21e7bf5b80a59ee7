//! When a task may start, given how the tasks before it ended.

use crate::state::{TaskState, named_enum};

named_enum!(
    /// The 13 rules of Airflow 3.3 (`airflow.task.trigger_rule`).
    TriggerRule {
        /// All upstream tasks succeeded (the default).
        AllSuccess = "all_success",
        /// All upstream tasks failed or are upstream_failed.
        AllFailed = "all_failed",
        /// All upstream tasks are done, however they ended.
        AllDone = "all_done",
        /// All done, none skipped, at least one success.
        AllDoneMinOneSuccess = "all_done_min_one_success",
        /// All done and at least one setup succeeded (for teardowns).
        AllDoneSetupSuccess = "all_done_setup_success",
        /// All upstream tasks were skipped.
        AllSkipped = "all_skipped",
        /// One upstream task succeeded; does not wait for the others.
        OneSuccess = "one_success",
        /// One upstream task failed; does not wait for the others.
        OneFailed = "one_failed",
        /// One upstream task succeeded or failed; does not wait for the others.
        OneDone = "one_done",
        /// All done, none failed or upstream_failed.
        NoneFailed = "none_failed",
        /// All done, none failed or upstream_failed, at least one success.
        NoneFailedMinOneSuccess = "none_failed_min_one_success",
        /// All done, none skipped.
        NoneSkipped = "none_skipped",
        /// At once.
        Always = "always",
    }
);

/// How many upstream task instances ended in each way, out of `total`.
///
/// Removed instances are counted apart, since a removed upstream does not count for any rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UpstreamCounts {
    /// Upstream task instances in all.
    pub total: i64,
    /// Ended in `success`.
    pub success: i64,
    /// Ended in `failed`.
    pub failed: i64,
    /// Ended in `upstream_failed`.
    pub upstream_failed: i64,
    /// Ended in `skipped`.
    pub skipped: i64,
    /// Are `removed`.
    pub removed: i64,
}

impl UpstreamCounts {
    /// Adds `by` to the count that `state` belongs to; states that are not finished count nowhere.
    pub fn add(&mut self, state: TaskState, by: i64) {
        match state {
            TaskState::Success => self.success += by,
            TaskState::Failed => self.failed += by,
            TaskState::UpstreamFailed => self.upstream_failed += by,
            TaskState::Skipped => self.skipped += by,
            TaskState::Removed => self.removed += by,
            TaskState::None
            | TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Restarting
            | TaskState::UpForRetry
            | TaskState::UpForReschedule
            | TaskState::Deferred
            | TaskState::AwaitingInput => {}
        }
    }

    /// Instances that are finished.
    pub const fn done(&self) -> i64 {
        self.success + self.failed + self.upstream_failed + self.skipped + self.removed
    }
}

/// What a rule says about a task that has not been scheduled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing can be said before more upstream tasks end.
    Wait,
    /// The task may be scheduled.
    Run,
    /// The task is skipped.
    Skip,
    /// The task is upstream_failed.
    UpstreamFailed,
}

impl TriggerRule {
    /// What the setups that a task needs say about it, whatever its rule: work waits for all of them, and ends as they do where
    /// they did not succeed; a teardown needs one that succeeded. Only `always` ignores setups.
    pub fn of_setups(self, setups: UpstreamCounts) -> Verdict {
        let total = setups.total - setups.removed;
        let is_done = setups.done() >= setups.total;
        let has_failed = setups.failed + setups.upstream_failed > 0;
        if total == 0 || self == TriggerRule::Always {
            return Verdict::Run;
        }
        if self == TriggerRule::AllDoneSetupSuccess {
            return match setups {
                _ if setups.success > 0 => Verdict::Run,
                _ if !is_done => Verdict::Wait,
                _ if has_failed => Verdict::UpstreamFailed,
                _ => Verdict::Skip,
            };
        }
        match setups {
            _ if has_failed => Verdict::UpstreamFailed,
            _ if !is_done => Verdict::Wait,
            _ if setups.skipped > 0 => Verdict::Skip,
            _ => Verdict::Run,
        }
    }

    /// Applies the rule (Airflow 3.3 `TriggerRuleDep._evaluate_trigger_rule`).
    ///
    /// What it says never depends on which upstream task was quicker: it acts as soon as its answer cannot change any more. A
    /// failure wins over a skip, so that `all_success` waits with a skip until nothing can fail any more (Airflow acts on whichever
    /// it sees first).
    pub fn evaluate(self, upstream: UpstreamCounts) -> Verdict {
        use TriggerRule as R;
        use Verdict::{Run, Skip, UpstreamFailed, Wait};

        let total = upstream.total - upstream.removed;
        let done = upstream.done() - upstream.removed;
        let (success, skipped) = (upstream.success, upstream.skipped);
        let failed = upstream.failed + upstream.upstream_failed;
        let all_done = done >= total;
        if total == 0 {
            return Run;
        }
        let when_done = |verdict| if all_done { verdict } else { Wait };
        match self {
            R::Always => Run,
            R::AllSuccess if failed > 0 => UpstreamFailed,
            R::AllSuccess if skipped > 0 => when_done(Skip),
            // How its setups ended is told apart by `with_setups`; without any, that rule is as good as `all_done`.
            R::AllSuccess | R::AllDone | R::AllDoneSetupSuccess => when_done(Run),
            R::AllFailed if success > 0 || skipped > 0 => Skip,
            R::AllFailed => when_done(Run),
            R::AllDoneMinOneSuccess if skipped > 0 => Skip,
            R::AllDoneMinOneSuccess if success > 0 => when_done(Run),
            R::AllDoneMinOneSuccess => when_done(UpstreamFailed),
            R::AllSkipped if success > 0 || failed > 0 => Skip,
            R::AllSkipped => when_done(Run),
            R::OneSuccess if success > 0 => Run,
            R::OneSuccess if skipped >= total => when_done(Skip),
            R::OneSuccess => when_done(UpstreamFailed),
            R::OneFailed if failed > 0 => Run,
            R::OneDone if success > 0 || upstream.failed > 0 => Run,
            R::OneFailed | R::OneDone => when_done(Skip),
            R::NoneFailed | R::NoneFailedMinOneSuccess if failed > 0 => UpstreamFailed,
            R::NoneFailedMinOneSuccess if success == 0 => when_done(Skip),
            R::NoneSkipped if skipped > 0 => Skip,
            R::NoneFailed | R::NoneFailedMinOneSuccess | R::NoneSkipped => when_done(Run),
        }
    }
}
