//! T13: clearing, marking, cancelling.

use flow_model::{DagRunKey, RunState, TaskState};
use flow_store::{ClearRequest, Mark, MarkRequest, NewXCom, OutcomeKind, Recorded, Selection, StoreError};

use crate::bench::{Bench, outcome};
use crate::dags::shaped;

cases!(
    clearing_runs_tasks_again,
    a_dry_run_changes_nothing,
    only_failed_tasks_are_cleared,
    clearing_takes_the_right_to_act_from_a_running_attempt,
    clearing_what_waits_starts_it_anew,
    marking_a_failure_as_success_saves_the_run,
    marking_while_it_runs_fences_it,
    marking_failed_ends_what_comes_after,
    cancelling_ends_everything,
    a_run_that_never_started_can_be_cancelled_and_cleared,
    a_run_is_marked,
    what_does_not_exist_is_said_so,
    values_of_a_cleared_task_are_gone,
    clearing_as_the_run_starts_again_at_the_same_instant,
);

fn tasks(ids: &[&str]) -> Selection {
    Selection {
        task_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        upstream: false,
        downstream: false,
        ..Selection::default()
    }
}

fn clear(run: DagRunKey, tasks: Selection) -> ClearRequest {
    ClearRequest { run, tasks, only_failed: false, principal: "someone".to_owned() }
}

fn mark(run: DagRunKey, tasks: Selection, to: Mark) -> MarkRequest {
    MarkRequest { run, tasks, to, principal: "someone".to_owned() }
}

async fn finished(bench: &Bench, failing: &[&str]) -> DagRunKey {
    bench.publish(shaped("d", &["a", "b < a", "c < b", "side"])).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(failing).await;
    run
}

async fn clearing_runs_tasks_again(bench: Bench) {
    let run = finished(&bench, &[]).await;
    let selection = Selection { downstream: true, ..tasks(&["b"]) };
    let affected = bench.store.clear_tasks(bench.now(), &clear(run, selection), false).await.unwrap();
    let ids: Vec<&str> = affected.tasks.iter().map(|task| task.task_id.as_str()).collect();
    assert_eq!(ids, ["b", "c"]);
    assert!(affected.tasks.iter().all(|task| task.from == TaskState::Success));
    assert_eq!(bench.states().await, ["r a success", "r b none", "r c none", "r side success"]);
    assert_eq!(bench.run_state(run).await, "queued");
    bench.run_to_end(&["c"]).await;
    assert_eq!(bench.states().await, ["r a success", "r b success", "r c failed", "r side success"]);
    assert_eq!(bench.run_state(run).await, "failed");
    assert_eq!(bench.field("b", "try_number").await, 2);
    let selection = Selection { upstream: true, ..tasks(&["c"]) };
    bench.store.clear_tasks(bench.now(), &clear(run, selection), false).await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    assert_eq!((bench.field("a", "try_number").await, bench.field("side", "try_number").await), (2, 1));
    bench.assert_sound().await;
}

async fn a_dry_run_changes_nothing(bench: Bench) {
    let run = finished(&bench, &["b"]).await;
    let before = bench.states().await;
    let all = bench.store.clear_tasks(bench.now(), &clear(run, Selection::default()), true).await.unwrap();
    assert_eq!(all.tasks.len(), 4);
    let marked = bench.store.mark_tasks(bench.now(), &mark(run, tasks(&["b"]), Mark::Success), true).await.unwrap();
    assert_eq!(marked.tasks.len(), 2, "b, and c that had failed because of it");
    assert_eq!(bench.states().await, before);
    assert_eq!(bench.run_state(run).await, "failed");
}

