//! Branches and short circuits, setups and teardowns, groups and runs that are tried again.

use std::time::Duration;

use flow_model::dag::TaskGroup;
use flow_model::operator::{Operator, ShortCircuit};
use flow_model::{Dag, TriggerRule};
use flow_store::{ClearRequest, OutcomeKind, Selection, WorkOrder};
use serde_json::json;

use crate::bench::{Bench, outcome, task_id};
use crate::dags::shaped;
use crate::mapping::{numbers, over};

cases!(
    what_a_branch_leaves_out_is_skipped,
    a_cleared_task_is_left_out_again,
    a_mapped_branch_leaves_out_what_all_its_instances_leave_out,
    a_task_waits_for_the_rest_of_a_mapped_branch,
    a_short_circuit_in_a_mapped_group_stays_in_its_index,
    a_short_circuit_skips_everything_after_it,
    a_soft_short_circuit_leaves_the_rest_to_the_rules,
    a_decision_is_waited_for_whatever_fails_before_it,
    a_teardown_runs_although_the_work_failed,
    work_ends_as_its_setup_does,
    a_failed_teardown_fails_the_run_only_if_told_to,
    clearing_a_task_clears_its_setup,
    a_group_starts_again_before_anybody_hears_of_its_failure,
    a_group_fails_once_its_retries_are_used_up,
    nothing_starts_again_in_a_run_that_was_cancelled,
    a_run_starts_again_at_what_failed,
    a_run_starts_again_at_the_instances_that_failed,
);

fn branch() -> Operator {
    serde_json::from_value(json!({ "branch": { "choose": "x" } })).unwrap()
}

fn with(mut dag: Dag, task: &str, change: impl Fn(&mut flow_model::Task)) -> Dag {
    change(dag.tasks.iter_mut().find(|candidate| candidate.task_id == task).unwrap());
    dag
}

/// Ends an attempt that leaves tasks out.
async fn leave_out(bench: &Bench, order: &WorkOrder, tasks: &[&str]) {
    let mut outcome = outcome(order, OutcomeKind::Success, bench.now());
    outcome.skips = tasks.iter().map(|task| order.graph.index_of(task).unwrap()).collect();
    bench.record(outcome).await;
    bench.settle().await;
}

/// `pick` before `left` and `right`, joined by `join`.
fn forked() -> Dag {
    let dag = shaped("d", &["pick", "left < pick", "right < pick", "join < left right"]);
    let dag = with(dag, "pick", |task| task.operator = branch());
    with(dag, "join", |task| task.trigger_rule = TriggerRule::NoneFailedMinOneSuccess)
}

async fn what_a_branch_leaves_out_is_skipped(bench: Bench) {
    bench.publish(forked()).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    leave_out(&bench, &order, &["right"]).await;
    assert_eq!(bench.states().await, ["r pick success", "r left queued", "r right skipped", "r join none"]);
    bench.run_to_end(&[]).await;
    assert_eq!((bench.state_of("join").await, bench.run_state(run).await), ("success".into(), "success".into()));
    bench.assert_sound().await;
}

async fn a_cleared_task_is_left_out_again(bench: Bench) {
    bench.publish(forked()).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    leave_out(&bench, &order, &["right"]).await;
    bench.run_to_end(&[]).await;
    let tasks = Selection { task_ids: vec!["right".to_owned()], ..Selection::default() };
    let clear = ClearRequest { run, tasks, only_failed: false, principal: "someone".to_owned() };
    bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.state_of("right").await, "skipped");
    // The branch itself decides anew.
    let tasks = Selection { task_ids: vec!["pick".to_owned()], downstream: true, ..Selection::default() };
    let clear = ClearRequest { run, tasks, only_failed: false, principal: "someone".to_owned() };
    bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
    let order = bench.claim_one().await;
    leave_out(&bench, &order, &["left"]).await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r pick success", "r left skipped", "r right success", "r join success"]);
    bench.assert_sound().await;
}

/// `pick`, mapped over three values, before `left` and `right`.
fn mapped_fork() -> Dag {
    let dag = with(shaped("d", &["pick", "left < pick", "right < pick"]), "right", |task| {
        task.trigger_rule = TriggerRule::OneSuccess;
    });
    with(dag, "pick", |task| {
        task.operator = branch();
        task.expand = over(numbers(3));
    })
}

