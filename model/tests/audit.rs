//! The checker: a clean history passes, and each doctored one is caught.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flow_model::audit::{
    Attempt, DagLimits, Occupancy, OutboxFacts, ProcessFacts, Question, RunEvent, RunHistory, ScheduledRun, Schedules,
    TaskEvent, TaskHistory, XCom, check_outbox, check_run,
};
use flow_model::dag::{Catchup, Dag};
use flow_model::moves::Actor;
use flow_model::state::RunType;
use flow_model::{
    ClaimId, DagGraph, DagRunKey, DagVersionKey, Epoch, ProcessId, RunState, TaskInstanceKey, TaskState, Timestamp,
};
use serde_json::json;

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn dag() -> Dag {
    let task = |id: &str, depends_on: &[&str]| {
        json!({
            "task_id": id, "owner": "o", "depends_on": depends_on, "trigger_rule": "all_success", "retries": 2,
            "retry_delay": "10s", "retry_backoff_factor": 1.0, "max_retry_delay": "1d", "retry_jitter": 0.0,
            "pool": "default_pool", "pool_slots": 1, "priority_weight": 1, "weight_rule": "absolute",
            "queue": "default", "depends_on_past": false, "wait_for_downstream": false, "at_most_once": false,
            "overlap": "allow", "output": "last_line", "operator": {"noop": {}}
        })
    };
    let dag = json!({
        "dag_id": "d", "owner": "o", "tags": [], "schedule": "none", "catchup": "none", "max_active_runs": 2,
        "max_active_tasks": 2, "tasks": [task("a", &[]), task("b", &["a"])]
    });
    let mut dag = dag;
    dag["schedule"] = serde_json::to_value(flow_model::schedule::Schedule::None).unwrap();
    serde_json::from_value(dag).unwrap()
}

/// Writes a history event by event.
struct Writer {
    seq: i64,
    now: i64,
}

impl Writer {
    fn created(&mut self, key: i64, task_index: u32) -> TaskHistory {
        let mut task = TaskHistory {
            key: TaskInstanceKey(key),
            task_index,
            map_index: -1,
            state: TaskState::None,
            epoch: Epoch(0),
            try_number: 0,
            max_tries: 2,
            lost_count: 0,
            event_no: 0,
            events: Vec::new(),
            attempts: Vec::new(),
            xcoms: Vec::new(),
            triggers: Vec::new(),
            questions: Vec::new(),
        };
        self.event(&mut task, None, TaskState::None, Actor::Scheduler, "s");
        task
    }

    fn event(&mut self, task: &mut TaskHistory, from: Option<TaskState>, to: TaskState, actor: Actor, actor_id: &str) {
        self.seq += 1;
        self.now += 1;
        task.event_no += 1;
        task.state = to;
        let claim = task.events.last().and_then(|event| event.claim);
        task.events.push(TaskEvent {
            seq: self.seq,
            event_no: task.event_no,
            from,
            to,
            epoch: task.epoch,
            claim,
            try_number: task.try_number,
            actor,
            actor_id: Some(actor_id.to_owned()),
            reason: None,
            at: seconds(self.now),
        });
    }

    fn moved(&mut self, task: &mut TaskHistory, to: TaskState, actor: Actor, actor_id: &str) {
        let from = Some(task.state);
        self.event(task, from, to, actor, actor_id);
    }

    fn queued(&mut self, task: &mut TaskHistory) {
        self.moved(task, TaskState::Scheduled, Actor::Scheduler, "s");
        self.admitted(task);
    }

    fn admitted(&mut self, task: &mut TaskHistory) {
        task.epoch.0 += 1;
        self.moved(task, TaskState::Queued, Actor::Scheduler, "s");
        task.events.last_mut().unwrap().claim = None;
    }

    fn claimed(&mut self, task: &mut TaskHistory) {
        task.try_number += 1;
        self.moved(task, TaskState::Running, Actor::Worker, "1");
        task.events.last_mut().unwrap().claim = Some(ClaimId(100 * task.key.0 + task.try_number));
    }

