//! Callbacks: one row for each event, in the transaction of the move, carried out by one worker at a time.

use std::time::Duration;

use flow_model::callback::{CallbackEvent, Callbacks, Delivery, Notifier};
use flow_model::{Dag, Task, TaskState};
use flow_store::{CallbackOrder, CallbackOutcome, CallbackResult, Mark, MarkRequest, OutcomeKind, Selection};

use crate::bench::{Bench, LEASE};
use crate::dags::{dag, task};
use crate::mapping::{numbers, over};

cases!(
    each_event_calls_back_once,
    what_has_no_callbacks_makes_no_rows,
    a_failed_delivery_comes_back_later,
    the_dead_leave_their_callbacks_to_others,
    a_callback_that_takes_workers_down_is_given_up,
    mapped_instances_call_back_each,
    the_databases_decide_as_the_model_does,
    the_audit_compares_events_and_rows,
);

fn notifiers() -> Vec<Notifier> {
    vec![Notifier { command: Some(vec!["true".to_owned()]), ..Notifier::default() }]
}

fn all() -> Callbacks {
    Callbacks { on_success: notifiers(), on_failure: notifiers(), on_retry: notifiers(), on_skipped: notifiers() }
}

fn calling(task_id: &str, retries: u32) -> Task {
    let mut task = Task { callbacks: all(), ..task(task_id, &[]) };
    task.retry.retries = retries;
    task
}

async fn rows(bench: &Bench) -> Vec<String> {
    let sql = "select coalesce(t.task_id, '-') || ' ' || c.event || ' ' || cast(c.try_number as text) || ' ' || c.state
         from callback c left join task_instance t on t.id = c.task_instance_id order by c.id";
    bench.raw.texts(sql).await
}

async fn take(bench: &Bench, worker: flow_model::ProcessId) -> Vec<CallbackOrder> {
    bench.store.take_callbacks(bench.now(), worker, 100).await.unwrap()
}

fn outcome(callback: &CallbackOrder, delivery: Delivery) -> CallbackOutcome {
    let result = CallbackResult { kind: "command".to_owned(), ok: true, message: "exit code 0".to_owned() };
    CallbackOutcome { id: callback.id, delivered: 1, results: vec![result], delivery }
}

async fn each_event_calls_back_once(bench: Bench) {
    let callbacks = Callbacks { on_success: notifiers(), on_failure: notifiers(), ..Callbacks::default() };
    bench.publish(Dag { tasks: vec![calling("a", 1), calling("b", 0)], callbacks, ..dag("d") }).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    for order in bench.claim_all().await {
        let kind = match order.task().task_id.as_str() {
            "a" => OutcomeKind::Failed { retry_at: bench.now() },
            _ => OutcomeKind::Skipped,
        };
        bench.report(&order, kind).await;
    }
    let mut found = rows(&bench).await;
    found.sort();
    assert_eq!(found, ["a retry 1 pending", "b skipped 1 pending"]);
    bench.settle().await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::FailedForGood).await;
    bench.settle().await;
    assert_eq!(bench.run_state(run).await, "failed");
    assert_eq!(rows(&bench).await[2..], ["a failure 2 pending", "- failure 0 pending"]);
    // Said again by a person, it is no event.
    let marked =
        MarkRequest { run, tasks: Selection::of("a".to_owned(), None), to: Mark::Success, principal: "ada".to_owned() };
    bench.store.mark_tasks(bench.now(), &marked, false).await.unwrap();
    assert_eq!(rows(&bench).await.iter().filter(|row| row.starts_with("a ")).count(), 2);

    let taken = take(&bench, bench.worker).await;
    assert_eq!(take(&bench, bench.worker).await.len(), 0);
    let events: Vec<_> = taken.iter().map(|callback| (callback.event, callback.is_of_run)).collect();
    assert!(events.contains(&(CallbackEvent::Failure, true)) && events.contains(&(CallbackEvent::Retry, false)));
    for callback in &taken {
        assert_eq!((callback.tries, callback.delivered), (1, 0));
        assert_eq!(callback.order.run_id, "r");
        assert!(
            bench
                .store
                .finish_callback(bench.now(), bench.worker, &outcome(callback, Delivery::Delivered))
                .await
                .unwrap()
        );
        assert!(
            !bench
                .store
                .finish_callback(bench.now(), bench.worker, &outcome(callback, Delivery::GivenUp))
                .await
                .unwrap()
        );
    }
    let listed = bench.store.list_callbacks(run, None, 100).await.unwrap();
    assert_eq!(listed.len(), taken.len());
    assert!(listed.iter().all(|callback| callback.state == "delivered" && callback.ended_at.is_some()));
    assert_eq!(listed[0].results[0].message, "exit code 0");
}

