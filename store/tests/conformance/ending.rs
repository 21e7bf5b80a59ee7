//! Runs that are cancelled, marked, or whose time is over: their teardowns have duties beyond the run.

use std::time::Duration;

use flow_model::dag::TaskGroup;
use flow_model::{Dag, DagRunKey, Deferral, RunState, Trigger, TriggerRule};
use flow_store::{ClearRequest, OutcomeKind, Selection, StoreError};

use crate::bench::{Bench, task_id};
use crate::dags::shaped;
use crate::mapping::{numbers, over};

cases!(
    teardowns_run_after_a_run_was_cancelled,
    a_teardown_of_what_was_not_set_up_is_skipped,
    a_second_cancel_ends_the_teardown,
    a_run_that_is_marked_gets_its_state_after_its_teardowns,
    a_run_whose_time_is_over_tears_down,
    in_a_mapped_group_what_was_set_up_is_torn_down,
    clearing_takes_back_that_the_run_ends,
    a_cleared_run_that_waits_is_torn_down_when_it_is_cancelled,
    nothing_is_tried_again_in_a_run_that_ends,
    what_has_started_takes_the_runs_state_and_what_has_not_is_skipped,
);

/// `create`, `work`, `further`, and `delete`, the teardown of `create`.
fn lease() -> Dag {
    let mut dag = shaped("lease", &["create", "work < create", "further < work", "delete < further create"]);
    dag.tasks[0].is_setup = true;
    dag.tasks[3].is_teardown = true;
    dag.tasks[3].trigger_rule = TriggerRule::AllDoneSetupSuccess;
    dag
}

/// A run of which `create` has succeeded and `work` runs.
async fn at_work(bench: &Bench, dag: Dag) -> DagRunKey {
    let name = dag.dag_id.clone();
    bench.publish(dag).await;
    let run = bench.trigger(&name, "r").await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Success).await;
    assert_eq!(task_id(&bench.claim_one().await), "work");
    run
}

async fn reason(bench: &Bench, run: DagRunKey) -> String {
    bench.raw.texts(&format!("select coalesce(reason, '-') from dag_run where id = {run}")).await.remove(0)
}

async fn teardowns_run_after_a_run_was_cancelled(bench: Bench) {
    let run = at_work(&bench, lease()).await;
    let affected = bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    let moved: Vec<&str> = affected.tasks.iter().map(|task| task.task_id.as_str()).collect();
    assert_eq!(moved, ["work", "further"]);
    assert_eq!(bench.run_state(run).await, "running");
    let order = bench.claim_one().await;
    assert_eq!(task_id(&order), "delete");
    bench.report(&order, OutcomeKind::Success).await;
    bench.settle().await;
    assert_eq!(bench.states().await, ["r create success", "r work failed", "r further skipped", "r delete success"]);
    assert_eq!((bench.run_state(run).await, reason(&bench, run).await), ("failed".into(), "cancelled".into()));
    assert!(matches!(bench.store.cancel_run(bench.now(), run, "x").await, Err(StoreError::Conflict(_))));
    bench.assert_sound().await;
}

async fn a_teardown_of_what_was_not_set_up_is_skipped(bench: Bench) {
    for to in [RunState::Failed, RunState::Success] {
        let name = format!("r{to}");
        bench.publish(lease()).await;
        let run = bench.trigger("lease", &name).await;
        bench.claim_one().await;
        bench.store.mark_run(bench.now(), run, to, "someone").await.unwrap();
        assert_eq!(bench.run_state(run).await, to.as_str());
        let ended =
            format!("select task_id || ' ' || state from task_instance where dag_run_id = {run} order by task_index");
        let create = format!("create {to}");
        assert_eq!(bench.raw.texts(&ended).await, [&create, "work skipped", "further skipped", "delete skipped"]);
        bench.assert_sound().await;
    }
}

async fn a_second_cancel_ends_the_teardown(bench: Bench) {
    let run = at_work(&bench, lease()).await;
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    let order = bench.claim_one().await;
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    assert_eq!((bench.state_of("delete").await, bench.run_state(run).await), ("failed".into(), "failed".into()));
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, flow_store::Recorded::Fenced);
    bench.settle().await;
    bench.assert_sound().await;
}

