//! What people do to task instances: which ones a clear, a mark or the end of a run means, and the moves that follow.

use std::collections::HashSet;

use serde::Serialize;

use super::selected::Selected;
use crate::graph::DagGraph;
use crate::ids::TaskInstanceKey;
use crate::moves::{self, TaskEvent};
use crate::state::{RunState, TaskState};

/// Which tasks of a run are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Their ids, or ids of groups for all tasks in them; empty means all, unless instances are named.
    pub task_ids: Vec<String>,
    /// Single instances of mapped tasks or groups: the task or group, and the map index.
    pub instances: Vec<(String, i64)>,
    /// Also everything before them.
    pub upstream: bool,
    /// Also everything after them.
    pub downstream: bool,
}

impl Selection {
    /// A task, or the one instance of it that a map index names.
    pub fn of(task_id: String, map_index: Option<i64>) -> Self {
        match map_index {
            Some(map_index) => Selection { instances: vec![(task_id, map_index)], ..Selection::default() },
            None => Selection { task_ids: vec![task_id], ..Selection::default() },
        }
    }
}

/// The state that somebody gives to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As if it had succeeded.
    Success,
    /// As if it had failed.
    Failed,
    /// As if it had been skipped.
    Skipped,
}

impl Mark {
    const fn event(self) -> TaskEvent {
        match self {
            Mark::Success => TaskEvent::MarkSuccess,
            Mark::Failed => TaskEvent::MarkFailed,
            Mark::Skipped => TaskEvent::MarkSkipped,
        }
    }
}

/// What was changed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Affected {
    /// The task instances with the states they had.
    pub tasks: Vec<AffectedTask>,
}

/// A task instance that is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedTask {
    /// Its key.
    pub task_instance: TaskInstanceKey,
    /// Its task.
    pub task_id: String,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// The state it had.
    pub from: TaskState,
}

/// A task instance of the run that somebody changes.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its key.
    pub id: TaskInstanceKey,
    /// Its task.
    pub task_id: String,
    /// Its task's position in the DAG.
    pub task_index: u32,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// Its state.
    pub state: TaskState,
}

impl Instance {
    fn place(&self) -> (u32, i64) {
        (self.task_index, self.map_index)
    }

    fn is_teardown(&self, graph: &DagGraph) -> bool {
        graph.dag.tasks.get(self.task_index as usize).is_some_and(|task| task.is_teardown)
    }
}

