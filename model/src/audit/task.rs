//! A task instance by itself: I1 to I6, I11, I13 to I15, I18.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::run::TIMEOUT;
use super::scopes::{GROUP_RETRY, RUN_RETRY};
use super::{Findings, ProcessFacts, TaskEvent, TaskHistory};
use crate::moves::{ANSWERED, Actor, legal_moves};
use crate::retry::DEFAULT_RETRY_DELAY;
use crate::{ClaimId, DagGraph, Epoch, ProcessId, TaskState, Timestamp};

/// Losses after which a task instance fails for good: one more than are forgiven.
const LOST_MAX: i64 = crate::limits::LOSSES_MAX + 1;

pub(super) fn check(
    task: &TaskHistory,
    graph: &DagGraph,
    processes: &HashMap<ProcessId, ProcessFacts>,
    found: &mut Findings,
) {
    chain(task, found);
    let mut past = Past::default();
    for event in &task.events {
        legal(event, found);
        if event.from.is_some() {
            epochs(event, &past, found);
            tries(event, &past, found);
            holders(event, &past, processes, found);
            completions(event, &mut past, found);
            delays(event, task, graph, &mut past, found);
            scope_delays(event, task, graph, &mut past, found);
        }
        past.epoch = event.epoch;
        past.try_number = event.try_number;
        past.goes_on = goes_on(event, past.goes_on);
        if event.to == TaskState::Running {
            past.claim(event, found);
        }
    }
    deferrals(task, found);
    budgets(task, found);
    outputs(task, found);
}

/// What has been seen of a task instance so far.
#[derive(Default)]
struct Past<'a> {
    epoch: Epoch,
    try_number: i64,
    /// Its try was suspended: the next claim goes on with it.
    goes_on: bool,
    holder: Option<&'a TaskEvent>,
    claims: HashSet<ClaimId>,
    claimed_epochs: HashSet<Epoch>,
    /// Entries into finished states since a person last moved it.
    completions: u32,
    losses: u32,
    /// It must not be scheduled (after a failure) or queued (after a loss) before this instant.
    not_before: Option<Timestamp>,
    /// Its group or run starts again: it must not be queued before this instant.
    not_queued_before: Option<Timestamp>,
}

impl<'a> Past<'a> {
    /// I4.
    fn claim(&mut self, event: &'a TaskEvent, found: &mut Findings) {
        if !self.claimed_epochs.insert(event.epoch) {
            found.add("I4", format!("epoch {} was claimed twice (event {})", event.epoch, event.event_no));
        }
        match event.claim {
            None => found.add("I4", format!("event {} is a claim without a claim id", event.event_no)),
            Some(claim) if !self.claims.insert(claim) => {
                found.add("I4", format!("claim id {claim} was used twice (event {})", event.event_no));
            }
            Some(_) => {}
        }
        self.holder = Some(event);
    }
}

/// I2: numbers without a gap, each event begins where the one before ended, and the row is where the last one ended.
fn chain(task: &TaskHistory, found: &mut Findings) {
    let mut state = None;
    let mut seq = i64::MIN;
    for (position, event) in task.events.iter().enumerate() {
        if event.event_no != position as i64 + 1 {
            found.add("I2", format!("event {} stands where {} should", event.event_no, position + 1));
        }
        if event.from != state {
            let (from, before) = (name(event.from), name(state));
            found.add("I2", format!("event {} begins at {from}, the one before ended at {before}", event.event_no));
        }
        if event.seq <= seq {
            found.add("I2", format!("event {} was appended before its predecessor", event.event_no));
        }
        (state, seq) = (Some(event.to), event.seq);
    }
    match task.events.last() {
        None => found.add("I2", "it has no history"),
        Some(last) => {
            if last.to != task.state || last.epoch != task.epoch || last.event_no != task.event_no {
                found.add(
                    "I2",
                    format!(
                        "the row says {} (epoch {}, event {}), the history ends with {} (epoch {}, event {})",
                        task.state, task.epoch, task.event_no, last.to, last.epoch, last.event_no
                    ),
                );
            }
        }
    }
}

fn name(state: Option<TaskState>) -> &'static str {
    state.map_or("nothing", TaskState::as_str)
}

/// I1.
fn legal(event: &TaskEvent, found: &mut Findings) {
    let is_legal = match event.from {
        None => event.to == TaskState::None && event.actor == Actor::Scheduler,
        Some(from) => legal_moves().binary_search(&(from, event.to, event.actor)).is_ok(),
    };
    if !is_legal {
        let from = name(event.from);
        found.add(
            "I1",
            format!("{from} -> {} by {} is no legal move (event {})", event.to, event.actor, event.event_no),
        );
    }
}

/// Whether the move takes the right to act from whoever has it.
fn raises_epoch(event: &TaskEvent) -> bool {
    let from_running = event.from == Some(TaskState::Running);
    event.to == TaskState::Queued
        || event.actor == Actor::User
        || (from_running && event.actor == Actor::Scheduler)
        || (from_running && gives_up(event.to))
        || is_scope_retried(event)
}