    fn ended(&mut self, task: &mut TaskHistory, to: TaskState) {
        self.moved(task, to, Actor::Worker, "1");
        let claim = task.events.last().unwrap().claim.unwrap();
        task.attempts.push(Attempt { try_number: task.try_number, claim, state: to, ended_at: seconds(self.now) });
    }

    /// The holder died.
    fn lost(&mut self, task: &mut TaskHistory) {
        task.epoch.0 += 1;
        task.lost_count += 1;
        task.max_tries += 1;
        self.moved(task, TaskState::Scheduled, Actor::Scheduler, "s");
    }
}

/// `a` is lost once, fails once and succeeds; then `b` succeeds.
fn clean() -> RunHistory {
    let mut writer = Writer { seq: 0, now: 0 };
    let mut a = writer.created(1, 0);
    let mut b = writer.created(2, 1);
    writer.queued(&mut a);
    writer.claimed(&mut a);
    writer.lost(&mut a);
    writer.now += 5;
    writer.admitted(&mut a);
    writer.claimed(&mut a);
    writer.ended(&mut a, TaskState::UpForRetry);
    writer.now += 10;
    writer.queued(&mut a);
    writer.claimed(&mut a);
    writer.ended(&mut a, TaskState::Success);
    a.xcoms.push(XCom { key: "return_value".to_owned(), epoch: a.epoch });
    writer.queued(&mut b);
    writer.claimed(&mut b);
    writer.ended(&mut b, TaskState::Success);
    let event = |event_no, from, to, actor| RunEvent { event_no, from, to, actor, reason: None };
    RunHistory {
        key: DagRunKey(1),
        run_id: "r".to_owned(),
        run_type: RunType::Manual,
        state: RunState::Success,
        event_no: 3,
        graph: Arc::new(DagGraph::new(DagVersionKey(1), dag())),
        events: vec![
            event(1, None, RunState::Queued, Actor::User),
            event(2, Some(RunState::Queued), RunState::Running, Actor::Scheduler),
            event(3, Some(RunState::Running), RunState::Success, Actor::Scheduler),
        ],
        tasks: vec![a, b],
        callbacks: Vec::new(),
    }
}

fn processes(is_dead: bool) -> HashMap<ProcessId, ProcessFacts> {
    [
        (ProcessId(1), ProcessFacts { slot: "worker-1".to_owned(), is_dead }),
        (ProcessId(2), ProcessFacts { slot: "worker-1".to_owned(), is_dead: false }),
        (ProcessId(3), ProcessFacts { slot: "worker-3".to_owned(), is_dead: false }),
    ]
    .into()
}

fn found(run: &RunHistory) -> Vec<&'static str> {
    check_run(run, &processes(true)).into_iter().map(|violation| violation.invariant).collect()
}

fn caught(invariant: &str, doctor: impl Fn(&mut RunHistory)) {
    let mut run = clean();
    doctor(&mut run);
    let violations = check_run(&run, &processes(true));
    assert!(violations.iter().any(|violation| violation.invariant == invariant), "{invariant}: {violations:#?}");
}

/// The position of `a`'s first event that leads to `to`.
fn first(run: &RunHistory, to: TaskState) -> usize {
    run.tasks[0].events.iter().position(|event| event.to == to).unwrap()
}

#[test]
fn a_clean_history_passes() {
    assert_eq!(check_run(&clean(), &processes(true)), []);
}

#[test]
fn illegal_edges() {
    caught("I1", |run| run.tasks[0].events[1].actor = Actor::Worker);
    caught("I1", |run| run.tasks[0].events[0].to = TaskState::Queued);
    caught("I1", |run| {
        let claim = first(run, TaskState::Running);
        run.tasks[0].events[claim].to = TaskState::Success;
    });
}

