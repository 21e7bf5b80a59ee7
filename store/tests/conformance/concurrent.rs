//! Several schedulers, workers and people at once: whatever the interleaving, the history keeps the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow_model::dag::TaskGroup;
use flow_store::{
    ClaimRequest, ClearRequest, Mark, MarkRequest, OpenOptions, OutcomeKind, Recorded, Selection, Store, StoreError,
};

use crate::bench::{Bench, LEASE, limits, new_run, new_worker, outcome};
use crate::mapping::{numbers, over};
use crate::world::{DAGS, Random, world_dag};

cases!(many_hands_keep_the_protocol, a_task_is_claimed_by_one, failures_at_the_same_time_start_each_group_again,);

/// Conflicts are tried again inside the store; what comes out is an error that a caller would see.
fn fine<T>(result: Result<T, StoreError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(StoreError::Conflict(_) | StoreError::NotFound { .. }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

async fn scheduler(store: Store, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let now = store.now();
        fine(store.check_due_dags(now, 100, "s", flow_model::decide::decide_dag).await);
        fine(store.advance(now, &limits(), flow_model::decide::decide_tick).await);
        fine(store.time_out_runs(now, "s").await);
        fine(store.rescue_lost(now, now - Duration::from_secs(5), "s").await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn worker(store: Store, stop: Arc<AtomicBool>, slot: String, seed: u64) {
    let mut random = Random(seed);
    let mut process = fine(store.register_process(store.now(), &new_worker(&slot)).await).unwrap().0;
    while !stop.load(Ordering::SeqCst) {
        if random.below(40) == 0 {
            process = fine(store.register_process(store.now(), &new_worker(&slot)).await).unwrap().0;
        }
        fine(store.heartbeat(store.now(), process, LEASE).await);
        let hints = fine(store.queued_hints(&["default".to_owned()], 4).await).unwrap();
        let requests: Vec<ClaimRequest> = hints
            .into_iter()
            .map(|(task_instance, epoch)| ClaimRequest {
                task_instance,
                epoch,
                claim: flow_model::ClaimId((random.next() >> 2) as i64),
            })
            .collect();
        let orders = fine(store.claim(store.now(), process, &requests).await).unwrap();
        tokio::time::sleep(Duration::from_millis(random.below(6))).await;
        let now = store.now();
        let outcomes: Vec<_> = orders
            .iter()
            .map(|order| {
                let kind = match random.below(8) {
                    0 => OutcomeKind::Failed { retry_at: now + Duration::from_secs(10) },
                    1 => OutcomeKind::Skipped,
                    2 => OutcomeKind::Released,
                    _ => OutcomeKind::Success,
                };
                outcome(order, kind, now)
            })
            .collect();
        if !outcomes.is_empty() {
            fine(store.record_outcomes(now, process, &outcomes).await);
        }
    }
}

async fn person(store: Store, stop: Arc<AtomicBool>, seed: u64) {
    let mut random = Random(seed);
    let mut runs = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let now = store.now();
        let dag_id = DAGS[random.below(4) as usize];
        let run_id = format!("{seed}-{}", runs.len());
        runs.extend(fine(store.create_run(now, &new_run(dag_id, &run_id, now)).await).map(|run| run.key));
        let run = runs[random.below(runs.len() as u64) as usize];
        let principal = "someone".to_owned();
        let tasks = Selection::default();
        match random.below(6) {
            0 => drop(fine(store.cancel_run(now, run, "someone").await)),
            1 => {
                let request = ClearRequest { run, tasks, only_failed: random.below(2) == 0, principal };
                fine(store.clear_tasks(now, &request, false).await);
            }
            2 => {
                let tasks = Selection { task_ids: vec!["a".to_owned()], ..tasks };
                let to = [Mark::Success, Mark::Failed][random.below(2) as usize];
                fine(store.mark_tasks(now, &MarkRequest { run, tasks, to, principal }, false).await);
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

async fn many_hands_keep_the_protocol(mut bench: Bench) {
    bench.store.set_pool(bench.now(), "narrow", 4, None, "someone").await.unwrap();
    for (which, _) in DAGS.iter().enumerate() {
        bench.publish(world_dag(which, 0)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    // Two processes with the same database.
    let options = OpenOptions { clock: Some(bench.clock.clone()), ..OpenOptions::default() };
    let other = Store::open(&bench.url, options).await.unwrap();
    let mut turn = 0;
    let mut store = || {
        turn += 1;
        if turn % 2 == 0 { other.clone() } else { bench.store.clone() }
    };
    let mut hands = Vec::new();
    for n in 0..2 {
        hands.push(tokio::spawn(scheduler(store(), Arc::clone(&stop))));
        hands.push(tokio::spawn(person(store(), Arc::clone(&stop), n)));
    }
    for n in 0..3 {
        hands.push(tokio::spawn(worker(store(), Arc::clone(&stop), format!("hand-{n}"), 100 + n)));
    }
    let events = "select count(*) from task_instance_event";
    for round in 0..600 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        bench.pass(1);
        if round > 100 && round % 20 == 0 && bench.raw.number(events).await > 1_000 {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    for hand in hands {
        hand.await.unwrap();
    }
    assert!(bench.raw.number(events).await > 200);
    // What a registration raced with, the next rescue finds.
    let now = bench.now();
    bench.store.rescue_lost(now, now + Duration::from_secs(3_600), "s").await.unwrap();
    bench.worker = bench.register("worker-1").await;
    bench.store.retire_dags(bench.now(), &["clock.toml".to_owned()]).await.unwrap();
    for _ in 0..20 {
        bench.pass(30);
        bench.run_to_end(&[]).await;
    }
    let open = "select count(*) from dag_run where state in ('queued', 'running') and dag_id <> 'past'";
    assert_eq!(bench.raw.number(open).await, 0, "{:#?}", bench.states().await);
    bench.assert_sound().await;
}

async fn a_task_is_claimed_by_one(bench: Bench) {
    bench.publish(crate::dags::shaped("d", &["a", "b", "c", "d", "e"])).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let hints = bench.store.queued_hints(&["default".to_owned()], 10).await.unwrap();
    let mut claims = Vec::new();
    for n in 0..4_i64 {
        let (store, worker, now, hints) = (bench.store.clone(), bench.worker, bench.now(), hints.clone());
        claims.push(tokio::spawn(async move {
            let requests: Vec<ClaimRequest> = hints
                .into_iter()
                .map(|(task_instance, epoch)| ClaimRequest {
                    task_instance,
                    epoch,
                    claim: flow_model::ClaimId(n * 100 + task_instance.0),
                })
                .collect();
            store.claim(now, worker, &requests).await.unwrap()
        }));
    }
    let mut orders = Vec::new();
    for claim in claims {
        orders.extend(claim.await.unwrap());
    }
    assert_eq!(orders.len(), 5);
    for order in &orders {
        assert_eq!(bench.report(order, OutcomeKind::Success).await, Recorded::Applied);
    }
    bench.settle().await;
    bench.assert_sound().await;
}

/// A mapped group of which every instance fails while a scheduler is at work: each starts again, also those whose failure is
/// recorded in the middle of a tick that lets others start again.
async fn failures_at_the_same_time_start_each_group_again(bench: Bench) {
    const INSTANCES: i64 = 60;
    let mut dag = crate::dags::shaped("d", &["g.work"]);
    dag.groups = vec![TaskGroup {
        group_id: "g".to_owned(),
        retries: 1,
        retry_delay: Some(Duration::from_secs(3_600)),
        expand: over(numbers(INSTANCES)),
        ..TaskGroup::default()
    }];
    (dag.tasks[0].group, dag.max_active_tasks) = (Some("g".to_owned()), 1_000);
    bench.publish(dag).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    assert_eq!(orders.len() as i64, INSTANCES);
    let stop = Arc::new(AtomicBool::new(false));
    let scheduler = tokio::spawn(scheduler(bench.store.clone(), Arc::clone(&stop)));
    for order in &orders {
        assert_eq!(bench.report(order, OutcomeKind::FailedForGood).await, Recorded::Applied);
    }
    stop.store(true, Ordering::SeqCst);
    scheduler.await.unwrap();
    bench.settle().await;
    assert_eq!(bench.raw.number("select count(*) from task_instance where state = 'failed'").await, 0);
    assert_eq!(bench.raw.number("select count(*) from group_try where tries = 1").await, INSTANCES);
    bench.assert_sound().await;
}