/// Whether a worker that moves its attempt there gives it up before its end.
fn gives_up(to: TaskState) -> bool {
    to == TaskState::Scheduled || to.is_suspended()
}

/// The group or run that the task instance belongs to is tried again as a whole.
fn is_scope_retried(event: &TaskEvent) -> bool {
    event.actor == Actor::Scheduler
        && event.to == TaskState::None
        && event.from.is_some_and(|from| from != TaskState::Removed)
}

/// Whether the try is suspended after the event, so that the next claim goes on with it.
fn goes_on(event: &TaskEvent, before: bool) -> bool {
    use TaskState as S;
    match event.to {
        S::Deferred | S::UpForReschedule | S::AwaitingInput => true,
        S::Scheduled | S::Queued => before && event.from != Some(S::Running),
        _ => false,
    }
}

/// I3.
fn epochs(event: &TaskEvent, past: &Past<'_>, found: &mut Findings) {
    if event.epoch < past.epoch || (event.epoch == past.epoch && raises_epoch(event)) {
        found.add("I3", format!("the epoch went from {} to {} (event {})", past.epoch, event.epoch, event.event_no));
    }
}

/// I11, the steps: a claim is one try more unless it goes on with a suspended one, nothing else changes the number.
fn tries(event: &TaskEvent, past: &Past<'_>, found: &mut Findings) {
    let expected = past.try_number + i64::from(event.to == TaskState::Running && !past.goes_on);
    if event.try_number != expected {
        found.add("I11", format!("try {} where {expected} should be (event {})", event.try_number, event.event_no));
    }
}

/// I5 and I18: only the holder ends its attempt, and only the dead are robbed.
fn holders(event: &TaskEvent, past: &Past<'_>, processes: &HashMap<ProcessId, ProcessFacts>, found: &mut Findings) {
    if event.from != Some(TaskState::Running) {
        return;
    }
    let Some(holder) = past.holder else {
        return found.add("I5", format!("event {} ends an attempt that nobody claimed", event.event_no));
    };
    let process_of = |event: &TaskEvent| {
        event.actor_id.as_deref().and_then(|id| id.parse().ok()).and_then(|id| processes.get(&ProcessId(id)))
    };
    match event.actor {
        Actor::Worker => {
            let epoch = Epoch(event.epoch.0 - i64::from(gives_up(event.to)));
            if event.claim != holder.claim || epoch != holder.epoch {
                found.add("I5", format!("event {} does not carry the token of the last claim", event.event_no));
            }
            let is_successor = process_of(event).zip(process_of(holder)).is_some_and(|(by, of)| by.slot == of.slot);
            if event.actor_id != holder.actor_id && !is_successor {
                found.add("I5", format!("event {} was not made by the process that claimed", event.event_no));
            }
        }
        Actor::Scheduler if event.to != TaskState::Skipped && !is_scope_retried(event) => {
            if process_of(holder).is_some_and(|process| !process.is_dead) {
                found.add("I18", format!("event {} takes it from a process that is alive", event.event_no));
            }
        }
        Actor::Scheduler | Actor::Triggerer | Actor::User => {}
    }
}

/// I6.
fn completions(event: &TaskEvent, past: &mut Past<'_>, found: &mut Findings) {
    // A person, or the scheduler where a group or a run has retries left, lets it start anew.
    if event.actor == Actor::User || event.to == TaskState::None {
        past.completions = 0;
        past.losses = 0;
    }
    if event.to.is_finished() {
        past.completions += 1;
        if past.completions > 1 {
            found.add("I6", format!("it was completed a second time (event {})", event.event_no));
        }
    }
}

/// I13: after a failure the retry delay, after a loss the back-off.
fn delays<'a>(event: &'a TaskEvent, task: &TaskHistory, graph: &DagGraph, past: &mut Past<'a>, found: &mut Findings) {
    use TaskState as S;
    let is_due = event.actor == Actor::Scheduler && matches!(event.to, S::Scheduled | S::Queued);
    if is_due && past.not_before.is_some_and(|not_before| event.at < not_before) {
        found.add("I13", format!("event {} came before the delay was over", event.event_no));
    }
    past.not_before = match (event.from, event.to, event.actor) {
        (Some(_), S::UpForRetry, _) => {
            // Whoever ends it counts from the end of the process, which is before the event.
            let ended = task.attempts.iter().find(|attempt| Some(attempt.claim) == event.claim);
            let least = graph.dag.tasks.get(task.task_index as usize).map(|task| {
                let usual = task.retry.delay_after(1, 0.0);
                task.least_own_delay().map_or(usual, |own| own.min(usual))
            });
            ended.zip(least).map(|(attempt, least)| attempt.ended_at + least)
        }
        (Some(S::Running), S::Scheduled, Actor::Scheduler) => {
            past.losses += 1;
            let seconds = 1_u64.checked_shl(past.losses - 1).unwrap_or(u64::MAX);
            Some(event.at + Duration::from_secs(seconds))
        }
        (_, S::Scheduled, Actor::Scheduler) if event.from != Some(S::UpForRetry) => past.not_before,
        _ => None,
    };
}

