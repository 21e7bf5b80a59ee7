//! One whole expression gives its value, anything else gives text.

use serde_json::{Value as Json, json};

use super::renderer;

fn names() -> Json {
    json!({
        "n": 5, "big": 9_007_199_254_740_993_i64, "huge": u64::MAX, "f": 1.5, "one": 1.0, "yes": true, "nothing": null,
        "text": "a", "number": "007", "list": ["eu", "us"], "table": { "a": [1, null], "b": {} }, "empty": [],
    })
}

fn value(source: &str) -> Json {
    renderer(names()).value("v", source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

#[test]
fn a_whole_expression_gives_its_value() {
    for (source, expected) in [
        ("{{ n }}", json!(5)),
        ("{{ big }}", json!(9_007_199_254_740_993_i64)),
        ("{{ huge }}", json!(u64::MAX)),
        ("{{ f }}", json!(1.5)),
        ("{{ one }}", json!(1.0)),
        ("{{ yes }}", json!(true)),
        ("{{ not yes }}", json!(false)),
        ("{{ nothing }}", json!(null)),
        ("{{ none }}", json!(null)),
        ("{{ n if not yes }}", json!(null)),
        ("{{ text }}", json!("a")),
        ("{{ number }}", json!("007")),
        ("{{ list }}", json!(["eu", "us"])),
        ("{{ list | map('upper') }}", json!(["EU", "US"])),
        ("{{ range(3) }}", json!([0, 1, 2])),
        ("{{ (1, 'a') }}", json!([1, "a"])),
        ("{{ table }}", json!({ "a": [1, null], "b": {} })),
        ("{{ {'a': {'b': {1: 2}}} }}", json!({ "a": { "b": { "1": 2 } } })),
        ("{{ n + 1 }}", json!(6)),
        ("{{ n | string }}", json!("5")),
        ("{{ list | tojson }}", json!("[\"eu\", \"us\"]")),
        ("{{ '<b>' | e }}", json!("&lt;b&gt;")),
        ("{{ text | safe }}", json!("a")),
        ("{{- n -}}", json!(5)),
        ("{{+ n +}}", json!(5)),
        ("{{n}}", json!(5)),
        ("{{ '}}' ~ '{{' }}", json!("}}{{")),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn text_around_an_expression_stays_text() {
    for (source, expected) in [
        ("5", "5"),
        ("null", "null"),
        (" {{ n }}", " 5"),
        ("{{ n }} ", "5 "),
        ("{{ n }}{{ n }}", "55"),
        ("{{ n }} and {{ f }}", "5 and 1.5"),
        ("{{ '}}' }}{{ '{{' }}", "}}{{"),
        ("{% if yes %}{{ n }}{% endif %}", "5"),
        ("{# x #}{{ n }}", "5"),
        ("{{ n }}{# x #}", "5"),
        ("{% set m = n %}{{ m }}", "5"),
        ("{% raw %}{{ n }}{% endraw %}", "{{ n }}"),
    ] {
        assert_eq!(value(source), json!(expected), "{source}");
    }
}

#[test]
fn values_keep_their_type_deep_inside_of_json() {
    let rendered = renderer(names())
        .json("json", &json!({ "a": ["{{ n }}", { "b": "{{ nothing }}" }, 1], "{{ n }}": "x{{ n }}{{ text }}" }));
    assert_eq!(rendered.unwrap(), json!({ "a": [5, { "b": null }, 1], "{{ n }}": "x5a" }));
}

#[test]
fn what_has_no_text_in_json_and_sql_is_refused_inside_of_a_text() {
    for (inside, what) in [
        ("nothing", "none (`None`)"),
        ("list", "a list (`['eu', 'us']`)"),
        ("empty", "a list (`[]`)"),
        ("table", "a table (`{'a': [1, None], 'b': {}}`)"),
        ("range(2)", "a list (`range(0, 2)`)"),
    ] {
        let json = json!({ "ids": [format!("in ({{{{ {inside} }}}})")] });
        let error = renderer(names()).json("json", &json).unwrap_err().to_string();
        assert!(
            error.contains("template of `json.ids`") && error.contains("stands inside of a text\nhint: "),
            "{error}"
        );
        assert!(error.contains(what) || inside == "range(2)", "{error}");
    }
}

#[test]
fn what_json_cannot_hold_is_refused() {
    for source in ["{{ 1e308 * 10 }}", "{{ {none: 1} }}", "{{ range }}"] {
        match renderer(names()).value("v", source) {
            Err(error) => assert!(error.to_string().contains("template of `v`"), "{error}"),
            Ok(value) => assert!(value.is_string(), "{source}: {value}"),
        }
    }
    let error = renderer(names()).value("v", "{{ 1e308 * 10 }}").unwrap_err().to_string();
    assert!(error.contains("none that JSON can hold\nhint: "), "{error}");
}

#[test]
fn a_condition_is_judged_by_its_value() {
    for (source, holds) in [
        ("{{ empty }}", false),
        ("{{ list }}", true),
        ("{{ nothing }}", false),
        ("{{ table.b }}", false),
        ("{{ 0.0 }}", false),
        ("{{ n }}", true),
        ("{{ n if not yes }}", false),
        ("\n  {{ n > 7 }}\n", false),
        ("{{ 'no' }}", false),
        ("{{ ['no'] }}", true),
        ("yes", true),
        ("{{ n }}{{ n }}", true),
        ("{% if yes %}off{% endif %}", false),
    ] {
        assert_eq!(renderer(names()).condition("run_if", source).unwrap().0, holds, "{source}");
    }
}

#[test]
fn a_whole_expression_says_what_is_missing_in_it() {
    let error = renderer(names()).value("v", "{{ missing.x }}").unwrap_err().to_string();
    assert!(error.contains("`missing.x` is not defined\nhint: define `missing.x`"), "{error}");
    let error = renderer(names()).value("v", "{{ n | nofilter }}").unwrap_err().to_string();
    assert!(error.contains("nofilter"), "{error}");
    let error = renderer(names()).value("v", "{{ n +* 1 }}").unwrap_err().to_string();
    assert!(error.contains("`*` cannot stand here\nhint: "), "{error}");
}

/// Whatever a whole expression is taken for, a name that is not defined fails as it does in text.
#[test]
fn what_is_not_defined_is_never_taken_for_nothing() {
    for (expression, named) in [
        ("nope", "`nope` is not defined\nhint: define `nope`"),
        ("table.nope", "`table.nope` is not defined\nhint: define `table.nope`"),
        ("table['nope']", "not defined\nhint: "),
        ("list[7]", "`list[7]` uses a value that is not defined\nhint: "),
        ("(list | list)[7]", "uses a value that is not defined\nhint: "),
        ("table.nope if yes", "`table.nope` is not defined\nhint: "),
        ("[n, table.nope]", "`table.nope` is not defined\nhint: "),
        ("{'a': [{'b': nope}]}", "`nope` is not defined\nhint: "),
        ("table.nope == 5", "`table.nope` is not defined\nhint: "),
        ("n != table.nope", "`table.nope` is not defined\nhint: "),
        ("1 < 2 == table.nope", "`table.nope` is not defined\nhint: "),
        ("not table.nope", "`table.nope` is not defined\nhint: "),
        ("table.nope in list", "`table.nope` is not defined\nhint: "),
        ("table.nope or n", "`table.nope` is not defined\nhint: "),
    ] {
        let source = format!("{{{{ {expression} }}}}");
        let renderer = renderer(names());
        let is_inside = expression.starts_with(['[', '{']);
        let mut errors = vec![
            renderer.value("choose", &source).map(|value| value.to_string()),
            renderer.json("json", &json!({ "a": [source] })).map(|value| value.to_string()),
            renderer.sql("query", &format!("select {source}"), Some(true)).map(|pieces| format!("{pieces:?}")),
        ];
        // A list of what is not defined is a list, and has a text: Jinja's.
        if !is_inside {
            errors.push(renderer.condition("run_if", &format!(" {source}\n")).map(|(holds, _)| holds.to_string()));
            errors.push(renderer.text("command", &format!("a {source}")));
        }
        for result in errors {
            let error = result.expect_err(&source).to_string();
            assert!(error.contains(named), "{source}: {error}");
            assert!(is_inside || error.contains(", line 1: "), "{source}: {error}");
        }
    }
}

#[test]
fn what_is_defined_and_none_is_null() {
    for expression in [
        "none",
        "nothing",
        "nope | default(none)",
        "table.nope | default(none)",
        "table.a[1]",
        "table.get('nope')",
        "n if not yes",
        "nothing if yes else nope",
    ] {
        let source = format!("{{{{ {expression} }}}}");
        let renderer = renderer(names());
        assert_eq!(renderer.value("choose", &source).unwrap(), json!(null), "{source}");
        assert_eq!(renderer.json("json", &json!([source])).unwrap(), json!([null]), "{source}");
        assert!(!renderer.condition("run_if", &source).unwrap().0, "{source}");
        assert_eq!(
            renderer.sql("query", &source, Some(true)).unwrap(),
            [crate::SqlPiece::Value(json!(null))],
            "{source}"
        );
    }
    for source in ["{{ nope is defined and nope == 5 }}", "{{ nothing == 5 }}", "{{ (n if not yes) == 5 }}"] {
        assert_eq!(value(source), json!(false), "{source}");
    }
}
