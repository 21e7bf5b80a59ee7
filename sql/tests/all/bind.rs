//! SQL that came from a template: whatever a value or a name holds, and wherever it stands, the database gets exactly that, or
//! nothing at all. A table that nothing names stays as it is.

use std::sync::OnceLock;

use flow_sql::{Bound, Piece, SqlClient, SqlError, bind};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::place::Place;

/// What breaks out of quotes, comments, names and words somewhere.
const HOSTILE: [&str; 26] = [
    "'; drop table canary; --",
    "\\'; drop table canary; #",
    "\"; drop table canary; --",
    "`; drop table canary; --",
    "]; drop table canary; --",
    "*/; drop table canary; /*",
    "\n; drop table canary; --",
    "\r\ndelimiter //\ndrop table canary//",
    "$$; drop table canary; $$",
    "'' or 1=1 --",
    "1; drop table canary",
    "x) ; drop table canary; --",
    "\\",
    "'",
    "''",
    "\"\"",
    "``",
    "a.b",
    ":value_1 :name ?1 $1 @x",
    "\u{e000}0\u{e001}",
    "\u{e001}1\u{e000}",
    "\u{2019}\u{ff07}",
    "{{ 7 * 7 }}",
    "100%_",
    "\u{1f600}",
    " ",
];

/// Where a value or a name stands: text around it. Some can hold one, others have to refuse it.
const PLACES: [(&str, &str); 34] = [
    ("select {} as v", "value"),
    ("select ({}) as v", "value"),
    ("select '{}' as v", "value"),
    ("select '<{}>' as v", "value"),
    ("select 'it''s {}' as v", "value"),
    ("select '{}{}' as v", "value"),
    ("select {} as v -- {}\n", "value"),
    ("select /* {} */ {} as v", "value"),
    ("-- {}\nselect '{}' as v", "value"),
    ("select {} as v where {}={} and '{}' = {}", "value"),
    ("select coalesce(null,{}) as v", "value"),
    ("select v from (select {} as v) as t where v = '{}'", "value"),
    ("select {} as v; ", "value"),
    ("select \"{}\" as v", "value"),
    ("select `{}` as v", "value"),
    ("select [{}] as v", "value"),
    ("select E'{}' as v", "value"),
    ("select x'{}' as v", "value"),
    ("select $${}$$ as v", "value"),
    ("select $a${}$a$ as v", "value"),
    ("select t_{} as v", "value"),
    ("select {}1 as v", "value"),
    ("select {}{} as v", "value"),
    ("select :{} as v", "value"),
    ("select @{} as v", "value"),
    ("select '{} as v", "value"),
    ("select /*! {} */ as v", "value"),
    ("select \\'{}' as v", "value"),
    ("select 1 as v /* {}", "value"),
    ("delimiter {}\nselect 1 as v", "value"),
    ("select v as {} from (select 1 as v) as t", "name"),
    ("select t.{} from (select 1 as {}) as t", "name"),
    ("select 1 as {} where 1 = 1 -- {}\n", "name"),
    ("select '{}' as v", "name"),
];

fn places() -> &'static (Runtime, [Place; 3]) {
    static PLACES: OnceLock<(Runtime, [Place; 3])> = OnceLock::new();
    PLACES.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let places = Place::each();
        for place in &places {
            runtime.block_on(place.script("create table canary (id int)").run()).unwrap();
        }
        (runtime, places)
    })
}

/// The pieces that a template would have made of a place.
fn pieces(place: &str, is_name: bool, value: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, text) in place.split("{}").enumerate() {
        if index > 0 && is_name {
            pieces.push(Piece::Name(vec![value.to_owned()]));
        } else if index > 0 {
            pieces.push(Piece::Value(json!(value)));
        }
        pieces.push(Piece::Text(text.to_owned()));
    }
    pieces
}

/// What a value in a place must come to.
fn expected(place: &str, value: &str) -> Value {
    if place.contains("select 1 as v") {
        return json!(1);
    }
    let quoted = place.split('\'').nth(1).filter(|inside| inside.contains("{}"));
    json!(match (place.contains("it''s"), quoted) {
        (true, _) => format!("it's {value}"),
        (false, Some(inside)) if !place.contains("where") => inside.replace("{}", value),
        _ => value.to_owned(),
    })
}

fn run(place: &Place, pieces: &[Piece]) -> Result<Map<String, Value>, SqlError> {
    let (runtime, _) = places();
    let Bound { text, parameters } = bind(SqlClient::dialect(&place.connection)?, pieces, &Map::new())?;
    let mut run = place.script(&text);
    for (name, value) in parameters {
        run = run.with(&name, value);
    }
    let answer = runtime.block_on(run.run())?;
    Ok(answer.rows.into_iter().next().unwrap_or_default())
}