#[test]
fn broken_chains() {
    caught("I2", |run| drop(run.tasks[0].events.remove(2)));
    caught("I2", |run| run.tasks[0].events[3].from = Some(TaskState::Success));
    caught("I2", |run| drop(run.tasks[0].events.pop()));
    caught("I2", |run| run.tasks[0].events.clear());
    caught("I2", |run| run.tasks[0].state = TaskState::Failed);
    caught("I2", |run| run.tasks[0].epoch.0 += 1);
    caught("I2", |run| run.tasks[0].events[2].seq = 0);
    caught("I2", |run| drop(run.events.remove(1)));
    caught("I2", |run| run.state = RunState::Failed);
}

#[test]
fn epochs_that_fall_or_stay() {
    caught("I3", |run| run.tasks[0].events.last_mut().unwrap().epoch = Epoch(0));
    caught("I3", |run| {
        let queued = first(run, TaskState::Queued);
        run.tasks[0].events[queued].epoch = Epoch(0);
    });
    // A loss that leaves the epoch as it was.
    caught("I3", |run| {
        let claim = first(run, TaskState::Running);
        let epoch = run.tasks[0].events[claim].epoch;
        run.tasks[0].events[claim + 1].epoch = epoch;
    });
}

#[test]
fn claims_used_twice() {
    caught("I4", |run| {
        for event in &mut run.tasks[0].events {
            if event.to == TaskState::Running {
                event.claim = Some(ClaimId(7));
            }
        }
    });
    caught("I4", |run| {
        for event in &mut run.tasks[0].events {
            if event.to == TaskState::Running {
                event.epoch = Epoch(1);
            }
        }
    });
    caught("I4", |run| {
        let claim = first(run, TaskState::Running);
        run.tasks[0].events[claim].claim = None;
    });
}

#[test]
fn strangers_that_finish() {
    caught("I5", |run| run.tasks[0].events.last_mut().unwrap().claim = Some(ClaimId(9)));
    caught("I5", |run| run.tasks[0].events.last_mut().unwrap().epoch.0 += 1);
    caught("I5", |run| run.tasks[0].events.last_mut().unwrap().actor_id = Some("3".to_owned()));
    // The successor in the same slot may.
    let mut run = clean();
    run.tasks[0].events.last_mut().unwrap().actor_id = Some("2".to_owned());
    assert_eq!(found(&run), [""; 0]);
}

#[test]
fn a_second_completion() {
    caught("I6", |run| {
        let task = &mut run.tasks[1];
        let mut again = task.events.last().unwrap().clone();
        again.event_no += 1;
        again.seq += 1;
        again.from = Some(TaskState::Success);
        again.to = TaskState::Failed;
        again.actor = Actor::Scheduler;
        task.events.push(again);
    });
}

#[test]
fn a_cleared_task_may_be_completed_again() {
    let mut run = clean();
    let mut writer = Writer { seq: 1_000, now: 1_000 };
    let task = &mut run.tasks[1];
    task.epoch.0 += 1;
    task.xcoms.clear();
    writer.moved(task, TaskState::None, Actor::User, "someone");
    writer.queued(task);
    writer.claimed(task);
    writer.ended(task, TaskState::Success);
    assert_eq!(found(&run), [""; 0]);
}

#[test]
fn a_task_without_an_instance() {
    caught("I7", |run| drop(run.tasks.pop()));
}

#[test]
fn decisions_that_do_not_follow() {
    // `b` was scheduled before `a` had succeeded.
    caught("I8", |run| {
        for event in &mut run.tasks[1].events {
            event.seq -= 1_000;
        }
    });
    caught("I8", |run| {
        let task = &mut run.tasks[1];
        task.events.truncate(2);
        task.events[1].to = TaskState::Skipped;
    });
}

