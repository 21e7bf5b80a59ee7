//! Parameters keep their types on each database, and what the server's types hold at their ends comes right.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::place::Place;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn each_type_arrives_as_itself() {
    let places = Place::each();
    // The value, what must hold of it in a column of numbers, and of true and false.
    let cases = [
        ("null", "n is null"),
        ("7", "n = 7"),
        ("-1.5", "n = -1.5"),
        ("true", "b"),
        ("false", "not b"),
        ("9007199254740993", "n = 9007199254740993 and n <> 9007199254740992"),
    ];
    for place in &places {
        let conn_type = place.connection.conn_type.as_str();
        let number = if conn_type == "mysql" { "decimal(40, 10)" } else { "numeric" };
        place.script(&format!("create table t (n {number}, b boolean)")).run().await.unwrap();
        for (value, holds) in cases {
            let column = if holds.contains('b') { "b" } else { "n" };
            let script = format!(
                "delete from t; insert into t ({column}) values (:v); select count(*) as c from t where {holds}"
            );
            let answer = place.script(&script).with("v", read(value)).run().await.unwrap();
            assert_eq!(answer.rows[0]["c"], 1, "{conn_type}: {value}");
        }
    }
}

#[tokio::test]
async fn numbers_of_many_digits_arrive_or_are_refused() {
    let [postgres, sqlite, mysql] = Place::each();
    for text in ["12345678901234567890123", "-99999999999999999999", "18446744073709551615", "12345678901234567.89"] {
        let answer = postgres.script("select :v::numeric as v").with("v", read(text)).run().await.unwrap();
        assert_eq!(answer.rows[0]["v"], text);
        let script = "create temporary table d (v decimal(40, 2)); insert into d values (:v); select cast(v as char) as v from d where v = :v";
        let answer = mysql.script(script).with("v", read(text)).run().await.unwrap();
        let stored = answer.rows[0]["v"].as_str().unwrap();
        assert_eq!(stored.strip_suffix(".00").unwrap_or(stored), text);
        let refusal = sqlite.script("select :v").with("v", read(text)).refusal().await;
        assert!(refusal.contains("`:v`") && refusal.contains("SQLite has no number") && refusal.contains("hint: "));
    }
    let refusal = mysql.script("select :v").with("v", read("1e400")).refusal().await;
    assert!(refusal.contains("MySQL has no number with these digits\nhint: "), "{refusal}");
    let refusal = postgres.script("select :v::int8").with("v", read("12345678901234567890123")).refusal().await;
    assert!(refusal.contains("out of range"), "{refusal}");
    let answer =
        postgres.script("select :v::jsonb as v").with("v", read(r#"{"a": [12345678901234567890123]}"#)).run().await;
    assert_eq!(answer.unwrap().rows[0]["v"], read(r#"{"a": [12345678901234567890123]}"#));
}

#[tokio::test]
async fn lists_are_arrays_of_postgres_and_json_elsewhere() {
    let [postgres, sqlite, mysql] = Place::each();
    postgres.script("create domain ids as int[]; create domain doc as jsonb").run().await.unwrap();
    for (expression, list, expected) in [
        (
            "(select array_agg(i order by i) from generate_series(1, 5) i where i = any(:v))",
            json!([2, 4, 9]),
            json!([2, 4]),
        ),
        (":v::ids", json!([1, null]), json!([1, null])),
        (":v::doc", json!([1, {"a": null}]), json!([1, {"a": null}])),
        (":v::text[]", json!(["a\"b", "{}", "NULL", null, ""]), json!(["a\"b", "{}", "NULL", null, ""])),
        (":v::int[]", json!([[1, 2], [3, 4]]), json!([[1, 2], [3, 4]])),
        (":v::jsonb[]", json!([[1], {"a": 1}]), json!([[1], {"a": 1}])),
        (":v::bool[]", json!([true, false]), json!([true, false])),
        (":v::numeric[]", read("[12345678901234567890123]"), json!(["12345678901234567890123"])),
        (
            ":v::date[]",
            json!(["+10000-01-01", "-0043-03-15", "infinity"]),
            json!(["+10000-01-01", "-0043-03-15", "infinity"]),
        ),
        ("cardinality(:v::int[])", json!([]), json!(0)),
    ] {
        let script = format!("select {expression} as v");
        let answer =
            postgres.script(&script).with("v", list).run().await.unwrap_or_else(|why| panic!("{script}: {why}"));
        assert_eq!(answer.rows[0]["v"], expected, "{expression}");
    }
    for (script, value) in [
        ("select 1 where 1 in (:v)", json!([1])),
        ("select :v", json!([1])),
        ("select :v::int", json!({"a": 1})),
        ("select :v::int[]", json!({"a": 1})),
    ] {
        let refusal = postgres.script(script).with("v", value).refusal().await;
        assert!(refusal.contains("the parameter `:v` is a ") && refusal.contains("\nhint: "), "{script}: {refusal}");
    }

    let json_each =
        "select count(*) as c from (select 1 as i union select 2) t where i in (select value from json_each(:v))";
    assert_eq!(sqlite.script(json_each).with("v", json!([2, 3])).run().await.unwrap().rows[0]["c"], 1);
    let json_table = "select count(*) as c from (select 1 as i union select 2) t
        where i in (select v from json_table(:v, '$[*]' columns (v varchar(255) path '$')) as items)";
    assert_eq!(mysql.script(json_table).with("v", json!([2, 3])).run().await.unwrap().rows[0]["c"], 1);
    for place in [&sqlite, &mysql] {
        let refusal = place.script("select 1 where 1 IN ( :v )").with("v", json!([1])).refusal().await;
        assert!(
            refusal.contains("the parameter `:v` is a list") && refusal.contains("hint: write `in (select"),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn the_ends_of_postgres_types_come_right_and_can_be_given_back() {
    let place = Place::postgres();
    for (of, literal, expected) in [
        ("timestamp", "294276-12-31 23:59:59.999999", "+294276-12-31T23:59:59.999999"),
        ("timestamptz", "294276-12-31 23:59:59.999999+00", "+294276-12-31T23:59:59.999999+00:00"),
        ("timestamp", "4713-01-01 00:00:00 BC", "-4712-01-01T00:00:00"),
        ("timestamptz", "0001-12-31 23:00:00+00 BC", "0000-12-31T23:00:00+00:00"),
        ("date", "5874897-12-31", "+5874897-12-31"),
        ("date", "4713-01-01 BC", "-4712-01-01"),
        ("date", "infinity", "infinity"),
        ("timestamp", "-infinity", "-infinity"),
        ("timestamptz", "infinity", "infinity"),
        ("interval", "-1 year 2 mons -3 days 04:05:06.7", "P-10M-3DT4H5M6.700000S"),
        ("interval", "178000000 years", "P178000000Y"),
        ("interval", "-00:00:00.5", "PT-0.500000S"),
        ("time", "24:00:00", "24:00:00"),
        ("timetz", "12:00:00-00:19:32", "12:00:00-00:19:32"),
        ("numeric", "NaN", "NaN"),
        ("float8", "-Infinity", "-Infinity"),
    ] {
        let row = place.script(&format!("select '{literal}'::{of} as v")).run().await.unwrap().rows.remove(0);
        assert_eq!(row["v"], expected, "{of} {literal}");
        let script = format!("select :v::{of} = '{literal}'::{of} as same");
        let answer =
            place.script(&script).with("v", expected).run().await.unwrap_or_else(|why| panic!("{script}: {why}"));
        assert_eq!(answer.rows[0]["same"], true, "{of} {literal}");
    }
}

#[tokio::test]
async fn of_several_answers_the_last_one_counts_by_itself() {
    let place = Place::mysql();
    let create = "drop procedure if exists pp;
        delimiter //
        create procedure pp(in a int) begin select a as first_set; select a + 1 as second_set, 'x;y' as t; end//
        create procedure wide(in a int) begin select 1 as i union select 2 union select 3; select a as only; end//
        create procedure empty(in a int) begin select a as first_set; select a as second_set from dual where false; end//
        create procedure silent(in a int) begin create temporary table if not exists s (i int); insert into s values (a), (a); end//
        delimiter ;\n";
    place.script(create).run().await.unwrap();
    for (call, expected) in [
        ("call pp(5)", json!([{"second_set": 6, "t": "x;y"}])),
        ("call pp(:a)", json!([{"second_set": 6, "t": "x;y"}])),
        ("call empty(5)", json!([])),
        ("call silent(5)", json!([])),
        ("select 1 as a; select 2 as b, 3 as c", json!([{"b": 2, "c": 3}])),
    ] {
        let answer = place.script(call).with("a", 5).run().await.unwrap();
        assert_eq!(json!(answer.rows), expected, "{call}");
        assert_eq!(answer.row_count as usize, answer.rows.len(), "{call}");
    }
    assert_eq!(place.script("call silent(5)").run().await.unwrap().rows_affected, 2);
    // Only what is kept has to be within the limits.
    let keep = flow_sql::Keep::All { rows_max: 2, bytes_max: 1_000 };
    let answer = place.script("call wide(7)").keep(keep).run().await.unwrap();
    assert_eq!(json!(answer.rows), json!([{"only": 7}]));
    for place in [Place::postgres(), Place::sqlite()] {
        let answer = place.script("select 1 as a; select 2 as b, 3 as c").run().await.unwrap();
        assert_eq!(json!(answer.rows), json!([{"b": 2, "c": 3}]));
    }
}

/// `PROPTEST_CASES`, or a hundred of each.
fn examples() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|examples| examples.parse().ok()).unwrap_or(100)
}

fn postgres() -> &'static (Runtime, Place) {
    static PLACE: OnceLock<(Runtime, Place)> = OnceLock::new();
    PLACE.get_or_init(|| (Runtime::new().unwrap(), Place::postgres()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(examples()))]

    /// Days from 4713 BC to 294276 AD, and any time of the day.
    #[test]
    fn any_timestamp_comes_right_and_can_be_given_back(days in -2_451_545..106_751_983_i64, micros in 0..86_400_000_000_i64) {
        let (runtime, place) = postgres();
        let at = "timestamp '2000-01-01' + (:days || ' days')::interval + (:micros || ' microseconds')::interval";
        let run = |script: String, at: Value| {
            let run = place.script(&script).with("days", days.to_string()).with("micros", micros.to_string()).with("at", at);
            runtime.block_on(run.run()).unwrap().rows.remove(0)
        };
        let told = run(format!("select {at} as at, ({at})::date as day, :at::text"), Value::Null);
        let same = run(format!("select {at} = :at::timestamp as at, to_char({at}, 'MM-DD') as day"), told["at"].clone());
        prop_assert_eq!(&same["at"], &json!(true), "{}", &told["at"]);
        let day = told["day"].as_str().unwrap();
        prop_assert!(told["at"].as_str().unwrap().starts_with(day) && day.ends_with(same["day"].as_str().unwrap()), "{:?}", &told);
    }

    /// Any number that JSON can hold arrives in PostgreSQL's numeric, digit by digit.
    #[test]
    fn any_number_arrives_as_numeric(text in "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,30})?") {
        let (runtime, place) = postgres();
        let run = place.script("select :v::numeric as v").with("v", read(&text)).run();
        let row = runtime.block_on(run).unwrap().rows.remove(0);
        let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
        prop_assert_eq!(row["v"].as_str().unwrap(), if is_zero { text.trim_start_matches('-') } else { &text });
    }
}
