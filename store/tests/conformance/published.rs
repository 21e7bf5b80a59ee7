//! Files that are published with a DAG's version.

use std::collections::HashMap;

use flow_store::StoreError;

use crate::bench::Bench;
use crate::dags::{new_version, shaped};

cases!(files_come_by_their_hashes, files_of_two_dags_are_kept_once);

/// Stands for the hash of a content: the store takes it as it is given.
fn hash(number: usize) -> String {
    format!("{number:064x}")
}

async fn publish(bench: &Bench, dag_id: &str, files: &[(String, Vec<u8>)]) {
    let new = flow_store::NewDagVersion { files: files.to_vec(), ..new_version(shaped(dag_id, &["a"])) };
    bench.store.publish_dags(bench.now(), &[new], false).await.unwrap();
}

async fn files_come_by_their_hashes(bench: Bench) {
    // As many as a DAG may have, and bytes that are no text.
    let files: Vec<(String, Vec<u8>)> =
        (0..1_000).map(|number| (hash(number), format!("{number}\0\u{ff}'").into_bytes())).collect();
    publish(&bench, "d", &files).await;
    let all: Vec<&str> = files.iter().map(|(hash, _)| hash.as_str()).collect();
    let found = bench.store.dag_files(&all).await.unwrap();
    assert_eq!(found, files.iter().cloned().collect::<HashMap<_, _>>());
    let absent = hash(1_000);
    let asked = [all[7], absent.as_str(), all[7], "", "') or 1 = 1 --", "\"", all[9]];
    let mut found: Vec<(String, Vec<u8>)> = bench.store.dag_files(&asked).await.unwrap().into_iter().collect();
    found.sort();
    assert_eq!(found, [files[7].clone(), files[9].clone()]);
    assert_eq!(bench.store.dag_files(&[]).await.unwrap(), HashMap::new());
    assert_eq!(bench.store.dag_file(all[7]).await.unwrap(), files[7].1);
    let missing = bench.store.dag_file(&absent).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
}

async fn files_of_two_dags_are_kept_once(bench: Bench) {
    let files = [(hash(1), b"one".to_vec()), (hash(2), Vec::new())];
    publish(&bench, "d", &files).await;
    publish(&bench, "e", &files[..1]).await;
    // The next version has the file no more; runs of the first still want it.
    publish(&bench, "d", &files[1..]).await;
    let found = bench.store.dag_files(&[&files[0].0, &files[1].0]).await.unwrap();
    assert_eq!(found, HashMap::from(files));
}