#[test]
fn results_that_do_not_follow() {
    caught("I10", |run| run.state = RunState::Failed);
    caught("I10", |run| run.tasks[1].state = TaskState::Running);
    caught("I10", |run| run.tasks[1].state = TaskState::Failed);
    caught("I10", |run| {
        let mut again = run.events[2].clone();
        again.event_no = 4;
        again.from = Some(RunState::Success);
        again.to = RunState::Running;
        run.events.push(again);
    });
}

#[test]
fn budgets_that_are_overrun() {
    caught("I11", |run| run.tasks[0].max_tries = 1);
    caught("I11", |run| run.tasks[0].lost_count = 5);
    caught("I11", |run| run.tasks[0].try_number = 1);
    caught("I11", |run| {
        let claim = first(run, TaskState::Running);
        run.tasks[0].events[claim].try_number = 4;
    });
}

#[test]
fn delays_that_are_not_kept() {
    caught("I13", |run| {
        let failed = first(run, TaskState::UpForRetry);
        let at = run.tasks[0].events[failed].at;
        run.tasks[0].events[failed + 1].at = at + Duration::from_secs(9);
    });
    caught("I13", |run| {
        let claim = first(run, TaskState::Running);
        let lost_at = run.tasks[0].events[claim + 1].at;
        run.tasks[0].events[claim + 2].at = lost_at + Duration::from_millis(999);
    });
}

#[test]
fn outputs_without_a_success() {
    caught("I15", |run| run.tasks[0].xcoms[0].epoch.0 -= 1);
    caught("I15", |run| run.tasks[0].state = TaskState::Failed);
    caught("I15", |run| run.tasks[0].attempts.clear());
    caught("I15", |run| run.tasks[0].attempts[0].state = TaskState::Success);
    caught("I15", |run| run.tasks[0].attempts[0].claim = ClaimId(1));
}

#[test]
fn robbing_the_living() {
    let violations = check_run(&clean(), &processes(false));
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].invariant, "I18");
    assert_eq!(violations[0].subject, "d r a");
}

fn ticking(hours: &[i64], catchup: Catchup) -> Vec<&'static str> {
    use flow_model::schedule::{Schedule, TimeRule};
    let rules = vec![TimeRule::Every { interval: Duration::from_secs(3_600) }];
    let dag = Dag {
        schedule: Schedule::Times { rules, data_intervals: false },
        start_date: Some(Timestamp::UNIX_EPOCH),
        catchup,
        ..dag()
    };
    let graph = Arc::new(DagGraph::new(DagVersionKey(1), dag));
    let mut schedules = Schedules::default();
    for minutes in hours.iter().map(|hour| hour * 60) {
        let tick = seconds(minutes * 60);
        schedules.run(ScheduledRun {
            run_id: format!("scheduled__{tick}"),
            graph: Arc::clone(&graph),
            tick,
            logical_date: tick,
        });
    }
    schedules.finish().into_iter().map(|violation| violation.invariant).collect()
}

#[test]
fn schedules_are_exact() {
    assert_eq!(ticking(&[1, 2, 3], Catchup::All), [""; 0]);
    assert_eq!(ticking(&[1, 3], Catchup::Latest), [""; 0]);
    assert_eq!(ticking(&[1, 3], Catchup::All), ["I9"], "one is missing");
    assert_eq!(ticking(&[1, 1], Catchup::Latest), ["I9"], "one is there twice");
    let graph = Arc::new(DagGraph::new(DagVersionKey(1), dag()));
    assert_eq!(graph.dag.dag_id, "d");
}

#[test]
fn a_tick_that_is_none() {
    use flow_model::schedule::{Schedule, TimeRule};
    let rules = vec![TimeRule::Every { interval: Duration::from_secs(3_600) }];
    let dag = Dag {
        schedule: Schedule::Times { rules, data_intervals: false },
        start_date: Some(Timestamp::UNIX_EPOCH),
        ..dag()
    };
    let graph = Arc::new(DagGraph::new(DagVersionKey(1), dag));
    for (tick, logical_date) in [(3_601, 3_601), (3_600, 0)] {
        let mut schedules = Schedules::default();
        schedules.run(ScheduledRun {
            run_id: "r".to_owned(),
            graph: Arc::clone(&graph),
            tick: seconds(tick),
            logical_date: seconds(logical_date),
        });
        assert_eq!(schedules.finish()[0].invariant, "I9");
    }
}

