//! The outbox, and finding what the queue has forgotten.

use std::time::Duration;

use flow_store::AdvanceLimits;

use crate::bench::{Bench, limits};
use crate::dags::shaped;

cases!(the_outbox_is_filled_and_forgotten, what_is_queued_for_long_is_found);

async fn the_outbox_is_filled_and_forgotten(bench: Bench) {
    bench.publish(shaped("d", &["a", "b", "c"])).await;
    bench.trigger("d", "r").await;
    bench.check_dags().await;
    let limits = AdvanceLimits { use_outbox: true, ..limits() };
    let advanced = bench.store.advance(bench.now(), &limits, flow_model::decide::decide_tick).await.unwrap();
    assert_eq!(advanced.queued.len(), 3);
    let ids: Vec<i64> = advanced.queued.iter().filter_map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(bench.store.stale_outbox(bench.now(), 10).await.unwrap(), []);
    bench.pass(1);
    let stale = bench.store.stale_outbox(bench.now(), 10).await.unwrap();
    assert_eq!(stale, advanced.queued);
    assert_eq!(bench.store.stale_outbox(bench.now(), 2).await.unwrap().len(), 2);
    bench.store.forget_outbox(&ids[..2]).await.unwrap();
    assert_eq!(bench.store.stale_outbox(bench.now(), 10).await.unwrap(), advanced.queued[2..]);
    bench.store.forget_outbox(&ids).await.unwrap();
    bench.store.forget_outbox(&[]).await.unwrap();
    assert_eq!(bench.store.stale_outbox(bench.now(), 10).await.unwrap(), []);
}

async fn what_is_queued_for_long_is_found(bench: Bench) {
    bench.publish(shaped("d", &["a", "b"])).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    assert_eq!(bench.store.long_queued(bench.now(), 10).await.unwrap(), []);
    bench.pass(10);
    let before = bench.now() - Duration::from_secs(5);
    let found = bench.store.long_queued(before, 10).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|entry| entry.id.is_none() && entry.queue == "default"));
    assert!(found[0].task_instance < found[1].task_instance);
    bench.claim_some(1).await;
    assert_eq!(bench.store.long_queued(before, 10).await.unwrap().len(), 1);
}
