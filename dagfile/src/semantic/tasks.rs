//! Tasks: their settings over the file's defaults, and their operators.

use std::collections::HashSet;

use flow_model::callback::Callbacks;
use flow_model::dag::DEFAULT_POOL;
use flow_model::dag::{Output, Overlap, WeightRule};
use flow_model::expand::Mapping;
use flow_model::operator::{Operator, Python};
use flow_model::retry::RetryPolicy;
use flow_model::suggest::{listed, nearest};
use flow_model::{Task, TriggerRule};
use serde_json::{Value, json};

use super::files::Files;
use super::layout::{Layout, Placed, Target, merge};
use super::{branch, mapping, notice, people, programs, sql, trigger_dag};
use crate::diagnostic::Problems;
use crate::headers;
use crate::schema::{OPERATORS, OperatorForm};
use crate::spec::TaskSettings;
use crate::tree::{Entry, Kind, Node};
use crate::walk::{NO_TASKS, meant};

pub(super) const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// Owner of a task until the DAG's is known.
const NO_OWNER: &str = "";

/// Reads all tasks. `None` if one of them is not usable.
pub(super) fn read(
    root: &Node,
    layout: &Layout<'_>,
    max_map_length: u32,
    files: &mut Files<'_>,
    has_shape: bool,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Option<Vec<Task>> {
    if layout.tasks.is_empty() {
        // One that is no table, or a group without tasks, has been complained about.
        let holder = root.get("tasks");
        let is_told =
            root.get("task_groups").is_some() || holder.is_some_and(|tasks| !matches!(tasks.kind, Kind::Table(_)));
        if !is_told {
            let span = holder.map_or(0..0, |tasks| tasks.span.clone());
            let keys = OPERATORS.iter().map(|form| form.name).chain(["tasks"]);
            problems.add(span, "this file has no tasks").absent(keys).hint(NO_TASKS);
        }
        return None;
    }
    root.get("default_args").into_iter().for_each(|defaults| check_settings(defaults, problems));
    let torn_down = torn_down(layout);
    let mut read = Vec::new();
    // Who comes after a branch stands in what could not be read.
    let has_all_edges = !layout.tasks.iter().any(|it| it.entry.node.get("depends_on").is_some_and(Node::has_broken));
    for (position, placed) in layout.tasks.iter().enumerate() {
        check_settings(&placed.entry.node, problems);
        let before = problems.len();
        let operator = operator(placed.entry, files, problems);
        problems.place_absences(before, &layout.path_of(position));
        if let Some(Operator::Branch(chooser)) = &operator
            && has_all_edges
        {
            branch::check_targets(layout, position, chooser, problems);
        }
        let this = Target::Task(position);
        let mapping =
            mapping::Reader { layout, group: placed.group, this, max_map_length }.read(placed.entry, problems);
        refuse_nested_mapping(layout, placed, problems);
        if has_shape && let Some(operator) = operator {
            let mut task = task(placed, operator, problems)?;
            task.files = programs::files(placed, &mut task, files, problems, warnings);
            task.group = placed.group.map(|group| layout.groups[group].id.clone());
            task.is_setup |= torn_down.contains(&placed.id);
            // What it is mapped over has to be there first.
            task.depends_on.extend(mapping.iter().flat_map(Mapping::tasks).map(str::to_owned));
            task.expand = mapping;
            read.push(task);
        }
    }
    Some(read)
}

/// The tasks that a teardown names as its setups.
fn torn_down(layout: &Layout<'_>) -> HashSet<String> {
    let mut setups = HashSet::new();
    for placed in &layout.tasks {
        for name in placed.entry.node.get("teardown_of").map(Node::items).unwrap_or_default() {
            if let Some(Target::Task(task)) = name.text().and_then(|name| layout.resolve(name, placed.group, None)) {
                setups.insert(layout.tasks[task].id.clone());
            }
        }
    }
    setups
}

/// A mapped task in a mapped group would have two map indexes (Airflow refuses it, too).
fn refuse_nested_mapping(layout: &Layout<'_>, placed: &Placed<'_>, problems: &mut Problems) {
    let own = placed.entry.node.entry("expand").or(placed.entry.node.entry("expand_kwargs"));
    let is_mapped = |group: &usize| {
        let node = &layout.groups[*group].entry.node;
        node.get("expand").or(node.get("expand_kwargs")).is_some()
    };
    let around = layout.groups_around(placed.group).into_iter().find(is_mapped);
    if let (Some(own), Some(group)) = (own, around) {
        problems
            .add(
                own.key_span.clone(),
                format!(
                    "task `{}` stands in the group `{}`, which is mapped itself",
                    placed.id, layout.groups[group].id
                ),
            )
            .hint("map one of the two, over a list that holds every combination");
    }
}

/// Gives a task that names no owner the DAG's.
pub(super) fn with_owner(mut task: Task, owner: &str) -> Task {
    if task.owner == NO_OWNER {
        owner.clone_into(&mut task.owner);
    }
    task
}

fn task(placed: &Placed<'_>, operator: Operator, problems: &mut Problems) -> Option<Task> {
    let entry = placed.entry;
    let Value::Object(own) = entry.node.to_json() else { return None };
    let mut merged = placed.defaults.clone();
    merge(&mut merged, own);
    let settings: TaskSettings = match serde_json::from_value(Value::Object(merged)) {
        Ok(settings) => settings,
        Err(error) => {
            problems.add(entry.node.span.clone(), format!("task `{}` cannot be read: {error}", placed.id));
            return None;
        }
    };
    let output_default = match operator {
        Operator::Noop(_)
        | Operator::Sleep(_)
        | Operator::Approval(_)
        | Operator::Form(_)
        | Operator::Webhook(_)
        | Operator::Slack(_)
        | Operator::Email(_) => Output::None,
        // What a function returns is its output.
        Operator::Python(Python { call: Some(_), .. }) => Output::None,
        _ if operator.waiting().is_some() => Output::None,
        _ => Output::LastLine,
    };
    let wait_for_downstream = settings.wait_for_downstream.unwrap_or(false);
    let is_teardown = entry.node.get("teardown_of").is_some();
    let rule_default = if is_teardown { TriggerRule::AllDoneSetupSuccess } else { TriggerRule::AllSuccess };
    Some(Task {
        task_id: placed.id.clone(),
        display_name: settings.display_name.clone(),
        doc_md: settings.doc_md.clone(),
        owner: settings.owner.clone().unwrap_or_else(|| NO_OWNER.to_owned()),
        depends_on: placed.upstream.keys().cloned().collect(),
        trigger_rule: settings.trigger_rule.unwrap_or(rule_default),
        retry: retry(&settings),
        control: crate::control::read(&settings),
        callbacks: Callbacks {
            on_success: settings.on_success.clone().unwrap_or_default(),
            on_failure: settings.on_failure.clone().unwrap_or_default(),
            on_retry: settings.on_retry.clone().unwrap_or_default(),
            on_skipped: settings.on_skipped.clone().unwrap_or_default(),
        },
        execution_timeout: settings.execution_timeout.map(|timeout| timeout.0),
        pool: settings.pool.unwrap_or_else(|| DEFAULT_POOL.to_owned()),
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
        // As they are written; what they stand for takes their place.
        files: settings.files.unwrap_or_default(),
        params: settings.params.unwrap_or_default(),
        group: None,
        expand: None,
        map_index_template: settings.map_index_template,
        max_active_tis_per_dag: settings.max_active_tis_per_dag,
        max_active_tis_per_dagrun: settings.max_active_tis_per_dagrun,
        is_setup: settings.setup.unwrap_or(false),
        is_teardown,
        on_failure_fail_dagrun: is_teardown && settings.on_failure_fail_dagrun.unwrap_or(false),
        operator,
    })
}

/// What the schema cannot say of settings.
fn check_settings(settings: &Node, problems: &mut Problems) {
    check_env(settings, problems);
    crate::control::check(settings, problems);
    crate::callbacks::check(settings, problems);
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
    match named.as_slice() {
        [] => {
            // A task that is no table, or whose operator is misspelt, has been complained about.
            let known = OPERATORS.map(|form| form.name);
            let is_misspelt = || entry.node.entries().iter().any(|entry| meant(&entry.key, &known).is_some());
            if matches!(entry.node.kind, Kind::Table(_)) && !is_misspelt() {
                let hint = headers::too_deep(&entry.node, &known).unwrap_or_else(|| {
                    "give it one, such as `bash`, `command`, `python`, `http` or `noop`; docs/dag-file.md has them all"
                        .to_owned()
                });
                problems
                    .add(entry.key_span.clone(), format!("task `{}` has no operator", entry.key))
                    .absent(known)
                    .label("what should it do?")
                    .hint(hint);
            }
            None
        }
        [(form, written)] => {
            crate::control::check_operator(&entry.node, form.name, problems);
            read_operator(form, &written.node, files, problems)
        }
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
    if node.has_broken() {
        return None;
    }
    let long = match (&node.kind, form.short_field) {
        (Kind::Table(_), _) => node.to_json(),
        (_, Some(field)) => json!({ field: node.to_json() }),
        (_, None) => json!({}),
    };
    // Whatever does not fit here has been complained about by the walk.
    let long = people::with_declared_params(form.name, node, long, problems);
    let operator: Operator = serde_json::from_value(json!({ form.name: long })).ok()?;
    check(&operator, node, files, problems);
    Some(operator)
}

/// What the operators' types cannot say.
fn check(operator: &Operator, node: &Node, files: &mut Files<'_>, problems: &mut Problems) {
    let place = |field: &str| node.deepest(&[field]);
    match operator {
        Operator::Bash(bash) => programs::check_bash(bash, node, problems),
        Operator::Python(python) => programs::check_python(python, node, problems),
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
            super::sensors::check_url(&http.url, http.connection.as_deref(), node, problems);
            notice::check_headers(node, problems);
        }
        Operator::Plugin(plugin) => super::plugin::check(plugin, node, files, problems),
        Operator::Docker(docker) => super::docker::check(docker, node, problems),
        Operator::KubernetesPod(pod) => super::kubernetes_pod::check(pod, node, problems),
        Operator::Branch(_) | Operator::ShortCircuit(_) => branch::check(operator, node, problems),
        Operator::Approval(approval) => people::check_approval(approval, node, problems),
        Operator::Form(form) => people::check_form(form, node, problems),
        Operator::Webhook(webhook) => notice::check_webhook(webhook, node, problems),
        Operator::Slack(slack) => notice::check_slack(slack, node, problems),
        Operator::Email(email) => notice::check_email(email, node, problems),
        Operator::Sql(operator) => sql::check(operator, node, problems),
        Operator::SqlSensor(sensor) => sql::check_sensor(sensor, node, problems),
        Operator::TriggerDag(trigger) => trigger_dag::check(trigger, node, problems),
        Operator::Noop(_) | Operator::Sleep(_) | Operator::LatestOnly(_) => {}
        sensor => super::sensors::check(sensor, node, problems),
    }
    for script in operator.files() {
        files.add(script, place("script"), problems);
    }
}
