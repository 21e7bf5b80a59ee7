//! The published JSON Schema against the parser: what the parser takes, the schema takes; in what the schema takes, the parser
//! finds nothing wrong with the structure, but for what no schema can know.
//!
//! `PROPTEST_CASES=10000 cargo test -p flow-dagfile --test schema` tries that many files.

use std::path::Path;
use std::sync::LazyLock;

use flow_dagfile::{check_text, reference, schema};
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value as Json;
use toml::{Table, Value};

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());

/// Files to begin with: those that are shipped, and the examples of the documentation and of each operator.
static FILES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let texts = |folder: &str, ending: &str| {
        let mut paths: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
        paths.sort();
        paths.into_iter().map(|path| std::fs::read_to_string(path).unwrap())
    };
    let documented = texts("docs", "md").flat_map(|page| {
        let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
        blocks.filter(|block| block.contains("[tasks.")).collect::<Vec<_>>()
    });
    let operators = reference::sections().into_iter().filter_map(|section| section.example);
    let operators = operators.map(|example| format!("[tasks.a]\n{example}\n"));
    let whole = std::iter::once(WHOLE.to_owned());
    let files: Vec<Table> = texts("dags", "toml")
        .chain(documented)
        .chain(operators)
        .chain(whole)
        .filter_map(|text| text.parse().ok())
        .collect();
    assert!(files.len() > 100, "{}", files.len());
    files
});

/// A file with the keys that the others seldom have.
const WHOLE: &str = r#"
dag_id = "whole"
start_date = 2026-01-01
end_date = 2027-01-01T00:00:00Z
schedule = [{ every = "1h" }, { at = [2026-05-01T06:00:00, "2026-06-01"] }, "@daily"]
catchup = false
max_active_runs = 2
dagrun_timeout = "1h"
default_args = { retries = 2, retry_delay = 5, env = { A = 1, B = true } }
[params]
plain = 3
day = 2026-01-01
table = { x = 1 }
declared = { type = ["string", "null"], format = "date", title = "Day", section = "Dates" }
chosen = { enum = ["a", "b"], default = "a", values_display = { a = "A" } }
[tasks.first]
noop = true
retry_exponential_backoff = 2
failure_rules = [{ exit_code = [75, "100-110"], action = "retry", delay = "1m" }]
[tasks.mapped]
bash = "echo {{ one }} {{ two }}"
depends_on = "first"
expand = { one = { zip = [[1, 2], ["a"]], fill = 0 }, two = { xcom = "first", key = "k" } }
[task_groups.group]
depends_on = ["mapped"]
prefix_group_id = false
[task_groups.group.tasks.inside]
sleep = 1
outputs = { rows = { type = "integer" } }
"#;

/// Values that a key might be given.
const VALUES: [&str; 26] = [
    "0",
    "-1",
    "3",
    "1.5",
    "5000000000",
    "true",
    "false",
    "\"\"",
    "\"text\"",
    "\"{{ ds }}\"",
    "\"{{ xcom.first }}\"",
    "\"5m\"",
    "\"2026-01-01\"",
    "2026-01-01",
    "2026-01-01T06:00:00",
    "2026-01-01T06:00:00+02:00",
    "07:30:00",
    "[]",
    "{}",
    "[1]",
    "[\"a\"]",
    "[[1], [2]]",
    "{ a = 1 }",
    "{ type = \"string\" }",
    "\"@daily\"",
    "{ zip = [[1]], key = 1 }",
];

/// Keys that are put in or take another's place: some are right somewhere, some nowhere.
const KEYS: [&str; 34] = [
    "bash",
    "noop",
    "python",
    "sleep",
    "http",
    "retries",
    "retry_delay",
    "depends_on",
    "expand",
    "expand_kwargs",
    "env",
    "params",
    "schedule",
    "start_date",
    "end_date",
    "dag_id",
    "tasks",
    "task_groups",
    "default_args",
    "type",
    "default",
    "format",
    "title",
    "zip",
    "concat",
    "xcom",
    "key",
    "fill",
    "a b",
    "é",
    "",
    "retry",
    "on_failure",
    "url",
];

