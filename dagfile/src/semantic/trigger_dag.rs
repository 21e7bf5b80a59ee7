//! What the type of `trigger_dag` cannot say.

use std::collections::HashSet;

use flow_model::operator::{Operator, TriggerDag};
use flow_model::{Dag, Task};

use crate::diagnostic::Problems;
use crate::links::NamedDag;
use crate::tree::Node;

pub(super) fn check(trigger: &TriggerDag, node: &Node, problems: &mut Problems) {
    if trigger.trigger_dag_id.trim().is_empty() {
        problems
            .add(node.deepest(&["trigger_dag_id"]).span.clone(), "`trigger_dag` names no DAG")
            .hint("give it the id of a DAG, or a template");
    }
    let place = |key: &str| node.deepest(&[key]).span.clone();
    let (skips, resets) = (trigger.skip_when_already_exists, trigger.reset_dag_run);
    if skips && resets {
        problems
            .add(place("reset_dag_run"), "a run that is there already is skipped, or runs again, not both")
            .hint("keep `skip_when_already_exists` or `reset_dag_run`");
    }
    for (key, _) in
        [("skip_when_already_exists", skips), ("reset_dag_run", resets)].into_iter().filter(|(_, is_set)| *is_set)
    {
        if trigger.trigger_run_id.is_none() {
            problems
                .add(place(key), format!("`{key}` says nothing here: without `trigger_run_id` every run is a new one"))
                .hint("name the run, for instance trigger_run_id = \"{{ run_id }}\"");
        }
    }
    for (key, states) in [("allowed_states", &trigger.allowed_states), ("failed_states", &trigger.failed_states)] {
        for (state, written) in states.iter().zip(node.deepest(&[key]).items()) {
            if !state.is_finished() {
                problems
                    .add(written.span.clone(), format!("a run cannot end in the state `{state}`"))
                    .hint("runs end in `success` or `failed`");
            }
        }
    }
}

/// A DAG that starts itself is a loop. It may be meant, but then something has to end it.
pub(super) fn warn_of_itself(dag: &Dag, named_dags: &[NamedDag], warnings: &mut Problems) {
    let starts_itself =
        |task: &&Task| matches!(&task.operator, Operator::TriggerDag(it) if it.trigger_dag_id == dag.dag_id);
    let is_endless = dag.tasks.iter().filter(starts_itself).any(|task| !has_condition(dag, task));
    let Some(place) = named_dags.iter().find(|named| is_endless && named.dag_id == dag.dag_id) else { return };
    warnings.add(place.span.clone(), "the DAG starts itself, without a condition that would end it").hint(
        "give the task a `run_if`, or a `branch` or `short_circuit` before it; for something regular use `schedule`",
    );
}

/// Whether the task, or one before it, may say no.
fn has_condition(dag: &Dag, task: &Task) -> bool {
    let mut seen = HashSet::from([task.task_id.as_str()]);
    let mut pending = vec![task];
    while let Some(task) = pending.pop() {
        if task.control.run_if.is_some() || task.operator.decides_what_follows() {
            return true;
        }
        let before = dag.tasks.iter().filter(|other| task.depends_on.contains(&other.task_id));
        pending.extend(before.filter(|other| seen.insert(other.task_id.as_str())));
    }
    false
}
