//! Callbacks: what is done besides when a task or a run has come somewhere (Airflow: `on_failure_callback` and its like).
//!
//! A callback never changes what happened. Each event gives one delivery for its list of notifiers, made in the
//! transaction of the move; a worker carries it out, without a slot.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::CALLBACK_TRIES_MAX;
use crate::moves::{ANSWERED, Actor};
use crate::operator::notice::{Email, Slack, Webhook};
use crate::state::{RunState, TaskState, named_enum};

named_enum!(
    /// What a callback is called for.
    CallbackEvent {
        /// It succeeded.
        Success = "success",
        /// It failed for good.
        Failure = "failure",
        /// A try failed, and there will be another one.
        Retry = "retry",
        /// The task skipped itself.
        Skipped = "skipped",
    }
);

impl CallbackEvent {
    /// What a move of a task instance is called. Only what was under way calls back, and only a task that has skipped itself
    /// is skipped in this sense, not one that was ended with its run or that a person marked. The databases' triggers say the same.
    pub fn of_task(from: TaskState, to: TaskState, actor: Actor, reason: Option<&str>) -> Option<CallbackEvent> {
        let is_ended = reason == Some("dagrun_timeout") || (actor == Actor::User && reason != Some(ANSWERED));
        if !(from.holds_slots() || from.is_suspended()) || (to == TaskState::Skipped && is_ended) {
            return None;
        }
        match to {
            TaskState::Success => Some(CallbackEvent::Success),
            TaskState::Failed => Some(CallbackEvent::Failure),
            TaskState::UpForRetry => Some(CallbackEvent::Retry),
            TaskState::Skipped => Some(CallbackEvent::Skipped),
            _ => None,
        }
    }

    /// What a move of a run is called: its end.
    pub const fn of_run(from: RunState, to: RunState) -> Option<CallbackEvent> {
        match (from.is_finished(), to) {
            (false, RunState::Success) => Some(CallbackEvent::Success),
            (false, RunState::Failed) => Some(CallbackEvent::Failure),
            _ => None,
        }
    }

    /// Its bit in the column `callbacks`.
    pub const fn bit(self) -> i64 {
        match self {
            CallbackEvent::Success => 1,
            CallbackEvent::Failure => 2,
            CallbackEvent::Retry => 4,
            CallbackEvent::Skipped => 8,
        }
    }
}

/// The callbacks of a task or a DAG.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Callbacks {
    /// After a success.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_success: Vec<Notifier>,
    /// After a failure for good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<Notifier>,
    /// After a try that failed and will be repeated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_retry: Vec<Notifier>,
    /// After a task has skipped itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_skipped: Vec<Notifier>,
}

impl Callbacks {
    /// The notifiers of an event.
    pub fn of(&self, event: CallbackEvent) -> &[Notifier] {
        match event {
            CallbackEvent::Success => &self.on_success,
            CallbackEvent::Failure => &self.on_failure,
            CallbackEvent::Retry => &self.on_retry,
            CallbackEvent::Skipped => &self.on_skipped,
        }
    }

    /// The bits of the events that have notifiers.
    pub fn mask(&self) -> i64 {
        CallbackEvent::ALL.iter().filter(|event| !self.of(**event).is_empty()).map(|event| event.bit()).sum()
    }
}

/// One thing to do for an event: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notifier {
    /// A program and its arguments (templates), run by a worker for a minute at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(extend("x-template" = "text"))]
    pub command: Option<Vec<String>>,
    /// A JSON message to a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// A message to a Slack channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,
    /// An e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

impl Notifier {
    /// The kinds that it names.
    pub fn kinds(&self) -> Vec<&'static str> {
        let kinds = [
            ("command", self.command.is_some()),
            ("webhook", self.webhook.is_some()),
            ("slack", self.slack.is_some()),
            ("email", self.email.is_some()),
        ];
        kinds.into_iter().filter(|(_, is_there)| *is_there).map(|(kind, _)| kind).collect()
    }

    /// Its kind.
    pub fn kind(&self) -> &'static str {
        self.kinds().first().copied().unwrap_or("nothing")
    }
}

/// What becomes of a delivery after an attempt: the positions of the notifiers that have been reached are a bit mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All have been reached.
    Delivered,
    /// Some have not: again after this long.
    Again(Duration),
    /// Some have not, and it is given up.
    GivenUp,
}

/// Decides about a delivery of `notifiers` notifiers after its try number `tries`.
pub fn decide(notifiers: usize, delivered: i64, tries: u32) -> Delivery {
    let all = (1_i64 << notifiers.min(62)) - 1;
    if delivered & all == all {
        Delivery::Delivered
    } else if tries >= CALLBACK_TRIES_MAX {
        Delivery::GivenUp
    } else {
        Delivery::Again(Duration::from_secs(5) * 6_u32.saturating_pow(tries.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_three_times() {
        assert_eq!(decide(2, 0b11, 1), Delivery::Delivered);
        assert_eq!(decide(2, 0b01, 1), Delivery::Again(Duration::from_secs(5)));
        assert_eq!(decide(2, 0b01, 2), Delivery::Again(Duration::from_secs(30)));
        assert_eq!(decide(2, 0b10, 3), Delivery::GivenUp);
        assert_eq!(decide(0, 0, 1), Delivery::Delivered);
    }

    #[test]
    fn only_events_with_notifiers_have_bits() {
        let notifier = Notifier { command: Some(vec!["true".to_owned()]), ..Notifier::default() };
        let callbacks =
            Callbacks { on_failure: vec![notifier.clone()], on_skipped: vec![notifier], ..Callbacks::default() };
        assert_eq!(callbacks.mask(), 2 + 8);
        assert_eq!(Callbacks::default().mask(), 0);
    }

    #[test]
    fn only_what_was_under_way_calls_back() {
        use CallbackEvent as E;
        use TaskState as S;
        let of_task = |from, to| E::of_task(from, to, Actor::Worker, None);
        assert_eq!(of_task(S::Running, S::UpForRetry), Some(E::Retry));
        assert_eq!(of_task(S::AwaitingInput, S::Skipped), Some(E::Skipped));
        assert_eq!(of_task(S::None, S::Skipped), None, "a branch left it out");
        assert_eq!(of_task(S::Success, S::Failed), None, "somebody says so afterwards");
        assert_eq!(of_task(S::Running, S::Deferred), None);
        let by = |actor, reason| E::of_task(S::Deferred, S::Skipped, actor, reason);
        assert_eq!(by(Actor::Scheduler, None), Some(E::Skipped), "a soft failure");
        assert_eq!(by(Actor::Scheduler, Some("dagrun_timeout")), None, "it was ended with its run");
        assert_eq!(by(Actor::User, Some("cancelled")), None);
        assert_eq!(by(Actor::User, Some(ANSWERED)), Some(E::Skipped), "an answer is what it has waited for");
        assert_eq!(E::of_run(RunState::Running, RunState::Failed), Some(E::Failure));
        assert_eq!(E::of_run(RunState::Success, RunState::Failed), None);
    }
}
