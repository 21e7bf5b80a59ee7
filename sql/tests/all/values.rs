//! Any value arrives byte for byte, and comes back so, whatever it looks like.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::place::Place;

/// What has broken others: quotes, comments, placeholders, escapes, templates.
const HOSTILE: [&str; 14] = [
    "'; drop table v; --",
    "\\'; drop table v; #",
    "$1 $$ :a ? @b",
    "{{ 7 * 7 }}",
    "\"`[",
    "E'\\''",
    "/* */ -- ",
    "\u{1f600} \u{202e}",
    "100%",
    "",
    " ",
    "NULL",
    "\r\n\t\u{1}\u{7f}",
    "{\"a\",NULL}",
];

fn places() -> &'static (Runtime, [Place; 3]) {
    static PLACES: OnceLock<(Runtime, [Place; 3])> = OnceLock::new();
    PLACES.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let places = Place::each();
        for place in &places {
            let text = if place.connection.conn_type == "mysql" { "longtext" } else { "text" };
            let script = format!("create table v (id int, t {text})");
            runtime.block_on(place.script(&script).run()).unwrap();
        }
        (runtime, places)
    })
}

/// Writes a text through a parameter, and reads it back; its bytes as the database itself sees them, too.
fn round_trip(place: &Place, value: &str) -> (Value, Value) {
    let bytes = match place.connection.conn_type.as_str() {
        "postgres" => "encode(convert_to(t, 'UTF8'), 'hex')",
        _ => "lower(hex(t))",
    };
    let script = format!(
        "delete from v; insert into v values (1, :value); select t, {bytes} as bytes from v where t = :value or t = :value"
    );
    let row = places().0.block_on(place.script(&script).with("value", value).run()).unwrap().rows.remove(0);
    (row["t"].clone(), row["bytes"].clone())
}

#[track_caller]
fn arrives(value: &str) {
    for place in &places().1 {
        if place.connection.conn_type == "postgres" && value.contains('\0') {
            let refusal = places().0.block_on(place.script("select :value").with("value", value).refusal());
            assert!(refusal.contains("holds the character NUL"), "{refusal}");
            continue;
        }
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(round_trip(place, value), (json!(value), json!(hex)), "{}", place.connection.conn_type);
    }
}

#[test]
fn hostile_texts_arrive() {
    HOSTILE.iter().for_each(|value| arrives(value));
    arrives("a\0b");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_text_arrives(value in any::<String>()) {
        arrives(&value);
    }

    /// PostgreSQL's arrays are written as one text.
    #[test]
    fn any_list_arrives(items in prop::collection::vec(prop::option::of("[^\0]*"), 0..6)) {
        let (runtime, [postgres, ..]) = places();
        let answer = runtime.block_on(postgres.script("select :items::text[] as items").with("items", items.clone()).run());
        prop_assert_eq!(&answer.unwrap().rows[0]["items"], &json!(items));
    }

    #[test]
    fn any_number_arrives(integer in any::<i64>(), real in -1e300..1e300_f64) {
        let (runtime, places) = places();
        for place in places {
            let (int, double) = match place.connection.conn_type.as_str() {
                "postgres" => ("bigint", "double precision"),
                "sqlite" => ("integer", "real"),
                _ => ("signed", "double"),
            };
            let script = format!("select cast(:i as {int}) as i, cast(:r as {double}) as r");
            let row = runtime.block_on(place.script(&script).with("i", integer).with("r", real).run()).unwrap().rows.remove(0);
            prop_assert_eq!(&row["i"], &json!(integer));
            prop_assert_eq!(row["r"].as_f64(), Some(real), "{}", &place.connection.conn_type);
        }
    }
}
