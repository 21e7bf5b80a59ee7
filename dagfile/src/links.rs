//! What DAGs name of each other. One file alone cannot tell whether it exists; a whole folder can.

use std::collections::HashMap;
use std::ops::Range;

use flow_model::Dag;
use flow_model::operator::Operator;
use flow_model::operator::sensor::ExternalTaskSensor;
use flow_model::suggest::nearest;

use crate::check::CheckedFile;
use crate::diagnostic::Problems;
use crate::tree::{self, Node};

/// A DAG that a task names; not where a template does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDag {
    /// The DAG.
    pub dag_id: String,
    /// Where it is named.
    pub span: Range<usize>,
}

/// A name that leads nowhere.
struct Astray {
    name: String,
    message: String,
    hint: String,
}

/// The tasks of each DAG of the folder; `None` where the file is broken.
type Known = HashMap<String, Option<Vec<String>>>;

/// Warns of DAGs and tasks that no file of the folder has. They are warnings, because they may come from elsewhere, or later.
pub fn check_links(files: &mut [CheckedFile]) {
    let known: Known = files.iter().map(|file| (file.dag_id.clone(), tasks_of(file))).collect();
    for file in files {
        let Ok(parsed) = &mut file.result else { continue };
        let astray = astray(&parsed.dag, &known);
        if astray.is_empty() {
            continue;
        }
        let root = tree::parse(&file.source, &mut Problems::default());
        let mut warnings = Problems::default();
        for Astray { name, message, hint } in astray {
            warnings.add(place(&root, &name).unwrap_or(0..0), message).hint(hint);
        }
        let mut all = Problems::from(std::mem::take(&mut parsed.warnings));
        all.take_warnings(warnings);
        parsed.warnings = all.finish(&file.source);
    }
}

fn tasks_of(file: &CheckedFile) -> Option<Vec<String>> {
    let parsed = file.result.as_ref().ok()?;
    Some(parsed.dag.tasks.iter().map(|task| task.task_id.clone()).collect())
}

fn astray(dag: &Dag, known: &Known) -> Vec<Astray> {
    let named = dag.tasks.iter().filter_map(|task| match &task.operator {
        Operator::ExternalTaskSensor(sensor) => Some((&sensor.external_dag_id, Some(sensor))),
        Operator::TriggerDag(trigger) => Some((&trigger.trigger_dag_id, None)),
        _ => None,
    });
    named
        .filter(|(dag_id, _)| !is_template(dag_id))
        .flat_map(|(dag_id, sensor)| look_up(dag_id, sensor, known))
        .collect()
}

fn look_up(dag_id: &str, sensor: Option<&ExternalTaskSensor>, known: &Known) -> Vec<Astray> {
    let Some(tasks) = known.get(dag_id) else {
        let hint = match nearest(dag_id, known.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "it is fine if its file is in another folder, or comes later".to_owned(),
        };
        return vec![Astray {
            name: dag_id.to_owned(),
            message: format!("there is no DAG `{dag_id}` in this folder"),
            hint,
        }];
    };
    let (Some(sensor), Some(tasks)) = (sensor, tasks) else { return Vec::new() };
    let wanted = sensor.external_task_ids.iter().chain(&sensor.external_task_id);
    let absent = wanted.filter(|task| !tasks.contains(task)).map(|task| (task, "task"));
    let is_group = |group: &String| tasks.iter().any(|task| task.starts_with(&format!("{group}.")));
    let absent_group =
        sensor.external_task_group_id.iter().filter(|group| !is_group(group)).map(|group| (group, "task group"));
    absent
        .chain(absent_group)
        .map(|(name, what)| Astray {
            name: name.clone(),
            message: format!("DAG `{dag_id}` has no {what} `{name}`"),
            hint: match nearest(name, tasks.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => {
                    "a sensor waits for it until its time is over; `check_existence = true` fails it at once".to_owned()
                }
            },
        })
        .collect()
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Where a text stands first.
fn place(node: &Node, text: &str) -> Option<Range<usize>> {
    if node.text() == Some(text) {
        return Some(node.span.clone());
    }
    let below = node.entries().iter().map(|entry| &entry.node);
    if let Some(found) = below.into_iter().find_map(|node| place(node, text)) {
        return Some(found);
    }
    match &node.kind {
        tree::Kind::List(items) => items.iter().find_map(|item| place(item, text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_text;

    fn warnings(files: &[(&str, &str)]) -> Vec<String> {
        let mut checked: Vec<CheckedFile> = files.iter().map(|(name, text)| check_text(name, text, None)).collect();
        check_links(&mut checked);
        let parsed = checked.iter().filter_map(|file| file.result.as_ref().ok());
        parsed
            .flat_map(|parsed| &parsed.warnings)
            .map(|it| format!("{}: {} ({})", it.line, it.message, it.hint.as_deref().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn names_that_lead_nowhere_are_told() {
        let waits = "
[tasks.whole]
external_task_sensor = 'ingest'
[tasks.one]
external_task_sensor = { external_dag_id = 'ingest', external_task_id = 'lod' }
[tasks.group]
external_task_sensor = { external_dag_id = 'ingest', external_task_group_id = 'files' }
[tasks.far]
external_task_sensor = { external_dag_id = 'elsewhere', external_task_id = 'x' }
[tasks.rendered]
external_task_sensor = '{{ params.dag }}'
[tasks.then]
trigger_dag = 'ingets'
[params]
dag = 'x'
";
        let ingest = "[tasks.load]\nnoop = true\n[task_groups.file.tasks.a]\nnoop = true\n";
        assert_eq!(
            warnings(&[("waits.toml", waits), ("ingest.toml", ingest)]),
            [
                "5: DAG `ingest` has no task `lod` (did you mean `load`?)",
                "7: DAG `ingest` has no task group `files` (a sensor waits for it until its time is over; `check_existence = true` fails it at once)",
                "9: there is no DAG `elsewhere` in this folder (it is fine if its file is in another folder, or comes later)",
                "13: there is no DAG `ingets` in this folder (did you mean `ingest`?)",
            ]
        );
        assert_eq!(
            warnings(&[("waits.toml", "[tasks.a]\nexternal_task_sensor = 'broken'"), ("broken.toml", "?")]),
            [""; 0]
        );
    }
}
