//! Migrations, and that every statement is one that its database understands.

use flow_store::{OpenOptions, SchemaStatus, Store, StoreError};

use crate::bench::{Bench, Raw, empty_database};

cases!(migrating_twice, two_migrators_at_once, a_schema_from_the_future_is_refused, every_statement_is_understood);

async fn migrating_twice(bench: Bench) {
    let (url, _folder) = empty_database(bench.store.kind());
    let store = Store::open(&url, OpenOptions::default()).await.unwrap();
    assert!(matches!(store.schema_status().await.unwrap(), SchemaStatus::Older { found: 0, .. }));
    let error = store.require_current_schema().await.unwrap_err();
    assert!(error.to_string().contains("flowctl db migrate"), "{error}");
    assert!(store.migrations().await.unwrap().iter().all(|migration| !migration.is_applied));
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    store.require_current_schema().await.unwrap();
    let migrations = store.migrations().await.unwrap();
    assert!(migrations.len() >= 2 && migrations.iter().all(|migration| migration.is_applied));
    store.ping().await.unwrap();
    assert!(store.now().as_micros() > 1_767_225_600_000_000, "the database's own clock");
    store.close().await;
}

async fn two_migrators_at_once(bench: Bench) {
    let (url, _folder) = empty_database(bench.store.kind());
    let stores = [
        Store::open(&url, OpenOptions::default()).await.unwrap(),
        Store::open(&url, OpenOptions::default()).await.unwrap(),
        Store::open(&url, OpenOptions::default()).await.unwrap(),
    ];
    let [a, b, c] = stores.map(|store| tokio::spawn(async move { store.migrate().await }));
    for result in [a.await, b.await, c.await] {
        result.unwrap().unwrap();
    }
    Store::open(&url, OpenOptions::default()).await.unwrap().require_current_schema().await.unwrap();
}

async fn a_schema_from_the_future_is_refused(bench: Bench) {
    bench
        .raw
        .run(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
              values (999, 'from the future', true, '', 0)",
        )
        .await
        .unwrap();
    assert!(matches!(bench.store.schema_status().await.unwrap(), SchemaStatus::FromTheFuture { found: 999, .. }));
    for result in [bench.store.require_current_schema().await, bench.store.migrate().await] {
        let error = result.unwrap_err();
        assert!(matches!(&error, StoreError::Schema { found: 999, .. }), "{error}");
    }
    assert!(bench.store.migrations().await.unwrap().iter().any(|migration| migration.version == 999));
}

async fn every_statement_is_understood(bench: Bench) {
    let dialect = match &bench.raw {
        Raw::Postgres(_) => "postgres",
        Raw::Sqlite(_) => "sqlite",
    };
    let names = |dialect: &str| {
        let folder = format!("{}/sql/{dialect}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<std::path::PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    let files = names(dialect);
    assert!(files.len() > 40);
    let stem = |path: &std::path::PathBuf| path.file_stem().unwrap().to_owned();
    assert_eq!(
        names("postgres").iter().map(stem).collect::<Vec<_>>(),
        names("sqlite").iter().map(stem).collect::<Vec<_>>()
    );
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let prepare = match &bench.raw {
            Raw::Postgres(_) => format!("prepare {name} as {text}"),
            Raw::Sqlite(_) => format!("explain {text}"),
        };
        if let Err(error) = bench.raw.run(&prepare).await {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
