use super::*;
use crate::decide::task::Past;
use crate::trigger_rule::UpstreamCounts;

const NOW: Timestamp = Timestamp::from_micros(1_767_250_800_000_000);

fn facts(state: TaskState) -> Facts {
    Facts {
        now: NOW,
        dag_id: "sales".to_owned(),
        task_id: "report".to_owned(),
        dag_is_paused: false,
        run: RunFacts { state: RunState::Running, run_after: NOW, reason: None, running_runs: 1, max_active_runs: 16 },
        task: Some(TaskFacts {
            state,
            reason: None,
            try_number: 1,
            max_tries: 2,
            not_before: None,
            queue: "default".to_owned(),
            pool: "warehouse".to_owned(),
            pool_slots: 1,
            started_at: None,
            hostname: None,
            deferral: None,
        }),
        trigger_rule: TriggerRule::AllSuccess,
        standing: Some(Standing {
            upstream: UpstreamCounts { total: 2, success: 1, ..UpstreamCounts::default() },
            ..Standing::new(TriggerRule::AllSuccess)
        }),
        setups: Vec::new(),
        deciders: Vec::new(),
        left_out_by: Vec::new(),
        producers: Vec::new(),
        failed_first: None,
        upstream: vec![
            UpstreamTask { task_id: "list".to_owned(), state: TaskState::Success, instances: 1 },
            UpstreamTask { task_id: "load".to_owned(), state: TaskState::Running, instances: 1 },
        ],
        pool: Some(PoolFacts { slots: 2, used: 0 }),
        instances: Vec::new(),
        own_limits: Vec::new(),
        dag_live_tasks: 1,
        max_active_tasks: 16,
        past: Vec::new(),
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
    explanation.reasons.iter().map(|reason| reason.kind.as_str()).collect()
}

#[test]
fn an_undecided_task_names_what_it_waits_for() {
    assert_eq!(explain(&facts(TaskState::None)).summary, "waits for `load` (running)");
    let many = with(TaskState::None, |facts, _| {
        facts.standing.as_mut().unwrap().upstream = UpstreamCounts { total: 7, ..UpstreamCounts::default() };
        let task = |n| UpstreamTask { task_id: format!("t{n}"), state: TaskState::None, instances: 1 };
        facts.upstream = (1..=7).map(task).collect();
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
    let waiting = |task_id: &str, state: Option<TaskState>| {
        with(TaskState::None, |facts, _| {
            facts.standing = Some(Standing { past: Past::Blocked, ..Standing::new(TriggerRule::AllSuccess) });
            facts.past = vec![PastTask { run_id: "yesterday".to_owned(), task_id: task_id.to_owned(), state }];
        })
    };
    let past = waiting("report", Some(TaskState::Failed));
    assert_eq!(past.summary, "waits for `report` (failed) of the previous run `yesterday`");
    assert_eq!(kinds(&past), ["depends_on_past"]);
    let child = waiting("send", Some(TaskState::Running));
    assert_eq!(child.summary, "waits for `send` (running) of the previous run `yesterday`");
    assert!(child.reasons[0].hint.as_ref().unwrap().contains("wait_for_downstream"), "{child:?}");
    let unstarted = waiting("report", None);
    assert!(unstarted.summary.contains("its run has not started"), "{unstarted:?}");
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
fn a_mapped_task_counts_its_instances() {
    let mut whole = facts(TaskState::Running);
    whole.task = None;
    whole.instances = vec![(TaskState::Success, 9_998), (TaskState::Failed, 2)];
    let explanation = explain(&whole);
    assert_eq!(explanation.summary, "is mapped, and has 10000 instances: 9998 success, 2 failed");
    let after = with(TaskState::UpstreamFailed, |facts, _| {
        facts.upstream[1] = UpstreamTask { task_id: "load".to_owned(), state: TaskState::Failed, instances: 2 };
    });
    assert_eq!(after.summary, "did not run, because of `load` (2 failed)");
    let limited = with(TaskState::Scheduled, |facts, _| {
        facts.own_limits = vec![OwnLimit { name: "max_active_tis_per_dagrun", live: 2, most: 2 }];
    });
    assert_eq!(kinds(&limited), ["max_active_tis"]);
}

#[test]
fn a_mapping_that_cannot_be_evaluated_says_why() {
    let refused = |state, why: &str| {
        let change = |_: &mut Facts, task: &mut TaskFacts| {
            task.try_number = 0;
            task.reason = Some(why.to_owned());
        };
        with(state, change).summary
    };
    assert_eq!(
        refused(TaskState::Failed, "cannot map over a number"),
        "failed before its first try: cannot map over a number"
    );
    assert_eq!(
        refused(TaskState::UpstreamFailed, "task `list` left no XCom `return_value` to map over"),
        "did not run: task `list` left no XCom `return_value` to map over"
    );
    assert!(refused(TaskState::Skipped, "empty_map").ends_with("the list is empty"));
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
