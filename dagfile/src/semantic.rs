//! What no schema can say: schedules, dates, params, operators, the graph; and the DAG that results.

mod branch;
mod docker;
mod files;
mod graph;
mod groups;
mod kubernetes_pod;
mod layout;
mod mapping;
mod modules;
mod notice;
mod parameters;
mod params;
mod people;
mod plugin;
mod programs;
mod requirements;
mod schedule;
mod sensors;
mod splices;
mod sql;
mod starts;
mod tasks;
mod templates;
mod trigger_dag;

use std::collections::HashMap;
use std::ops::Range;

use flow_model::callback::Callbacks;
use flow_model::dag::Catchup;
use flow_model::expand::MAX_MAP_LENGTH;
use flow_model::limits::MAP_LENGTH_MAX;
use flow_model::operator::Operator;
use flow_model::schedule::Schedule;
use flow_model::suggest::listed;
use flow_model::{Dag, Task};

use crate::diagnostic::Problems;
use crate::links::NamedDag;
use crate::spec::DagSettings;
use crate::tree::{Kind, Node};

use layout::Layout;

pub(crate) use files::Files;
pub(crate) use notice::{check_email, check_slack, check_webhook};
pub(crate) use params::{KEYWORDS as PARAM_KEYWORDS, TYPES as PARAM_TYPES};

/// What a DAG is read from.
pub(crate) struct Text<'a> {
    pub source: &'a str,
    pub root: &'a Node,
    pub dag_id: &'a str,
    /// Whether all of the text is TOML.
    pub is_whole: bool,
}

/// Reads the DAG from a tree. What the walk has complained about already is passed over.
pub(crate) fn read(
    text: &Text<'_>,
    files: &mut Files<'_>,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Option<(Dag, Vec<NamedDag>)> {
    let Text { source, root, dag_id, is_whole } = *text;
    let has_shape = problems.is_empty();
    check_dag_id(root.get("dag_id"), dag_id, problems);
    let zone = schedule::zone(root.get("timezone"), "UTC", problems);
    let schedule = schedule::read(root.get("schedule"), &zone, problems);
    let (start_date, end_date) = schedule::bounds(root, &zone, problems);
    let params = params::read(root.get("params"), problems);
    if !matches!(schedule, None | Some((Schedule::None, _))) {
        params::require_defaults(root.get("params"), &params, problems);
    }
    crate::callbacks::check(root, problems);
    let layout = Layout::read(root, problems);
    graph::check(&layout, problems);
    let max_map_length = max_map_length(root);
    let groups = groups::read(&layout, max_map_length, problems);
    let tasks = tasks::read(root, &layout, max_map_length, files, has_shape, problems, warnings);
    files.warn_of_absent_plugins(warnings);
    parameters::check(source, &layout, files, problems);
    splices::warn(root, warnings);
    sensors::warn(&layout, warnings);
    let is_scheduled =
        schedule.as_ref().is_some_and(|(schedule, starts)| starts.is_empty() && !matches!(schedule, Schedule::None));
    // What templates name may stand in what could not be read.
    if is_whole {
        let starts = schedule.as_ref().map_or(&[][..], |(_, starts)| starts);
        templates::check(
            &templates::File { source, root, layout: &layout, is_scheduled, starts, files },
            problems,
            warnings,
        );
    }
    if !has_shape {
        return None;
    }
    let settings = settings(root, problems)?;
    let owner = settings.owner.unwrap_or_else(|| "flow".to_owned());
    let mut tasks: Vec<_> = tasks?.into_iter().map(|task| tasks::with_owner(task, &owner)).collect();
    groups::wait_for_mapped(&groups, &mut tasks);
    graph::check_mapped(&layout, &tasks, problems);
    let tasks = graph::order(tasks);
    let (schedule, starts) = schedule?;
    schedule::warn(root, &schedule, start_date, end_date, warnings);
    let named_dags = named_dags(&layout, &tasks);
    let dag = Dag {
        dag_id: dag_id.to_owned(),
        display_name: settings.display_name,
        description: settings.description,
        doc_md: settings.doc_md,
        owner,
        tags: settings.tags,
        schedule,
        starts,
        start_date,
        end_date,
        catchup: catchup(settings.catchup.as_ref()),
        max_active_runs: settings.max_active_runs.unwrap_or(16),
        max_active_tasks: settings.max_active_tasks.unwrap_or(16),
        dagrun_timeout: settings.dagrun_timeout.map(|timeout| timeout.0),
        is_paused_upon_creation: settings.is_paused_upon_creation,
        params,
        files: files.hashes(),
        folder: files.folder(),
        max_map_length,
        run_retries: settings.run_retries.unwrap_or(0),
        run_retry_delay: settings.run_retry_delay.map(|delay| delay.0),
        callbacks: Callbacks {
            on_success: settings.on_success.clone().unwrap_or_default(),
            on_failure: settings.on_failure.clone().unwrap_or_default(),
            ..Callbacks::default()
        },
        groups,
        tasks,
    };
    trigger_dag::warn_of_itself(&dag, &named_dags, warnings);
    Some((dag, named_dags))
}

