//! Whatever an expression has gone through, every place treats it as it treats the same text from a variable. What the
//! engine has (filters, tests, functions) is taken from the engine itself, so that nothing new is forgotten.

use std::fmt::Debug;

use proptest::prelude::*;
use serde_json::json;

use super::renderer;
use super::shell::hostile;
use crate::{Renderer, SqlPiece, UrlStart};

/// What may stand in brackets after a filter, a function or a method.
const ARGUMENTS: [&str; 14] = [
    "",
    "'x'",
    "v",
    "1",
    "2",
    "v, v",
    "'x', v",
    "1, v",
    "2, 'x'",
    "'k'",
    "attribute='k'",
    "'upper'",
    "width=5",
    "'%s'",
];

/// What a chain begins with.
const BEGINNINGS: [&str; 13] =
    ["v", "d", "l", "n", "at", "[d, d]", "{'k': v}", "none", "[l, l]", "v ~ n", "l[0]", "d.k", "(v, v)"];

/// Methods of texts, lists and tables, as Python has them. The engine cannot list them.
const METHODS: [&str; 33] = [
    "upper",
    "lower",
    "strip",
    "lstrip",
    "rstrip",
    "replace",
    "title",
    "split",
    "splitlines",
    "capitalize",
    "count",
    "find",
    "format",
    "rfind",
    "startswith",
    "endswith",
    "join",
    "keys",
    "values",
    "items",
    "get",
    "isdigit",
    "islower",
    "isupper",
    "isspace",
    "isalnum",
    "isalpha",
    "isascii",
    "zfill",
    "ljust",
    "rjust",
    "removeprefix",
    "partition",
];

/// Text that is captured before it is printed; `E` is an expression.
const CAPTURES: [&str; 10] = [
    "{{ E }}",
    "{% set x = E %}{{ x }}",
    "{% set x %}{{ E }}{% endset %}{{ x }}",
    "{% set x %}{{ E }}{% endset %}{{ x | upper }}",
    "{% filter upper %}{{ E }}{% endfilter %}",
    "{% filter tojson %}a{{ E | safe }}{% endfilter %}",
    "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(E) }}",
    "{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ E | safe }}{% endcall %}",
    "{% set x = (E) | safe %}{{ x ~ '' }}",
    "{% autoescape true %}{{ E }}{% endautoescape %}",
];

fn names(value: &str) -> serde_json::Value {
    json!({ "v": value, "n": 5, "d": { "k": value, value: "k" }, "l": [value, "x", value] })
}

/// The names in a list that the engine shows of itself.
fn engine_list(list: &str) -> Vec<String> {
    let shown = format!("{:?}", crate::engine::environment());
    let start = shown.find(&format!("{list}: ")).unwrap() + list.len() + 3;
    let end = start + shown[start..].find(['}', ']']).unwrap();
    let names: Vec<String> = shown[start..end].split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!names.is_empty(), "{shown}");
    // Operators cannot be written as names; what is drawn by lot has no text to compare with.
    let is_name =
        |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && name != "random";
    names.into_iter().filter(is_name).collect()
}

fn functions() -> Vec<String> {
    crate::engine::environment().globals().map(|(name, _)| name.to_owned()).collect()
}

/// How a place treats an expression, and how it treats a text from a variable.
fn compare<T: PartialEq + Debug>(
    of: &Renderer,
    plain: &Renderer,
    source: &str,
    around: &str,
    place: impl Fn(&Renderer, &str) -> Result<T, crate::TemplateError>,
) -> Result<(), TestCaseError> {
    let found = place(of, &around.replace('§', source)).map_err(|error| error.message);
    let wanted = place(plain, &around.replace('§', "{{ text }}")).map_err(|error| error.message);
    prop_assert_eq!(found, wanted, "{} in {}", source, around);
    Ok(())
}