fn occupancy() -> Occupancy {
    let limits = DagLimits { max_active_tasks: 3, max_active_runs: 1 };
    Occupancy::new([("narrow".to_owned(), 2), ("endless".to_owned(), -1)].into(), [("d".to_owned(), limits)].into())
}

#[test]
fn limits_are_kept() {
    use TaskState::{Queued, Running, Scheduled, Success};
    let mut fine = occupancy();
    for _ in 0..5 {
        fine.task_moved("d", "narrow", 2, Some(Scheduled), Queued);
        fine.task_moved("d", "narrow", 2, Some(Queued), Running);
        fine.task_moved("d", "endless", 9, Some(Scheduled), Queued);
        fine.task_moved("d", "narrow", 2, Some(Running), Success);
        fine.task_moved("d", "endless", 9, Some(Queued), TaskState::None);
        fine.run_moved("d", Some(RunState::Queued), RunState::Running);
        fine.run_moved("d", Some(RunState::Running), RunState::Success);
    }
    assert_eq!(fine.finish(), []);
}

#[test]
fn limits_that_are_broken() {
    use TaskState::{Queued, Scheduled};
    let mut pool = occupancy();
    pool.task_moved("d", "narrow", 2, Some(Scheduled), Queued);
    pool.task_moved("d", "narrow", 1, Some(Scheduled), Queued);
    let found = pool.finish();
    assert_eq!((found[0].invariant, found[0].subject.as_str()), ("I12", "pool narrow"));
    let mut tasks = occupancy();
    for _ in 0..4 {
        tasks.task_moved("d", "endless", 1, Some(Scheduled), Queued);
    }
    assert_eq!(tasks.finish()[0].subject, "dag d");
    let mut runs = occupancy();
    runs.run_moved("d", Some(RunState::Queued), RunState::Running);
    runs.run_moved("d", Some(RunState::Queued), RunState::Running);
    assert_eq!(runs.finish().len(), 1);
}

#[test]
fn hints_that_wait_too_long() {
    let patience = Duration::from_secs(10);
    let entry = OutboxFacts {
        task_instance: TaskInstanceKey(1),
        epoch: Epoch(3),
        current_epoch: Some(Epoch(3)),
        created_at: seconds(100),
    };
    assert_eq!(check_outbox(&entry, seconds(110), patience), None);
    let doctored = [
        (entry.clone(), seconds(111)),
        (OutboxFacts { current_epoch: None, ..entry.clone() }, seconds(100)),
        (OutboxFacts { current_epoch: Some(Epoch(2)), ..entry }, seconds(100)),
    ];
    for (entry, now) in doctored {
        assert_eq!(check_outbox(&entry, now, patience).unwrap().invariant, "I20");
    }
}

/// `b` defers, goes on in a worker as the same try, defers again, and its trigger ends it.
fn deferring() -> RunHistory {
    let mut run = clean();
    let mut writer = Writer { seq: 1_000, now: 1_000 };
    let task = &mut run.tasks[1];
    (task.epoch.0, task.try_number) = (task.epoch.0 + 1, task.try_number);
    writer.moved(task, TaskState::None, Actor::User, "someone");
    writer.queued(task);
    writer.claimed(task);
    task.epoch.0 += 1;
    writer.moved(task, TaskState::Deferred, Actor::Worker, "1");
    writer.moved(task, TaskState::Scheduled, Actor::Triggerer, "2");
    writer.admitted(task);
    task.try_number -= 1;
    writer.claimed(task);
    task.events.last_mut().unwrap().claim = Some(ClaimId(777));
    task.epoch.0 += 1;
    writer.moved(task, TaskState::Deferred, Actor::Worker, "1");
    writer.moved(task, TaskState::Success, Actor::Triggerer, "2");
    let (try_number, ended_at) = (task.try_number, seconds(writer.now));
    task.attempts.push(Attempt { try_number, claim: ClaimId(777), state: TaskState::Success, ended_at });
    run
}

