//! Every key of a DAG file in words, made from the types that the parser reads: the page docs/reference.md and
//! `flowctl dags reference` come from here, so they cannot tell anything else than the code does.

use std::collections::BTreeSet;

use flow_model::suggest::nearest;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::schema::{OPERATORS, OperatorForm, whole};

mod markdown;
mod values;

pub use markdown::page;

/// A table of a DAG file: the file's own keys, a task's, an operator's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// `dag`, `task`, or the operator's key.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How it is written in short, if it has a short form: `bash = "..."`.
    pub short_form: Option<String>,
    /// Lines of a DAG file that use it.
    pub example: Option<String>,
    /// Another section whose keys it has, too.
    pub also: Option<&'static str>,
    /// Its keys, in the order of the types.
    pub keys: Vec<Key>,
}

/// A key of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    /// Its name; for a key of a table inside, with the path to it: `limits.memory`, `mounts[].source`.
    pub name: String,
    /// What it takes, in words: `text`, `duration`, `list of text`.
    pub values: String,
    /// What counts without it, as it would be written.
    pub default: Option<String>,
    /// Whether it has to be there.
    pub is_required: bool,
    /// What it means.
    pub description: String,
}

/// What the sections hold that are no operators.
const SENSOR: &str = "sensor";

/// Keys whose tables have a section of their own.
const TOLD_ELSEWHERE: &[(&str, &str)] = &[
    ("schedule", "text, list or table: see `schedule`"),
    ("default_args", "table with the keys of `task`"),
    ("tasks", "tables: see `task`"),
    ("task_groups", "tables: see `task_group`"),
    ("on_success", "list of tables: see `notifier`"),
    ("on_failure", "list of tables: see `notifier`"),
    ("on_retry", "list of tables: see `notifier`"),
    ("on_skipped", "list of tables: see `notifier`"),
];

/// All sections: the file, its schedule, groups, tasks, notifiers, what all sensors have in common, each operator.
pub fn sections() -> Vec<Section> {
    let schema = whole();
    let task = &schema["$defs"]["task"];
    let schedule = &schema["properties"]["schedule"]["anyOf"][1];
    let notifier = &task["properties"]["on_failure"]["items"];
    let table = |name: &str, description: &str, schema: &'static Value| Section {
        name: name.to_owned(),
        description: description.to_owned(),
        short_form: None,
        example: None,
        also: None,
        keys: keys_of(schema, &BTreeSet::new()),
    };
    let mut settings = table("task", "A task: one operator, and any of these.", task);
    settings.keys.retain(|key| !OPERATORS.iter().any(|operator| operator.name == first_part(&key.name)));
    let common = common_keys();
    let mut sensor = table(
        SENSOR,
        "What all sensors have, besides their own keys.",
        operator_table(&task["properties"]["file_sensor"]),
    );
    sensor.keys.retain(|key| common.contains(first_part(&key.name)));
    let mut sections = vec![
        table("dag", "What stands at the top of a file, outside of any table.", schema),
        table("schedule", "The table form of `schedule`; a list may hold several, and texts.", schedule),
        table("task_group", "A group of tasks: `[task_groups.<id>]`.", &schema["$defs"]["task_group"]),
        settings,
        table("notifier", "What a callback does: exactly one of these.", notifier),
        sensor,
    ];
    sections.extend(OPERATORS.iter().map(|form| operator(form, &common)));
    sections
}

/// The section of that name.
///
/// # Errors
/// There is none; with the name that was probably meant.
pub fn section(name: &str) -> Result<Section, Option<String>> {
    let all = sections();
    let suggestion = nearest(name, all.iter().map(|section| section.name.as_str())).map(str::to_owned);
    all.into_iter().find(|section| section.name == name).ok_or(suggestion)
}

