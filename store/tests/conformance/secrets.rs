//! Variables and connections: what is kept is what was given, and nothing reads it but its owner.

use flow_store::read::Page;
use flow_store::{SealedRow, StoredConnection, StoredVariable};

use crate::bench::Bench;

cases!(
    variables_are_set_listed_and_deleted,
    connections_are_set_listed_and_deleted,
    a_change_of_keys_does_not_undo_a_change_of_values,
);

fn variable(key: &str, sealed: &str) -> StoredVariable {
    StoredVariable {
        key: key.to_owned(),
        sealed: sealed.to_owned(),
        is_secret: false,
        description: None,
        updated_at: 0,
    }
}

async fn variables_are_set_listed_and_deleted(bench: Bench) {
    let store = &bench.store;
    let first = StoredVariable { description: Some("where".to_owned()), ..variable("region", "v1:a:x") };
    store.set_variable(bench.now(), &first, "ada").await.unwrap();
    bench.pass(10);
    let second = StoredVariable { is_secret: true, ..variable("region", "v1:a:y") };
    store.set_variable(bench.now(), &second, "ada").await.unwrap();
    let found = store.stored_variable("region").await.unwrap().unwrap();
    let expected =
        StoredVariable { description: Some("where".to_owned()), updated_at: bench.now().as_micros(), ..second };
    assert_eq!(found, expected);
    for key in ["100%", "a_b", "axb", "Region_2"] {
        store.set_variable(bench.now(), &variable(key, "v1:a:z"), "ada").await.unwrap();
    }
    let keys = async |part: &str, page| {
        let (found, total) = store.list_variables(part, page).await.unwrap();
        (found.into_iter().map(|variable| variable.key).collect::<Vec<_>>(), total)
    };
    // What means something to `like` stands for itself.
    assert_eq!(keys("a_b", Page::first(10)).await, (vec!["a_b".to_owned()], 1));
    assert_eq!(keys("%", Page::first(10)).await, (vec!["100%".to_owned()], 1));
    let (mut found, total) = keys("REGION", Page::first(10)).await;
    found.sort();
    assert_eq!((found, total), (vec!["Region_2".to_owned(), "region".to_owned()], 2));
    let (page, total) = keys("", Page::new(2, 1, 10)).await;
    assert_eq!((page.len(), total), (2, 5));
    assert!(store.delete_variable(bench.now(), "region", "ada").await.unwrap());
    assert!(!store.delete_variable(bench.now(), "region", "ada").await.unwrap());
    assert_eq!(store.stored_variable("region").await.unwrap(), None);
    let log =
        bench.raw.texts("select action || ' ' || object from audit_log where object = 'region' order by id").await;
    assert_eq!(log, ["set_variable region", "set_variable region", "delete_variable region"]);
}

async fn connections_are_set_listed_and_deleted(bench: Bench) {
    let store = &bench.store;
    let connection = StoredConnection {
        conn_id: "warehouse".to_owned(),
        conn_type: "postgres".to_owned(),
        sealed: "v1:a:x".to_owned(),
        description: None,
        updated_at: 0,
    };
    store.set_connection(bench.now(), &connection, "ada").await.unwrap();
    let changed =
        StoredConnection { conn_type: "mysql".to_owned(), description: Some("d".to_owned()), ..connection.clone() };
    store.set_connection(bench.now(), &changed, "ada").await.unwrap();
    let found = store.stored_connection("warehouse").await.unwrap().unwrap();
    assert_eq!(found, StoredConnection { updated_at: bench.now().as_micros(), ..changed });
    assert_eq!(store.list_connections("HOUSE", Page::first(10)).await.unwrap(), (vec![found], 1));
    assert_eq!(store.list_connections("_", Page::first(10)).await.unwrap(), (Vec::new(), 0));
    assert!(store.delete_connection(bench.now(), "warehouse", "ada").await.unwrap());
    assert!(!store.delete_connection(bench.now(), "warehouse", "ada").await.unwrap());
    assert_eq!(store.stored_connection("warehouse").await.unwrap(), None);
}

async fn a_change_of_keys_does_not_undo_a_change_of_values(bench: Bench) {
    let store = &bench.store;
    store.set_variable(bench.now(), &variable("a", "v1:old:1"), "ada").await.unwrap();
    let rows = store.sealed_rows().await.unwrap();
    let row = SealedRow { kind: "variable".to_owned(), name: "a".to_owned(), sealed: "v1:old:1".to_owned() };
    assert_eq!(rows, std::slice::from_ref(&row));
    // Somebody sets it while the keys are changed.
    store.set_variable(bench.now(), &variable("a", "v1:new:2"), "ada").await.unwrap();
    assert!(!store.reseal(&row, "v1:new:1").await.unwrap());
    assert_eq!(store.stored_variable("a").await.unwrap().unwrap().sealed, "v1:new:2");
    let row = SealedRow { sealed: "v1:new:2".to_owned(), ..row };
    assert!(store.reseal(&row, "v1:newer:2").await.unwrap());
    assert_eq!(store.stored_variable("a").await.unwrap().unwrap().sealed, "v1:newer:2");
}
