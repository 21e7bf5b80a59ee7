//! T11: what becomes of the task instances of a worker that is gone.

use std::time::Duration;

use flow_model::{Dag, TaskState};
use flow_store::{Heartbeat, OutcomeKind, Recorded};

use crate::bench::{Bench, LEASE, new_worker};
use crate::dags::{dag, shaped, task};

cases!(
    a_lease_runs_out,
    a_heartbeat_keeps_the_lease,
    a_successor_rescues_at_once,
    a_process_that_ends_gives_up_what_it_holds,
    a_loss_costs_no_try,
    the_fourth_loss_is_poison,
    at_most_once_is_never_rerun,
    orphans_of_a_crash_between_two_transactions_are_found,
);

async fn a_lease_runs_out(bench: Bench) {
    bench.publish(shaped("d", &["a", "b"])).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    assert_eq!(orders.len(), 2);
    bench.pass(36);
    let other = bench.register("worker-2").await;
    let rescued = bench.store.rescue_lost(bench.now(), bench.now() - Duration::from_secs(5), "s").await.unwrap();
    assert_eq!(rescued.len(), 2, "{rescued:?}");
    assert!(rescued.iter().all(|lost| lost.state == TaskState::Scheduled));
    let again = bench.store.rescue_lost(bench.now(), bench.now() - Duration::from_secs(5), "s").await.unwrap();
    assert_eq!(again, []);
    assert!(bench.field("a", "epoch").await > orders[0].epoch.0);
    assert_eq!(bench.report(&orders[0], OutcomeKind::Success).await, Recorded::Fenced);
    assert_eq!(bench.store.heartbeat(bench.now(), bench.worker, LEASE).await.unwrap(), Heartbeat::Dead);
    // The first rerun waits for a second.
    assert_eq!(bench.settle().await, 0);
    bench.pass(1);
    assert_eq!(bench.settle().await, 2);
    let mut bench = bench;
    bench.worker = other;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn a_heartbeat_keeps_the_lease(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    for _ in 0..10 {
        bench.pass(10);
        bench.store.heartbeat(bench.now(), bench.worker, LEASE).await.unwrap();
        assert_eq!(bench.store.rescue_lost(bench.now(), bench.now(), "s").await.unwrap(), []);
    }
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::Applied);
}

async fn a_successor_rescues_at_once(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    let (successor, rescued) = bench.store.register_process(bench.now(), &new_worker("worker-1")).await.unwrap();
    assert_ne!(successor, bench.worker);
    assert_eq!(rescued.len(), 1);
    assert_eq!((rescued[0].task_instance, rescued[0].state), (order.task_instance, TaskState::Scheduled));
    assert_eq!((bench.field("a", "lost_count").await, bench.field("a", "max_tries").await), (1, 1));
    assert_eq!(bench.store.heartbeat(bench.now(), bench.worker, LEASE).await.unwrap(), Heartbeat::Dead);
    assert_eq!(bench.raw.number("select count(*) from process where state = 'live'").await, 1);
    bench.assert_sound().await;
}

async fn a_process_that_ends_gives_up_what_it_holds(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    bench.trigger("d", "r").await;
    bench.claim_one().await;
    let rescued = bench.store.retire_process(bench.now(), bench.worker).await.unwrap();
    assert_eq!(rescued.len(), 1);
    assert_eq!(bench.state_of("a").await, "scheduled");
    assert_eq!(bench.store.retire_process(bench.now(), bench.worker).await.unwrap(), []);
}

/// Loses the only task `times` times, each time to a successor of the worker.
async fn lose(bench: &mut Bench, times: u32) {
    for _ in 0..times {
        bench.pass(60);
        bench.claim_one().await;
        bench.worker = bench.register("worker-1").await;
    }
}

async fn a_loss_costs_no_try(mut bench: Bench) {
    let mut retried = task("t", &[]);
    retried.retry.retries = 1;
    bench.publish(Dag { tasks: vec![retried], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    lose(&mut bench, 2).await;
    bench.pass(60);
    let order = bench.claim_one().await;
    assert_eq!((order.try_number, order.max_tries), (3, 3));
    bench.report(&order, OutcomeKind::Failed { retry_at: bench.now() + Duration::from_secs(10) }).await;
    bench.pass(10);
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Failed { retry_at: bench.now() }).await;
    assert_eq!(bench.state_of("t").await, "failed");
    bench.settle().await;
    bench.assert_sound().await;
}

async fn the_fourth_loss_is_poison(mut bench: Bench) {
    bench.publish(shaped("d", &["t"])).await;
    bench.trigger("d", "r").await;
    lose(&mut bench, 3).await;
    assert_eq!(bench.state_of("t").await, "scheduled");
    lose(&mut bench, 1).await;
    assert_eq!(bench.raw.texts("select state || ' ' || reason from task_instance").await, ["failed poison"]);
    bench.settle().await;
    assert_eq!(bench.raw.texts("select state from dag_run").await, ["failed"]);
    bench.assert_sound().await;
}

async fn at_most_once_is_never_rerun(mut bench: Bench) {
    let mut once = task("t", &[]);
    once.at_most_once = true;
    once.retry.retries = 3;
    bench.publish(Dag { tasks: vec![once], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    lose(&mut bench, 1).await;
    assert_eq!(bench.raw.texts("select state || ' ' || reason from task_instance").await, ["failed outcome_unknown"]);
    bench.settle().await;
    bench.assert_sound().await;
}

async fn orphans_of_a_crash_between_two_transactions_are_found(bench: Bench) {
    bench.publish(shaped("d", &["t"])).await;
    bench.trigger("d", "r").await;
    bench.claim_one().await;
    bench.raw.run("update process set state = 'dead'").await.unwrap();
    let rescued = bench.store.rescue_lost(bench.now(), bench.now() - LEASE, "s").await.unwrap();
    assert_eq!(rescued.len(), 1);
    assert_eq!(bench.state_of("t").await, "scheduled");
}
