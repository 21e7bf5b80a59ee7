//! Scripts become statements, whatever is in them.

use flow_sql::{Dialect, Script};
use proptest::prelude::*;

#[track_caller]
fn split(dialect: Dialect, text: &str) -> Vec<&str> {
    let script = Script::read(dialect, text);
    script.statements().iter().map(|statement| script.text_of(statement)).collect()
}

fn names(dialect: Dialect, text: &str) -> Vec<String> {
    Script::read(dialect, text).parameters().into_iter().map(str::to_owned).collect()
}

#[test]
fn statements_end_at_semicolons_that_are_code() {
    for dialect in Dialect::ALL {
        assert_eq!(
            split(dialect, "select 1; select ';' ;; -- no; more\nselect 2 /* ; */ ;"),
            ["select 1", "select ';'", "select 2"]
        );
        assert_eq!(split(dialect, "select 'it''s; one'"), ["select 'it''s; one'"]);
        assert_eq!(split(dialect, "  -- nothing\n /* at all */ ; "), [""; 0]);
        assert_eq!(split(dialect, "select 'never closed; select 1"), ["select 'never closed; select 1"]);
    }
}

#[test]
fn each_language_has_its_own_quotes() {
    let dollar = "do $x$ begin; $$ ; end $x$; select 1";
    assert_eq!(split(Dialect::Postgres, dollar), ["do $x$ begin; $$ ; end $x$", "select 1"]);
    assert_eq!(split(Dialect::Postgres, r"select E'\';', '\'; select 1"), [r"select E'\';', '\'", "select 1"]);
    assert_eq!(split(Dialect::MySql, r#"select '\';', "\";"; select 1"#), [r#"select '\';', "\";""#, "select 1"]);
    assert_eq!(split(Dialect::MySql, "select `a;b` # c;\n; select 1"), ["select `a;b`", "select 1"]);
    assert_eq!(split(Dialect::Sqlite, "select [a;b], `c;d`; select 1"), ["select [a;b], `c;d`", "select 1"]);
    assert_eq!(split(Dialect::Postgres, "select /* a /* b; */ c; */ 1; select a[1]; select 2").len(), 3);
    assert_eq!(split(Dialect::MySql, "select 5--1; select /* a /* b */ 2"), ["select 5--1", "select /* a /* b */ 2"]);
}

#[test]
fn bodies_stay_whole() {
    let trigger =
        "create temp trigger t after insert on a begin update b set c = case when d then 1 else 2 end; select 1; end";
    assert_eq!(split(Dialect::Sqlite, &format!("{trigger}; select 2")), [trigger, "select 2"]);
    let function = "create or replace function f() returns int begin atomic select case when true then 1 end; end";
    assert_eq!(
        split(Dialect::Postgres, &format!("{function}; begin; select 2; end")),
        [function, "begin", "select 2", "end"]
    );
    let procedure = "create definer = a@b procedure p() begin if 1 then select 1; end if; case 1 when 1 then select 2; end case; end";
    assert_eq!(split(Dialect::MySql, &format!("{procedure}; select 3")), [procedure, "select 3"]);
    let delimited = "delimiter //\ncreate procedure q() begin select 1; end//\nDELIMITER ;\nselect 4;";
    assert_eq!(split(Dialect::MySql, delimited), ["create procedure q() begin select 1; end", "select 4"]);
    // `begin` alone opens nothing.
    assert_eq!(split(Dialect::Sqlite, "begin; select 1; end").len(), 3);
}

#[test]
fn parameters_are_found_in_code_only() {
    let text = "select :a, ':b', \"c:d\", x::int, y::text = :e -- :f\n, :a /* :g */ where t = '10:30:00'";
    for dialect in Dialect::ALL {
        assert_eq!(names(dialect, text), ["a", "e"]);
    }
    assert_eq!(names(Dialect::Postgres, "select v[lo:hi], f(x := 1), $$ :b $$, (a):c"), [""; 0]);
    assert_eq!(names(Dialect::MySql, "set @x := :value; label: loop"), ["value"]);
    assert_eq!(names(Dialect::Sqlite, "select (:a), [:b], `:c`, -:d"), ["a", "d"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is written: nothing panics, statements follow one another, and what is between them is no code but
    /// what ends statements.
    #[test]
    fn nothing_gets_lost(text in r#"([a-z:;'"`$\[\]/*\\#?@é -]|--|\$\$|\$a\$|/\*|\*/|\n|begin|end|create trigger |delimiter //|::){0,40}"#) {
        for dialect in Dialect::ALL {
            let script = Script::read(dialect, &text);
            let mut at = 0;
            for statement in script.statements() {
                let range = statement.range();
                prop_assert!(range.start >= at && range.end > range.start && range.end <= text.len());
                prop_assert_eq!(script.text_of(statement).trim_start(), script.text_of(statement));
                at = range.end;
            }
            script.parameters();
        }
    }

    /// A text in quotes, however hostile, is neither split nor searched for parameters.
    #[test]
    fn quoted_texts_are_left_alone(inside in "\\PC*") {
        let standard = inside.replace('\'', "''");
        let escaped = inside.replace('\\', "\\\\").replace('\'', "\\'");
        for (dialect, text) in [
            (Dialect::Postgres, format!("select '{standard}'")),
            (Dialect::Postgres, format!("select e'{escaped}'")),
            (Dialect::Sqlite, format!("select '{standard}'")),
            (Dialect::MySql, format!("select '{escaped}'")),
            (Dialect::Postgres, format!("select $unlikely_tag${inside}$unlikely_tag$")),
        ] {
            let whole = format!("{text}; select :one");
            prop_assert_eq!(split(dialect, &whole), [text.as_str(), "select :one"]);
            prop_assert_eq!(names(dialect, &whole), ["one"]);
        }
    }
}
