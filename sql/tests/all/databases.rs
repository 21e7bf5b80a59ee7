//! What holds for every database.

use std::sync::Mutex;

use flow_sql::{Keep, Progress};
use serde_json::json;

use crate::place::Place;

#[tokio::test]
async fn the_last_statement_answers() {
    for place in Place::each() {
        let script = "create table t (a int, b varchar(9)); insert into t values (:a, :b), (2, null);
            select a, b, a from t order by a";
        let answer = place.script(script).with("a", 1).with("b", "one").run().await.unwrap();
        assert_eq!(answer.columns, ["a", "b", "a_2"]);
        assert_eq!(json!(answer.rows), json!([{"a": 1, "b": "one", "a_2": 1}, {"a": 2, "b": null, "a_2": 2}]));
        assert_eq!(answer.count(), 2);
        let changed = place.script("update t set b = 'x' where a >= :least").with("least", 1).run().await.unwrap();
        assert_eq!((changed.rows.len(), changed.count()), (0, 2));
        let nothing = place.script("delete from t; select a from t").run().await.unwrap();
        assert_eq!((nothing.rows.len(), nothing.count()), (0, 0));
    }
}

#[tokio::test]
async fn a_script_is_one_transaction_unless_it_says_otherwise() {
    for place in Place::each() {
        place.script("create table t (a int primary key)").run().await.unwrap();
        let script = "insert into t values (1); insert into t values (2); insert into t values (1)";
        let refusal = place.script(script).refusal().await;
        assert!(refusal.contains("statement 3 of 3 (from line 1) failed: "), "{refusal}");
        assert_eq!(place.value("select count(*) from t").await, 0);
        place.script(script).autocommit().run().await.unwrap_err();
        assert_eq!(place.value("select count(*) from t").await, 2);
    }
}

#[tokio::test]
async fn a_parameter_may_stand_twice_and_none_may_be_missing() {
    for place in Place::each() {
        let twice = "select 1 where :a = :a and 'x' = :b and :a <> :b";
        assert_eq!(place.script(twice).with("a", "y").with("b", "x").run().await.unwrap().count(), 1);
        let refusal = place.script("select\n  :b, :a").with("b", 1).refusal().await;
        assert_eq!(
            refusal,
            "the query names the parameter `:a`, which is not given (line 2, column 7)\nhint: write its value into `parameters`, which has `b`"
        );
        assert!(place.script(" -- ;").run().await.unwrap_err().is_permanent());
    }
}

#[tokio::test]
async fn placeholders_of_the_database_are_refused() {
    let [postgres, sqlite, mysql] = Place::each();
    for (place, placeholder) in
        [(&postgres, "$1"), (&sqlite, "?"), (&sqlite, "?7"), (&sqlite, "@a"), (&sqlite, "$a"), (&mysql, "?")]
    {
        let refusal = place.script(&format!("select {placeholder}")).refusal().await;
        assert!(refusal.contains(&format!("the placeholder `{placeholder}`")), "{refusal}");
    }
}

#[tokio::test]
async fn sessions_do_not_see_one_another() {
    for place in Place::each() {
        place.script("create temporary table mine (a int)").run().await.unwrap();
        place.script("select * from mine").run().await.unwrap_err();
    }
}

#[tokio::test]
async fn whoever_asks_is_told_how_it_goes() {
    for place in Place::each() {
        let told = Mutex::new(Vec::new());
        let observer = |progress: Progress<'_>| {
            told.lock().unwrap().push(match progress {
                Progress::Begins { number, of, text } => format!("{number}/{of} {text}"),
                Progress::Notice { text, .. } => text.to_owned(),
                Progress::Ended { rows, .. } => format!("{rows}"),
            });
        };
        let script = "create table t (a int); select :a union select 2";
        place.script(script).with("a", 1).keep(Keep::Nothing).observed(&observer).await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["1/2 create table t (a int)", "0", "2/2 select :a union select 2", "2"]);
    }
}