fn operator(form: &OperatorForm, common: &BTreeSet<&'static str>) -> Section {
    let property = &whole()["$defs"]["task"]["properties"][form.name];
    let (description, example) = split_example(property["description"].as_str().unwrap_or_default());
    let is_sensor = form.name.ends_with("_sensor");
    Section {
        name: form.name.to_owned(),
        description,
        short_form: Some(match form.short_field {
            Some(field) => format!("{} = <{field}>", form.name),
            None => format!("{} = true", form.name),
        }),
        example,
        also: is_sensor.then_some(SENSOR),
        keys: keys_of(operator_table(property), if is_sensor { common } else { const { &BTreeSet::new() } }),
    }
}

/// The long form of an operator.
fn operator_table(property: &'static Value) -> &'static Value {
    property["anyOf"].as_array().and_then(|forms| forms.last()).unwrap_or(property)
}

/// Keys that every sensor has.
fn common_keys() -> BTreeSet<&'static str> {
    let task = &whole()["$defs"]["task"]["properties"];
    let sensors = OPERATORS.iter().filter(|form| form.name.ends_with("_sensor"));
    sensors
        .map(|form| {
            let keys = operator_table(&task[form.name])["properties"].as_object();
            keys.into_iter().flat_map(Map::keys).map(String::as_str).collect::<BTreeSet<_>>()
        })
        .reduce(|left, right| left.intersection(&right).copied().collect())
        .unwrap_or_default()
}

fn keys_of(table: &'static Value, without: &BTreeSet<&'static str>) -> Vec<Key> {
    let mut keys = Vec::new();
    add_keys(&mut keys, "", table, without);
    keys
}

fn add_keys(keys: &mut Vec<Key>, path: &str, table: &'static Value, without: &BTreeSet<&'static str>) {
    let required: Vec<&str> = table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in table["properties"].as_object().into_iter().flatten() {
        if without.contains(name.as_str()) {
            continue;
        }
        let (description, told) = split_default(schema["description"].as_str().unwrap_or_default());
        let elsewhere =
            TOLD_ELSEWHERE.iter().find(|(key, _)| path.is_empty() && key == name).map(|(_, values)| *values);
        let is_required = required.contains(&name.as_str());
        let name = format!("{path}{name}");
        keys.push(Key {
            values: elsewhere.map_or_else(|| values::in_words(schema), str::to_owned),
            default: schema.get("default").and_then(values::default).or(told),
            is_required,
            description,
            name: name.clone(),
        });
        if elsewhere.is_none() {
            if let Some(inside) = values::table_inside(schema) {
                add_keys(keys, &format!("{name}."), inside, &BTreeSet::new());
            } else if let Some(inside) = values::table_inside(&schema["items"]) {
                add_keys(keys, &format!("{name}[]."), inside, &BTreeSet::new());
            }
        }
    }
}

fn first_part(name: &str) -> &str {
    name.split(['.', '[']).next().unwrap_or(name)
}

/// A doc comment's text without its example, and the example: a fenced block of TOML.
fn split_example(text: &str) -> (String, Option<String>) {
    let Some((before, rest)) = text.split_once("```toml\n") else { return (text.trim().to_owned(), None) };
    let (example, after) = rest.split_once("```").unwrap_or((rest, ""));
    (format!("{}{}", before.trim_end(), after.trim_end()).trim().to_owned(), Some(example.trim_end().to_owned()))
}

/// A doc comment's text without the default that it tells in parentheses, and the default. Types whose default is decided
/// elsewhere are optional, and say it in one of two ways: `Tries after a failure (default: 0).`, or `... `latest` (the default) ...`.
fn split_default(text: &str) -> (String, Option<String>) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((before, rest)) = text.split_once(" (default: ")
        && let Some((default, after)) = rest.split_once(')')
    {
        return (format!("{before}{after}"), Some(default.to_owned()));
    }
    let default = text.split_once("` (the default)").and_then(|(before, _)| before.rsplit('`').next());
    let default = default.map(|value| format!("`{value}`"));
    (text.replace(" (the default)", ""), default)
}
