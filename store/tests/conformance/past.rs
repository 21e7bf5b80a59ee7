//! `depends_on_past` and `wait_for_downstream`.

use flow_model::{Dag, DagRunKey, Task, Timestamp};
use flow_store::{ClearRequest, Mark, MarkRequest, NewRun, OutcomeKind, Selection};
use serde_json::json;

use crate::bench::{Bench, new_run, task_id};
use crate::dags::{dag, task};
use crate::mapping::{left_by, over, succeed_with};

cases!(
    a_task_waits_for_its_own_past,
    the_past_must_have_gone_well,
    a_run_that_waits_to_start_blocks_the_next,
    waiting_for_what_comes_after_in_the_past,
    a_run_without_a_logical_date_has_no_past,
    the_first_run_starts_at_once,
    what_was_removed_does_not_block,
);

fn looking_back(wait_for_downstream: bool) -> Dag {
    let mut first = task("a", &[]);
    first.depends_on_past = true;
    first.wait_for_downstream = wait_for_downstream;
    Dag { tasks: vec![first, task("b", &["a"])], ..dag("d") }
}

async fn dated(bench: &Bench, run_id: &str, hour: i64) -> DagRunKey {
    let run = NewRun {
        logical_date: Some(Timestamp::from_micros(hour * 3_600_000_000)),
        ..new_run("d", run_id, bench.now())
    };
    bench.store.create_run(bench.now(), &run).await.unwrap().key
}

async fn a_task_waits_for_its_own_past(bench: Bench) {
    bench.publish(looking_back(false)).await;
    dated(&bench, "r1", 1).await;
    let last = dated(&bench, "r2", 2).await;
    let order = bench.claim_one().await;
    assert_eq!(order.run_id, "r1");
    assert_eq!(bench.states().await, ["r1 a running", "r1 b none", "r2 a none", "r2 b none"]);
    bench.report(&order, OutcomeKind::Success).await;
    bench.settle().await;
    assert_eq!(bench.states().await, ["r1 a success", "r1 b queued", "r2 a queued", "r2 b none"]);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(last).await, "success");
    bench.assert_sound().await;
}

async fn the_past_must_have_gone_well(bench: Bench) {
    bench.publish(looking_back(false)).await;
    let first = dated(&bench, "r1", 1).await;
    let second = dated(&bench, "r2", 2).await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::FailedForGood).await;
    bench.settle().await;
    assert_eq!(bench.run_state(first).await, "failed");
    assert_eq!(bench.states().await[2..], ["r2 a none", "r2 b none"]);
    assert_eq!(bench.run_state(second).await, "running");
    let tasks = Selection { task_ids: vec!["a".to_owned()], ..Selection::default() };
    let mark = MarkRequest { run: first, tasks, to: Mark::Success, principal: "someone".to_owned() };
    bench.store.mark_tasks(bench.now(), &mark, false).await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!((bench.run_state(first).await, bench.run_state(second).await), ("success".into(), "success".into()));
    // Clearing the past later does not take back what has been decided.
    let clear = ClearRequest { run: first, tasks: Selection::default(), only_failed: false, principal: "x".to_owned() };
    bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn a_run_that_waits_to_start_blocks_the_next(bench: Bench) {
    bench.publish(Dag { max_active_runs: 1, ..looking_back(false) }).await;
    // The younger date comes first in line.
    let late = dated(&bench, "late", 9).await;
    bench.pass(1);
    let early = dated(&bench, "early", 1).await;
    bench.settle().await;
    assert_eq!((bench.run_state(late).await, bench.run_state(early).await), ("running".into(), "queued".into()));
    assert_eq!(bench.states().await, ["late a none", "late b none"]);
    bench.publish(looking_back(false)).await;
    bench.run_to_end(&[]).await;
    assert_eq!((bench.run_state(late).await, bench.run_state(early).await), ("success".into(), "success".into()));
    let order = "select r.run_id from task_instance_event e join dag_run r on r.id = e.dag_run_id
        join task_instance t on t.id = e.task_instance_id where e.to_state = 'running' and t.task_id = 'a' order by e.id";
    assert_eq!(bench.raw.texts(order).await, ["early", "late"]);
}

async fn waiting_for_what_comes_after_in_the_past(bench: Bench) {
    bench.publish(looking_back(true)).await;
    dated(&bench, "r1", 1).await;
    dated(&bench, "r2", 2).await;
    let a = bench.claim_one().await;
    bench.report(&a, OutcomeKind::Success).await;
    let b = bench.claim_one().await;
    assert_eq!((b.run_id.as_str(), task_id(&b)), ("r1", "b"));
    bench.report(&b, OutcomeKind::Success).await;
    let next = bench.claim_one().await;
    assert_eq!((next.run_id.as_str(), task_id(&next)), ("r2", "a"));
    bench.assert_sound().await;
}

async fn a_run_without_a_logical_date_has_no_past(bench: Bench) {
    bench.publish(looking_back(true)).await;
    dated(&bench, "r1", 1).await;
    bench.trigger("d", "manual").await;
    assert_eq!(bench.settle().await, 2);
}

async fn the_first_run_starts_at_once(bench: Bench) {
    bench.publish(looking_back(false)).await;
    dated(&bench, "r1", 1).await;
    bench.check_dags().await;
    let limits = flow_store::AdvanceLimits { look_at_past: false, ..crate::bench::limits() };
    let advanced = bench.store.advance(bench.now(), &limits, flow_model::decide::decide_tick).await.unwrap();
    assert_eq!(advanced.queued.len(), 1);
}

async fn what_was_removed_does_not_block(bench: Bench) {
    let load = Task { depends_on_past: true, expand: over(left_by("list")), ..task("load", &["list"]) };
    bench.publish(Dag { tasks: vec![task("list", &[]), load], ..dag("d") }).await;
    let first = dated(&bench, "r1", 1).await;
    for list in [json!([1, 2]), json!([1])] {
        let clear = ClearRequest {
            run: first,
            tasks: Selection::default(),
            only_failed: false,
            principal: "someone".to_owned(),
        };
        bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
        let order = bench.claim_one().await;
        succeed_with(&bench, &order, list).await;
        bench.run_to_end(&[]).await;
    }
    assert_eq!(bench.raw.number("select count(*) from task_instance where state = 'removed'").await, 1);
    let second = dated(&bench, "r2", 2).await;
    let order = bench.claim_one().await;
    succeed_with(&bench, &order, json!([1])).await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(second).await, "success");
    bench.assert_sound().await;
}