/// What somebody wants of a task instance, and the reason it gets.
pub type Wish = (TaskInstanceKey, TaskEvent, &'static str);

/// A selection names a task or group that the DAG does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTask(pub String);

/// A legal move.
#[derive(Debug, Clone, Serialize)]
pub struct Move {
    /// The task instance.
    pub id: TaskInstanceKey,
    /// The state it gets.
    pub to_state: TaskState,
    reason: &'static str,
    retries: u32,
}

/// What a clear means: the selected tasks, with the setups and teardowns that go with them, as in Airflow.
///
/// # Errors
/// The DAG has no such task or group.
pub fn clear(
    graph: &DagGraph,
    instances: &[Instance],
    selection: &Selection,
    only_failed: bool,
) -> Result<Vec<Wish>, UnknownTask> {
    let selected = select(graph, selection)?;
    let around = selected.around(graph, |tasks| graph.with_setups_and_teardowns(tasks));
    let has_failed = |state| matches!(state, TaskState::Failed | TaskState::UpstreamFailed);
    Ok(instances
        .iter()
        .filter(|instance| selected.has(instance.place()) || around.has(instance.place()))
        .filter(|instance| !only_failed || has_failed(instance.state))
        .map(|instance| (instance.id, TaskEvent::Clear, "cleared"))
        .collect())
}

/// What a mark means: tasks after the selected ones that had failed because of them get another chance.
///
/// # Errors
/// The DAG has no such task or group.
pub fn mark(
    graph: &DagGraph,
    instances: &[Instance],
    selection: &Selection,
    to: Mark,
) -> Result<Vec<Wish>, UnknownTask> {
    let selected = select(graph, selection)?;
    let after = match to {
        Mark::Failed => Selected::default(),
        Mark::Success | Mark::Skipped => selected.around(graph, |tasks| graph.reachable(tasks, &graph.downstream)),
    };
    let wish = |instance: &Instance| {
        if selected.has(instance.place()) {
            Some((instance.id, to.event(), "marked"))
        } else if after.has(instance.place()) && instance.state == TaskState::UpstreamFailed {
            Some((instance.id, TaskEvent::Clear, "upstream_marked"))
        } else {
            None
        }
    };
    Ok(instances.iter().filter_map(wish).collect())
}

/// What the end of a run as `to` means for its task instances, those that are spared left out.
pub fn end(instances: &[Instance], spared: &HashSet<TaskInstanceKey>, to: RunState, reason: &'static str) -> Vec<Wish> {
    let ended = instances.iter().filter(|instance| !spared.contains(&instance.id));
    ended.filter_map(|instance| ending_event(instance.state, to).map(|event| (instance.id, event, reason))).collect()
}

/// The instances of teardowns that are not over, and of which a setup has succeeded.
pub fn teardowns_to_run(graph: &DagGraph, instances: &[Instance]) -> HashSet<TaskInstanceKey> {
    let mut to_run = HashSet::new();
    for instance in instances.iter().filter(|instance| instance.is_teardown(graph)) {
        let (teardown, map_index) = instance.place();
        let setups = &graph.setups[teardown as usize];
        let belongs = |other: &Instance| {
            let (setup, index) = other.place();
            let is_apart = graph.go_together(teardown, setup) && index >= 0 && map_index >= 0 && index != map_index;
            setups.contains(&setup) && !is_apart && other.state == TaskState::Success
        };
        if !instance.state.is_finished() && (setups.is_empty() || instances.iter().any(belongs)) {
            to_run.insert(instance.id);
        }
    }
    to_run
}

/// What ending a run as `to` does to a task instance in `state`: one that has started takes its state, one that has not is
/// skipped, and what is over stays as it is.
const fn ending_event(state: TaskState, to: RunState) -> Option<TaskEvent> {
    match (state, to) {
        (
            TaskState::Running | TaskState::Deferred | TaskState::UpForReschedule | TaskState::AwaitingInput,
            RunState::Success,
        ) => Some(TaskEvent::MarkSuccess),
        (TaskState::Running | TaskState::Deferred | TaskState::UpForReschedule | TaskState::AwaitingInput, _) => {
            Some(TaskEvent::MarkFailed)
        }
        (
            TaskState::None | TaskState::Scheduled | TaskState::Queued | TaskState::UpForRetry | TaskState::Restarting,
            _,
        ) => Some(TaskEvent::MarkSkipped),
        (
            TaskState::Success
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::UpstreamFailed
            | TaskState::Removed,
            _,
        ) => None,
    }
}

fn select(graph: &DagGraph, selection: &Selection) -> Result<Selected, UnknownTask> {
    let find = |id: &String| match graph.index_of(id) {
        Some(task) => Ok(vec![task]),
        None if graph.dag.groups.iter().any(|group| group.group_id == *id) => Ok(graph.tasks_of(id)),
        None => Err(UnknownTask(format!("{}.{id}", graph.dag.dag_id))),
    };
    if selection.task_ids.is_empty() && selection.instances.is_empty() {
        return Ok(Selected { tasks: (0..graph.dag.tasks.len() as u32).collect(), instances: HashSet::new() });
    }
    let mut named = Selected::default();
    for id in &selection.task_ids {
        named.tasks.extend(find(id)?);
    }
    for (id, map_index) in &selection.instances {
        named.instances.extend(find(id)?.into_iter().map(|task| (task, *map_index)));
    }
    let before = selection.upstream.then(|| named.around(graph, |tasks| graph.reachable(tasks, &graph.upstream)));
    let after = selection.downstream.then(|| named.around(graph, |tasks| graph.reachable(tasks, &graph.downstream)));
    before.into_iter().chain(after).for_each(|more| named.add(more));
    Ok(named)
}

/// The legal ones of the wishes: clearing what is undecided, or marking what is so already, changes nothing. Both lists are in the
/// same order.
pub fn plan_moves(graph: &DagGraph, instances: &[Instance], wishes: &[Wish]) -> (Vec<Move>, Affected) {
    let mut plan = Vec::new();
    let mut affected = Affected::default();
    let mut instances = instances.iter();
    for &(id, event, reason) in wishes {
        let Some(instance) = instances.by_ref().find(|instance| instance.id == id) else { continue };
        let Some(to_state) = moves::next(instance.state, event) else { continue };
        let retries = graph.dag.tasks.get(instance.task_index as usize).map_or(0, |task| task.retry.retries);
        plan.push(Move { id, to_state, reason, retries });
        affected.tasks.push(AffectedTask {
            task_instance: id,
            task_id: instance.task_id.clone(),
            map_index: instance.map_index,
            from: instance.state,
        });
    }
    (plan, affected)
}