/// What the parser says of a file's structure, which the schema has to refuse as well: parts of its messages, whose end is
/// written `$`.
const STRUCTURE: &[&str] = &[
    "unknown key `",
    " must be ",
    "` cannot be `",
    "` can only be ",
    "` has no `",
    "has no operator",
    "has several operators",
    "is not usable as a",
    "this file has no tasks",
    "does nothing",
    "does several things",
    "there is no keyword",
    "there is no type",
    "has both `expand`",
    "names nothing to map over",
    "cannot be mapped over",
    "cannot map `",
    "templates cannot name",
    "does not go with",
    "needs a list of lists",
    "of a `zip`, and there is none$",
];

/// What only the parser knows of these: parts of messages, and why no schema says it.
const ONLY_THE_PARSER_KNOWS: &[(&str, &str)] = &[
    (", not a date", "as JSON a date is text here; TOML tools tell them apart"),
    ("must be text$", "the same, in a param's declaration"),
    ("must be a table of texts", "the same, in a param's declaration"),
    (", not a decimal number", "JSON does not tell 1.0 from 1"),
    ("`every` must be at least one second", "durations are text with units, and have to be read to be compared"),
    ("a bind mount has no", "what a mount needs depends on its type"),
    ("a pod has no", "Kubernetes has the schema of a pod"),
];