/// I13 for groups and runs that start again: nothing of them is queued before their delay.
fn scope_delays(event: &TaskEvent, task: &TaskHistory, graph: &DagGraph, past: &mut Past<'_>, found: &mut Findings) {
    if event.to == TaskState::Queued && past.not_queued_before.is_some_and(|not_before| event.at < not_before) {
        found.add("I13", format!("event {} came before the delay of its group or run was over", event.event_no));
    }
    past.not_queued_before = match event.to {
        TaskState::None if is_scope_retried(event) => {
            let delay = match event.reason.as_deref() {
                Some(GROUP_RETRY) if (task.task_index as usize) < graph.dag.tasks.len() => {
                    let groups = graph.groups_of(task.task_index).filter(|group| group.retries > 0);
                    groups.map(|group| group.retry_delay.unwrap_or(DEFAULT_RETRY_DELAY)).min()
                }
                Some(RUN_RETRY) => Some(graph.dag.run_retry_delay.unwrap_or(DEFAULT_RETRY_DELAY)),
                _ => None,
            };
            delay.map(|delay| event.at + delay)
        }
        TaskState::Scheduled if event.from == Some(TaskState::None) => past.not_queued_before,
        _ => None,
    };
}

/// I14: each entry into `deferred` has one exit, with the epoch of the entry unless the right was taken; a trigger waits for
/// the task instance exactly while it is deferred.
fn deferrals(task: &TaskHistory, found: &mut Findings) {
    let mut entered: Option<&TaskEvent> = None;
    let mut left = HashSet::new();
    for event in &task.events {
        let exits = event.from == Some(TaskState::Deferred);
        if let Some(entry) = entered.take() {
            if !exits {
                found.add("I14", format!("event {} is no exit from the deferral before it", event.event_no));
            } else if !takes_the_right(event) && event.epoch != entry.epoch {
                found.add("I14", format!("event {} fired a trigger of another epoch", event.event_no));
            } else if !left.insert(entry.epoch) {
                found.add("I14", format!("the trigger of epoch {} fired twice", entry.epoch));
            }
        } else if exits {
            found.add("I14", format!("event {} leaves a deferral that was not entered", event.event_no));
        }
        if event.to == TaskState::Deferred {
            entered = Some(event);
        }
    }
    let expected: Vec<Epoch> = entered.iter().map(|entry| entry.epoch).collect();
    if task.triggers != expected {
        found.add("I14", format!("it has triggers of the epochs {:?}, it waits for {expected:?}", task.triggers));
    }
}

/// Whether the move ends a deferral from outside, and so with a new epoch.
fn takes_the_right(event: &TaskEvent) -> bool {
    raises_epoch(event) || event.reason.as_deref() == Some(TIMEOUT)
}

/// I11, the sums.
fn budgets(task: &TaskHistory, found: &mut Findings) {
    if task.try_number > task.max_tries + 1 {
        found.add("I11", format!("{} tries were made of {}", task.try_number, task.max_tries + 1));
    }
    if task.lost_count > LOST_MAX {
        found.add("I11", format!("it was lost {} times", task.lost_count));
    }
    if task.events.last().is_some_and(|last| last.try_number != task.try_number) {
        found.add("I11", "the row's try is not that of the last event");
    }
}

/// I15: what an attempt left is there exactly if its end was recorded.
fn outputs(task: &TaskHistory, found: &mut Findings) {
    for xcom in &task.xcoms {
        if task.state != TaskState::Success || task.epoch != xcom.epoch {
            found.add(
                "I15",
                format!(
                    "XCom `{}` is of epoch {}, the task instance is {} at {}",
                    xcom.key, xcom.epoch, task.state, task.epoch
                ),
            );
        }
    }
    let ends: HashMap<(i64, Option<ClaimId>), TaskState> = task
        .events
        .iter()
        .filter(|event| ends_try(event))
        .map(|event| ((event.try_number, event.claim), event.to))
        .collect();
    for attempt in &task.attempts {
        if ends.get(&(attempt.try_number, Some(attempt.claim))) != Some(&attempt.state) {
            found.add("I15", format!("the attempt of try {} has no event", attempt.try_number));
        }
    }
    let attempts: HashSet<_> = task.attempts.iter().map(|attempt| (attempt.try_number, Some(attempt.claim))).collect();
    for (try_number, _) in ends.keys().filter(|end| !attempts.contains(end)) {
        found.add("I15", format!("try {try_number} has ended, but there is no attempt"));
    }
}

/// Whether the event is the recorded end of a try: made by its holder, or for it where it was suspended.
fn ends_try(event: &TaskEvent) -> bool {
    use TaskState as S;
    let reason = event.reason.as_deref();
    match event.from {
        // Given back, its end is remembered, too.
        Some(S::Running) => event.actor == Actor::Worker && !event.to.is_suspended(),
        Some(S::Deferred | S::AwaitingInput) if event.to == S::Scheduled || event.to == S::None => false,
        Some(S::Deferred) => event.actor != Actor::User && reason != Some(TIMEOUT),
        Some(S::AwaitingInput) => match event.actor {
            Actor::User => reason == Some(ANSWERED),
            _ => reason != Some(TIMEOUT),
        },
        _ => false,
    }
}
