use serde_json::json;

use super::*;

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn bound(dialect: Dialect, pieces: &[Piece]) -> Result<(String, Value), String> {
    let bound = bind(dialect, pieces, &Map::new()).map_err(|error| error.to_string())?;
    Ok((bound.text, Value::Object(bound.parameters)))
}

fn around(before: &str, after: &str) -> Vec<Piece> {
    vec![text(before), Piece::Value(json!("x")), text(after)]
}

#[test]
fn values_are_bound_and_names_are_quoted() {
    let pieces = [
        text("select * from "),
        Piece::Name(vec!["a\"b`c".to_owned(), "t".to_owned()]),
        text(" where x="),
        Piece::Value(json!([1, null])),
        text(" and d = '"),
        Piece::Value(json!("2026'--")),
        text("' and n like 'it''s "),
        Piece::Value(json!(7)),
        text("%' -- "),
        Piece::Value(json!("\ndrop")),
        text("\n limit ("),
        Piece::Value(json!(3)),
        text(")::int"),
    ];
    let values = json!({ "value_1": [1, null], "value_2": "2026'--", "value_3": "it's 7%", "value_4": 3 });
    let rest = " where x= :value_1 and d = :value_2 and n like :value_3 -- \n limit (:value_4)::int";
    for (dialect, name) in [
        (Dialect::Postgres, "\"a\"\"b`c\".\"t\""),
        (Dialect::Sqlite, "`a\"b``c`.`t`"),
        (Dialect::MySql, "`a\"b``c`.`t`"),
    ] {
        assert_eq!(bound(dialect, &pieces), Ok((format!("select * from {name}{rest}"), values.clone())));
    }
}

#[test]
fn literals_of_a_type_are_cast() {
    for (dialect, before, written) in [
        (Dialect::Postgres, "where day >= date '", "where day >= cast(:value_1 as date)"),
        (Dialect::Postgres, "select interval '", "select interval '"),
        (Dialect::Postgres, "select TIMESTAMPTZ /* TIMESTAMPTZ */ '", "select cast(:value_1 as TIMESTAMPTZ)"),
        (Dialect::MySql, "select timestamp '", "select cast(:value_1 as datetime(6))"),
        (Dialect::MySql, "select interval '", "select interval :value_1"),
        (Dialect::Sqlite, "select date '", "select date :value_1"),
        (Dialect::Postgres, "select x like '", "select x like :value_1"),
        (Dialect::Postgres, "select coalesce(a) || '", "select coalesce(a) || :value_1"),
    ] {
        let written = if written.ends_with('\'') { "select cast(:value_1 as interval)" } else { written };
        assert_eq!(bound(dialect, &around(before, "'")).unwrap().0, written);
    }
}

#[test]
fn places_without_a_parameter_are_refused() {
    let value = Piece::Value(json!("x"));
    let name = |name: &str| Piece::Name(vec![name.to_owned()]);
    let cases = [
        (around("select \"", "\""), "inside of `\""),
        (around("select t_", ""), "within a word"),
        (around("select ", "1"), "within a word"),
        (vec![value.clone(), value.clone()], "within a word"),
        (around("select E'", "'"), "begins with `E'`"),
        (around("select U&'", "'"), "begins with `&'`"),
        (around("select '", ""), "has no end"),
        (around("select '''", ""), "has no end"),
        (around("select :", ""), "right behind `:`"),
        (around("select 1::", ""), "right behind `::`"),
        (around("select :a", ""), "right behind `:a`"),
        (around("select 'a'", ""), "right behind `'a'`"),
        (around("select s.", ""), "where a name belongs"),
        (around("do $$ ", " $$"), "inside of `$"),
        (around("select /*+ ", " */ 1"), "reads as an order"),
        (around("select interval '", "' day"), "* interval '1 day'"),
        (around("select timestamp with time zone '", "'"), "a literal of the type `zone`"),
        (around("select timestamp(3) '", "'"), "a literal of the type `)`"),
        (vec![text("\n'"), Piece::Value(Value::Null), text("'")], "line 2 of the SQL: none stands inside"),
        (vec![text("'"), Piece::Value(json!([1])), text("'")], "a list stands inside of a text"),
        (vec![text("'"), Piece::Value(json!({})), text("'")], "a table stands inside of a text"),
        (vec![text("'"), name("a"), text("'")], "an identifier stands inside of a text"),
        (vec![text("select 'a'"), name("a")], "right behind `'a'`"),
        (vec![name("")], "an identifier is empty"),
        (vec![name("a\0")], "an identifier is empty"),
        (vec![name(&"a".repeat(64))], "would cut it"),
        (vec![Piece::Name(Vec::new())], "an identifier has no name"),
    ];
    for (pieces, told) in cases {
        let why = bound(Dialect::Postgres, &pieces).unwrap_err();
        assert!(why.contains(told), "{pieces:?}: {why}");
    }
    let other = [
        (Dialect::MySql, around("select `", "`"), "inside of ``"),
        (Dialect::MySql, around("select '\\' ", "'"), "backslash"),
        (Dialect::MySql, around("select /*! ", " */ 1"), "reads as an order"),
        (Dialect::MySql, around("select _utf8mb4 '", "'"), "convert("),
        (Dialect::MySql, around("delimiter ", "\nselect 1"), "none can be bound"),
        (Dialect::MySql, around("select @", ""), "right behind `@`"),
        (Dialect::Sqlite, around("select [", "]"), "inside of `["),
        (Dialect::Sqlite, around("select @", ""), "none can be bound"),
    ];
    for (dialect, pieces, told) in other {
        let why = bound(dialect, &pieces).unwrap_err();
        assert!(why.contains(told), "{pieces:?}: {why}");
    }
}

#[test]
fn slices_keep_their_colon() {
    let pieces = [text("select a["), Piece::Value(json!(1)), text(":"), Piece::Value(json!(2)), text("]")];
    assert_eq!(bound(Dialect::Postgres, &pieces).unwrap().0, "select a[ :value_1: :value_2]");
}

#[test]
fn names_and_marks_of_the_author_stay_the_authors() {
    let own = Map::from_iter([("value_1".to_owned(), json!(1))]);
    let pieces = [text("select '\u{e000}0\u{e001}', :value_1, :value__x, "), Piece::Value(json!(2))];
    let bound = bind(Dialect::Postgres, &pieces, &own).unwrap();
    assert_eq!(bound.text, "select '\u{e000}0\u{e001}', :value_1, :value__x, :value___2");
    assert_eq!(
        bound.parameters,
        Map::from_iter([("value_1".to_owned(), json!(1)), ("value___2".to_owned(), json!(2))])
    );
}