#[track_caller]
fn stays_itself(text: &str, kind: &str, value: &str) {
    for database in &places().1 {
        let what = format!("{} {text} {value:?}", database.connection.conn_type);
        match run(database, &pieces(text, kind == "name", value)) {
            // MySQL takes an alias of space alone for none.
            Ok(_) if kind == "name" && value.trim().is_empty() => {}
            Ok(row) if kind == "name" => {
                let named = row.keys().next().map(String::as_str);
                // MySQL takes space around an alias away.
                assert_eq!(named.map(str::trim), Some(value.trim()), "{what}");
                assert_eq!(row.values().next(), Some(&json!(1)), "{what}");
            }
            Ok(row) => assert_eq!(row.get("v"), Some(&expected(text, value)), "{what}: {row:?}"),
            // Refused by the binder or by the database: nothing has happened.
            Err(_) => {}
        }
    }
}

/// Looks whether the table is still there; `after` says after what.
#[track_caller]
fn canary_lives(after: &str) {
    let (runtime, databases) = places();
    for database in databases {
        let canary = runtime.block_on(database.script("select count(*) as n from canary").run()).expect(after);
        assert_eq!(canary.rows[0]["n"], 0, "{after}");
    }
}

#[test]
fn hostile_values_stay_themselves_in_every_place() {
    for (text, kind) in PLACES {
        for value in HOSTILE {
            stays_itself(text, kind, value);
        }
        canary_lives(text);
    }
}

/// A test that takes every refusal would hold for a binder that refuses everything.
#[test]
fn places_for_values_take_them() {
    for (text, kind) in PLACES.into_iter().take(13).chain(PLACES.into_iter().skip(30).take(3)) {
        for database in &places().1 {
            for value in ["'; drop table canary; --", "\"x`y]", "\\"] {
                let row = run(database, &pieces(text, kind == "name", value));
                assert!(row.is_ok_and(|row| !row.is_empty()), "{} {text} {value}", database.connection.conn_type);
            }
        }
    }
}

#[test]
fn values_keep_their_types() {
    let [postgres, sqlite, mysql] = &places().1;
    for (database, sql, value, wanted) in [
        (postgres, "select {}::int + 1 as v", json!(41), json!(42)),
        (postgres, "select {}::text is null as v", Value::Null, json!(true)),
        (postgres, "select 3 = any({}) as v", json!([1, 2, 3]), json!(true)),
        (postgres, "select date '{}' + 1 as v", json!("2026-02-28"), json!("2026-03-01")),
        (postgres, "select (interval '{} days' + date '2026-01-01')::date as v", json!(3), json!("2026-01-04")),
        (postgres, "select (array[10,20,30])[{}:{}] as v", json!(2), json!([20])),
        (postgres, "select {}::jsonb -> 'a' as v", json!({ "a": [1] }), json!([1])),
        (sqlite, "select {} + 1 as v", json!(41), json!(42)),
        (sqlite, "select {} is null as v", Value::Null, json!(1)),
        (sqlite, "select 3 in (select value from json_each({})) as v", json!([1, 2, 3]), json!(1)),
        (mysql, "select {} + 1 as v", json!(41), json!(42)),
        (mysql, "select {} is null as v", Value::Null, json!(1)),
        (mysql, "select date '{}' + interval '{}' day as v", json!("2026-02-28"), json!(null)),
        (mysql, "select timestamp '{} 01:02:03' as v", json!("2026-02-28"), json!("2026-02-28T01:02:03")),
    ] {
        let texts = sql.split("{}").map(|text| Piece::Text(text.to_owned()));
        let mut all: Vec<Piece> = texts.flat_map(|text| [text, Piece::Value(value.clone())]).collect();
        all.pop();
        let row = run(database, &all).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let is_same = row["v"] == wanted || row["v"].as_f64().is_some_and(|it| Some(it) == wanted.as_f64());
        assert!(is_same || wanted.is_null() && sql.contains("date '"), "{sql}: {row:?}");
    }
}

/// SQLite takes `"x"` for a text where no column has that name.
#[test]
fn a_name_is_never_a_text() {
    for database in &places().1 {
        let pieces = [Piece::Text("select ".to_owned()), Piece::Name(vec!["nowhere".to_owned()])];
        let why = run(database, &pieces).unwrap_err().to_string();
        assert!(why.contains("nowhere"), "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
    ) })]

    #[test]
    fn any_value_stays_itself(
        (text, kind) in select(&PLACES[..]),
        parts in prop::collection::vec(prop_oneof![select(&HOSTILE[..]).prop_map(str::to_owned), any::<String>()], 1..4),
    ) {
        // PostgreSQL has no text with it, and refuses it.
        let value = parts.concat().replace('\0', "");
        stays_itself(text, kind, &value);
        canary_lives(&format!("{text} {value:?}"));
    }

    /// The author's SQL may be anything: what comes of it is never the value's doing.
    #[test]
    fn any_sql_around_a_value(
        parts in prop::collection::vec(select(vec![
            "'", "\"", "`", "[", "]", "\\", "--", " -- \n", "\n", "/*", "*/", "$$", "$a$", "#", ";", "E", "x", "1", " ", ":",
            "::", "@", "?", "(", ")", ",", ".", "select ", "delimiter //\n", "//", "{}", "{}", "{}",
        ]), 1..14),
        value in select(&HOSTILE[..]),
    ) {
        let text = parts.concat();
        for database in &places().1 {
            let _ = run(database, &pieces(&text, false, value));
            let _ = run(database, &pieces(&text, true, value));
        }
        canary_lives(&format!("{text:?} {value:?}"));
    }
}
