//! PgBouncer in transaction mode between the store and PostgreSQL: the real one. `FLOW_TEST_PGBOUNCER=1` runs the whole
//! suite through it.

use flow_store::{OpenOptions, Pooling, Store, StoreKind};

use crate::bench::{Bench, migrated_database};
use crate::dags::shaped;

/// Many connections of ours share few of the server's, so that each transaction is on another one than the last.
async fn a_run_from_trigger_to_success(url: String, direct: &str) {
    let bench = Bench::over(url.clone(), direct, None).await;
    assert!(bench.store.is_pooled());
    let other = Store::open(&url, OpenOptions::default()).await.unwrap();
    bench.publish(shaped("d", &["a", "b < a", "c < a", "d < b c"])).await;
    for number in 0..5 {
        bench.trigger("d", &format!("run {number}")).await;
        let reading = (0..20).map(|_| {
            let store = other.clone();
            tokio::spawn(async move {
                store.check_writes().await.unwrap();
                store.audit(None, store.now()).await.unwrap();
            })
        });
        let reading = reading.collect::<Vec<_>>();
        bench.run_to_end(&[]).await;
        for read in reading {
            read.await.unwrap();
        }
    }
    bench.assert_sound().await;
    assert_eq!(bench.raw.number("select count(*) from task_instance where state = 'success'").await, 20);
}

#[tokio::test]
async fn a_pooler_that_refuses_the_options_of_a_session_is_found_out() {
    let (direct, _) = migrated_database(StoreKind::Postgres).await;
    a_run_from_trigger_to_success(flow_testbed::shared_pgbouncer().url(&direct), &direct).await;
}

#[tokio::test]
async fn a_pooler_that_ignores_the_options_of_a_session_is_found_out() {
    let (direct, _) = migrated_database(StoreKind::Postgres).await;
    let settings = "ignore_startup_parameters = extra_float_digits,options";
    let bouncer = flow_testbed::PgBouncer::start(flow_testbed::shared_postgres(), settings).unwrap();
    a_run_from_trigger_to_success(bouncer.url(&direct), &direct).await;
}

#[tokio::test]
async fn a_database_is_migrated_through_a_pooler_by_several_at_once() {
    let direct = flow_testbed::shared_postgres().create_database().unwrap();
    let url = flow_testbed::shared_pgbouncer().url(&direct);
    let migrating = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = Store::open(&url, OpenOptions::default()).await.unwrap();
            store.migrate().await.unwrap();
            store.require_current_schema().await.unwrap();
        })
    });
    for migrated in migrating.collect::<Vec<_>>() {
        migrated.await.unwrap();
    }
    let store = Store::open(&direct, OpenOptions::default()).await.unwrap();
    assert!(!store.is_pooled());
    store.require_current_schema().await.unwrap();
}

#[tokio::test]
async fn a_pooler_may_be_named_or_denied() {
    let (direct, _) = migrated_database(StoreKind::Postgres).await;
    let open = |url: String, pooling| async move {
        Store::open(&url, OpenOptions { pooling, ..OpenOptions::default() }).await
    };
    assert!(open(direct.clone(), Pooling::Transaction).await.unwrap().is_pooled());
    assert!(!open(direct.clone(), Pooling::Session).await.unwrap().is_pooled());
    let url = flow_testbed::shared_pgbouncer().url(&direct);
    let error = open(url, Pooling::Session).await.err().unwrap();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("startup parameter"), "{cause}");
}
