//! SQLite.

use serde_json::json;

use crate::place::Place;

#[tokio::test]
async fn values_have_the_types_that_they_have() {
    let place = Place::sqlite();
    let script = "create table t (day date, flag boolean); insert into t values ('2026-11-24', :flag);
        select day, flag, 1.5 as real, x'00ff' as bytes, null as empty, :list as list, :number as number from t";
    let run = place.script(script).with("flag", true).with("list", json!([1, "a"])).with("number", 7);
    let row = run.run().await.unwrap().rows.remove(0);
    let expected = json!({
        "day": "2026-11-24", "flag": 1, "real": 1.5, "bytes": "AP8=", "empty": null, "list": "[1,\"a\"]", "number": 7,
    });
    assert_eq!(json!(row), expected);
}

#[tokio::test]
async fn the_path_is_whole_or_there_is_none() {
    let mut place = Place::sqlite();
    place.connection.host = Some("relative.db".to_owned());
    let refusal = place.script("select 1").refusal().await;
    assert_eq!(
        refusal,
        "the connection `test` does not say where the database is: `relative.db`\nhint: give the file's whole path as its host, from the `/` on, or `:memory:`"
    );
    place.connection.host = Some(":memory:".to_owned());
    assert_eq!(place.value("create table t (a int); insert into t values (3); select a from t").await, 3);
    place.connection.host = Some("/nowhere/at/all.db".to_owned());
    let refusal = place.script("select 1").refusal().await;
    assert!(refusal.starts_with("cannot open the SQLite database `/nowhere/at/all.db`: "), "{refusal}");
}

/// Readers that write, and writers, wait for one another.
#[tokio::test]
async fn scripts_that_write_wait_for_one_another() {
    let place = Place::sqlite();
    place.script("create table t (n int); insert into t values (0)").run().await.unwrap();
    let increment = || place.script("select n from t; update t set n = n + 1").run();
    let results = futures_util::future::join_all((0..8).map(|_| increment())).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(place.value("select n from t").await, 8);
}
