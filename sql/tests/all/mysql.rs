//! MySQL, here MariaDB.

use serde_json::json;

use crate::place::Place;

#[tokio::test]
async fn types_become_json() {
    let place = Place::mysql();
    let cases = [
        ("null", json!(null)),
        ("true", json!(1)),
        ("cast(-3 as signed)", json!(-3)),
        ("cast(18446744073709551615 as unsigned)", json!(18_446_744_073_709_551_615_u64)),
        ("cast('-12.50' as decimal(9,2))", json!("-12.50")),
        ("cast(1.5 as double)", json!(1.5)),
        ("'text'", json!("text")),
        ("x'00ff'", json!("AP8=")),
        ("date '2026-11-24'", json!("2026-11-24")),
        ("timestamp '2026-11-24 08:09:10'", json!("2026-11-24T08:09:10")),
        ("cast('2026-11-24 08:09:10.5' as datetime(6))", json!("2026-11-24T08:09:10.500000")),
        ("cast('-30:01:02' as time)", json!("-30:01:02")),
    ];
    for (expression, expected) in cases {
        assert_eq!(place.value(&format!("select {expression}")).await, expected, "{expression} as text");
        // With a parameter it comes in binary.
        let binary = format!("select {expression} as v from (select 1) t where 'x' = :x");
        let row = place.script(&binary).with("x", "x").run().await.unwrap().rows.remove(0);
        assert_eq!(row["v"], expected, "{expression} in binary");
    }
}

#[tokio::test]
async fn columns_of_tables_keep_their_types() {
    let place = Place::mysql();
    let script =
        "create table t (f float, b bit(4), y year, at timestamp(3) null, e enum('a','b'), n tinyint unsigned, z date);
        insert into t values (:f, 5, 2026, :at, 'b', 255, :z); select * from t where f > :least";
    let row = place
        .script(script)
        .with("f", 1.1)
        .with("at", "2026-11-24 08:00:00.250")
        .with("z", "2026-02-03")
        .with("least", 0)
        .run()
        .await
        .unwrap()
        .rows
        .remove(0);
    let expected = json!({
        "f": 1.1, "b": 5, "y": 2026, "at": "2026-11-24T08:00:00.250000+00:00", "e": "b", "n": 255, "z": "2026-02-03",
    });
    assert_eq!(json!(row), expected);
}

#[tokio::test]
async fn text_that_is_compared_byte_by_byte_is_text() {
    let place = Place::mysql();
    // MariaDB keeps JSON as such text; MySQL has a type for it.
    let script = "create table b (id varchar(36) collate utf8mb4_bin, t text collate utf8mb4_bin, c char(2) collate utf8mb4_bin, j json, b blob, v varbinary(2));
        insert into b values (:id, '\u{e9}t\u{e9}', 'ab', '{\"a\": 1}', x'00ff', x'00ff'); select id, t, c, b, v from b where id = :id";
    let row = place.script(script).with("id", "A-1").run().await.unwrap().rows.remove(0);
    assert_eq!(json!(row), json!({ "id": "A-1", "t": "\u{e9}t\u{e9}", "c": "ab", "b": "AP8=", "v": "AP8=" }));
}

#[tokio::test]
async fn procedures_are_made_and_called() {
    let place = Place::mysql();
    let script = "delimiter //\ncreate procedure p(n int) begin if n > 0 then select n as n; end if; end//\ndelimiter ;\ncall p(4)";
    assert_eq!(place.value(script).await, 4);
    let refusal = place.script("select 1;\nselect nothing").refusal().await;
    assert!(refusal.starts_with("statement 2 of 2 (from line 2) failed: Unknown column"), "{refusal}");
}

#[tokio::test]
async fn a_wrong_password_is_not_repeated() {
    let mut place = Place::mysql();
    place.connection.password = Some(flow_model::SecretText::new("s3cret-but-wrong"));
    let refusal = place.script("select 1").refusal().await;
    assert!(refusal.starts_with("cannot connect to MySQL at 127.0.0.1:"), "{refusal}");
    assert!(!refusal.contains("s3cret"), "{refusal}");
}