async fn a_mapped_branch_leaves_out_what_all_its_instances_leave_out(bench: Bench) {
    bench.publish(mapped_fork()).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    leave_out(&bench, &orders[0], &["right"]).await;
    assert_eq!((bench.state_of("left").await, bench.state_of("right").await), ("none".into(), "none".into()));
    leave_out(&bench, &orders[2], &["left"]).await;
    assert_eq!(bench.state_of("right").await, "queued", "one instance follows it");
    leave_out(&bench, &orders[1], &["right"]).await;
    assert_eq!(bench.state_of("left").await, "queued");
    bench.assert_sound().await;
}

async fn a_task_waits_for_the_rest_of_a_mapped_branch(bench: Bench) {
    bench.publish(mapped_fork()).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    for order in &orders {
        assert_eq!(bench.state_of("right").await, "none", "its rule holds, but another instance may still follow it");
        leave_out(&bench, order, &["right"]).await;
    }
    assert_eq!((bench.state_of("left").await, bench.state_of("right").await), ("queued".into(), "skipped".into()));
    bench.assert_sound().await;
}

/// `g.check` and `g.work`, mapped over two values, before `done`.
async fn a_short_circuit_in_a_mapped_group_stays_in_its_index(bench: Bench) {
    let mut dag = shaped("d", &["g.check", "g.work < g.check", "done < g.work"]);
    dag.groups = vec![TaskGroup { group_id: "g".to_owned(), expand: over(numbers(2)), ..TaskGroup::default() }];
    for task in dag.tasks.iter_mut().filter(|task| task.task_id.starts_with("g.")) {
        task.group = Some("g".to_owned());
    }
    dag.tasks[0].operator = short_circuit(true);
    let dag = with(dag, "done", |task| task.trigger_rule = TriggerRule::AllDone);
    bench.publish(dag).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    leave_out(&bench, &orders[0], &["g.work", "done"]).await;
    assert_eq!(
        bench.states().await,
        ["r g.check success", "r g.check running", "r g.work skipped", "r g.work none", "r done none"]
    );
    bench.report(&orders[1], OutcomeKind::Success).await;
    bench.run_to_end(&[]).await;
    assert_eq!((bench.field("g.work", "max(try_number)").await, bench.state_of("done").await), (1, "success".into()));
    bench.assert_sound().await;
}

fn short_circuit(ignore_downstream_trigger_rules: bool) -> Operator {
    Operator::ShortCircuit(ShortCircuit {
        condition: Some("no".to_owned()),
        bash: None,
        stdin: None,
        ignore_downstream_trigger_rules,
    })
}

fn circuit(ignore_downstream_trigger_rules: bool) -> Dag {
    let dag = shaped("d", &["check", "a < check", "b < a", "c < b"]);
    let dag = with(dag, "check", |task| task.operator = short_circuit(ignore_downstream_trigger_rules));
    with(dag, "c", |task| task.trigger_rule = TriggerRule::AllDone)
}

async fn a_short_circuit_skips_everything_after_it(bench: Bench) {
    bench.publish(circuit(true)).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    leave_out(&bench, &order, &["a", "b", "c"]).await;
    assert_eq!(bench.states().await, ["r check success", "r a skipped", "r b skipped", "r c skipped"]);
    bench.assert_sound().await;
}

async fn a_soft_short_circuit_leaves_the_rest_to_the_rules(bench: Bench) {
    bench.publish(circuit(false)).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    leave_out(&bench, &order, &["a"]).await;
    assert_eq!(bench.states().await, ["r check success", "r a skipped", "r b skipped", "r c queued"]);
    bench.assert_sound().await;
}

