//! Tasks: their settings over the file's defaults, and their operators.

use flow_model::dag::{Output, Overlap, WeightRule};
use flow_model::operator::Operator;
use flow_model::retry::RetryPolicy;
use flow_model::{Task, TriggerRule};
use serde_json::{Map, Value, json};

use super::check_id;
use super::files::Files;
use crate::diagnostic::Problems;
use crate::schema::{OPERATORS, OperatorForm};
use crate::spec::TaskSettings;
use crate::suggest::{listed, nearest};
use crate::tree::{Entry, Kind, Node};
use crate::walk::{NO_TASKS, meant};

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// Owner of a task until the DAG's is known.
const NO_OWNER: &str = "";

/// Reads all tasks. `None` if one of them is not usable.
pub(super) fn read(root: &Node, files: &mut Files<'_>, has_shape: bool, problems: &mut Problems) -> Option<Vec<Task>> {
    let tasks = root.get("tasks")?;
    if tasks.entries().is_empty() {
        if matches!(tasks.kind, Kind::Table(_)) {
            problems.add(tasks.span.clone(), "this file has no tasks").hint(NO_TASKS);
        }
        return None;
    }
    let defaults: Map<String, Value> = match root.get("default_args").map(Node::to_json) {
        Some(Value::Object(defaults)) => defaults,
        _ => Map::new(),
    };
    root.get("default_args").into_iter().for_each(|defaults| check_env(defaults, problems));
    let mut read = Vec::new();
    for entry in tasks.entries() {
        check_id(&entry.key_span, &entry.key, "task id", problems);
        check_env(&entry.node, problems);
        let operator = operator(entry, files, problems);
        if has_shape && let Some(operator) = operator {
            read.push(task(entry, &defaults, operator, problems)?);
        }
    }
    Some(read)
}

/// Gives a task that names no owner the DAG's.
pub(super) fn with_owner(mut task: Task, owner: &str) -> Task {
    if task.owner == NO_OWNER {
        owner.clone_into(&mut task.owner);
    }
    task
}

fn task(entry: &Entry, defaults: &Map<String, Value>, operator: Operator, problems: &mut Problems) -> Option<Task> {
    let Value::Object(own) = entry.node.to_json() else { return None };
    let mut merged = defaults.clone();
    for (key, value) in own {
        // Environment variables and params of the file's defaults stay, unless the task sets the same ones.
        match (merged.get_mut(&key), value) {
            (Some(Value::Object(default)), Value::Object(own)) if key == "env" || key == "params" => {
                default.extend(own);
            }
            (_, value) => {
                merged.insert(key, value);
            }
        }
    }
    let settings: TaskSettings = match serde_json::from_value(Value::Object(merged)) {
        Ok(settings) => settings,
        Err(error) => {
            problems.add(entry.node.span.clone(), format!("task `{}` cannot be read: {error}", entry.key));
            return None;
        }
    };
    let mut depends_on: Vec<String> = entry
        .node
        .get("depends_on")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|node| node.text().map(str::to_owned))
        .collect();
    depends_on.sort();
    depends_on.dedup();
    let output_default = match operator {
        Operator::Noop(_) | Operator::Sleep(_) => Output::None,
        _ => Output::LastLine,
    };
    let wait_for_downstream = settings.wait_for_downstream.unwrap_or(false);
    Some(Task {
        task_id: entry.key.clone(),
        display_name: settings.display_name.clone(),
        doc_md: settings.doc_md.clone(),
        owner: settings.owner.clone().unwrap_or_else(|| NO_OWNER.to_owned()),
        depends_on,
        trigger_rule: settings.trigger_rule.unwrap_or(TriggerRule::AllSuccess),
        retry: retry(&settings),
        execution_timeout: settings.execution_timeout.map(|timeout| timeout.0),
        pool: settings.pool.unwrap_or_else(|| "default_pool".to_owned()),
        pool_slots: settings.pool_slots.unwrap_or(1),
        priority_weight: settings.priority_weight.unwrap_or(1),
        weight_rule: settings.weight_rule.unwrap_or(WeightRule::Downstream),
        queue: settings.queue.unwrap_or_else(|| "default".to_owned()),
        depends_on_past: settings.depends_on_past.unwrap_or(false) || wait_for_downstream,
        wait_for_downstream,
        at_most_once: settings.at_most_once.unwrap_or(false),
        overlap: settings.overlap.unwrap_or(Overlap::Allow),
        env: settings.env.unwrap_or_default().into_iter().map(|(name, value)| (name, plain(&value))).collect(),
        cwd: settings.cwd,
        output: settings.output.unwrap_or(output_default),
        params: settings.params.unwrap_or_default(),
        operator,
    })
}