/// Compares every place. False if the expression has no text.
fn is_its_text_everywhere(value: &str, source: &str) -> Result<bool, TestCaseError> {
    let of = renderer(names(value));
    let Ok(text) = of.text("text", source) else { return Ok(false) };
    let plain = renderer(json!({ "text": text }));
    for around in [
        "echo §",
        "echo \"§\" '§' $'§'",
        "echo \"$(echo §)\"",
        "cat <<E\n§\nE\n",
        "cat <<'E'\n§\nE\n",
        "echo `§`",
        "echo $((§))",
        "echo ${x:-§} ${x:§}",
        "bash -c 'echo §'",
        "# §\n",
        "x=§; (( x ))",
    ] {
        compare(&of, &plain, source, around, |renderer, text| renderer.shell("text", text))?;
    }
    for around in ["§", "§://h/", "https://§/", "https://a.§/", "https://h/§/b?c=§#§", "https://§:§@h/", "https://h:§/"]
    {
        compare(&of, &plain, source, around, |renderer, text| renderer.url("text", text, UrlStart::Scheme))?;
    }
    compare(&of, &plain, source, "/§/jobs?§", |renderer, text| renderer.url("text", text, UrlStart::Path))?;
    compare(&of, &plain, source, "/data/§/x.§", |renderer, text| {
        renderer.path("text", text, |value| value.replace('*', "[*]"))
    })?;
    compare(&of, &plain, source, "a § `§`\n```\n§\n```\n§", |renderer, text| renderer.markdown("text", text))?;
    compare(&of, &plain, source, "<a href=\"§\">§</a>", |renderer, text| {
        renderer.escaped("text", text, |value| value.replace(['<', '"', '&'], "_"))
    })?;
    for around in ["§", "§, b@example.org", "Ada § <ada@example.org>"] {
        compare(&of, &plain, source, around, |renderer, text| renderer.addresses("text", text))?;
    }
    for around in ["§", "r.example/§:1", "§/app"] {
        compare(&of, &plain, source, around, |renderer, text| renderer.image("text", text))?;
    }
    for around in ["select §", "select '§', \"§\" -- §\n, 1"] {
        // Blocks that capture, and `safe`, are refused.
        let Ok(pieces) = of.sql("text", &around.replace('§', source), Some(true)) else { continue };
        let own: String = pieces
            .iter()
            .filter_map(|piece| match piece {
                SqlPiece::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        prop_assert_eq!(own, around.replace('§', ""), "{} in {}", source, around);
    }
    compare(&of, &plain, source, "x: §", |renderer, text| renderer.text("text", text))?;
    compare(&of, &plain, source, "ssh -i §", |renderer, text| renderer.variable("text", "GIT_SSH_COMMAND", text))?;
    // `debug()` tells the field's name.
    if !source.contains("debug") {
        let json = |source: &str| json!({ "a": [format!("x {source}"), { "b": format!("{source}, {source}") }] });
        match of.json("text", &json(source)) {
            // A list or none has a text, but none inside of a text of JSON.
            Err(error) => prop_assert!(error.message.contains("stands inside of a text\nhint: "), "{}", error),
            Ok(found) => prop_assert_eq!(found, plain.json("text", &json("{{ text }}")).unwrap(), "{}", source),
        }
    }
    Ok(true)
}

/// Every use of a name with every kind of argument, on everything that a chain begins with.
fn uses(pattern: &str, names: &[String]) -> Vec<(String, Vec<String>)> {
    let of_name = |name: &String| {
        let beginnings =
            BEGINNINGS[..7].iter().flat_map(|beginning| ARGUMENTS.iter().map(move |arguments| (beginning, arguments)));
        beginnings.map(|(b, a)| pattern.replace("BEGINNING", b).replace("NAME", name).replace("ARGUMENTS", a)).collect()
    };
    names.iter().map(|name| (name.clone(), of_name(name))).collect()
}

#[test]
fn every_filter_test_function_and_method_leaves_a_value() {
    let methods = METHODS.map(str::to_owned);
    let all = [
        uses("{{ BEGINNING | NAME(ARGUMENTS) ~ '' }}", &engine_list("filters")),
        uses("{{ BEGINNING is NAME(ARGUMENTS) }}", &engine_list("tests")),
        uses("{{ NAME(ARGUMENTS) }}", &functions()),
        uses("{{ (BEGINNING).NAME(ARGUMENTS) }}", &methods),
    ];
    for (name, sources) in all.into_iter().flatten() {
        let value = "'\"$(touch owned)`id`;\n<b>&../%2F@x";
        let mut rendered = 0;
        for source in sources {
            rendered += usize::from(is_its_text_everywhere(value, &source).unwrap_or_else(|error| panic!("{error}")));
        }
        assert!(rendered > 0 || METHODS.contains(&name.as_str()), "`{name}` was never rendered: give it arguments");
    }
}

/// An expression of several steps.
fn chain() -> impl Strategy<Value = String> {
    let pick = |of: Vec<String>| proptest::sample::select(of);
    let arguments = || proptest::sample::select(ARGUMENTS.to_vec());
    let step = prop_oneof![
        6 => (pick(engine_list("filters")), arguments()).prop_map(|(name, arguments)| format!("(E | {name}({arguments}))")),
        2 => (pick(METHODS.map(str::to_owned).to_vec()), arguments()).prop_map(|(name, arguments)| format!("(E).{name}({arguments})")),
        1 => (pick(engine_list("tests")), arguments()).prop_map(|(name, arguments)| format!("(v if (E) is {name}({arguments}) else E)")),
        1 => proptest::sample::select(vec!["(E ~ v)", "(v ~ E)", "(E + v)", "[E, v]", "{'k': E}", "(E)[0]", "(E)[1:]", "(E) * 2", "'%s|%s' % (E, v)", "(E) % n", "(E if E else v)", "(E in l)", "(E == v)"]).prop_map(str::to_owned),
    ];
    let capture = proptest::sample::select(CAPTURES.to_vec());
    let steps = proptest::collection::vec(step, 1..5);
    (proptest::sample::select(BEGINNINGS.to_vec()), steps, capture).prop_map(|(beginning, steps, capture)| {
        let expression = steps.iter().fold(beginning.to_owned(), |expression, step| step.replace('E', &expression));
        // Last of all `safe` and `urlencode` mean something; not in the middle.
        capture.replace('E', &format!("[{expression}][0] ~ ''"))
    })
}

proptest! {
    #![proptest_config(super::examples(200))]

    #[test]
    fn a_chain_of_anything_leaves_a_value(value in hostile(), source in chain()) {
        is_its_text_everywhere(&value, &source)?;
    }
}

#[test]
fn captured_text_is_itself_for_filters_and_tests() {
    let of = renderer(names("a'b"));
    for (source, text) in [
        (
            "{% set x %}{{ v }}{% endset %}{{ x | length }} {{ x == v }} {{ v in x }} {{ x[1] }} {{ x | list }}",
            "3 true true ' ['a', \"'\", 'b']",
        ),
        ("{% filter upper %}{{ v }}{% endfilter %}", "A'B"),
        ("{% filter replace('a', 'c') %}{{ v }}{% endfilter %}", "c'b"),
        ("{% macro m() %}{{ v }}{% endmacro %}{{ m() | upper }} {{ m() == v }}", "A'B true"),
        ("{% macro m() %}{{ caller() | length }}{% endmacro %}{% call m() %}{{ v }}{% endcall %}", "3"),
        ("{% block b %}{{ v }}{% endblock %}{{ self.b() | upper }}", "a'bA'B"),
        (
            "{% for x in [v, [v]] recursive %}{% if x is string %}{{ x }}{% else %}{{ loop(x) | upper }}{% endif %}{% endfor %}",
            "a'bA'B",
        ),
    ] {
        let script = of.shell("bash", source).unwrap();
        assert_eq!(script.shown.to_lowercase(), text.to_lowercase(), "{source}");
        assert!(!script.code.contains("a'b") && !script.code.contains("A'B"), "{source}: {}", script.code);
    }
}

#[test]
fn what_is_made_of_safe_text_is_a_value_again() {
    let of = renderer(names("$(id) a"));
    for source in [
        "{{ (v | safe) ~ '' }}",
        "{{ (v | safe) ~ (v | safe) }}",
        "{{ v | safe | upper }}",
        "{{ v | safe | trim | replace('x', 'y') }}",
        "{{ [v | safe] }}",
        "{{ [v | safe] | join(' ') }}",
        "{{ '%s' | safe | format(v) }}",
        "{{ (v | safe)[1:] }}",
        "{{ v | tojson }}",
        "{{ v | e }}",
        "{{ (v | safe) + (v | safe) }}",
        "{{ (v | safe) * 2 }}",
        "{{ v | safe | indent }}",
        "{% autoescape true %}{{ (v | safe) ~ v }}{% endautoescape %}",
        "{% autoescape true %}{% set x %}{{ v }}{% endset %}{{ x }}{% endautoescape %}",
        "{% autoescape true %}{% macro m() %}{{ v | safe }}{% endmacro %}{{ m() }}{% endautoescape %}",
    ] {
        let script = of.shell("bash", source).unwrap();
        assert!(script.code.starts_with("\"${FLOW_VALUE_1}\""), "{source}: {}", script.code);
    }
    for source in [
        "{{ v | safe }}",
        "{% set x = v | safe %}{{ x }}",
        "{{ (v | safe) if true }}",
        "{{ v | safe | safe }}",
        "{{ [v | safe] | first }}",
    ] {
        assert_eq!(of.shell("bash", source).unwrap().code, "$(id) a", "{source}");
    }
}
