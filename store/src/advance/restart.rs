//! Groups and runs that start again by themselves because they have retries left.

use std::collections::HashMap;
use std::time::Duration;

use flow_model::plan::RunSnapshot;
use flow_model::{DagGraph, Timestamp};
use serde::Serialize;

use super::changes::ChangeRow;
use crate::rows::index;
use crate::selected::Selected;

/// Before a group starts again, where it names no `retry_delay`: that of Airflow's tasks.
const DEFAULT_DELAY: Duration = Duration::from_secs(300);

/// Tasks of a run that start again.
pub(super) struct Restart {
    pub run: i64,
    pub not_before: i64,
    pub reason: &'static str,
    pub tasks: Vec<RestartTask>,
}

/// A task and its retries: all instances, or the one with a map index.
#[derive(Serialize)]
pub(super) struct RestartTask {
    index: u32,
    retries: u32,
    map: Option<i64>,
}

#[derive(sqlx::FromRow)]
pub(super) struct GroupTries {
    dag_run_id: i64,
    group_id: String,
    map_index: i64,
    tries: i64,
}

/// A group that is tried once more.
#[derive(Serialize, Clone, PartialEq, Eq, Hash)]
pub(super) struct GroupTry {
    run: i64,
    group_id: String,
    /// -1 where the group is not mapped.
    map_index: i64,
}

/// Whether any of the changes could make a group start again.
pub(super) fn may_restart_groups(runs: &HashMap<i64, RunSnapshot>, changes: &[ChangeRow]) -> bool {
    changes.iter().filter(|change| change.is_failure()).any(|change| {
        runs.get(&change.dag_run_id).is_some_and(|run| {
            run.is_going_on()
                && run.graph.dag.tasks.len() > index(change.task_index) as usize
                && run.graph.groups_of(index(change.task_index)).any(|group| group.retries > 0)
        })
    })
}

/// The groups that start again because a task in them failed for good: the innermost group that has tries left.
pub(super) fn group_restarts(
    runs: &HashMap<i64, RunSnapshot>,
    changes: &[ChangeRow],
    tries: &[GroupTries],
    now: Timestamp,
) -> Vec<(GroupTry, Restart)> {
    // Only the last move of each instance counts: it may have been cleared since it failed.
    let last: HashMap<i64, i64> = changes.iter().map(|change| (change.task_instance_id, change.id)).fold(
        HashMap::new(),
        |mut last, (instance, id)| {
            let newest = last.entry(instance).or_insert(id);
            *newest = (*newest).max(id);
            last
        },
    );
    let mut restarts: HashMap<GroupTry, Restart> = HashMap::new();
    for change in changes.iter().filter(|change| change.is_failure()) {
        if last.get(&change.task_instance_id) != Some(&change.id) {
            continue;
        }
        // In a run that somebody has ended, or whose time is over, nothing starts again.
        let Some(run) = runs.get(&change.dag_run_id).filter(|run| run.is_going_on()) else { continue };
        let graph = &run.graph;
        let task = index(change.task_index);
        if task as usize >= graph.dag.tasks.len() {
            continue;
        }
        let used = |try_: &GroupTry| {
            tries
                .iter()
                .find(|row| {
                    row.dag_run_id == try_.run && row.group_id == try_.group_id && row.map_index == try_.map_index
                })
                .map_or(0, |row| row.tries)
        };
        let found = graph.groups_of(task).filter(|group| group.retries > 0).find_map(|group| {
            let tasks = graph.tasks_of(&group.group_id);
            let map_index = map_index_of(graph, &tasks, change.map_index);
            let group_try =
                GroupTry { run: run.run.0, group_id: group.group_id.clone(), map_index: map_index.unwrap_or(-1) };
            (used(&group_try) < i64::from(group.retries)).then_some((group, tasks, map_index, group_try))
        });
        if let Some((group, tasks, map_index, group_try)) = found {
            let not_before = (now + group.retry_delay.unwrap_or(DEFAULT_DELAY)).as_micros();
            restarts.entry(group_try).or_insert_with(|| Restart {
                run: run.run.0,
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
pub(super) fn run_restart(run: &RunSnapshot, failed: &[(i64, i64)], not_before: Timestamp) -> Restart {
    let graph = &run.graph;
    let mut again = Selected::default();
    for &(task, map_index) in failed {
        if map_index < 0 {
            again.tasks.insert(index(task));
        } else {
            again.instances.insert((index(task), map_index));
        }
    }
    again.add(again.around(graph, |tasks| graph.reachable(tasks, &graph.downstream)));
    again.add(again.around(graph, |tasks| graph.with_setups_and_teardowns(tasks)));
    let whole = again.tasks.iter().map(|&task| (task, None));
    let single = again.instances.iter().filter(|(task, _)| !again.tasks.contains(task));
    let mut places: Vec<(u32, Option<i64>)> = whole.chain(single.map(|&(task, map)| (task, Some(map)))).collect();
    places.sort_unstable();
    Restart {
        run: run.run.0,
        not_before: not_before.as_micros(),
        reason: "run_retry",
        tasks: places.into_iter().map(|(task, map)| restart_task(graph, task, map)).collect(),
    }
}

fn restart_task(graph: &DagGraph, index: u32, map: Option<i64>) -> RestartTask {
    RestartTask { index, retries: graph.dag.tasks[index as usize].retry.retries, map }
}
