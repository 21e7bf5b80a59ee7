//! PostgreSQL.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::place::Place;

#[tokio::test]
async fn types_become_json() {
    let place = Place::postgres();
    place
        .script("create type mood as enum ('calm', 'busy'); create domain small as int check (value < 10)")
        .run()
        .await
        .unwrap();
    let cases = [
        ("null::int", json!(null)),
        ("true", json!(true)),
        ("12::int2", json!(12)),
        ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ("1.1::real", json!(1.1)),
        ("'-Infinity'::float8", json!("-Infinity")),
        ("0.1::float8 + 0.2", json!(0.1 + 0.2)),
        ("0::numeric", json!("0")),
        ("-12345.678900::numeric", json!("-12345.678900")),
        ("0.00012::numeric", json!("0.00012")),
        ("1e20::numeric", json!("100000000000000000000")),
        ("123456789012345678901234567890.5", json!("123456789012345678901234567890.5")),
        ("'NaN'::numeric", json!("NaN")),
        ("10000::numeric(9,2)", json!("10000.00")),
        ("'text'", json!("text")),
        ("'ab'::char(3)", json!("ab ")),
        ("'x'::\"char\"", json!("x")),
        ("'n'::name", json!("n")),
        ("date '2026-11-24'", json!("2026-11-24")),
        ("date 'infinity'", json!("infinity")),
        ("date '0044-03-15 BC'", json!("-0043-03-15")),
        ("time '08:09:10.5'", json!("08:09:10.500000")),
        ("timetz '08:00:00+05:30'", json!("08:00:00+05:30")),
        ("timestamp '2026-11-24 08:00:00'", json!("2026-11-24T08:00:00")),
        ("timestamptz '2026-11-24 08:00:00.000001+01'", json!("2026-11-24T07:00:00.000001+00:00")),
        ("timestamptz '-infinity'", json!("-infinity")),
        ("interval '1 year 2 months 3 days 04:05:06.7'", json!("P1Y2M3DT4H5M6.700000S")),
        ("interval '-1 second'", json!("PT-1S")),
        ("interval '0'", json!("PT0S")),
        ("'\\x00ff'::bytea", json!("AP8=")),
        ("'{\"a\": [1]}'::jsonb", json!({"a": [1]})),
        ("'[1]'::json", json!([1])),
        ("'0e1f7a9c-0000-4000-8000-0123456789ab'::uuid", json!("0e1f7a9c-0000-4000-8000-0123456789ab")),
        ("array[[1,2],[3,null]]", json!([[1, 2], [3, null]])),
        ("'{}'::text[]", json!([])),
        ("array[date '2026-01-01']", json!(["2026-01-01"])),
        ("'10.0.0.1'::inet", json!("10.0.0.1")),
        ("'10.0.0.0/8'::cidr", json!("10.0.0.0/8")),
        ("'::1'::inet", json!("::1")),
        ("B'10110'", json!("10110")),
        ("'busy'::mood", json!("busy")),
        ("array['calm']::mood[]", json!(["calm"])),
        ("7::small", json!(7)),
        ("pg_sleep(0)", json!(null)),
    ];
    for (expression, expected) in cases {
        assert_eq!(place.value(&format!("select {expression}")).await, expected, "{expression}");
    }
    let refusal = place.script("select 1 as a, point(1, 2) as b").refusal().await;
    assert_eq!(
        refusal,
        "the column `b` has the type POINT, which has no place in JSON\nhint: turn it into text: b::text"
    );
}

/// A parameter may stand wherever a literal in quotes may.
#[tokio::test]
async fn the_place_decides_what_a_parameter_is() {
    let place = Place::postgres();
    place
        .script("create table t (day date, amount numeric(9,2), n int, j jsonb, tags text[], ok bool, c char(3))")
        .run()
        .await
        .unwrap();
    let insert = "insert into t values (:day, :amount, :n, :j, :tags, :ok, :c)";
    let row = place
        .script(&format!(
            "{insert}; select *, day > :day::date - :n::int as later from t where n = any(:ns) and c = :c limit :n"
        ))
        .with("day", "2026-11-24")
        .with("amount", "12.50")
        .with("n", 3)
        .with("j", json!({"k": [true]}))
        .with("tags", json!(["a,b", "c\"d", null]))
        .with("ok", false)
        .with("c", "x")
        .with("ns", json!([3, 4]))
        .run()
        .await
        .unwrap()
        .rows
        .remove(0);
    let expected = json!({
        "day": "2026-11-24", "amount": "12.50", "n": 3, "j": {"k": [true]}, "tags": ["a,b", "c\"d", null],
        "ok": false, "c": "x  ", "later": true,
    });
    assert_eq!(json!(row), expected);
    let refusal = place.script("select * from t where day = :day").with("day", "yesterday-ish").refusal().await;
    assert!(refusal.contains("invalid input syntax for type date"), "{refusal}");
}

#[tokio::test]
async fn errors_say_where() {
    let place = Place::postgres();
    let script = "select 1;\n\nselect :a::text,\n  colum\nfrom pg_class where relname = :a";
    let refusal = place.script(script).with("a", "é").refusal().await;
    assert_eq!(refusal, "statement 2 of 2 (line 4, column 3) failed: column \"colum\" does not exist");
    place.script("create table t (a int primary key)").run().await.unwrap();
    let refusal = place.script("insert into t values (1), (1)").refusal().await;
    assert!(
        refusal.ends_with("violates unique constraint \"t_pkey\"\ndetail: Key (a)=(1) already exists."),
        "{refusal}"
    );
}

#[tokio::test]
async fn what_is_set_is_reset() {
    let place = Place::postgres();
    place.script("set search_path = nowhere; select pg_advisory_lock(1)").run().await.unwrap();
    for _ in 0..3 {
        assert_eq!(place.value("show search_path").await, "\"$user\", public");
    }
    // Statements that cannot be in a transaction.
    place.script("vacuum; create table t (a int); vacuum t").autocommit().run().await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let mut place = Place::postgres();
    place.connection.port = Some(flow_testbed::free_port().unwrap());
    // With a `timeout` and without one it is the same, and said long before either is over.
    for timeout in [None, Some(Duration::from_secs(600))] {
        let script = place.script("select 1");
        let script = if let Some(timeout) = timeout { script.timeout(timeout) } else { script };
        let begun = Instant::now();
        let refusal = script.refusal().await;
        assert!(refusal.starts_with("cannot connect to PostgreSQL at 127.0.0.1:"), "{refusal}");
        assert!(refusal.contains("refused") && !refusal.contains("flow"), "{refusal}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}

/// It takes connections, and says nothing.
#[tokio::test]
async fn a_timeout_while_connecting_says_so() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for mut place in [Place::postgres(), Place::mysql()] {
        place.connection.port = Some(silent.local_addr().unwrap().port());
        let told = place.script("select 1").timeout(Duration::from_millis(300)).refusal().await;
        assert!(told.starts_with("was still connecting to ") && told.contains(" at 127.0.0.1:"), "{told}");
        assert!(told.ends_with("its `timeout` of 300ms was over; no statement was run"), "{told}");
    }
}
