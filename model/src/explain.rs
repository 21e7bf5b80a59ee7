//! Why a task instance is where it is, in words that say what to do about it.
//!
//! [`explain`] is pure: whoever asks gathers the [`Facts`]; asking never changes anything.

mod ended;
mod facts;
mod kind;

use serde::Serialize;

use self::ended::finished;
pub use self::facts::{
    DeferralFacts, Facts, OwnLimit, PastTask, PoolFacts, RunFacts, TaskFacts, UpstreamTask, WorkerFacts,
};
pub use self::kind::ReasonKind;
use crate::Timestamp;
use crate::decide::task::{Guard, Standing};
use crate::state::{RunState, TaskState};
use crate::time::duration_text;
use crate::trigger_rule::TriggerRule;

/// Names listed in one text at most.
const NAMES_MAX: usize = 5;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// One sentence.
    pub summary: String,
    /// Everything that holds it, most telling first.
    pub reasons: Vec<Reason>,
}

/// One thing that holds a task instance, or that brought it where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What sort of thing it is.
    pub kind: ReasonKind,
    /// What it is.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Reason {
    fn new(kind: ReasonKind, text: impl Into<String>) -> Self {
        Reason { kind, text: text.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Says why the task instance is where it is.
pub fn explain(facts: &Facts) -> Explanation {
    let mut reasons = match &facts.task {
        None if !facts.instances.is_empty() => vec![mapped(facts)],
        None => before_start(facts),
        Some(task) => match task.state {
            TaskState::None => undecided(facts),
            TaskState::Scheduled => scheduled(facts, task),
            TaskState::Queued => queued(facts, task),
            TaskState::Running => vec![running(facts, task)],
            TaskState::UpForRetry => vec![up_for_retry(facts, task)],
            TaskState::UpForReschedule => vec![up_for_reschedule(facts, task)],
            TaskState::Deferred => deferred(facts, task),
            TaskState::AwaitingInput => vec![
                Reason::new(ReasonKind::Input, "waits for a person's answer, and holds no worker slot")
                    .hint("answer it on its page, or mark it"),
            ],
            TaskState::Restarting => {
                vec![Reason::new(ReasonKind::Restarting, "was cleared while it ran; its old try is being killed")]
            }
            TaskState::Success
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::UpstreamFailed
            | TaskState::Removed => finished(facts, task),
        },
    };
    let is_waiting =
        facts.task.as_ref().is_none_or(|task| !task.state.is_finished() && task.state != TaskState::Running);
    if is_waiting && !facts.has_scheduler && !facts.run.state.is_finished() {
        let text = "no scheduler is alive, so nothing moves";
        reasons.insert(0, Reason::new(ReasonKind::NoScheduler, text).hint("start one with `flowctl scheduler`"));
    }
    if reasons.is_empty() {
        reasons.push(Reason::new(ReasonKind::NextTick, "nothing holds it: the scheduler takes it up at its next tick"));
    }
    Explanation { summary: reasons[0].text.clone(), reasons }
}

/// A mapped task as a whole: the answers are in its instances.
fn mapped(facts: &Facts) -> Reason {
    let all: i64 = facts.instances.iter().map(|(_, instances)| instances).sum();
    let told: Vec<String> =
        facts.instances.iter().map(|&(state, instances)| format!("{instances} {}", words(state))).collect();
    Reason::new(ReasonKind::Mapped, format!("is mapped, and has {all} instances: {}", told.join(", ")))
        .hint("ask about one of them with `--map-index <n>`")
}

fn before_start(facts: &Facts) -> Vec<Reason> {
    let run = &facts.run;
    if run.state.is_finished() {
        return vec![Reason::new(
            ReasonKind::RunEnded,
            format!("never started: its run ended as {}{}", run.state, because(run.reason.as_deref())),
        )];
    }
    let mut reasons = Vec::new();
    if facts.dag_is_paused {
        reasons.push(paused(facts));
    }
    if run.run_after > facts.now {
        let wait = duration_text::format(whole_seconds(run.run_after.since(facts.now)));
        reasons.push(Reason::new(ReasonKind::RunAfter, format!("its run starts at {} (in {wait})", run.run_after)));
    }
    if run.state == RunState::Queued && run.running_runs >= run.max_active_runs {
        reasons.push(
            Reason::new(
                ReasonKind::MaxActiveRuns,
                format!(
                    "its run waits: {} of at most {} runs of the DAG are running (`max_active_runs`)",
                    run.running_runs, run.max_active_runs
                ),
            )
            .hint("wait for a run to end, cancel one, or raise `max_active_runs` in the DAG file"),
        );
    }
    reasons
}

fn undecided(facts: &Facts) -> Vec<Reason> {
    if facts.run.state == RunState::Queued {
        return before_start(facts);
    }
    if facts.run.state.is_finished() {
        return vec![Reason::new(ReasonKind::RunEnded, format!("never started: its run ended as {}", facts.run.state))];
    }
    let obstacles = facts.standing.as_ref().map(Standing::obstacles).unwrap_or_default();
    obstacles.into_iter().map(|guard| obstacle(facts, guard)).collect()
}

/// What one of the things holds that a decision looks at.
fn obstacle(facts: &Facts, guard: Guard) -> Reason {
    let waits = |tasks: &[UpstreamTask], otherwise: &str| {
        let unfinished: Vec<&UpstreamTask> = tasks.iter().filter(|task| !task.state.is_finished()).collect();
        if unfinished.is_empty() {
            format!("waits for {otherwise}")
        } else {
            format!("waits for {}", names(&unfinished))
        }
    };
    match guard {
        Guard::Choice => Reason::new(ReasonKind::Branch, waits(&facts.deciders, "a branch or short circuit before it"))
            .hint("it may leave the task out: that is known when it is over"),
        Guard::Setups => Reason::new(ReasonKind::Setup, waits(&facts.setups, "its setups"))
            .hint("it needs its setups, whatever its trigger rule says"),
        Guard::Producers => Reason::new(ReasonKind::Mapping, waits(&facts.producers, "what it is mapped over"))
            .hint("it leaves what the task, or the group around it, is mapped over"),
        Guard::Rule => {
            let reason = Reason::new(ReasonKind::Upstream, waits(&facts.upstream, "the tasks before it"));
            match facts.trigger_rule {
                TriggerRule::AllSuccess => reason,
                rule => reason.hint(format!("its trigger rule is `{rule}`")),
            }
        }
        Guard::Past => past(facts),
    }
}

fn past(facts: &Facts) -> Reason {
    let told: Vec<String> = facts
        .past
        .iter()
        .take(NAMES_MAX)
        .map(|past| format!("`{}` ({})", past.task_id, past.state.map_or("its run has not started", words)))
        .collect();
    let Some(first) = facts.past.first() else {
        return Reason::new(ReasonKind::DependsOnPast, "waits for the previous run");
    };
    let setting = if facts.past.iter().any(|past| past.task_id != facts.task_id) {
        "wait_for_downstream"
    } else {
        "depends_on_past"
    };
    Reason::new(
        ReasonKind::DependsOnPast,
        format!("waits for {} of the previous run `{}`", told.join(", "), first.run_id),
    )
    .hint(format!("it says `{setting}`: clear the task there, or mark it as success or skipped"))
}

fn scheduled(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if facts.dag_is_paused {
        reasons.push(paused(facts));
    }
    if let Some(not_before) = task.not_before.filter(|at| *at > facts.now) {
        let wait = duration_text::format(whole_seconds(not_before.since(facts.now)));
        let text = format!("starts again at {not_before} (in {wait}){}", because(task.reason.as_deref()));
        reasons.push(Reason::new(ReasonKind::NotBefore, text));
    }
    match &facts.pool {
        None => reasons.push(
            Reason::new(ReasonKind::Pool, format!("there is no pool `{}`", task.pool))
                .hint(format!("create it with `flowctl pools set {} <slots>`", task.pool)),
        ),
        Some(pool) if pool.slots >= 0 && pool.used + task.pool_slots > pool.slots => {
            let text = if task.pool_slots > pool.slots {
                format!("needs {} slots, but pool `{}` has only {}", task.pool_slots, task.pool, pool.slots)
            } else {
                format!(
                    "waits for pool `{}`: {} of {} slots are used, it needs {}",
                    task.pool, pool.used, pool.slots, task.pool_slots
                )
            };
            let hint = format!("give the pool more slots with `flowctl pools set {} <slots>`", task.pool);
            reasons.push(Reason::new(ReasonKind::Pool, text).hint(hint));
        }
        Some(_) => {}
    }
    for limit in facts.own_limits.iter().filter(|limit| limit.live >= limit.most) {
        let text = format!(
            "waits: {} of at most {} instances of the task are queued or running (`{}`)",
            limit.live, limit.most, limit.name
        );
        reasons
            .push(Reason::new(ReasonKind::MaxActiveTis, text).hint(format!("raise `{}` in the DAG file", limit.name)));
    }
    if facts.dag_live_tasks >= facts.max_active_tasks {
        let text = format!(
            "waits: {} of at most {} task instances of the DAG are queued or running (`max_active_tasks`)",
            facts.dag_live_tasks, facts.max_active_tasks
        );
        reasons.push(Reason::new(ReasonKind::MaxActiveTasks, text).hint("raise `max_active_tasks` in the DAG file"));
    }
    reasons
}

fn queued(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let serving: Vec<&WorkerFacts> =
        facts.workers.iter().filter(|worker| worker.queues.contains(&task.queue)).collect();
    if serving.is_empty() {
        let text = format!("no live worker serves the queue `{}`", task.queue);
        return vec![
            Reason::new(ReasonKind::NoWorker, text)
                .hint(format!("start one with `flowctl worker --queues {}`", task.queue)),
        ];
    }
    let is_busy = |worker: &&WorkerFacts| worker.concurrency.is_some_and(|most| worker.running >= most);
    if serving.iter().all(is_busy) {
        let running: i64 = serving.iter().map(|worker| worker.running).sum();
        let text = format!(
            "waits for a free worker: those of the queue `{}` run {running} tasks, which is all they take",
            task.queue
        );
        return vec![
            Reason::new(ReasonKind::WorkersBusy, text).hint("start another worker, or raise its `--concurrency`"),
        ];
    }
    vec![Reason::new(ReasonKind::Claim, format!("a worker of the queue `{}` takes it at any moment", task.queue))]
}

fn running(facts: &Facts, task: &TaskFacts) -> Reason {
    let host = task.hostname.as_ref().map_or(String::new(), |host| format!(" on {host}"));
    let time = task
        .started_at
        .map_or(String::new(), |at| format!(" for {}", duration_text::format(whole_seconds(facts.now.since(at)))));
    Reason::new(ReasonKind::Running, format!("runs{host}{time} (try {} of {})", task.try_number, tries(task)))
}

fn up_for_retry(facts: &Facts, task: &TaskFacts) -> Reason {
    let next = task.not_before.map_or("soon".to_owned(), |at| {
        if at > facts.now {
            format!("at {at} (in {})", duration_text::format(whole_seconds(at.since(facts.now))))
        } else {
            "now".to_owned()
        }
    });
    let text = format!(
        "try {} of {} failed{}; the next one starts {next}",
        task.try_number,
        tries(task),
        because(task.reason.as_deref())
    );
    Reason::new(ReasonKind::Retry, text).hint("clear the task to run it at once")
}

/// An instant and how far away it is.
fn at(now: Timestamp, at: Timestamp) -> String {
    if at > now {
        format!("at {at} (in {})", duration_text::format(whole_seconds(at.since(now))))
    } else {
        "now".to_owned()
    }
}

fn up_for_reschedule(facts: &Facts, task: &TaskFacts) -> Reason {
    let next = task.not_before.map_or("soon".to_owned(), |next| at(facts.now, next));
    let found = task.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
    Reason::new(ReasonKind::Reschedule, format!("what it waits for is not there yet{found}; it looks again {next}"))
        .hint("clear the task to look at once")
}

fn deferred(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let Some(waiting) = &task.deferral else {
        return vec![Reason::new(ReasonKind::Deferred, "waits in the triggerer and holds no worker slot")];
    };
    let mut reasons = Vec::new();
    if !waiting.has_triggerer {
        let text = "no triggerer is alive, so nobody sees when what it waits for is there";
        reasons.push(Reason::new(ReasonKind::NoTriggerer, text).hint("start one with `flowctl triggerer`"));
    } else if !waiting.is_carried {
        let text = "no triggerer has taken it up yet";
        reasons
            .push(Reason::new(ReasonKind::TriggerersFull, text).hint(
                "if it stays so, start another one, or raise `triggerer.pollers_max` and `triggerer.timers_max`",
            ));
    }
    let since = duration_text::format(whole_seconds(facts.now.since(waiting.since)));
    reasons.push(Reason::new(
        ReasonKind::Deferred,
        format!("waits {} since {since}, holding no worker slot", waiting.what),
    ));
    if !waiting.is_timer && waiting.checks > 0 {
        let found = waiting.note.as_deref().unwrap_or("not yet");
        let next = waiting.next_check_at.map_or("soon".to_owned(), |next| at(facts.now, next));
        let times = if waiting.checks == 1 { "once".to_owned() } else { format!("{} times", waiting.checks) };
        reasons.push(Reason::new(
            ReasonKind::LastCheck,
            format!("was looked at {times}: {found}; the next look is {next}"),
        ));
    }
    if !waiting.is_timer && waiting.checks == 0 && waiting.is_carried {
        let text = "nobody has looked yet: the first look goes on, or waits because as many as may are asking there";
        reasons.push(Reason::new(ReasonKind::LastCheck, text));
    }
    if let Some(deadline) = waiting.deadline_at {
        reasons.push(Reason::new(ReasonKind::Deadline, format!("its time is over {}", at(facts.now, deadline))));
    }
    reasons
}

fn paused(facts: &Facts) -> Reason {
    Reason::new(ReasonKind::Paused, format!("the DAG `{}` is paused", facts.dag_id))
        .hint(format!("unpause it with `flowctl dags unpause {}`", facts.dag_id))
}

/// Tries in all; a task that was tried more often than planned never shows "3 of 2".
fn tries(task: &TaskFacts) -> i64 {
    (task.max_tries + 1).max(task.try_number)
}

fn because(reason: Option<&str>) -> String {
    reason.map_or(String::new(), |reason| format!(": {reason}"))
}

fn names(tasks: &[&UpstreamTask]) -> String {
    listed(tasks, |task| format!("`{}` ({})", task.task_id, counted(task)))
}

fn id_of(task: &UpstreamTask) -> String {
    format!("`{}`", task.task_id)
}

fn listed(tasks: &[&UpstreamTask], name: impl Fn(&UpstreamTask) -> String) -> String {
    let mut listed: Vec<String> = tasks.iter().take(NAMES_MAX).map(|task| name(task)).collect();
    if tasks.len() > NAMES_MAX {
        listed.push(format!("{} more", tasks.len() - NAMES_MAX));
    }
    match listed.len() {
        0 | 1 => listed.concat(),
        count => format!("{} and {}", listed[..count - 1].join(", "), listed[count - 1]),
    }
}

/// The state, with the number of instances where there are several.
fn counted(task: &UpstreamTask) -> String {
    match task.instances {
        1 => words(task.state).to_owned(),
        instances => format!("{instances} {}", words(task.state)),
    }
}

/// A state as people say it.
const fn words(state: TaskState) -> &'static str {
    match state {
        TaskState::None => "not started",
        TaskState::UpForRetry => "waits for its retry",
        other => other.as_str(),
    }
}

/// Waiting times read better without fractions.
fn whole_seconds(duration: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests;