async fn a_run_that_is_marked_gets_its_state_after_its_teardowns(bench: Bench) {
    for (to, failing) in [(RunState::Success, "delete"), (RunState::Failed, "none"), (RunState::Success, "none")] {
        let run = at_work(&bench, Dag { dag_id: format!("lease-{to}-{failing}"), ..lease() }).await;
        bench.store.mark_run(bench.now(), run, to, "someone").await.unwrap();
        assert_eq!(bench.run_state(run).await, "running");
        bench.run_to_end(&[failing]).await;
        assert_eq!((bench.run_state(run).await, reason(&bench, run).await), (to.to_string(), "marked".into()));
        let torn_down = format!("select state from task_instance where dag_run_id = {run} and task_id = 'delete'");
        let expected = if failing == "delete" { "failed" } else { "success" };
        assert_eq!(bench.raw.texts(&torn_down).await, [expected]);
        bench.assert_sound().await;
    }
}

async fn a_run_whose_time_is_over_tears_down(bench: Bench) {
    let mut dag = lease();
    dag.dagrun_timeout = Some(Duration::from_secs(60));
    let run = at_work(&bench, dag).await;
    bench.pass(61);
    assert_eq!(bench.store.time_out_runs(bench.now(), "s").await.unwrap(), [run]);
    assert_eq!(bench.states().await[1..3], ["r work skipped", "r further skipped"]);
    assert_eq!(bench.run_state(run).await, "running");
    // Its time is over once.
    bench.pass(1_000);
    assert_eq!(bench.store.time_out_runs(bench.now(), "s").await.unwrap(), []);
    bench.run_to_end(&[]).await;
    assert_eq!((bench.state_of("delete").await, bench.run_state(run).await), ("success".into(), "failed".into()));
    assert_eq!(reason(&bench, run).await, "dagrun_timeout");
    // One that was not set up ends at once.
    let run = bench.trigger("lease", "r2").await;
    bench.claim_one().await;
    bench.pass(61);
    bench.store.time_out_runs(bench.now(), "s").await.unwrap();
    assert_eq!(bench.run_state(run).await, "failed");
    assert_eq!(bench.states().await[7], "r2 delete skipped");
    bench.assert_sound().await;
}

async fn in_a_mapped_group_what_was_set_up_is_torn_down(bench: Bench) {
    let mut dag = shaped("d", &["g.create", "g.work < g.create", "g.delete < g.work g.create"]);
    dag.tasks[0].is_setup = true;
    dag.tasks[2].is_teardown = true;
    dag.tasks[2].trigger_rule = TriggerRule::AllDoneSetupSuccess;
    dag.groups = vec![TaskGroup { group_id: "g".to_owned(), expand: over(numbers(2)), ..TaskGroup::default() }];
    dag.tasks.iter_mut().for_each(|task| task.group = Some("g".to_owned()));
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    bench.report(&orders[0], OutcomeKind::Success).await;
    bench.settle().await;
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    bench.run_to_end(&[]).await;
    let ended = "select task_id || '[' || map_index || '] ' || state from task_instance order by map_index, task_index";
    assert_eq!(
        bench.raw.texts(ended).await,
        [
            "g.create[0] success",
            "g.work[0] skipped",
            "g.delete[0] success",
            "g.create[1] failed",
            "g.work[1] skipped",
            "g.delete[1] skipped"
        ]
    );
    assert_eq!(bench.run_state(run).await, "failed");
    bench.assert_sound().await;
}

async fn clear_all(bench: &Bench, run: DagRunKey) {
    let tasks = Selection::default();
    let clear = ClearRequest { run, tasks, only_failed: false, principal: "someone".to_owned() };
    bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
}

async fn clearing_takes_back_that_the_run_ends(bench: Bench) {
    let run = at_work(&bench, lease()).await;
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    clear_all(&bench, run).await;
    assert_eq!(reason(&bench, run).await, "-");
    bench.run_to_end(&[]).await;
    assert_eq!((bench.state_of("further").await, bench.run_state(run).await), ("success".into(), "success".into()));
    bench.assert_sound().await;
}