#[test]
fn a_deferral_ends_once() {
    assert_eq!(check_run(&deferring(), &processes(true)), []);
    let caught = |invariant: &str, doctor: fn(&mut TaskHistory)| {
        let mut run = deferring();
        doctor(&mut run.tasks[1]);
        assert!(found(&run).contains(&invariant), "{invariant}: {:?}", found(&run));
    };
    caught("I14", |task| task.triggers.push(task.epoch));
    caught("I14", |task| {
        task.events.pop();
        task.state = TaskState::Deferred;
    });
    caught("I14", |task| task.events.last_mut().unwrap().epoch.0 += 1);
    caught("I14", |task| {
        let deferred = task.events.iter().position(|event| event.to == TaskState::Deferred).unwrap();
        task.events.remove(deferred);
    });
    caught("I15", |task| task.attempts.clear());
    // The part that goes on is no try of its own.
    caught("I11", |task| {
        task.try_number += 1;
        let resumed = task.events.iter().rposition(|event| event.to == TaskState::Running).unwrap();
        task.events[resumed..].iter_mut().for_each(|event| event.try_number += 1);
    });
}

/// `b` asks, and somebody answers.
fn asking() -> RunHistory {
    let mut run = clean();
    let mut writer = Writer { seq: 1_000, now: 1_000 };
    let task = &mut run.tasks[1];
    task.epoch.0 += 1;
    writer.moved(task, TaskState::None, Actor::User, "someone");
    writer.queued(task);
    writer.claimed(task);
    task.epoch.0 += 1;
    writer.moved(task, TaskState::AwaitingInput, Actor::Worker, "1");
    let assignees = vec!["ada".to_owned(), "bob".to_owned()];
    let answered_by = Some("ada".to_owned());
    task.questions.push(Question { epoch: task.epoch, assignees, answered_by, is_open: false });
    task.epoch.0 += 1;
    writer.moved(task, TaskState::Success, Actor::User, "ada");
    task.events.last_mut().unwrap().reason = Some(flow_model::moves::ANSWERED.to_owned());
    let (try_number, ended_at) = (task.try_number, seconds(writer.now));
    let claim = task.events.last().unwrap().claim.unwrap();
    task.attempts.push(Attempt { try_number, claim, state: TaskState::Success, ended_at });
    run
}

#[test]
fn i26_a_question_is_answered_once_by_somebody_who_may() {
    assert_eq!(check_run(&asking(), &processes(true)), []);
    let caught = |doctor: fn(&mut TaskHistory)| {
        let mut run = asking();
        doctor(&mut run.tasks[1]);
        assert!(found(&run).contains(&"I26"), "{:?}", found(&run));
    };
    caught(|task| task.questions[0].answered_by = Some("bob".to_owned()));
    caught(|task| task.questions[0].assignees = vec!["bob".to_owned()]);
    caught(|task| task.questions[0].answered_by = None);
    caught(|task| task.questions[0].is_open = true);
    caught(|task| task.questions.clear());
    caught(|task| task.questions.push(task.questions[0].clone()));
    caught(|task| task.questions[0].epoch.0 += 1);
    caught(|task| task.events.last_mut().unwrap().reason = Some("marked".to_owned()));
}