async fn what_has_no_callbacks_makes_no_rows(bench: Bench) {
    let callbacks = Callbacks { on_failure: notifiers(), ..Callbacks::default() };
    let quiet = Task { callbacks: callbacks.clone(), ..task("a", &[]) };
    bench.publish(Dag { tasks: vec![quiet, task("b", &["a"])], callbacks, ..dag("d") }).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    assert_eq!(rows(&bench).await, Vec::<String>::new());
}

async fn a_failed_delivery_comes_back_later(bench: Bench) {
    bench.publish(Dag { tasks: vec![calling("a", 0)], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    let first = take(&bench, bench.worker).await.remove(0);
    let again = outcome(&first, Delivery::Again(Duration::from_secs(5)));
    bench.store.finish_callback(bench.now(), bench.worker, &again).await.unwrap();
    assert_eq!(take(&bench, bench.worker).await.len(), 0);
    bench.pass(5);
    let second = take(&bench, bench.worker).await.remove(0);
    assert_eq!((second.id, second.tries, second.delivered), (first.id, 2, 1));
    let given_up = outcome(&second, Delivery::GivenUp);
    assert!(bench.store.finish_callback(bench.now(), bench.worker, &given_up).await.unwrap());
    bench.pass(3_600);
    assert_eq!(take(&bench, bench.worker).await.len(), 0);
    assert_eq!(rows(&bench).await, ["a success 1 failed"]);
}

async fn the_dead_leave_their_callbacks_to_others(bench: Bench) {
    bench.publish(Dag { tasks: vec![calling("a", 0)], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    let taken = take(&bench, bench.worker).await.remove(0);
    bench.pass(LEASE.as_secs() + 10);
    let other = bench.register("another").await;
    assert_eq!(take(&bench, other).await.len(), 0);
    bench.store.rescue_lost(bench.now(), bench.now(), "scheduler-1").await.unwrap();
    // Everybody whose lease is over is dead now.
    let heir = bench.register("heir").await;
    let inherited = take(&bench, heir).await.remove(0);
    assert_eq!((inherited.id, inherited.tries), (taken.id, 2));
    // The dead one comes back, and its word counts for nothing.
    let late = bench.store.finish_callback(bench.now(), bench.worker, &outcome(&taken, Delivery::Delivered)).await;
    assert!(!late.unwrap());
    assert_eq!(take(&bench, bench.worker).await.len(), 0, "a dead process takes nothing");
    assert_eq!(rows(&bench).await, ["a success 1 running"]);
}

async fn mapped_instances_call_back_each(bench: Bench) {
    let mapped = Task { expand: over(numbers(3)), ..calling("m", 0) };
    bench.publish(Dag { tasks: vec![mapped], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    assert_eq!(rows(&bench).await, ["m success 1 pending"; 3]);
    let mut indexes: Vec<i64> =
        take(&bench, bench.worker).await.iter().map(|callback| callback.order.map_index).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2]);
}

async fn a_callback_that_takes_workers_down_is_given_up(bench: Bench) {
    bench.publish(Dag { tasks: vec![calling("a", 0)], ..dag("d") }).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    let mut worker = bench.worker;
    for tries in 1..=3 {
        assert_eq!(take(&bench, worker).await.remove(0).tries, tries);
        worker = bench.register("worker-1").await;
    }
    assert_eq!(take(&bench, worker).await.len(), 0);
    assert_eq!(rows(&bench).await, ["a success 1 failed"]);
    let listed = bench.store.list_callbacks(run, Some(bench.key_of("a").await), 100).await.unwrap();
    assert!(listed[0].ended_at.is_some(), "{listed:?}");
    bench.assert_sound().await;
}

/// Feeds every legal move to the database behind the store's back.
async fn the_databases_decide_as_the_model_does(bench: Bench) {
    bench.publish(Dag { tasks: vec![calling("t", 0)], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let mut compared = 0;
    for (from, to, actor) in flow_model::moves::legal_moves() {
        for reason in [None, Some("answered"), Some("dagrun_timeout"), Some("marked")] {
            bench.raw.run("delete from callback").await.unwrap();
            // Without callbacks, and so without a trace, to where the move begins.
            if !lead_to(&bench, from).await {
                assert_eq!(from, TaskState::Restarting, "nothing leads there");
                continue;
            }
            bench.raw.run("update task_instance set callbacks = 15").await.unwrap();
            let written = reason.map_or_else(|| "null".to_owned(), |reason| format!("'{reason}'"));
            bench
                .raw
                .run(&format!(
                    "update task_instance set state = '{to}', actor = '{actor}', reason = {written},
                        event_no = event_no + 1, epoch = epoch + 1"
                ))
                .await
                .unwrap();
            let expected: Vec<String> = CallbackEvent::of_task(from, to, actor, reason)
                .iter()
                .map(|event| format!("t {event} 0 pending"))
                .collect();
            assert_eq!(rows(&bench).await, expected, "{from} -> {to} by {actor}: {reason:?}");
            compared += 1;
        }
    }
    assert!(compared > 320);
}

/// Moves the task instance to a state by legal moves, if any lead there.
async fn lead_to(bench: &Bench, wanted: TaskState) -> bool {
    use std::collections::HashMap;
    bench.raw.run("update task_instance set callbacks = 0").await.unwrap();
    let start: TaskState = bench.state_of("t").await.parse().unwrap();
    let moves = flow_model::moves::legal_moves();
    let mut before: HashMap<TaskState, (TaskState, flow_model::moves::Actor)> = HashMap::new();
    let mut reached = vec![start];
    let mut next = 0;
    while next < reached.len() {
        let here = reached[next];
        for (from, to, actor) in moves.iter().filter(|(from, ..)| *from == here) {
            if !reached.contains(to) {
                reached.push(*to);
                before.insert(*to, (*from, *actor));
            }
        }
        next += 1;
    }
    if !reached.contains(&wanted) {
        return false;
    }
    let mut steps = Vec::new();
    let mut state = wanted;
    while state != start {
        let (from, actor) = before[&state];
        steps.push((state, actor));
        state = from;
    }
    for (to, actor) in steps.into_iter().rev() {
        let step = format!(
            "update task_instance set state = '{to}', actor = '{actor}', event_no = event_no + 1, epoch = epoch + 1"
        );
        bench.raw.run(&step).await.unwrap();
    }
    true
}

async fn the_audit_compares_events_and_rows(bench: Bench) {
    for tampering in [
        "delete from callback where task_instance_id is null",
        "delete from callback where event = 'retry'",
        "update callback set event_no = 99 where event = 'retry'",
        "update callback set event = 'skipped' where event = 'success'",
    ] {
        let bench = Bench::new(bench.store.kind()).await;
        let callbacks = Callbacks { on_success: notifiers(), ..Callbacks::default() };
        bench.publish(Dag { tasks: vec![calling("a", 1)], callbacks, ..dag("d") }).await;
        bench.trigger("d", "r").await;
        let order = bench.claim_one().await;
        let retry_at = bench.now() + Duration::from_secs(10);
        bench.report(&order, OutcomeKind::Failed { retry_at }).await;
        bench.pass(10);
        bench.run_to_end(&[]).await;
        assert_eq!(rows(&bench).await, ["a retry 1 pending", "a success 2 pending", "- success 0 pending"]);
        bench.assert_sound().await;
        bench.raw.run(tampering).await.unwrap();
        let report = bench.store.audit(None, bench.now()).await.unwrap();
        assert!(!report.violations.is_empty(), "{tampering}");
        assert!(report.violations.iter().all(|found| found.invariant == "I25"), "{:#?}", report.violations);
    }
}
