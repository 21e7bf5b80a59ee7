//! Groups and runs that start again by themselves because they have retries left.

use std::collections::HashMap;

use serde::Serialize;

use super::counts::Change;
use super::plan::RunSnapshot;
use super::selected::Selected;
use crate::graph::DagGraph;
use crate::ids::{DagRunKey, TaskInstanceKey};
use crate::retry::DEFAULT_RETRY_DELAY;
use crate::time::Timestamp;

/// Tasks of a run that start again.
#[derive(Debug, Clone)]
pub struct Restart {
    /// The run.
    pub run: DagRunKey,
    /// They wait until then.
    pub not_before: Timestamp,
    /// Why.
    pub reason: &'static str,
    /// Which ones.
    pub tasks: Vec<RestartTask>,
}

/// A task and its retries: all instances, or the one with a map index.
#[derive(Debug, Clone, Serialize)]
pub struct RestartTask {
    index: u32,
    retries: u32,
    map: Option<i64>,
}

/// How often a group has been tried again.
#[derive(Debug, Clone)]
pub struct GroupTries {
    /// The run.
    pub run: DagRunKey,
    /// The group.
    pub group_id: String,
    /// -1 where the group is not mapped.
    pub map_index: i64,
    /// How often.
    pub tries: i64,
}

/// A group that is tried once more.
#[derive(Debug, Serialize, Clone, PartialEq, Eq, Hash)]
pub struct GroupTry {
    run: DagRunKey,
    group_id: String,
    /// -1 where the group is not mapped.
    map_index: i64,
}

/// Whether any of the changes could make a group start again.
pub fn may_restart_groups(runs: &HashMap<DagRunKey, RunSnapshot>, changes: &[Change]) -> bool {
    changes.iter().filter(|change| change.is_failure()).any(|change| {
        runs.get(&change.run).is_some_and(|run| {
            run.is_going_on()
                && run.graph.dag.tasks.len() > change.task_index as usize
                && run.graph.groups_of(change.task_index).any(|group| group.retries > 0)
        })
    })
}

/// The groups that start again because a task in them failed for good: the innermost group that has tries left.
pub fn group_restarts(
    runs: &HashMap<DagRunKey, RunSnapshot>,
    changes: &[Change],
    tries: &[GroupTries],
    now: Timestamp,
) -> Vec<(GroupTry, Restart)> {
    // Only the last move of each instance counts: it may have been cleared since it failed.
    let last: HashMap<TaskInstanceKey, i64> = changes.iter().map(|change| (change.task_instance, change.id)).fold(
        HashMap::new(),
        |mut last, (instance, id)| {
            let newest = last.entry(instance).or_insert(id);
            *newest = (*newest).max(id);
            last
        },
    );
    let mut restarts: HashMap<GroupTry, Restart> = HashMap::new();
    for change in changes.iter().filter(|change| change.is_failure()) {
        if last.get(&change.task_instance) != Some(&change.id) {
            continue;
        }
        // In a run that somebody has ended, or whose time is over, nothing starts again.
        let Some(run) = runs.get(&change.run).filter(|run| run.is_going_on()) else { continue };
        let graph = &run.graph;
        let task = change.task_index;
        if task as usize >= graph.dag.tasks.len() {
            continue;
        }
        let used = |try_: &GroupTry| {
            tries
                .iter()
                .find(|row| row.run == try_.run && row.group_id == try_.group_id && row.map_index == try_.map_index)
                .map_or(0, |row| row.tries)
        };
        let found = graph.groups_of(task).filter(|group| group.retries > 0).find_map(|group| {
            let tasks = graph.tasks_of(&group.group_id);
            let map_index = map_index_of(graph, &tasks, change.map_index);
            let group_try =
                GroupTry { run: run.run, group_id: group.group_id.clone(), map_index: map_index.unwrap_or(-1) };
            (used(&group_try) < i64::from(group.retries)).then_some((group, tasks, map_index, group_try))
        });
        if let Some((group, tasks, map_index, group_try)) = found {
            let not_before = now + group.retry_delay.unwrap_or(DEFAULT_RETRY_DELAY);
            restarts.entry(group_try).or_insert_with(|| Restart {
                run: run.run,
                not_before,
                reason: "group_retry",
                tasks: tasks.into_iter().map(|task| restart_task(graph, task, map_index)).collect(),
            });
        }
    }
    restarts.into_iter().collect()
}

/// The map index that a group is about: one that lies within a mapped group starts again for one index only.
fn map_index_of(graph: &DagGraph, tasks: &[u32], map_index: i64) -> Option<i64> {
    let scope = graph.map_scope[*tasks.first()? as usize]?;
    let is_within = graph.scopes[scope as usize].group_id.is_some()
        && tasks.iter().all(|&task| graph.map_scope[task as usize] == Some(scope));
    (is_within && map_index >= 0).then_some(map_index)
}

/// A run that starts again at what failed (task and map index), and everything after that. Of a mapped group only the map
/// indexes that failed start again.
pub fn run_restart(run: &RunSnapshot, failed: &[(u32, i64)], not_before: Timestamp) -> Restart {
    let graph = &run.graph;
    let mut again = Selected::default();
    for &(task, map_index) in failed {
        if map_index < 0 {
            again.tasks.insert(task);
        } else {
            again.instances.insert((task, map_index));
        }
    }
    again.add(again.around(graph, |tasks| graph.reachable(tasks, &graph.downstream)));
    again.add(again.around(graph, |tasks| graph.with_setups_and_teardowns(tasks)));
    let whole = again.tasks.iter().map(|&task| (task, None));
    let single = again.instances.iter().filter(|(task, _)| !again.tasks.contains(task));
    let mut places: Vec<(u32, Option<i64>)> = whole.chain(single.map(|&(task, map)| (task, Some(map)))).collect();
    places.sort_unstable();
    Restart {
        run: run.run,
        not_before,
        reason: "run_retry",
        tasks: places.into_iter().map(|(task, map)| restart_task(graph, task, map)).collect(),
    }
}

fn restart_task(graph: &DagGraph, index: u32, map: Option<i64>) -> RestartTask {
    RestartTask { index, retries: graph.dag.tasks[index as usize].retry.retries, map }
}
