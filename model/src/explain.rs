//! Why a task instance is where it is, in words that say what to do about it.
//!
//! [`explain`] is pure: whoever asks gathers the [`Facts`]; asking never changes anything.

use serde::Serialize;

use crate::Timestamp;
use crate::state::{RunState, TaskState};
use crate::time::duration_text;
use crate::trigger_rule::{TriggerRule, UpstreamCounts, Verdict};

/// Names listed in one text at most.
const NAMES_MAX: usize = 5;

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
    /// Its pool; `None` if there is no pool of that name.
    pub pool: Option<PoolFacts>,
    /// Task instances of the DAG that are queued or running.
    pub dag_live_tasks: i64,
    /// How many of them there may be.
    pub max_active_tasks: i64,
    /// For `depends_on_past`: the same task in the previous run.
    pub past: Option<PastTask>,
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
    /// How its upstream stands.
    pub upstream: UpstreamCounts,
    /// Whether `depends_on_past` still has to be looked at.
    pub waits_for_past: bool,
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
    /// Its state.
    pub state: TaskState,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolFacts {
    /// Its slots; -1 is unlimited.
    pub slots: i64,
    /// Slots that queued and running task instances hold.
    pub used: i64,
}

/// The same task in the previous run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTask {
    /// The previous run.
    pub run_id: String,
    /// The task's state there.
    pub state: TaskState,
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
    /// A word for programs, e.g. `upstream`, `pool`, `paused`.
    pub kind: &'static str,
    /// What it is.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Reason {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
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
        None => before_start(facts),
        Some(task) => match task.state {
            TaskState::None => undecided(facts, task),
            TaskState::Scheduled => scheduled(facts, task),
            TaskState::Queued => queued(facts, task),
            TaskState::Running => vec![running(facts, task)],
            TaskState::UpForRetry => vec![up_for_retry(facts, task)],
            TaskState::UpForReschedule => vec![up_for_reschedule(facts, task)],
            TaskState::Deferred => deferred(facts, task),
            TaskState::AwaitingInput => vec![
                Reason::new("input", "waits for a person's answer, and holds no worker slot")
                    .hint("answer it on its page, or mark it"),
            ],
            TaskState::Restarting => {
                vec![Reason::new("restarting", "was cleared while it ran; its old try is being killed")]
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
        reasons.insert(0, Reason::new("no_scheduler", text).hint("start one with `flowctl scheduler`"));
    }
    if reasons.is_empty() {
        reasons.push(Reason::new("next_tick", "nothing holds it: the scheduler takes it up at its next tick"));
    }
    Explanation { summary: reasons[0].text.clone(), reasons }
}

