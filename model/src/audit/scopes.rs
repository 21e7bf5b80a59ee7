//! What groups and mappings make of tasks: I7 for the instances of mapped tasks, I11 for what starts again as a whole.

use std::collections::HashMap;

use super::{Findings, RunHistory, TaskHistory, subject};
use crate::moves::{ANSWERED, Actor};

/// The reasons of moves that start a group, or a run, again.
pub(super) const GROUP_RETRY: &str = "group_retry";
pub(super) const RUN_RETRY: &str = "run_retry";

pub(super) fn check(run: &RunHistory, found: &mut Findings) {
    let of_run = found.subject.clone();
    instances(run, found);
    // A person gives everything its full number of tries again.
    let interventions: Vec<i64> = run
        .tasks
        .iter()
        .flat_map(|task| &task.events)
        .filter(|event| event.actor == Actor::User && event.reason.as_deref() != Some(ANSWERED))
        .map(|event| event.seq)
        .collect();
    for task in &run.tasks {
        found.subject = subject(run, task);
        restarts(run, task, &interventions, found);
    }
    found.subject = of_run;
}

/// A mapped task has instances 0, 1, 2 ... without a gap, or one that was never expanded; any other has one.
fn instances(run: &RunHistory, found: &mut Findings) {
    let mut indexes: HashMap<u32, Vec<i64>> = HashMap::new();
    for task in &run.tasks {
        indexes.entry(task.task_index).or_default().push(task.map_index);
    }
    for (task, mut indexes) in indexes {
        let Some(definition) = run.graph.dag.tasks.get(task as usize) else { continue };
        indexes.sort_unstable();
        let is_expanded = run.graph.scope_of(task).is_some() && indexes.iter().copied().eq(0..indexes.len() as i64);
        if !is_expanded && indexes != [-1] {
            found.add("I7", format!("`{}` has the instances {indexes:?}", definition.task_id));
        }
    }
}

/// Groups and runs start again as often as they may, and no more often.
fn restarts(run: &RunHistory, task: &TaskHistory, interventions: &[i64], found: &mut Findings) {
    let Some(definition) = run.graph.dag.tasks.get(task.task_index as usize) else { return };
    let of_groups: u32 = run.graph.groups_of(task.task_index).map(|group| group.retries).sum();
    for (reason, budget) in [(GROUP_RETRY, of_groups), (RUN_RETRY, run.graph.dag.run_retries)] {
        let restarts: Vec<i64> = task
            .events
            .iter()
            .filter(|event| event.actor == Actor::Scheduler && event.reason.as_deref() == Some(reason))
            .map(|event| event.seq)
            .collect();
        // Between two interventions.
        let mut bounds: Vec<i64> = interventions.to_vec();
        bounds.extend([i64::MIN, i64::MAX]);
        bounds.sort_unstable();
        let most = bounds
            .windows(2)
            .map(|pair| restarts.iter().filter(|seq| (pair[0]..pair[1]).contains(seq)).count())
            .max()
            .unwrap_or(0);
        if most > budget as usize {
            found.add(
                "I11",
                format!("`{}` started again {most} times ({reason}), {budget} were allowed", definition.task_id),
            );
        }
    }
}
