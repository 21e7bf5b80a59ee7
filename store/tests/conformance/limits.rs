//! Pools, `max_active_tasks`, `max_active_runs`, priorities.

use flow_model::Dag;
use flow_store::{OutcomeKind, StoreError};

use crate::bench::{Bench, task_id};
use crate::dags::{dag, shaped, task};

cases!(
    a_pool_is_never_overfull,
    an_unlimited_pool,
    large_tasks_do_not_hold_up_small_ones,
    max_active_tasks_is_over_all_runs,
    max_active_runs_start_in_order,
    the_most_important_is_claimed_first,
    nothing_of_a_paused_dag_is_queued,
    a_pool_can_be_changed,
);

async fn a_pool_is_never_overfull(bench: Bench) {
    bench.store.set_pool(bench.now(), "narrow", 3, Some("a test"), "someone").await.unwrap();
    for dag_id in ["one", "two"] {
        let tasks = (0..6)
            .map(|n| flow_model::Task { pool: "narrow".into(), pool_slots: 1 + n % 2, ..task(&format!("t{n}"), &[]) })
            .collect();
        bench.publish(Dag { tasks, ..dag(dag_id) }).await;
        bench.trigger(dag_id, "r").await;
    }
    let mut done = 0;
    while done < 12 {
        bench.settle().await;
        let pool = bench.store.pools_in_use().await.unwrap().into_iter().find(|pool| pool.name == "narrow").unwrap();
        assert!(pool.running_slots + pool.queued_slots <= 3, "{pool:?}");
        let orders = bench.claim_all().await;
        assert!(!orders.is_empty(), "stuck after {done}: {:?}", bench.states().await);
        let pool = bench.store.pools_in_use().await.unwrap().into_iter().find(|pool| pool.name == "narrow").unwrap();
        assert!(pool.running_slots <= 3 && pool.queued_slots == 0, "{pool:?}");
        for order in orders {
            bench.report(&order, OutcomeKind::Success).await;
            done += 1;
        }
    }
    bench.settle().await;
    bench.assert_sound().await;
}

async fn an_unlimited_pool(bench: Bench) {
    bench.store.set_pool(bench.now(), "endless", -1, None, "someone").await.unwrap();
    let tasks =
        (0..200).map(|n| flow_model::Task { pool: "endless".into(), ..task(&format!("t{n:03}"), &[]) }).collect();
    bench.publish(Dag { tasks, max_active_tasks: 1_000, ..dag("d") }).await;
    bench.trigger("d", "r").await;
    assert_eq!(bench.settle().await, 200);
}

async fn large_tasks_do_not_hold_up_small_ones(bench: Bench) {
    bench.store.set_pool(bench.now(), "p", 2, None, "someone").await.unwrap();
    let mut tasks: Vec<flow_model::Task> = (0..5)
        .map(|n| flow_model::Task {
            pool: "p".into(),
            pool_slots: 3,
            priority_weight: 100,
            ..task(&format!("huge{n}"), &[])
        })
        .collect();
    tasks.push(flow_model::Task { pool: "p".into(), ..task("small", &[]) });
    bench.publish(Dag { tasks, ..dag("d") }).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    assert_eq!(task_id(&order), "small");
}

async fn max_active_tasks_is_over_all_runs(bench: Bench) {
    bench.publish(Dag { max_active_tasks: 3, ..shaped("d", &["a", "b"]) }).await;
    for run in ["r1", "r2", "r3"] {
        bench.trigger("d", run).await;
    }
    assert_eq!(bench.settle().await, 3);
    let orders = bench.claim_all().await;
    assert_eq!(bench.settle().await, 0);
    bench.report(&orders[0], OutcomeKind::Success).await;
    assert_eq!(bench.settle().await, 1);
    bench.report(&orders[1], OutcomeKind::Success).await;
    bench.report(&orders[2], OutcomeKind::Success).await;
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn max_active_runs_start_in_order(bench: Bench) {
    bench.publish(Dag { max_active_runs: 2, ..shaped("d", &["a"]) }).await;
    for run in ["r1", "r2", "r3", "r4"] {
        bench.trigger("d", run).await;
    }
    bench.settle().await;
    let states = "select run_id || ' ' || state from dag_run order by id";
    assert_eq!(bench.raw.texts(states).await, ["r1 running", "r2 running", "r3 queued", "r4 queued"]);
    let orders = bench.claim_all().await;
    bench.report(&orders[1], OutcomeKind::Success).await;
    bench.settle().await;
    assert_eq!(bench.raw.texts(states).await.iter().filter(|state| state.ends_with("running")).count(), 2);
    bench.report(&orders[0], OutcomeKind::Success).await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.raw.texts(states).await, ["r1 success", "r2 success", "r3 success", "r4 success"]);
    bench.assert_sound().await;
}

async fn the_most_important_is_claimed_first(bench: Bench) {
    let tasks = [("low", 1), ("high", 9), ("middle", 5)]
        .map(|(id, weight)| flow_model::Task { priority_weight: weight, ..task(id, &[]) });
    bench.publish(Dag { tasks: tasks.to_vec(), ..dag("d") }).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let mut claimed = Vec::new();
    for _ in 0..3 {
        claimed.push(task_id(&bench.claim_some(1).await[0]).to_owned());
    }
    assert_eq!(claimed, ["high", "middle", "low"]);
    assert_eq!(bench.store.queued_hints(&["other".to_owned()], 10).await.unwrap(), []);
}

async fn nothing_of_a_paused_dag_is_queued(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    bench.store.set_dag_paused(bench.now(), "d", true, "someone").await.unwrap();
    bench.report(&order, OutcomeKind::Success).await;
    assert_eq!(bench.settle().await, 0);
    assert_eq!(bench.state_of("b").await, "scheduled");
    bench.store.set_dag_paused(bench.now(), "d", false, "someone").await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
}

async fn a_pool_can_be_changed(bench: Bench) {
    let unusable = bench.store.set_pool(bench.now(), "p", -2, None, "someone").await;
    assert!(matches!(unusable, Err(StoreError::Conflict(_))));
    bench.store.set_pool(bench.now(), "p", 2, Some("words"), "someone").await.unwrap();
    bench.store.set_pool(bench.now(), "p", 5, None, "someone").await.unwrap();
    let pools = bench.store.pools_in_use().await.unwrap();
    let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["default_pool", "p"]);
    assert_eq!((pools[1].slots, pools[1].description.as_deref()), (5, Some("words")));
    assert_eq!(bench.raw.number("select count(*) from audit_log where action = 'set_pool'").await, 2);
}