/// A failure beside a short circuit, both before tasks with every rule: in both orders, each ends the same way.
async fn a_decision_is_waited_for_whatever_fails_before_it(bench: Bench) {
    let mut dag = shaped("d", &["bad", "check", "further < check", "join < further"]);
    dag.tasks[1].operator = short_circuit(true);
    let rules: Vec<TriggerRule> =
        TriggerRule::ALL.iter().copied().filter(|rule| *rule != TriggerRule::Always).collect();
    for &rule in &rules {
        let mut task = crate::dags::task(&format!("x_{rule}"), &["bad", "further"]);
        task.trigger_rule = rule;
        dag.tasks.push(task);
    }
    bench.publish(dag).await;
    let everything_after: Vec<String> = ["further".to_owned(), "join".to_owned()]
        .into_iter()
        .chain(rules.iter().map(|rule| format!("x_{rule}")))
        .collect();
    let everything_after: Vec<&str> = everything_after.iter().map(String::as_str).collect();
    for is_failure_first in [true, false] {
        let run = bench.trigger("d", &format!("{is_failure_first}")).await;
        bench.settle().await;
        let mut orders = bench.claim_all().await;
        orders.sort_by_key(|order| order.task_index);
        let (bad, check) = (&orders[0], &orders[1]);
        if is_failure_first {
            bench.report(bad, OutcomeKind::FailedForGood).await;
            bench.settle().await;
            let undecided = format!("select count(*) from task_instance where dag_run_id = {run} and state = 'none'");
            assert_eq!(bench.raw.number(&undecided).await, everything_after.len() as i64, "the decision is waited for");
        }
        leave_out(&bench, check, &everything_after).await;
        if !is_failure_first {
            bench.report(bad, OutcomeKind::FailedForGood).await;
        }
        bench.run_to_end(&[]).await;
        let skipped = format!("select count(*) from task_instance where dag_run_id = {run} and state = 'skipped'");
        assert_eq!(bench.raw.number(&skipped).await, everything_after.len() as i64);
        assert_eq!(bench.run_state(run).await, "success", "no leaf has failed");
        bench.assert_sound().await;
    }
}

/// `create` before `work` before `delete`, which cleans up; `report` runs whatever `work` did.
fn with_setup() -> Dag {
    let dag = shaped("d", &["create", "work < create", "report < work", "delete < create report"]);
    let dag = with(dag, "create", |task| task.is_setup = true);
    let dag = with(dag, "report", |task| task.trigger_rule = TriggerRule::AllDone);
    with(dag, "delete", |task| {
        task.is_teardown = true;
        task.trigger_rule = TriggerRule::AllDoneSetupSuccess;
    })
}

async fn a_teardown_runs_although_the_work_failed(bench: Bench) {
    let dag = with(with_setup(), "report", |task| task.trigger_rule = TriggerRule::AllSuccess);
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&["work"]).await;
    assert_eq!(
        bench.states().await,
        ["r create success", "r work failed", "r report upstream_failed", "r delete success"]
    );
    assert_eq!(bench.run_state(run).await, "failed", "the work before the teardown decides");
    bench.assert_sound().await;
}

async fn work_ends_as_its_setup_does(bench: Bench) {
    bench.publish(with_setup()).await;
    bench.trigger("d", "r").await;
    bench.run_to_end(&["create"]).await;
    // `report` would run whatever `work` did, but not without its setup.
    assert_eq!(
        bench.states().await,
        ["r create failed", "r work upstream_failed", "r report upstream_failed", "r delete upstream_failed"]
    );
    bench.trigger("d", "r2").await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Skipped).await;
    bench.settle().await;
    assert_eq!(
        bench.states().await[4..],
        ["r2 create skipped", "r2 work skipped", "r2 report skipped", "r2 delete skipped"]
    );
    bench.assert_sound().await;
}

async fn a_failed_teardown_fails_the_run_only_if_told_to(bench: Bench) {
    bench.publish(with_setup()).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&["delete"]).await;
    assert_eq!((bench.state_of("delete").await, bench.run_state(run).await), ("failed".into(), "success".into()));
    bench.publish(with(with_setup(), "delete", |task| task.on_failure_fail_dagrun = true)).await;
    let run = bench.trigger("d", "r2").await;
    bench.run_to_end(&["delete"]).await;
    assert_eq!(bench.run_state(run).await, "failed");
    bench.assert_sound().await;
}

