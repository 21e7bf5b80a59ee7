//! Compares a tree with the schema: unknown keys, wrong types, values that are not allowed.

use std::ops::Range;

use flow_model::suggest::{listed, nearest};
use flow_model::time::duration_text;
use serde_json::Value;

use crate::diagnostic::{About, Problems};
use crate::headers::{self, Level};
use crate::schema::{OPERATORS, resolve};
use crate::tree::{Kind, Node};

/// What to do about a file without tasks.
pub(crate) const NO_TASKS: &str = "add one: a table `[tasks.<id>]` with an operator, such as `bash = \"echo hello\"`";

const A_DATE: &str = "a date";
const A_DURATION: &str = "a duration such as \"30s\"";

/// Names from elsewhere, and what they are called here.
const KNOWN_ELSEWHERE: [(&str, &str); 28] = [
    ("retry", "retries"),
    ("dag_display_name", "display_name"),
    ("schedule_interval", "schedule"),
    ("timetable", "schedule"),
    ("cron", "schedule"),
    ("docs", "doc_md"),
    ("doc", "doc_md"),
    ("name", "display_name"),
    ("concurrency", "max_active_tasks"),
    ("dependencies", "depends_on"),
    ("depends", "depends_on"),
    ("upstream", "depends_on"),
    ("bash_command", "bash"),
    ("script", "bash"),
    ("timeout", "execution_timeout"),
    ("working_dir", "cwd"),
    ("default_params", "params"),
    ("bash_command", "command"),
    ("http_conn_id", "connection"),
    ("redis_conn_id", "connection"),
    ("conn_id", "connection"),
    ("endpoint", "url"),
    ("request_params", "query"),
    ("data", "body"),
    ("sql", "query"),
    ("execution_date_fn", "external_logical_date"),
    ("poll_interval", "poke_interval"),
    ("never_fail", "soft_fail"),
];

/// Keys of Airflow's sensors for which something else than another key is the way here.
const SENSOR_KEYS_ELSEWHERE: [(&str, &str); 8] = [
    ("fs_conn_id", "there are no connections for files: write the whole path into `filepath`"),
    (
        "silent_fail",
        "take it away: a look that goes wrong means \"not yet\" anyhow, and is told as what was found last",
    ),
    ("success", "let the query decide: its first value counts, and must be neither empty, zero nor false"),
    (
        "failure",
        "let the query fail, or end the waiting with `timeout`: the query's first value says \"there\" or \"not yet\"",
    ),
    ("selector", "let the query decide: the first value of its first row counts"),
    ("extra_options", "`request_timeout` says how long one exchange may take"),
    ("response_error_codes_allowlist", "take it away: any status that is not in `expected_status` means \"not yet\""),
    ("retry_exit_code", "take it away: any exit code but 0 and those of `skip_on_exit_code` means \"not yet\""),
];

/// Notes everything in which the file does not fit its schema.
pub(crate) fn check_file(root: &Node, schema: &'static Value, problems: &mut Problems) {
    check(root, schema, "the file", None, problems);
}

/// `above`: the table that the node stands in.
fn check(node: &Node, schema: &'static Value, what: &str, above: Option<&Level<'_>>, problems: &mut Problems) {
    if matches!(node.kind, Kind::Broken) {
        return;
    }
    let schema = resolve(schema);
    if let Some(alternatives) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return check_alternatives(node, alternatives, what, above, problems);
    }
    if !fits_type(node, schema) {
        wrong_type(node, &[schema], what, problems);
        return;
    }
    match &node.kind {
        Kind::Table(_) => check_table(&Level { above, key: what, node, schema }, problems),
        Kind::List(items) => {
            if items.is_empty() && schema["minItems"].as_u64().is_some_and(|min| min > 0) {
                problems.add(node.span.clone(), format!("`{what}` is empty")).hint("put something into the brackets");
            }
            if schema["items"].is_object() {
                items.iter().for_each(|item| check(item, &schema["items"], what, above, problems));
            }
        }
        Kind::Text(text) => check_text(node, text, schema, what, problems),
        Kind::Integer(integer) => {
            #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
            check_range(node, *integer as f64, schema, what, problems);
        }
        Kind::Float(float) => check_range(node, *float, schema, what, problems),
        Kind::Bool(value) => {
            if schema["const"].as_bool().is_some_and(|constant| constant != *value) {
                problems
                    .add(node.span.clone(), format!("`{what}` can only be {}", schema["const"]))
                    .hint(format!("write `{what} = {}`, or take the line away", schema["const"]));
            }
        }
        Kind::Date(_) | Kind::Broken => {}
    }
}