async fn a_cleared_run_that_waits_is_torn_down_when_it_is_cancelled(bench: Bench) {
    bench.publish(lease()).await;
    let run = bench.trigger("lease", "r").await;
    bench.run_to_end(&["further"]).await;
    assert_eq!(bench.run_state(run).await, "failed");
    let tasks = Selection { task_ids: vec!["delete".to_owned()], ..Selection::default() };
    let mark = flow_store::MarkRequest { run, tasks, to: flow_store::Mark::Failed, principal: "x".to_owned() };
    bench.store.mark_tasks(bench.now(), &mark, false).await.unwrap();
    // Of the cleared tasks only the teardown is left, and the run waits to start.
    let tasks = Selection { task_ids: vec!["delete".to_owned()], ..Selection::default() };
    let clear = ClearRequest { run, tasks, only_failed: true, principal: "x".to_owned() };
    bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
    assert_eq!(bench.run_state(run).await, "queued");
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!((bench.state_of("delete").await, bench.run_state(run).await), ("success".into(), "failed".into()));
    assert_eq!(reason(&bench, run).await, "cancelled");
    bench.assert_sound().await;
}

async fn nothing_is_tried_again_in_a_run_that_ends(bench: Bench) {
    let mut dag = lease();
    (dag.run_retries, dag.run_retry_delay) = (3, Some(Duration::from_secs(1)));
    dag.groups = vec![TaskGroup { group_id: "g".to_owned(), retries: 3, ..TaskGroup::default() }];
    dag.tasks.iter_mut().for_each(|task| task.group = Some("g".to_owned()));
    let run = at_work(&bench, dag).await;
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    bench.run_to_end(&["delete"]).await;
    assert_eq!((bench.state_of("delete").await, bench.run_state(run).await), ("failed".into(), "failed".into()));
    bench.assert_sound().await;
}

/// A run with a task in each state that there is between two decisions: each is called as its state.
async fn of_every_state(bench: &Bench, run_id: &str) -> DagRunKey {
    let names = ["success", "failed", "skipped", "running", "deferred", "awaiting_input", "up_for_reschedule"];
    let more = ["up_for_retry", "queued", "scheduled", "none < running", "upstream_failed < failed"];
    let mut dag = shaped("d", &[&names[..], &more[..]].concat());
    dag.tasks[7].retry.retries = 1;
    dag.tasks[8].queue = "other".to_owned();
    dag.tasks[9].pool = "missing".to_owned();
    bench.publish(dag).await;
    let run = bench.trigger("d", run_id).await;
    bench.settle().await;
    let later = bench.now() + Duration::from_secs(600);
    for order in bench.claim_all().await {
        let kind = match task_id(&order) {
            "success" => OutcomeKind::Success,
            "failed" => OutcomeKind::FailedForGood,
            "skipped" => OutcomeKind::Skipped,
            "deferred" => {
                let trigger = Trigger::Time { at: later };
                OutcomeKind::Deferred(Box::new(Deferral::new(trigger, Duration::from_secs(1))))
            }
            "awaiting_input" => OutcomeKind::AwaitingInput(Box::default()),
            "up_for_reschedule" => OutcomeKind::Rescheduled { at: later, resume: None },
            "up_for_retry" => OutcomeKind::Failed { retry_at: later },
            _ => continue,
        };
        bench.report(&order, kind).await;
    }
    bench.settle().await;
    run
}

async fn what_has_started_takes_the_runs_state_and_what_has_not_is_skipped(bench: Bench) {
    for (to, run_id) in [(RunState::Success, "r1"), (RunState::Failed, "r2")] {
        let run = of_every_state(&bench, run_id).await;
        let states =
            format!("select task_id || ' ' || state from task_instance where dag_run_id = {run} order by task_index");
        let before = bench.raw.texts(&states).await;
        assert!(before.iter().all(|line| line.split_once(' ').is_some_and(|(id, state)| id == state)), "{before:?}");
        bench.store.mark_run(bench.now(), run, to, "someone").await.unwrap();
        bench.settle().await;
        let expected = |name: &str| match name {
            "success" | "failed" | "skipped" | "upstream_failed" => name.to_owned(),
            "running" | "deferred" | "awaiting_input" | "up_for_reschedule" => to.to_string(),
            _ => "skipped".to_owned(),
        };
        let after: Vec<String> = before
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .map(|id| format!("{id} {}", expected(id)))
            .collect();
        assert_eq!(bench.raw.texts(&states).await, after);
        assert_eq!((bench.run_state(run).await, reason(&bench, run).await), (to.to_string(), "marked".into()));
        bench.assert_sound().await;
    }
}