async fn only_failed_tasks_are_cleared(bench: Bench) {
    let run = finished(&bench, &["b"]).await;
    let request = ClearRequest { only_failed: true, ..clear(run, Selection::default()) };
    let affected = bench.store.clear_tasks(bench.now(), &request, false).await.unwrap();
    let from: Vec<String> = affected.tasks.iter().map(|task| format!("{} {}", task.task_id, task.from)).collect();
    assert_eq!(from, ["b failed", "c upstream_failed"]);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn clearing_takes_the_right_to_act_from_a_running_attempt(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    bench.store.clear_tasks(bench.now(), &clear(run, tasks(&["a"])), false).await.unwrap();
    assert_eq!(bench.state_of("a").await, "none");
    let mut late = outcome(&order, OutcomeKind::Success, bench.now());
    late.xcoms = vec![NewXCom { key: "k".to_owned(), value: "1".to_owned() }];
    assert_eq!(bench.record(late).await, Recorded::Fenced);
    assert_eq!(bench.run_state(run).await, "running");
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r a success", "r b success"]);
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn clearing_what_waits_starts_it_anew(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    assert_eq!(bench.state_of("a").await, "queued");
    bench.store.clear_tasks(bench.now(), &clear(run, Selection::default()), false).await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn marking_a_failure_as_success_saves_the_run(bench: Bench) {
    let run = finished(&bench, &["b"]).await;
    assert_eq!(bench.run_state(run).await, "failed");
    let affected = bench.store.mark_tasks(bench.now(), &mark(run, tasks(&["b"]), Mark::Success), false).await.unwrap();
    assert_eq!(affected.tasks.len(), 2);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r a success", "r b success", "r c success", "r side success"]);
    assert_eq!(bench.run_state(run).await, "success");
    let again = bench.store.mark_tasks(bench.now(), &mark(run, tasks(&["b"]), Mark::Success), false).await.unwrap();
    assert_eq!(again.tasks, []);
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn marking_while_it_runs_fences_it(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    bench.store.mark_tasks(bench.now(), &mark(run, tasks(&["a"]), Mark::Skipped), false).await.unwrap();
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::Fenced);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r a skipped", "r b skipped"]);
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn marking_failed_ends_what_comes_after(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    bench.store.mark_tasks(bench.now(), &mark(run, tasks(&["a"]), Mark::Failed), false).await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r a failed", "r b upstream_failed"]);
    assert_eq!(bench.run_state(run).await, "failed");
    bench.assert_sound().await;
}

async fn cancelling_ends_everything(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a", "side"])).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    let order = bench.claim_some(1).await.remove(0);
    let affected = bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    assert_eq!(affected.tasks.len(), 3);
    assert_eq!(bench.states().await, ["r a failed", "r b skipped", "r side skipped"]);
    assert_eq!(bench.run_state(run).await, "failed");
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::Fenced);
    bench.settle().await;
    assert!(matches!(bench.store.cancel_run(bench.now(), run, "x").await, Err(StoreError::Conflict(_))));
    bench.store.clear_tasks(bench.now(), &clear(run, Selection::default()), false).await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn a_run_that_never_started_can_be_cancelled_and_cleared(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = bench.trigger("d", "r").await;
    bench.store.cancel_run(bench.now(), run, "someone").await.unwrap();
    assert_eq!(bench.run_state(run).await, "failed");
    bench.settle().await;
    bench.store.clear_tasks(bench.now(), &clear(run, Selection::default()), false).await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r a success"]);
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn a_run_is_marked(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    let unusable = bench.store.mark_run(bench.now(), run, RunState::Running, "someone").await;
    assert!(matches!(unusable, Err(StoreError::Conflict(_))));
    bench.store.mark_run(bench.now(), run, RunState::Success, "someone").await.unwrap();
    assert_eq!(bench.states().await, ["r a success", "r b skipped"]);
    assert_eq!(bench.report(&order, OutcomeKind::FailedForGood).await, Recorded::Fenced);
    bench.settle().await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.store.mark_run(bench.now(), run, RunState::Failed, "someone").await.unwrap();
    bench.settle().await;
    assert_eq!(bench.run_state(run).await, "failed");
    let again = bench.store.mark_run(bench.now(), run, RunState::Failed, "someone").await;
    assert!(matches!(again, Err(StoreError::Conflict(_))));
    bench.assert_sound().await;
}

async fn what_does_not_exist_is_said_so(bench: Bench) {
    let run = finished(&bench, &[]).await;
    let missing = DagRunKey(999);
    let not_found = |error: StoreError| matches!(error, StoreError::NotFound { .. });
    assert!(not_found(bench.store.clear_tasks(bench.now(), &clear(missing, tasks(&[])), false).await.unwrap_err()));
    assert!(not_found(bench.store.clear_tasks(bench.now(), &clear(run, tasks(&["x"])), false).await.unwrap_err()));
    assert!(not_found(bench.store.cancel_run(bench.now(), missing, "x").await.unwrap_err()));
}

async fn values_of_a_cleared_task_are_gone(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    let mut report = outcome(&order, OutcomeKind::Success, bench.now());
    report.xcoms = vec![NewXCom { key: "k".to_owned(), value: "1".to_owned() }];
    bench.record(report).await;
    assert_eq!(bench.store.xcom(run, "a", -1, "k").await.unwrap(), Some(1.into()));
    bench.store.clear_tasks(bench.now(), &clear(run, Selection::default()), false).await.unwrap();
    assert_eq!(bench.store.xcom(run, "a", -1, "k").await.unwrap(), None);
}

async fn clearing_as_the_run_starts_again_at_the_same_instant(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    // Everything in one microsecond: the second start must not be taken for the first.
    for _ in 0..2 {
        let order = bench.claim_one().await;
        bench.report(&order, OutcomeKind::Success).await;
        let order = bench.claim_one().await;
        bench.report(&order, OutcomeKind::Success).await;
        bench.settle().await;
        assert_eq!(bench.run_state(run).await, "success");
        bench.assert_sound().await;
        bench.store.clear_tasks(bench.now(), &clear(run, Selection::default()), false).await.unwrap();
    }
    bench.settle().await;
    assert_eq!(bench.raw.number("select unfinished from dag_run").await, 2);
}