#[derive(Debug, Clone)]
enum Change {
    Remove,
    Set(&'static str),
    Add(&'static str, &'static str),
    Rename(&'static str),
    Quote,
    List,
}

fn change() -> impl Strategy<Value = Change> {
    let (key, value) = (|| prop::sample::select(KEYS.to_vec()), || prop::sample::select(VALUES.to_vec()));
    prop_oneof![
        Just(Change::Remove),
        value().prop_map(Change::Set),
        (key(), value()).prop_map(|(key, value)| Change::Add(key, value)),
        key().prop_map(Change::Rename),
        Just(Change::Quote),
        Just(Change::List),
    ]
}

fn parsed(value: &str) -> Value {
    format!("value = {value}").parse::<Table>().unwrap().remove("value").unwrap()
}

/// The tables of a file, with the keys and positions that lead to them.
fn tables(table: &mut Table, visit: &mut impl FnMut(&mut Table)) {
    visit(table);
    for (_, value) in table.iter_mut() {
        tables_within(value, visit);
    }
}

fn tables_within(value: &mut Value, visit: &mut impl FnMut(&mut Table)) {
    match value {
        Value::Table(table) => tables(table, visit),
        Value::Array(items) => items.iter_mut().for_each(|item| tables_within(item, visit)),
        _ => {}
    }
}

/// Changes one key of the file.
fn apply(file: &mut Table, at: Index, change: &Change) {
    let mut count = 0;
    tables(file, &mut |table| count += table.len().max(1));
    let mut left = at.index(count);
    let mut is_done = false;
    tables(file, &mut |table| {
        let length = table.len().max(1);
        if !is_done && left < length {
            is_done = true;
            change_key(table, left, change);
        } else if !is_done {
            left -= length;
        }
    });
}

fn change_key(table: &mut Table, position: usize, change: &Change) {
    if let Change::Add(key, value) = change {
        table.insert((*key).to_owned(), parsed(value));
        return;
    }
    let Some(key) = table.keys().nth(position).cloned() else { return };
    let Some(old) = table.remove(&key) else { return };
    match (change, old) {
        (Change::Remove | Change::Add(..), _) => {}
        (Change::Set(value), _) => drop(table.insert(key, parsed(value))),
        (Change::Rename(name), old) => drop(table.insert((*name).to_owned(), old)),
        (Change::Quote, Value::Datetime(date)) => drop(table.insert(key, Value::String(date.to_string()))),
        (Change::Quote, Value::String(text)) => {
            let bare = text.parse().map_or(Value::String(text), Value::Datetime);
            table.insert(key, bare);
        }
        (Change::Quote, old) => drop(table.insert(key, Value::String(old.to_string()))),
        (Change::List, old) => drop(table.insert(key, Value::Array(vec![old]))),
    }
}

/// A file as JSON: dates are text.
fn json(value: &Value) -> Json {
    match value {
        Value::Datetime(date) => Json::String(date.to_string()),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

/// In which way the two disagree about a file.
fn disagreement(file: &Table) -> Option<String> {
    let text = toml::to_string(file).unwrap();
    let document = json(&Value::Table(file.clone()));
    let refused: Vec<String> =
        SCHEMA.iter_errors(&document).map(|error| format!("{error} at {}", error.instance_path())).collect();
    let checked = check_text("file.toml", &text, None);
    match checked.result {
        Ok(_) if !refused.is_empty() => Some(format!("only the schema refuses this: {refused:?}\n{text}")),
        Err(found) if refused.is_empty() => {
            let known = |message: &str| {
                let message = format!("{message}$");
                let has = |part: &str| message.contains(part);
                !STRUCTURE.iter().any(|part| has(part)) || ONLY_THE_PARSER_KNOWS.iter().any(|(part, _)| has(part))
            };
            let errors = found.iter().filter(|one| one.severity == flow_dagfile::Severity::Error);
            let unknown: Vec<&str> = errors.map(|one| one.message.as_str()).filter(|message| !known(message)).collect();
            (!unknown.is_empty()).then(|| format!("only the parser refuses this: {unknown:?}\n{text}"))
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_is_taken_by_both_or_by_none(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), change()), 0..4),
    ) {
        let mut file = which.get(&FILES).clone();
        changes.iter().for_each(|(at, change)| apply(&mut file, *at, change));
        if let Some(told) = disagreement(&file) {
            prop_assert!(false, "{told}");
        }
    }
}

/// Every duration of every operator, in the operator's own example: a number means as many seconds, to parser and schema.
#[test]
fn every_duration_of_an_operator_may_be_a_number_of_seconds() {
    let sections = reference::sections();
    let durations = |name: &str| {
        let section = sections.iter().find(|section| section.name == name).unwrap();
        let keys = section.keys.iter().filter(|key| key.values == "duration" && !key.name.contains('.'));
        keys.map(|key| key.name.clone()).collect::<Vec<_>>()
    };
    let mut count = 0;
    for section in sections.iter().filter(|section| section.example.is_some()) {
        let example: Table = section.example.as_ref().unwrap().parse().unwrap();
        // Some examples have the task's header, some are what stands below it.
        let task = match example.get("tasks") {
            Some(tasks) => tasks.as_table().unwrap().values().next().unwrap().as_table().unwrap().clone(),
            None => example,
        };
        let (_, short) = section.short_form.as_ref().unwrap().split_once("= ").unwrap();
        let short = short.trim_matches(['<', '>']);
        let of_sensors = if section.also.is_some() { durations("sensor") } else { Vec::new() };
        for key in durations(&section.name).into_iter().chain(of_sensors) {
            let dags = ["90", "\"90s\"", "\"1m 30s\"", "90.0"].map(|written| {
                let mut task = task.clone();
                let mut operator = match task.remove(&section.name).unwrap() {
                    Value::Table(operator) => operator,
                    value => [(short.to_owned(), value)].into_iter().collect(),
                };
                operator.insert(key.clone(), parsed(written));
                if key == "max_wait" {
                    operator.insert("exponential_backoff".to_owned(), Value::Boolean(true));
                }
                task.insert(section.name.clone(), Value::Table(operator));
                let tasks: Table = [("a".to_owned(), Value::Table(task))].into_iter().collect();
                let file: Table = [("tasks".to_owned(), Value::Table(tasks))].into_iter().collect();
                assert_eq!(disagreement(&file), None);
                assert!(SCHEMA.is_valid(&json(&Value::Table(file.clone()))), "{file}");
                let checked = check_text("file.toml", &file.to_string(), None);
                checked.result.unwrap_or_else(|found| panic!("{file}{found:?}")).dag
            });
            assert!(dags.iter().all(|dag| *dag == dags[0]), "{} {key}", section.name);
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
    for short in ["sleep", "time_delta_sensor"] {
        let dag = |value| check_text("file.toml", &format!("[tasks.a]\n{short} = {value}\n"), None).result.unwrap().dag;
        assert_eq!(dag("10"), dag("\"10s\""));
    }
}

#[test]
fn files_as_they_are_written_are_taken_by_both() {
    for file in FILES.iter() {
        assert_eq!(disagreement(file), None);
    }
}

#[test]
fn what_the_schema_says_about_a_file() {
    let task = "[tasks.a]\nnoop = true\n";
    let cases = [
        (String::new(), false),
        ("[tasks]\n".to_owned(), false),
        (task.to_owned(), true),
        (format!("start_date = 2026-01-01\n{task}"), true),
        (format!("start_date = 2026-01-01T06:00:00\n{task}"), true),
        (format!("start_date = 2026-01-01T06:00:00Z\n{task}"), true),
        (format!("start_date = \"2026-01-01\"\n{task}"), true),
        (format!("start_date = 07:30:00\n{task}"), false),
        (format!("start_date = \"soon\"\n{task}"), false),
        (format!("start_date = 3\n{task}"), false),
        (format!("dagrun_timeout = \"5\"\n{task}"), false),
        (format!("dag_id = \"a b\"\n{task}"), false),
        (format!("retries = 2\n{task}"), false),
        ("[tasks.a]\nnoop = true\nbash = \"true\"\n".to_owned(), false),
        ("[tasks.a]\nretries = 2\n".to_owned(), false),
        ("[tasks.\"a b\"]\nnoop = true\n".to_owned(), false),
        ("[task_groups.\"a/b\".tasks.a]\nnoop = true\n".to_owned(), false),
        ("[task_groups.g.tasks.a]\nnoop = true\n".to_owned(), true),
        ("[task_groups.g]\nretries = 1\n".to_owned(), false),
        (format!("{task}on_failure = [{{ slack = \"no\", command = [\"a\"] }}]\n"), false),
        (format!("{task}expand = {{ x = [1] }}\nexpand_kwargs = [{{ y = 1 }}]\n"), false),
        (format!("{task}expand = {{ x = {{ zip = [[1]], key = \"k\" }} }}\n"), false),
        (format!("{task}expand = {{ \"x y\" = [1] }}\n"), false),
        (format!("{task}expand = {{ x = \"text\" }}\n"), false),
        (format!("{task}[params]\na = 1\nb = {{ x = 2026-01-01 }}\nc = {{ type = \"integer\", default = 1 }}\n"), true),
        (format!("{task}[params]\nc = {{ type = \"integer\", defualt = 1 }}\n"), false),
        (format!("{task}[params]\nc = {{ type = \"whole\", default = 1 }}\n"), false),
    ];
    for (text, is_good) in cases {
        let file: Table = text.parse().unwrap();
        assert_eq!(SCHEMA.is_valid(&json(&Value::Table(file.clone()))), is_good, "{text}");
        assert_eq!(check_text("file.toml", &text, None).result.is_ok(), is_good, "{text}");
    }
}

/// Tools complain of what they do not know, and TOML has no null.
#[test]
fn the_schema_is_in_words_that_every_tool_knows() {
    fn walk(value: &Json, found: &mut Vec<String>) {
        match value {
            Json::Object(entries) => {
                let format = entries.get("format").and_then(Json::as_str).unwrap_or("date");
                if !["date", "date-time", "date-time-local", "time-local"].contains(&format) {
                    found.push(format.to_owned());
                }
                entries.values().for_each(|below| walk(below, found));
            }
            Json::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Json::Null => found.push("null".to_owned()),
            _ => {}
        }
    }
    let mut schema = schema();
    // What a param may be is told with the word itself.
    schema["$defs"]["param"].take();
    schema["$defs"]["param"] = true.into();
    let mut found = Vec::new();
    walk(&schema, &mut found);
    assert!(found.is_empty(), "{found:?}");
}