async fn clearing_a_task_clears_its_setup(bench: Bench) {
    bench.publish(with_setup()).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    let tasks = Selection { task_ids: vec!["work".to_owned()], ..Selection::default() };
    let clear = ClearRequest { run, tasks, only_failed: false, principal: "someone".to_owned() };
    let affected = bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
    let cleared: Vec<&str> = affected.tasks.iter().map(|task| task.task_id.as_str()).collect();
    assert_eq!(cleared, ["create", "work", "delete"]);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

/// Group `g` of `g.a` and `g.b`, with retries, before `done`.
fn grouped(retries: u32) -> Dag {
    let mut dag = shaped("d", &["g.a", "g.b < g.a", "done < g.b"]);
    let retry_delay = Some(Duration::from_secs(30));
    dag.groups = vec![TaskGroup { group_id: "g".to_owned(), retries, retry_delay, ..TaskGroup::default() }];
    for task in dag.tasks.iter_mut().filter(|task| task.task_id.starts_with("g.")) {
        task.group = Some("g".to_owned());
    }
    dag
}

async fn fail_b(bench: &Bench) {
    for _ in 0..2 {
        let order = bench.claim_one().await;
        let kind = if task_id(&order) == "g.b" { OutcomeKind::FailedForGood } else { OutcomeKind::Success };
        bench.report(&order, kind).await;
    }
    bench.settle().await;
}

async fn a_group_starts_again_before_anybody_hears_of_its_failure(bench: Bench) {
    bench.publish(grouped(1)).await;
    let run = bench.trigger("d", "r").await;
    fail_b(&bench).await;
    assert_eq!(bench.states().await, ["r g.a scheduled", "r g.b none", "r done none"]);
    assert_eq!(bench.claim_all().await.len(), 0, "the group's delay is not over");
    bench.pass(31);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r g.a success", "r g.b success", "r done success"]);
    assert_eq!((bench.field("g.a", "try_number").await, bench.run_state(run).await), (2, "success".into()));
    bench.assert_sound().await;
}

async fn nothing_starts_again_in_a_run_that_was_cancelled(bench: Bench) {
    bench.publish(grouped(1)).await;
    let run = bench.trigger("d", "r").await;
    bench.claim_one().await;
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    bench.settle().await;
    bench.pass(1_000);
    bench.settle().await;
    assert_eq!(bench.raw.number("select count(*) from task_instance where state = 'none'").await, 0);
    assert_eq!(bench.run_state(run).await, "failed");
    bench.assert_sound().await;
}

async fn a_group_fails_once_its_retries_are_used_up(bench: Bench) {
    bench.publish(grouped(1)).await;
    let run = bench.trigger("d", "r").await;
    fail_b(&bench).await;
    bench.pass(31);
    fail_b(&bench).await;
    assert_eq!(bench.states().await, ["r g.a success", "r g.b failed", "r done upstream_failed"]);
    assert_eq!(bench.run_state(run).await, "failed");
    // A person gives the group its retries again.
    let clear = ClearRequest { run, tasks: Selection::default(), only_failed: true, principal: "someone".to_owned() };
    bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::FailedForGood).await;
    bench.settle().await;
    assert_eq!(bench.states().await, ["r g.a scheduled", "r g.b none", "r done none"]);
    bench.assert_sound().await;
}

async fn a_run_starts_again_at_what_failed(bench: Bench) {
    let mut dag = shaped("d", &["a", "b < a", "c < b", "other < a"]);
    (dag.run_retries, dag.run_retry_delay) = (1, Some(Duration::from_secs(60)));
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&["b"]).await;
    assert_eq!(bench.run_state(run).await, "running");
    assert_eq!(bench.states().await, ["r a success", "r b scheduled", "r c none", "r other success"]);
    bench.pass(61);
    bench.run_to_end(&["b"]).await;
    assert_eq!(bench.run_state(run).await, "failed", "its one retry is used up");
    assert_eq!((bench.field("a", "try_number").await, bench.field("b", "try_number").await), (1, 2));
    bench.assert_sound().await;
}

async fn a_run_starts_again_at_the_instances_that_failed(bench: Bench) {
    let mut dag = shaped("d", &["g.a", "g.b < g.a", "done < g.b"]);
    (dag.run_retries, dag.run_retry_delay) = (1, Some(Duration::from_secs(60)));
    dag.groups = vec![TaskGroup { group_id: "g".to_owned(), expand: over(numbers(3)), ..TaskGroup::default() }];
    for task in dag.tasks.iter_mut().filter(|task| task.task_id.starts_with("g.")) {
        task.group = Some("g".to_owned());
    }
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    for order in bench.claim_all().await {
        let kind = if order.map_index == 1 { OutcomeKind::FailedForGood } else { OutcomeKind::Success };
        bench.report(&order, kind).await;
    }
    bench.run_to_end(&[]).await;
    bench.pass(61);
    bench.run_to_end(&[]).await;
    let tries = "select task_id || '[' || map_index || '] ' || state || ' ' || try_number from task_instance
        order by task_index, map_index";
    assert_eq!(
        bench.raw.texts(tries).await,
        [
            "g.a[0] success 1",
            "g.a[1] success 2",
            "g.a[2] success 1",
            "g.b[0] success 1",
            "g.b[1] success 1",
            "g.b[2] success 1",
            "done[-1] success 1"
        ]
    );
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}