/// The DAG's own keys; each tag once, in order.
fn settings(root: &Node, problems: &mut Problems) -> Option<DagSettings> {
    match serde_json::from_value::<DagSettings>(root.to_json()) {
        Ok(mut settings) => {
            settings.tags.sort();
            settings.tags.dedup();
            Some(settings)
        }
        Err(error) => {
            problems.add(root.span.clone(), format!("the file cannot be read: {error}"));
            None
        }
    }
}

/// The other DAGs that tasks name.
fn named_dags(layout: &Layout<'_>, tasks: &[Task]) -> Vec<NamedDag> {
    let operators: HashMap<&str, &Operator> =
        tasks.iter().map(|task| (task.task_id.as_str(), &task.operator)).collect();
    let named = layout.tasks.iter().filter_map(|placed| {
        let operator = *operators.get(placed.id.as_str())?;
        let (dag_id, key) = match operator {
            Operator::TriggerDag(trigger) => (&trigger.trigger_dag_id, "trigger_dag_id"),
            Operator::ExternalTaskSensor(sensor) => (&sensor.external_dag_id, "external_dag_id"),
            _ => return None,
        };
        let is_template = dag_id.contains("{{") || dag_id.contains("{%");
        let span = placed.entry.node.deepest(&[operator.name(), key]).span.clone();
        (!is_template).then(|| NamedDag { dag_id: dag_id.clone(), span })
    });
    named.collect()
}

/// Instances that one mapping may have.
fn max_map_length(root: &Node) -> u32 {
    match root.get("max_map_length").map(|node| &node.kind) {
        Some(Kind::Integer(length)) => u32::try_from(*length).unwrap_or(MAX_MAP_LENGTH).min(MAP_LENGTH_MAX),
        _ => MAX_MAP_LENGTH,
    }
}

fn catchup(written: Option<&serde_json::Value>) -> Catchup {
    match written {
        Some(serde_json::Value::Bool(true)) => Catchup::All,
        Some(serde_json::Value::Bool(false)) => Catchup::None,
        Some(serde_json::Value::String(text)) => text.parse().unwrap_or(Catchup::Latest),
        _ => Catchup::Latest,
    }
}

fn check_dag_id(written: Option<&Node>, id: &str, problems: &mut Problems) {
    match written {
        Some(node) if matches!(node.kind, Kind::Text(_)) => check_id(&node.span, id, "dag_id", problems),
        Some(_) => {}
        None if is_usable_id(id) => {}
        None => {
            problems.add(0..0, format!("the file's name gives the dag_id `{id}`, which is not usable")).hint(format!(
                "set `dag_id`, or rename the file: ids have 1 to 250 letters (a-z, A-Z), digits, {}",
                listed(["_", ".", "-"])
            ));
        }
    }
}

/// Ids become parts of URLs, file names and metrics.
fn is_usable_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 250
        && !flow_model::outside::is_step(id)
        && id.chars().all(|character| character.is_ascii_alphanumeric() || "_.-".contains(character))
}

fn check_id(span: &Range<usize>, id: &str, what: &str, problems: &mut Problems) {
    if !is_usable_id(id) {
        problems
            .add(span.clone(), format!("`{id}` is not usable as a {what}"))
            .hint(format!("ids have 1 to 250 letters (a-z, A-Z), digits, {}", listed(["_", ".", "-"])));
    }
}