fn check_env(settings: &Node, problems: &mut Problems) {
    for entry in settings.get("env").map(Node::entries).unwrap_or_default() {
        if entry.key.is_empty() || entry.key.contains('=') {
            problems
                .add(entry.key_span.clone(), format!("`{}` cannot name an environment variable", entry.key))
                .hint("names have letters, digits and `_`");
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn retry(settings: &TaskSettings) -> RetryPolicy {
    let default = RetryPolicy::default();
    let factor = match &settings.retry_exponential_backoff {
        Some(Value::Bool(true)) => 2.0,
        Some(Value::Number(factor)) => factor.as_f64().unwrap_or(1.0),
        _ => default.retry_backoff_factor,
    };
    RetryPolicy {
        retries: settings.retries.unwrap_or(default.retries),
        retry_delay: settings.retry_delay.map_or(default.retry_delay, |delay| delay.0),
        retry_backoff_factor: factor,
        max_retry_delay: settings.max_retry_delay.map_or(default.max_retry_delay, |delay| delay.0),
        retry_jitter: settings.retry_jitter.unwrap_or(default.retry_jitter),
    }
}

/// The one operator of a task.
fn operator(entry: &Entry, files: &mut Files<'_>, problems: &mut Problems) -> Option<Operator> {
    let mut named: Vec<(&OperatorForm, &Entry)> =
        OPERATORS.iter().filter_map(|form| Some((form, entry.node.entry(form.name)?))).collect();
    named.sort_by_key(|(_, written)| written.key_span.start);
    let names = || listed(OPERATORS.iter().map(|form| form.name));
    match named.as_slice() {
        [] => {
            // A task that is no table, or whose operator is misspelt, has been complained about.
            let known = OPERATORS.map(|form| form.name);
            let is_misspelt = || entry.node.entries().iter().any(|entry| meant(&entry.key, &known).is_some());
            if matches!(entry.node.kind, Kind::Table(_)) && !is_misspelt() {
                problems
                    .add(entry.key_span.clone(), format!("task `{}` has no operator", entry.key))
                    .label("what should it do?")
                    .hint(format!("give it one of {}", names()));
            }
            None
        }
        [(form, written)] => read_operator(form, &written.node, files, problems),
        [(first, _), others @ ..] => {
            let all = listed(named.iter().map(|(form, _)| form.name));
            problems
                .add(others[0].1.key_span.clone(), format!("task `{}` has several operators: {all}", entry.key))
                .label(format!("it has `{}` already", first.name))
                .hint("a task does one thing: make it several tasks");
            None
        }
    }
}

fn read_operator(form: &OperatorForm, node: &Node, files: &mut Files<'_>, problems: &mut Problems) -> Option<Operator> {
    let long = match (&node.kind, form.short_field) {
        (Kind::Table(_), _) => node.to_json(),
        (_, Some(field)) => json!({ field: node.to_json() }),
        (_, None) => json!({}),
    };
    // Whatever does not fit here has been complained about by the walk.
    let operator: Operator = serde_json::from_value(json!({ form.name: long })).ok()?;
    check(&operator, form, node, files, problems);
    Some(operator)
}

/// What the operators' types cannot say.
fn check(operator: &Operator, form: &OperatorForm, node: &Node, files: &mut Files<'_>, problems: &mut Problems) {
    let place = |field: &str| node.deepest(&[field]);
    match operator {
        Operator::Bash(bash) => {
            one_of(bash.command.as_deref(), bash.script.as_deref(), "command", form.name, node, problems);
        }
        Operator::Python(python) => {
            one_of(python.code.as_deref(), python.script.as_deref(), "code", form.name, node, problems);
        }
        Operator::Command(command) => {
            // A list without anything in it has been complained about.
            if command.argv.first().is_some_and(|program| program.trim().is_empty()) {
                problems
                    .add(place("argv").span.clone(), "the program is empty")
                    .hint("for instance command = [\"ls\", \"-l\"]");
            }
        }
        Operator::Http(http) => {
            if !METHODS.contains(&http.method.as_str()) {
                let problem =
                    problems.add(place("method").span.clone(), format!("`{}` is not an HTTP method", http.method));
                match nearest(&http.method, METHODS) {
                    Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                    None => problem.hint(format!("it is one of {}", listed(METHODS))),
                };
            }
            if http.body.is_some() && http.json.is_some() {
                problems
                    .add(place("json").span.clone(), "a request has a `body` or a `json`, not both")
                    .hint("keep one of them");
            }
            for (status, written) in http.expected_status.iter().zip(place("expected_status").items()) {
                let is_class = matches!(status.as_bytes(), [b'1'..=b'5', b'x', b'x']);
                if !is_class && !status.parse::<u16>().is_ok_and(|code| (100..600).contains(&code)) {
                    problems
                        .add(written.span.clone(), format!("`{status}` is not a status code"))
                        .hint("for instance `200` or `2xx`");
                }
            }
            let url = http.url.trim();
            if !url.starts_with("http://") && !url.starts_with("https://") && !url.starts_with("{{") {
                problems
                    .add(place("url").span.clone(), format!("`{url}` is not an HTTP URL"))
                    .hint("it begins with http:// or https://");
            }
        }
        Operator::Noop(_) | Operator::Sleep(_) => {}
    }
    for script in operator.files() {
        files.add(script, place("script"), problems);
    }
}

/// Code or a script, and the code not empty.
fn one_of(code: Option<&str>, script: Option<&str>, field: &str, operator: &str, node: &Node, problems: &mut Problems) {
    match (code, script) {
        (Some(_), Some(_)) => {
            problems
                .add(node.deepest(&["script"]).span.clone(), format!("`{operator}` has both `{field}` and `script`"))
                .hint("keep one of them");
        }
        (None, None) => {
            problems
                .add(node.span.clone(), format!("`{operator}` has nothing to run"))
                .hint(format!("give it `{field}` or `script`"));
        }
        (Some(code), None) if code.trim().is_empty() => {
            problems
                .add(node.deepest(&[field]).span.clone(), format!("the text of `{operator}` is empty"))
                .hint("write what it runs; a task that does nothing is `noop = true`");
        }
        _ => {}
    }
}