fn check_alternatives(
    node: &Node,
    alternatives: &'static [Value],
    what: &str,
    above: Option<&Level<'_>>,
    problems: &mut Problems,
) {
    let constants: Vec<&str> = alternatives.iter().flat_map(allowed_texts).collect();
    if constants.len() >= alternatives.len() && !constants.is_empty() && node.text().is_some() {
        return check_allowed(node, &constants, what, problems);
    }
    let fitting: Vec<&'static Value> = alternatives.iter().filter(|schema| fits_type(node, schema)).collect();
    match fitting.as_slice() {
        [] => wrong_type(node, &alternatives.iter().collect::<Vec<_>>(), what, problems),
        [only] => check(node, only, what, above, problems),
        [first, ..] => {
            // Several could be meant: it is enough to fit one, and the first tells what is wrong.
            let fits_one = fitting.iter().any(|schema| {
                let mut tried = Problems::default();
                check(node, schema, what, above, &mut tried);
                tried.is_empty()
            });
            if !fits_one {
                check(node, first, what, above, problems);
            }
        }
    }
}

fn check_table(level: &Level<'_>, problems: &mut Problems) {
    let Level { node, schema, .. } = *level;
    let properties = schema["properties"].as_object();
    for entry in node.entries() {
        if let Some(property) = properties.and_then(|properties| properties.get(&entry.key)) {
            check(&entry.node, property, &entry.key, Some(level), problems);
        } else if schema["additionalProperties"].is_object() {
            check(&entry.node, &schema["additionalProperties"], &entry.key, Some(level), problems);
        } else if schema["additionalProperties"] == false {
            let known: Vec<&str> = properties.into_iter().flat_map(|known| known.keys().map(String::as_str)).collect();
            unknown_key(&entry.key, &entry.key_span, &known, level, problems);
        }
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if node.entry(required).is_none() {
            missing(node, required, level, problems);
        }
    }
}

fn missing(node: &Node, required: &'static str, level: &Level<'_>, problems: &mut Problems) {
    let before = problems.len();
    let hint = headers::too_deep(node, &[required]).unwrap_or_else(|| format!("add `{required}`"));
    let problem = problems.add(node.span.clone(), format!("`{}` has no `{required}`", level.key));
    problem.absent([required]).hint(hint);
    problems.place_absences(before, &level.path());
}

/// The key that was probably meant by one that is not known.
pub(crate) fn meant<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    known_elsewhere(key, known).or_else(|| nearest(key, known.iter().copied()))
}

fn known_elsewhere<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    KNOWN_ELSEWHERE
        .iter()
        .filter(|(name, _)| *name == key)
        .find_map(|(_, here)| known.iter().copied().find(|name| name == here))
}

fn unknown_key(key: &str, span: &Range<usize>, known: &[&str], level: &Level<'_>, problems: &mut Problems) {
    problems
        .add(span.clone(), format!("unknown key `{key}`"))
        .label("not a key here")
        .hint(instead(key, span, known, level))
        .about = About::Stray { key: key.to_owned(), meant: meant(key, known).map(str::to_owned), table: level.path() };
}

/// What to do about a key that is not known.
fn instead(key: &str, span: &Range<usize>, known: &[&str], level: &Level<'_>) -> String {
    let what = level.key;
    if let Some((_, hint)) = SENSOR_KEYS_ELSEWHERE.iter().find(|(name, _)| *name == key && what.ends_with("_sensor")) {
        return (*hint).to_owned();
    }
    let did_you_mean = |meant: &str| format!("did you mean `{meant}`?");
    headers::in_what_is_there(key, level)
        .or_else(|| known_elsewhere(key, known).map(did_you_mean))
        .or_else(|| headers::in_another_table(key, span, level))
        .or_else(|| nearest(key, known.iter().copied()).map(did_you_mean))
        .or_else(|| headers::in_what_could_be_there(key, level))
        .unwrap_or_else(|| match what {
            "default_args" if key == "depends_on" || OPERATORS.iter().any(|form| form.name == key) => {
                "it belongs into each task: `default_args` holds settings that tasks share".to_owned()
            }
            _ if known.len() <= 12 => format!("`{what}` has the keys {}", listed(known.iter().copied())),
            _ => "`flowctl dags schema` prints every key; docs/dag-file.md explains them".to_owned(),
        })
}

fn check_text(node: &Node, text: &str, schema: &Value, what: &str, problems: &mut Problems) {
    let allowed: Vec<&str> = allowed_texts(schema).collect();
    if !allowed.is_empty() {
        return check_allowed(node, &allowed, what, problems);
    }
    if schema["minLength"].as_u64().is_some_and(|min| min > 0) && text.trim().is_empty() {
        problems.add(node.span.clone(), format!("`{what}` is empty")).hint("write something, or take the line away");
    }
    if schema["format"] == "flow-duration"
        && let Err(why) = duration_text::parse(text)
    {
        let (message, hint) = why.split_once("; ").unwrap_or((&why, "write it like `30s`, `5m`, `1h 30m` or `2d`"));
        problems.add(node.span.clone(), format!("`{what}`: {message}")).hint(hint);
    }
}

