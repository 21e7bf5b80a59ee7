//! Whatever stands in a file: a check comes to an end, and says something.

use flow_dagfile::{check_text, render};
use proptest::prelude::*;

fn survives(text: &str) {
    let file = check_text("file.toml", text, None);
    if let Err(diagnostics) = &file.result {
        assert!(!diagnostics.is_empty(), "refused without a reason");
        for diagnostic in diagnostics {
            assert!(diagnostic.line >= 1 && diagnostic.line <= text.matches('\n').count() + 1);
            assert!(diagnostic.column >= 1);
        }
    }
    render(&file, false);
    render(&file, true);
}

fn shipped() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dags");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Values that a key might be given by mistake.
const VALUES: [&str; 24] = [
    "0",
    "-1",
    "1e300",
    "-inf",
    "nan",
    "9223372036854775807",
    "4294967296",
    "true",
    "\"\"",
    "\"{{ ds }}\"",
    "[]",
    "{}",
    "[[]]",
    "{ a = 1 }",
    "2026-01-01",
    "07:30:00",
    "9999-12-31T23:59:59-23:59",
    "0000-01-01",
    "\"@daily\"",
    "[\"a\", 1]",
    "\"é\\u0000\"",
    "{ every = 1e-9 }",
    "{ at = 9999-12-31 }",
    "'''\n'''",
];

fn replaced(text: &str, line: usize, value: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let line = line % lines.len();
    let mut out = String::new();
    for (number, old) in lines.iter().enumerate() {
        match old.split_once('=') {
            Some((key, _)) if number == line => out.push_str(&format!("{key}= {value}\n")),
            _ => out.push_str(&format!("{old}\n")),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_text(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn text_that_looks_like_a_dag(text in r#"(schedule|tasks|\[tasks\.[a-c]\]|bash|depends_on|=|"|'|\[|\]|\{|\}|,|\n| |[a-c]|[0-9]|é|🦀){0,60}"#) {
        survives(&text);
    }

    #[test]
    fn a_good_file_with_a_piece_cut_out(which in 0..8_usize, from in any::<prop::sample::Index>(), length in 0..60_usize) {
        let files = shipped();
        let chars: Vec<char> = files[which % files.len()].chars().collect();
        let from = from.index(chars.len());
        let until = (from + length).min(chars.len());
        survives(&chars[..from].iter().chain(&chars[until..]).collect::<String>());
    }

    #[test]
    fn a_good_file_with_something_put_in(which in 0..8_usize, at in any::<prop::sample::Index>(), text in ".{0,8}") {
        let files = shipped();
        let chars: Vec<char> = files[which % files.len()].chars().collect();
        let at = at.index(chars.len());
        survives(&chars[..at].iter().copied().chain(text.chars()).chain(chars[at..].iter().copied()).collect::<String>());
    }

    #[test]
    fn a_good_file_with_another_value(which in 0..8_usize, line in 0..60_usize, value in prop::sample::select(VALUES.to_vec())) {
        let files = shipped();
        survives(&replaced(&files[which % files.len()], line, value));
    }

    #[test]
    fn any_value_for_any_key(
        key in prop::sample::select(vec![
            "schedule", "start_date", "end_date", "timezone", "catchup", "dagrun_timeout", "max_active_runs", "tags", "params",
            "params.x", "params.x.type", "params.x.default", "default_args", "default_args.env", "default_args.retries",
            "default_args.retry_delay", "default_args.params", "schedule.every", "schedule.at", "schedule.cron",
            "tasks.a.bash", "tasks.a.sleep", "tasks.a.http", "tasks.a.command", "tasks.a.python.script", "tasks.a.depends_on",
            "tasks.a.execution_timeout", "tasks.a.env", "tasks.a.retry_exponential_backoff", "tasks.a.priority_weight",
            "tasks.a.http.timeout", "tasks.a.http.json", "tasks.a.noop", "tasks.b", "tasks",
        ]),
        value in prop::sample::select(VALUES.to_vec()),
    ) {
        survives(&format!("{key} = {value}\n[tasks.c]\nnoop = true\n"));
    }
}

#[test]
fn deep_nesting_is_refused_or_read_but_never_too_much() {
    for depth in [50, 200, 5_000, 100_000] {
        survives(&format!("a = {}{}\n[tasks.a]\nnoop = true\n", "[".repeat(depth), "]".repeat(depth)));
        survives(&format!("a = {}1{}\n", "{ a = ".repeat(depth), " }".repeat(depth)));
        survives(&format!("{}a = 1\n", "a.".repeat(depth)));
        survives(&format!("[{}a]\n", "a.".repeat(depth)));
    }
}

#[test]
fn a_key_that_is_none_is_told_where_it_stands() {
    // The parser stops before the `=`.
    for key in ["bash <.\u{51670}/\u{a9e0}", "bash ]", "a.?", "\u{201c}a\u{201d}", "a\\", "\u{e9}\\"] {
        survives(&format!("[tasks.a]\n{key} = \"echo 'it says:' {{{{ xcom.probe }}}}\"\n"));
        survives(&format!("[tasks.a]\n{key} = null\n"));
    }
}

#[test]
fn a_knot_of_many_tasks_is_told_in_few_words() {
    let all = (0..200).map(|number| format!("\"t{number}\"")).collect::<Vec<_>>().join(", ");
    let text: String =
        (0..200).map(|number| format!("[tasks.t{number}]\nnoop = true\ndepends_on = [{all}]\n")).collect();
    let file = check_text("knot.toml", &text, None);
    let diagnostics = file.result.unwrap_err();
    let cycles = diagnostics.iter().filter(|diagnostic| diagnostic.message.contains("wait for each other")).count();
    assert!((1..=200).contains(&cycles), "{cycles}");
}

#[test]
fn a_long_chain_is_read() {
    let mut text = "[tasks.t0]\nnoop = true\n".to_owned();
    for number in 1..5_000 {
        text.push_str(&format!("[tasks.t{number}]\nnoop = true\ndepends_on = \"t{}\"\n", number - 1));
    }
    assert_eq!(check_text("chain.toml", &text, None).result.unwrap().dag.tasks.len(), 5_000);
}

#[test]
fn mistakes_are_told_without_hidden_characters() {
    for (name, escaped) in [
        ("a\u{1b}[2Jb", r"a\u001b[2Jb"),
        ("a\u{202e}b", r"a\u202eb"),
        ("a\u{200b}b", r"a\u200bb"),
        ("a\u{ad}b", r"a\u00adb"),
        ("a\u{e0041}b", r"a\U000e0041b"),
    ] {
        for text in [
            format!("[tasks.a]\ndepends_on = [\"{escaped}\"]\nbash = \"true\"\n"),
            format!("[tasks.\"{escaped}\"]\nbash = \"true\"\n[tasks.b]\ndepends_on = [\"x\"]\nbash = \"true\"\n"),
            format!("\"{escaped}\" = 1\n[tasks.a]\nbash = \"true\"\n"),
            format!("schedule = \"{escaped}\"\n[tasks.a]\nbash = \"true\"\n"),
            format!("[tasks.a]\nbash = \"echo {{{{ {escaped} }}}}\"\n"),
            format!("[tasks.a]\n{name} = 1\n"),
        ] {
            let file = check_text(&format!("{name}.toml"), &text, None);
            let rendered = render(&file, false);
            assert!(!rendered.is_empty(), "nothing was found in {text:?}");
            assert!(!rendered.contains(flow_model::is_hidden), "{rendered:?}");
        }
    }
}