fn before_start(facts: &Facts) -> Vec<Reason> {
    let run = &facts.run;
    if run.state.is_finished() {
        return vec![Reason::new(
            "run_ended",
            format!("never started: its run ended as {}{}", run.state, because(run.reason.as_deref())),
        )];
    }
    let mut reasons = Vec::new();
    if facts.dag_is_paused {
        reasons.push(paused(facts));
    }
    if run.run_after > facts.now {
        let wait = duration_text::format(whole_seconds(run.run_after.since(facts.now)));
        reasons.push(Reason::new("run_after", format!("its run starts at {} (in {wait})", run.run_after)));
    }
    if run.state == RunState::Queued && run.running_runs >= run.max_active_runs {
        reasons.push(
            Reason::new(
                "max_active_runs",
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

fn undecided(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    if facts.run.state == RunState::Queued {
        return before_start(facts);
    }
    if facts.run.state.is_finished() {
        return vec![Reason::new("run_ended", format!("never started: its run ended as {}", facts.run.state))];
    }
    match facts.trigger_rule.evaluate(task.upstream) {
        Verdict::Wait => {
            let unfinished: Vec<&UpstreamTask> =
                facts.upstream.iter().filter(|task| !task.state.is_finished()).collect();
            let text = if unfinished.is_empty() {
                format!("waits for the tasks before it: {} of {} are done", task.upstream.done(), task.upstream.total)
            } else {
                format!("waits for {}", names(&unfinished))
            };
            let reason = Reason::new("upstream", text);
            vec![match facts.trigger_rule {
                TriggerRule::AllSuccess => reason,
                rule => reason.hint(format!("its trigger rule is `{rule}`")),
            }]
        }
        Verdict::Run if task.waits_for_past => {
            let text = match &facts.past {
                Some(past) => {
                    format!("waits for `{}` of the previous run `{}` ({})", facts.task_id, past.run_id, past.state)
                }
                None => "waits for the same task of the previous run".to_owned(),
            };
            let hint = "it says `depends_on_past`: clear the task there, or mark it as success or skipped";
            vec![Reason::new("depends_on_past", text).hint(hint)]
        }
        Verdict::Run | Verdict::Skip | Verdict::UpstreamFailed => Vec::new(),
    }
}

fn scheduled(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if facts.dag_is_paused {
        reasons.push(paused(facts));
    }
    if let Some(not_before) = task.not_before.filter(|at| *at > facts.now) {
        let wait = duration_text::format(whole_seconds(not_before.since(facts.now)));
        let text = format!("starts again at {not_before} (in {wait}){}", because(task.reason.as_deref()));
        reasons.push(Reason::new("not_before", text));
    }
    match &facts.pool {
        None => reasons.push(
            Reason::new("pool", format!("there is no pool `{}`", task.pool))
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
            reasons.push(Reason::new("pool", text).hint(hint));
        }
        Some(_) => {}
    }
    if facts.dag_live_tasks >= facts.max_active_tasks {
        let text = format!(
            "waits: {} of at most {} task instances of the DAG are queued or running (`max_active_tasks`)",
            facts.dag_live_tasks, facts.max_active_tasks
        );
        reasons.push(Reason::new("max_active_tasks", text).hint("raise `max_active_tasks` in the DAG file"));
    }
    reasons
}

fn queued(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let serving: Vec<&WorkerFacts> =
        facts.workers.iter().filter(|worker| worker.queues.contains(&task.queue)).collect();
    if serving.is_empty() {
        let text = format!("no live worker serves the queue `{}`", task.queue);
        return vec![
            Reason::new("no_worker", text).hint(format!("start one with `flowctl worker --queues {}`", task.queue)),
        ];
    }
    let is_busy = |worker: &&WorkerFacts| worker.concurrency.is_some_and(|most| worker.running >= most);
    if serving.iter().all(is_busy) {
        let running: i64 = serving.iter().map(|worker| worker.running).sum();
        let text = format!(
            "waits for a free worker: those of the queue `{}` run {running} tasks, which is all they take",
            task.queue
        );
        return vec![Reason::new("workers_busy", text).hint("start another worker, or raise its `--concurrency`")];
    }
    vec![Reason::new("claim", format!("a worker of the queue `{}` takes it at any moment", task.queue))]
}

fn running(facts: &Facts, task: &TaskFacts) -> Reason {
    let host = task.hostname.as_ref().map_or(String::new(), |host| format!(" on {host}"));
    let time = task
        .started_at
        .map_or(String::new(), |at| format!(" for {}", duration_text::format(whole_seconds(facts.now.since(at)))));
    Reason::new("running", format!("runs{host}{time} (try {} of {})", task.try_number, tries(task)))
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
    Reason::new("retry", text).hint("clear the task to run it at once")
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
    Reason::new("reschedule", format!("what it waits for is not there yet; it looks again {next}"))
        .hint("clear the task to look at once")
}

fn deferred(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let Some(waiting) = &task.deferral else {
        return vec![Reason::new("deferred", "waits in the triggerer and holds no worker slot")];
    };
    let mut reasons = Vec::new();
    if !waiting.has_triggerer {
        let text = "no triggerer is alive, so nobody sees when what it waits for is there";
        reasons.push(Reason::new("no_triggerer", text).hint("start one with `flowctl triggerer`"));
    } else if !waiting.is_carried {
        let text = "no triggerer has taken it up yet";
        reasons
            .push(Reason::new("triggerers_full", text).hint(
                "if it stays so, start another one, or raise `triggerer.pollers_max` and `triggerer.timers_max`",
            ));
    }
    let since = duration_text::format(whole_seconds(facts.now.since(waiting.since)));
    reasons.push(Reason::new("deferred", format!("waits {} since {since}, holding no worker slot", waiting.what)));
    if !waiting.is_timer && waiting.checks > 0 {
        let found = waiting.note.as_deref().unwrap_or("not yet");
        let next = waiting.next_check_at.map_or("soon".to_owned(), |next| at(facts.now, next));
        let times = if waiting.checks == 1 { "once".to_owned() } else { format!("{} times", waiting.checks) };
        reasons.push(Reason::new("last_check", format!("was looked at {times}: {found}; the next look is {next}")));
    }
    if let Some(deadline) = waiting.deadline_at {
        reasons.push(Reason::new("deadline", format!("its time is over {}", at(facts.now, deadline))));
    }
    reasons
}

fn finished(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let reason = task.reason.as_deref();
    match task.state {
        TaskState::Failed => {
            let text = match reason {
                Some("poison") => "failed: its worker died again and again while running it".to_owned(),
                Some("outcome_unknown") => "failed: its worker was lost, and the task says `at_most_once`".to_owned(),
                Some("cancelled") => "failed: its run was cancelled".to_owned(),
                Some("marked") => "was marked as failed".to_owned(),
                _ => format!("failed in try {} of {}{}", task.try_number, tries(task), because(reason)),
            };
            vec![Reason::new("failed", text).hint("read its log, then clear the task to run it again")]
        }
        TaskState::UpstreamFailed => {
            let failed: Vec<&UpstreamTask> = facts
                .upstream
                .iter()
                .filter(|task| matches!(task.state, TaskState::Failed | TaskState::UpstreamFailed))
                .collect();
            let text = if failed.is_empty() {
                "did not run, because a task before it failed".to_owned()
            } else {
                format!("did not run, because of {}", names(&failed))
            };
            vec![Reason::new("upstream_failed", text).hint("clear the failed task; this one follows")]
        }
        TaskState::Skipped => {
            let text = match reason {
                Some("dagrun_timeout") => "was skipped, because its run took longer than `dagrun_timeout`".to_owned(),
                Some("cancelled") => "was skipped, because its run was cancelled".to_owned(),
                Some("marked") => "was marked as skipped".to_owned(),
                Some("trigger_rule") | None if task.try_number == 0 => skipped_by_rule(facts),
                _ => format!("was skipped{}", because(reason)),
            };
            vec![Reason::new("skipped", text)]
        }
        TaskState::Success if reason == Some("marked") => vec![Reason::new("success", "was marked as success")],
        TaskState::Success => {
            vec![Reason::new("success", format!("succeeded in try {} of {}", task.try_number, tries(task)))]
        }
        _ => vec![Reason::new("removed", "is no longer part of the DAG version of its run")],
    }
}

/// A trigger rule that cannot hold any more.
fn skipped_by_rule(facts: &Facts) -> String {
    let skipped: Vec<&UpstreamTask> = facts.upstream.iter().filter(|task| task.state == TaskState::Skipped).collect();
    let rule = facts.trigger_rule;
    if !skipped.is_empty() && rule != TriggerRule::OneFailed {
        return format!("was skipped by its trigger rule `{rule}`, because of {}", names(&skipped));
    }
    let all: Vec<&UpstreamTask> = facts.upstream.iter().collect();
    if all.is_empty() {
        return format!("was skipped by its trigger rule `{rule}`");
    }
    format!("was skipped by its trigger rule `{rule}`, which cannot hold any more: before it are {}", names(&all))
}

fn paused(facts: &Facts) -> Reason {
    Reason::new("paused", format!("the DAG `{}` is paused", facts.dag_id))
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
    let mut listed: Vec<String> =
        tasks.iter().take(NAMES_MAX).map(|task| format!("`{}` ({})", task.task_id, words(task.state))).collect();
    if tasks.len() > NAMES_MAX {
        listed.push(format!("{} more", tasks.len() - NAMES_MAX));
    }
    match listed.len() {
        0 | 1 => listed.concat(),
        count => format!("{} and {}", listed[..count - 1].join(", "), listed[count - 1]),
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
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_767_250_800_000_000);

    fn facts(state: TaskState) -> Facts {
        Facts {
            now: NOW,
            dag_id: "sales".to_owned(),
            task_id: "report".to_owned(),
            dag_is_paused: false,
            run: RunFacts {
                state: RunState::Running,
                run_after: NOW,
                reason: None,
                running_runs: 1,
                max_active_runs: 16,
            },
            task: Some(TaskFacts {
                state,
                reason: None,
                try_number: 1,
                max_tries: 2,
                not_before: None,
                upstream: UpstreamCounts { total: 2, success: 1, ..UpstreamCounts::default() },
                waits_for_past: false,
                queue: "default".to_owned(),
                pool: "warehouse".to_owned(),
                pool_slots: 1,
                started_at: None,
                hostname: None,
                deferral: None,
            }),
            trigger_rule: TriggerRule::AllSuccess,
            upstream: vec![
                UpstreamTask { task_id: "list".to_owned(), state: TaskState::Success },
                UpstreamTask { task_id: "load".to_owned(), state: TaskState::Running },
            ],
            pool: Some(PoolFacts { slots: 2, used: 0 }),
            dag_live_tasks: 1,
            max_active_tasks: 16,
            past: None,
            workers: vec![WorkerFacts { queues: vec!["default".to_owned()], running: 0, concurrency: Some(2) }],
            has_scheduler: true,
        }
    }

    fn with(state: TaskState, change: impl FnOnce(&mut Facts, &mut TaskFacts)) -> Explanation {
        let mut facts = facts(state);
        let mut task = facts.task.take().unwrap();
        change(&mut facts, &mut task);
        facts.task = Some(task);
        explain(&facts)
    }

    fn kinds(explanation: &Explanation) -> Vec<&str> {
        explanation.reasons.iter().map(|reason| reason.kind).collect()
    }

    #[test]
    fn an_undecided_task_names_what_it_waits_for() {
        assert_eq!(explain(&facts(TaskState::None)).summary, "waits for `load` (running)");
        let many = with(TaskState::None, |facts, task| {
            task.upstream = UpstreamCounts { total: 7, ..UpstreamCounts::default() };
            facts.upstream =
                (1..=7).map(|n| UpstreamTask { task_id: format!("t{n}"), state: TaskState::None }).collect();
        });
        assert_eq!(
            many.summary,
            "waits for `t1` (not started), `t2` (not started), `t3` (not started), `t4` (not started), `t5` (not started) and 2 more"
        );
        let rule = with(TaskState::None, |facts, _| facts.trigger_rule = TriggerRule::AllDone);
        assert_eq!(rule.reasons[0].hint.as_deref(), Some("its trigger rule is `all_done`"));
    }

    #[test]
    fn the_past_is_named() {
        let past = with(TaskState::None, |facts, task| {
            task.upstream = UpstreamCounts::default();
            task.waits_for_past = true;
            facts.past = Some(PastTask { run_id: "yesterday".to_owned(), state: TaskState::Failed });
        });
        assert_eq!(past.summary, "waits for `report` of the previous run `yesterday` (failed)");
        assert_eq!(kinds(&past), ["depends_on_past"]);
    }

    #[test]
    fn a_run_that_has_not_started_says_why() {
        let mut waiting = facts(TaskState::None);
        waiting.task = None;
        waiting.run.state = RunState::Queued;
        assert_eq!(kinds(&explain(&waiting)), ["next_tick"]);
        waiting.run.running_runs = 16;
        waiting.dag_is_paused = true;
        waiting.run.run_after = NOW + std::time::Duration::from_secs(90);
        let explanation = explain(&waiting);
        assert_eq!(kinds(&explanation), ["paused", "run_after", "max_active_runs"]);
        assert_eq!(explanation.summary, "the DAG `sales` is paused");
        assert!(explanation.reasons[1].text.ends_with("(in 1m 30s)"), "{explanation:?}");
        waiting.run.state = RunState::Failed;
        waiting.run.reason = Some("cancelled".to_owned());
        assert_eq!(explain(&waiting).summary, "never started: its run ended as failed: cancelled");
    }

    #[test]
    fn a_scheduled_task_says_which_limit_holds_it() {
        assert_eq!(kinds(&explain(&facts(TaskState::Scheduled))), ["next_tick"]);
        let full = with(TaskState::Scheduled, |facts, _| facts.pool = Some(PoolFacts { slots: 2, used: 2 }));
        assert_eq!(full.summary, "waits for pool `warehouse`: 2 of 2 slots are used, it needs 1");
        let large = with(TaskState::Scheduled, |_, task| task.pool_slots = 3);
        assert_eq!(large.summary, "needs 3 slots, but pool `warehouse` has only 2");
        let missing = with(TaskState::Scheduled, |facts, _| facts.pool = None);
        assert_eq!(missing.summary, "there is no pool `warehouse`");
        let unlimited = with(TaskState::Scheduled, |facts, _| facts.pool = Some(PoolFacts { slots: -1, used: 99 }));
        assert_eq!(kinds(&unlimited), ["next_tick"]);
        let busy = with(TaskState::Scheduled, |facts, _| facts.dag_live_tasks = 16);
        assert_eq!(kinds(&busy), ["max_active_tasks"]);
        let later = with(TaskState::Scheduled, |_, task| {
            task.not_before = Some(NOW + std::time::Duration::from_secs(5));
            task.reason = Some("worker_lost".to_owned());
        });
        assert!(later.summary.ends_with("(in 5s): worker_lost"), "{later:?}");
    }

    #[test]
    fn a_queued_task_looks_at_the_workers() {
        assert_eq!(kinds(&explain(&facts(TaskState::Queued))), ["claim"]);
        let busy = with(TaskState::Queued, |facts, _| facts.workers[0].running = 2);
        assert_eq!(kinds(&busy), ["workers_busy"]);
        let none = with(TaskState::Queued, |_, task| task.queue = "gpu".to_owned());
        assert_eq!(none.summary, "no live worker serves the queue `gpu`");
        assert_eq!(none.reasons[0].hint.as_deref(), Some("start one with `flowctl worker --queues gpu`"));
    }

    #[test]
    fn what_runs_waits_or_is_over_says_so() {
        let running = with(TaskState::Running, |_, task| {
            task.started_at = Some(NOW - std::time::Duration::from_secs(61));
            task.hostname = Some("alpha".to_owned());
        });
        assert_eq!(running.summary, "runs on alpha for 1m 1s (try 1 of 3)");
        let retry = with(TaskState::UpForRetry, |_, task| {
            task.not_before = Some(NOW + std::time::Duration::from_secs(300));
            task.reason = Some("exit code 1".to_owned());
        });
        assert!(retry.summary.starts_with("try 1 of 3 failed: exit code 1; the next one starts at"), "{retry:?}");
        let failed = with(TaskState::Failed, |_, task| task.try_number = 3);
        assert_eq!(failed.summary, "failed in try 3 of 3");
        let upstream = with(TaskState::UpstreamFailed, |facts, _| facts.upstream[1].state = TaskState::Failed);
        assert_eq!(upstream.summary, "did not run, because of `load` (failed)");
        let skipped = with(TaskState::Skipped, |facts, task| {
            task.try_number = 0;
            facts.upstream[0].state = TaskState::Skipped;
        });
        assert_eq!(skipped.summary, "was skipped by its trigger rule `all_success`, because of `list` (skipped)");
        assert_eq!(explain(&facts(TaskState::Success)).summary, "succeeded in try 1 of 3");
    }

    #[test]
    fn every_state_has_an_answer_and_a_dead_scheduler_is_named() {
        for &state in TaskState::ALL {
            assert!(!explain(&facts(state)).summary.is_empty(), "{state}");
        }
        let mut dead = facts(TaskState::Scheduled);
        dead.has_scheduler = false;
        assert_eq!(kinds(&explain(&dead)), ["no_scheduler"]);
    }

    #[test]
    fn deferred_says_what_it_waits_for() {
        let mut waiting = facts(TaskState::Deferred);
        let now = waiting.now;
        let deferral = DeferralFacts {
            what: "for the file `/in/x.csv`".to_owned(),
            since: now - std::time::Duration::from_secs(90),
            deadline_at: Some(now + std::time::Duration::from_secs(3_600)),
            is_timer: false,
            checks: 2,
            next_check_at: Some(now + std::time::Duration::from_secs(30)),
            note: Some("there is no `/in/x.csv`".to_owned()),
            is_carried: true,
            has_triggerer: true,
        };
        waiting.task.as_mut().unwrap().deferral = Some(deferral.clone());
        let explanation = explain(&waiting);
        assert_eq!(explanation.summary, "waits for the file `/in/x.csv` since 1m 30s, holding no worker slot");
        assert_eq!(kinds(&explanation), ["deferred", "last_check", "deadline"]);
        let check = &explanation.reasons[1].text;
        assert!(check.starts_with("was looked at 2 times: there is no `/in/x.csv`; the next look is at "), "{check}");
        waiting.task.as_mut().unwrap().deferral = Some(DeferralFacts { is_carried: false, ..deferral.clone() });
        assert_eq!(kinds(&explain(&waiting))[0], "triggerers_full");
        waiting.task.as_mut().unwrap().deferral = Some(DeferralFacts { has_triggerer: false, ..deferral });
        assert_eq!(kinds(&explain(&waiting))[0], "no_triggerer");
    }
}