#[test]
fn i7_mapped_tasks_have_their_instances() {
    use flow_model::expand::{Mapping, Source};
    let mapped = |indexes: &[i64]| {
        let mut run = clean();
        let mut dag = dag();
        dag.tasks[1].expand = Some(Mapping::Product([("x".to_owned(), Source::List(vec![json!(1)]))].into()));
        run.graph = Arc::new(DagGraph::new(DagVersionKey(1), dag));
        let b = run.tasks.pop().unwrap();
        run.tasks.extend(indexes.iter().map(|&map_index| TaskHistory { map_index, ..b.clone() }));
        found(&run)
    };
    assert_eq!(mapped(&[-1]), [""; 0]);
    assert_eq!(mapped(&[0, 1]), [""; 0]);
    for wrong in [&[0, 0][..], &[0, 2], &[1], &[-1, 0]] {
        assert!(mapped(wrong).contains(&"I7"), "{wrong:?}");
    }
    let mut unmapped = clean();
    unmapped.tasks[1].map_index = 0;
    assert_eq!(found(&unmapped), ["I7"]);
}

#[test]
fn i11_groups_and_runs_start_again_as_often_as_they_may() {
    let restarted = |reason: &str, allowed: u32, by_person: bool, delay: u64| {
        let mut run = clean();
        let mut dag = dag();
        dag.run_retries = allowed;
        dag.run_retry_delay = Some(Duration::from_secs(delay));
        run.graph = Arc::new(DagGraph::new(DagVersionKey(1), dag));
        let mut writer = Writer { seq: 1_000, now: 1_000 };
        let task = &mut run.tasks[1];
        for round in 0..2 {
            task.epoch.0 += 1;
            task.xcoms.clear();
            task.max_tries += 2;
            writer.moved(task, TaskState::None, Actor::Scheduler, "s");
            task.events.last_mut().unwrap().reason = Some(reason.to_owned());
            writer.queued(task);
            writer.claimed(task);
            writer.ended(task, TaskState::Success);
            if by_person && round == 0 {
                task.epoch.0 += 1;
                writer.moved(task, TaskState::None, Actor::User, "someone");
                writer.queued(task);
                writer.claimed(task);
                writer.ended(task, TaskState::Success);
            }
        }
        found(&run)
    };
    assert_eq!(restarted("run_retry", 2, false, 2), [""; 0]);
    assert_eq!(restarted("run_retry", 1, false, 2), ["I11"]);
    assert_eq!(restarted("run_retry", 1, true, 2), [""; 0]);
    assert_eq!(restarted("group_retry", 2, false, 2), ["I11"]);
    // Queued two seconds after the move.
    assert_eq!(restarted("run_retry", 2, false, 3), ["I13", "I13"]);
}

#[test]
fn i25_each_event_calls_back_once() {
    use flow_model::callback::{CallbackEvent, Callbacks, Notifier};
    let notifiers = vec![Notifier { command: Some(vec!["true".to_owned()]), ..Notifier::default() }];
    let mut run = clean();
    let mut dag = dag();
    dag.callbacks = Callbacks { on_success: notifiers.clone(), ..Callbacks::default() };
    dag.tasks[0].callbacks = Callbacks { on_retry: notifiers.clone(), on_success: notifiers, ..Callbacks::default() };
    run.graph = Arc::new(DagGraph::new(DagVersionKey(1), dag));
    let event_to = |state| run.tasks[0].events.iter().find(|event| event.to == state).unwrap().event_no;
    let key = Some(run.tasks[0].key);
    let all = vec![
        (None, 3, CallbackEvent::Success),
        (key, event_to(TaskState::UpForRetry), CallbackEvent::Retry),
        (key, event_to(TaskState::Success), CallbackEvent::Success),
    ];
    assert_eq!(found(&run), ["I25"; 3]);
    run.callbacks.clone_from(&all);
    assert_eq!(found(&run), Vec::<&str>::new());
    run.callbacks.push(all[1]);
    assert_eq!(found(&run), ["I25"]);
    run.callbacks = [all, vec![(key, 2, CallbackEvent::Failure)]].concat();
    assert_eq!(found(&run), ["I25"]);
}
