//! Connections that break, and disks that are full: nothing of it lasts longer than its cause.

use std::time::Duration;

use flow_store::{Heartbeat, OpenOptions, Store, StoreError, StoreKind};
use sqlx::Connection;

use crate::bench::{Bench, migrated_database, new_run, new_worker};
use crate::dags::shaped;

cases!(writes_are_probed_and_leave_nothing, a_probe_fails_where_nothing_can_be_written,);

async fn writes_are_probed_and_leave_nothing(bench: Bench) {
    for _ in 0..3 {
        bench.store.check_writes().await.unwrap();
    }
    assert_eq!(bench.raw.number("select count(*) from import_error").await, 0);
}

async fn a_probe_fails_where_nothing_can_be_written(bench: Bench) {
    bench.store.ping().await.unwrap();
    match bench.store.kind() {
        StoreKind::Sqlite => {
            refuse_writes(&bench, "import_error").await;
            bench.store.check_writes().await.unwrap_err();
            bench.store.ping().await.unwrap();
            allow_writes(&bench, "import_error").await;
        }
        StoreKind::Postgres => {
            // As after a failover that has left us on a standby.
            let name = bench.url.rsplit('/').next().unwrap();
            let set = |value| format!("alter database {name} set default_transaction_read_only = {value}");
            let server = flow_testbed::shared_postgres();
            server.sql(&set("on")).unwrap();
            let reopened = Store::open(&server.url(name), OpenOptions::default()).await.unwrap();
            let error = reopened.check_writes().await.unwrap_err();
            assert!(error.is_transient(), "{error:?}");
            reopened.ping().await.unwrap();
            reopened.close().await;
            server.sql(&set("off")).unwrap();
        }
    }
    bench.store.check_writes().await.unwrap();
}

/// Makes SQLite end each transaction that writes to a table, as it does by itself when the disk is full: what the driver
/// believes of its connection is wrong afterwards.
async fn refuse_writes(bench: &Bench, table: &str) {
    let trigger =
        format!("create trigger refuse_{table} before insert on {table} begin select raise(rollback, 'no room'); end");
    bench.raw.run(&trigger).await.unwrap();
}

async fn allow_writes(bench: &Bench, table: &str) {
    bench.raw.run(&format!("drop trigger refuse_{table}")).await.unwrap();
}

#[tokio::test]
async fn writes_resume_when_sqlite_has_ended_a_transaction_by_itself() {
    let bench = Bench::new(StoreKind::Sqlite).await;
    bench.publish(shaped("d", &["a"])).await;
    refuse_writes(&bench, "dag_run").await;
    for attempt in 0..3 {
        let run = new_run("d", &format!("refused {attempt}"), bench.now());
        let error = bench.store.create_run(bench.now(), &run).await.unwrap_err();
        let StoreError::Database { source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains("no room"), "the cause is named each time: {source}");
    }
    allow_writes(&bench, "dag_run").await;
    bench.trigger("d", "first").await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["first a success"]);
}

#[tokio::test]
async fn a_snapshot_that_broke_does_not_stay_open() {
    let bench = Bench::new(StoreKind::Sqlite).await;
    bench.publish(shaped("d", &["a"])).await;
    bench.raw.run("alter table dag_run rename to hidden").await.unwrap();
    for _ in 0..8 {
        bench.store.audit(None, bench.now()).await.unwrap_err();
    }
    bench.raw.run("alter table hidden rename to dag_run").await.unwrap();
    bench.trigger("d", "first").await;
    // A connection that still held the old snapshot would not see the run.
    for _ in 0..8 {
        assert_eq!(bench.store.audit(None, bench.now()).await.unwrap().runs, 1);
    }
}

/// Uses all connections of both pools at once.
async fn use_everything(store: &Store) {
    let uses = (0..16_u32).map(|number| {
        let store = store.clone();
        tokio::spawn(
            async move { if number.is_multiple_of(2) { store.ping().await } else { store.check_writes().await } },
        )
    });
    for used in uses.collect::<Vec<_>>() {
        used.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_restart_of_the_database_reaches_nobody() {
    let server = flow_testbed::Postgres::start().unwrap();
    let url = server.create_database().unwrap();
    let store = Store::open(&url, OpenOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    for _ in 0..3 {
        use_everything(&store).await;
        server.stop_immediate().unwrap();
        server.start_again().unwrap();
        use_everything(&store).await;
    }
    // While it is away, requests wait for it.
    server.stop_immediate().unwrap();
    let asked = tokio::spawn({
        let store = store.clone();
        async move { use_everything(&store).await }
    });
    let _running = tokio::task::spawn_blocking(move || {
        server.start_again().unwrap();
        server
    })
    .await
    .unwrap();
    asked.await.unwrap();
}

/// Its acquire timeout is shorter than the outage, so that attempts fail.
#[tokio::test]
async fn a_role_that_starts_during_an_outage_registers_after_it() {
    let server = flow_testbed::Postgres::start().unwrap();
    let url = server.create_database().unwrap();
    let options = OpenOptions { acquire_timeout: Duration::from_millis(500), ..OpenOptions::default() };
    let store = Store::open(&url, options).await.unwrap();
    store.migrate().await.unwrap();
    server.stop_immediate().unwrap();
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let registering = tokio::spawn({
        let store = store.clone();
        async move {
            let on_failure = |error: &StoreError| failed.send(error.is_transient()).unwrap();
            store.register_process_patiently(&new_worker("worker-1"), on_failure).await
        }
    });
    assert_eq!(failures.recv().await, Some(true));
    let _running = tokio::task::spawn_blocking(move || {
        server.start_again().unwrap();
        server
    })
    .await
    .unwrap();
    let (process, rescued) = registering.await.unwrap().unwrap();
    assert_eq!(rescued, []);
    let heartbeat = store.heartbeat(store.now(), process, Duration::from_secs(30)).await.unwrap();
    assert!(matches!(heartbeat, Heartbeat::Alive { .. }), "{heartbeat:?}");
}

#[tokio::test]
async fn connections_that_were_cut_reach_nobody() {
    let (url, _) = migrated_database(StoreKind::Postgres).await;
    let options = OpenOptions { application_name: "to be cut".to_owned(), ..OpenOptions::default() };
    let store = Store::open(&url, options).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    for _ in 0..5 {
        use_everything(&store).await;
        let cut = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
                   where application_name = 'to be cut'";
        let cut: i64 = sqlx::query_scalar(cut).fetch_one(&mut other).await.unwrap();
        assert!(cut > 2, "{cut}");
        use_everything(&store).await;
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_in_a_transaction_leaves_nothing_behind() {
    for kind in [StoreKind::Sqlite, StoreKind::Postgres] {
        let bench = Bench::new(kind).await;
        bench.publish(shaped("d", &["a"])).await;
        for micros in 0..200 {
            let run = new_run("d", &format!("given up {micros}"), bench.now());
            let _ = tokio::time::timeout(Duration::from_micros(micros * 20), bench.store.create_run(bench.now(), &run))
                .await;
        }
        bench.trigger("d", "last").await;
        bench.assert_sound().await;
    }
}