fn check_allowed(node: &Node, allowed: &[&str], what: &str, problems: &mut Problems) {
    let text = node.text().unwrap_or_default();
    if allowed.contains(&text) {
        return;
    }
    // Also a short form: `sat` for `saturday`.
    let begins = |one: &&&str| text.len() > 1 && one.starts_with(&text.to_lowercase());
    let mut short_for = allowed.iter().filter(begins).copied();
    let only = short_for.next().filter(|_| short_for.next().is_none());
    let meant = nearest(text, allowed.iter().copied()).or(only);
    let hint = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it is one of {}", listed(allowed.iter().copied())),
    };
    problems.add(node.span.clone(), format!("`{what}` cannot be `{text}`")).hint(hint);
}

fn check_range(node: &Node, number: f64, schema: &Value, what: &str, problems: &mut Problems) {
    if let Some(minimum) = schema["minimum"].as_f64().filter(|minimum| number < *minimum || number.is_nan()) {
        problems.add(node.span.clone(), format!("`{what}` must be at least {minimum}"));
    } else if let Some(maximum) = maximum(schema).filter(|maximum| number > *maximum) {
        problems.add(node.span.clone(), format!("`{what}` must be at most {maximum}"));
    }
}

fn maximum(schema: &Value) -> Option<f64> {
    schema["maximum"].as_f64().or_else(|| (schema["format"] == "uint32").then_some(f64::from(u32::MAX)))
}

/// Texts that a schema allows by `enum` or `const`.
fn allowed_texts(schema: &Value) -> impl Iterator<Item = &str> {
    schema["enum"].as_array().into_iter().flatten().chain(schema.get("const")).filter_map(Value::as_str)
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether the value is of a type that the schema takes.
pub(crate) fn fits_type(node: &Node, schema: &Value) -> bool {
    if let Some(alternatives) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return alternatives.iter().any(|alternative| fits_type(node, alternative));
    }
    let types = types(schema);
    if types.is_empty() {
        return true;
    }
    types.iter().any(|name| match (*name, &node.kind) {
        ("string", Kind::Text(_))
        | ("integer" | "number", Kind::Integer(_))
        | ("number", Kind::Float(_))
        | ("boolean", Kind::Bool(_))
        | ("array", Kind::List(_))
        | ("object", Kind::Table(_)) => true,
        (_, Kind::Broken) => true,
        ("string", Kind::Date(_)) => schema["format"] == "flow-date",
        _ => false,
    })
}

fn wrong_type(node: &Node, schemas: &[&Value], what: &str, problems: &mut Problems) {
    let mut expected: Vec<&str> = Vec::new();
    for name in schemas.iter().flat_map(|schema| described_types(schema)) {
        if !expected.contains(&name) {
            expected.push(name);
        }
    }
    let message = format!("`{what}` must be {}, not {}", expected.join(" or "), node.type_name());
    problems
        .add(node.span.clone(), message)
        .label(format!("this is {}", node.type_name()))
        .hint(how_to_write(node, &expected, what));
}

/// What to write instead of a value of the wrong type.
fn how_to_write(node: &Node, expected: &[&str], what: &str) -> String {
    let is_single = !matches!(node.kind, Kind::List(_) | Kind::Table(_));
    let accepts = |name: &str| expected.contains(&name);
    if what == "schedule" {
        "for instance `\"0 6 * * 1-5\"`, `\"@daily\"` or `{ every = \"15m\" }`".to_owned()
    } else if accepts(A_DATE) {
        "write it like 2026-01-31, 2026-01-31T06:00:00 or 2026-01-31T06:00:00+01:00".to_owned()
    } else if accepts("text") && is_single {
        "put it into quotes".to_owned()
    } else if accepts("a list") && is_single {
        "put it into brackets: `[...]`".to_owned()
    } else if accepts(A_DURATION) {
        "write it like `\"30s\"`, `\"5m\"` or `\"1h 30m\"`".to_owned()
    } else if accepts("text") {
        "write one text in quotes".to_owned()
    } else if accepts("true or false") {
        "write `true` or `false`, without quotes".to_owned()
    } else if accepts("a whole number") {
        "write a number such as `3`, without quotes".to_owned()
    } else if accepts("a number") {
        "write a number such as `0.5`, without quotes".to_owned()
    } else if accepts("a list") {
        "put it into brackets: `[{ ... }]`".to_owned()
    } else {
        format!("write it as a table: `{what} = {{ ... }}`")
    }
}

fn described_types(schema: &Value) -> Vec<&'static str> {
    if let Some(alternatives) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return alternatives.iter().flat_map(described_types).collect();
    }
    types(schema)
        .into_iter()
        .filter_map(|name| {
            Some(match name {
                "string" if schema["format"] == "flow-date" => A_DATE,
                "string" if schema["format"] == "flow-duration" => A_DURATION,
                "string" => "text",
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "true or false",
                "array" => "a list",
                "object" => "a table",
                _ => return None,
            })
        })
        .collect()
}
