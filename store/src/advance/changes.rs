//! What the moves since the last tick change in the counts of runs and of the tasks after them.

use std::collections::{BTreeMap, HashMap, HashSet};

use flow_model::plan::{RunSnapshot, TouchedTask};
use flow_model::trigger_rule::UpstreamCounts;
use flow_model::{DagGraph, TaskState};
use serde::Serialize;

use crate::error::Result;
use crate::rows::{index, task_state};

/// A move into or out of a finished state, or back to `none`.
#[derive(sqlx::FromRow)]
pub(super) struct ChangeRow {
    pub id: i64,
    pub dag_run_id: i64,
    pub task_instance_id: i64,
    pub task_index: i64,
    pub map_index: i64,
    from_state: String,
    to_state: String,
}

impl ChangeRow {
    pub fn is_failure(&self) -> bool {
        self.to_state == "failed"
    }
}

/// How the upstream counts change of all instances of a task, or of the one with a map index.
#[derive(Serialize)]
pub(super) struct CountDelta {
    run: i64,
    index: u32,
    map: Option<i64>,
    success: i64,
    failed: i64,
    upstream_failed: i64,
    skipped: i64,
    removed: i64,
}

/// The changes of upstream counts. Two statements: one row must not be met twice by the same.
#[derive(Default)]
pub(super) struct Deltas {
    pub of_tasks: Vec<CountDelta>,
    pub of_instances: Vec<CountDelta>,
}

/// Run, task, and map index where only one instance is meant.
type Place = (i64, u32, Option<i64>);

/// Takes the changes into the runs' counts, and says how the counts of the tasks after them change. A task that became
/// undecided again (it was cleared), needs a setup that has moved, or may have been left out is touched with no change of
/// its counts.
pub(super) fn take_in(runs: &mut HashMap<i64, RunSnapshot>, changes: &[ChangeRow]) -> Result<Deltas> {
    let mut counts: BTreeMap<Place, UpstreamCounts> = BTreeMap::new();
    for change in changes {
        let Some(run) = runs.get_mut(&change.dag_run_id) else { continue };
        let (from, to) = (task_state(&change.from_state)?, task_state(&change.to_state)?);
        let task = index(change.task_index);
        // A change of nothing is there only to have the run looked at.
        let Some(children) = run.graph.downstream.get(task as usize) else { continue };
        run.unfinished += i64::from(from.is_finished()) - i64::from(to.is_finished());
        if run.graph.is_leaf(task) {
            run.failed_leaves += i64::from(is_failure(to)) - i64::from(is_failure(from));
        }
        let place =
            |child: u32| (change.dag_run_id, child, run.graph.go_together(task, child).then_some(change.map_index));
        for &child in children {
            let counts = counts.entry(place(child)).or_default();
            counts.add(from, -1);
            counts.add(to, 1);
        }
        for &other in looks_at(&run.graph, task, to) {
            counts.entry(place(other)).or_default();
        }
        if to == TaskState::None {
            counts.entry((change.dag_run_id, task, Some(change.map_index))).or_default();
        }
    }
    Ok(deltas(counts))
}

/// Tasks, not all directly after it, that look at the state of this one.
fn looks_at(graph: &DagGraph, task: u32, to: TaskState) -> &[u32] {
    if to.is_finished() { &graph.looked_at_by[task as usize] } else { &[] }
}

fn deltas(counts: BTreeMap<Place, UpstreamCounts>) -> Deltas {
    let mut deltas = Deltas::default();
    for ((run, index, map), counts) in counts {
        let delta = CountDelta {
            run,
            index,
            map,
            success: counts.success,
            failed: counts.failed,
            upstream_failed: counts.upstream_failed,
            skipped: counts.skipped,
            removed: counts.removed,
        };
        if map.is_none() { deltas.of_tasks.push(delta) } else { deltas.of_instances.push(delta) }
    }
    deltas
}

const fn is_failure(state: TaskState) -> bool {
    matches!(state, TaskState::Failed | TaskState::UpstreamFailed)
}

/// A task whose state touched tasks look at, besides the counts that they carry.
#[derive(Serialize, PartialEq, Eq, Hash)]
pub(super) struct UpstreamQuestion {
    run: i64,
    index: u32,
}

#[derive(sqlx::FromRow)]
pub(super) struct UpstreamState {
    dag_run_id: i64,
    task_index: i64,
    map_index: i64,
    state: String,
    skips: Option<String>,
}

/// The setups and deciders that the touched tasks look at.
pub(super) fn upstream_questions(runs: &[RunSnapshot]) -> HashSet<UpstreamQuestion> {
    let mut questions = HashSet::new();
    for run in runs {
        for touched in &run.touched {
            let task = touched.task_index as usize;
            let asked = run.graph.setups[task].iter().chain(&run.graph.deciders[task]);
            questions.extend(asked.map(|&index| UpstreamQuestion { run: run.run.0, index }));
        }
    }
    questions
}

/// Takes the answers in.
pub(super) fn look_upstream(runs: &mut [RunSnapshot], states: &[UpstreamState]) -> Result<()> {
    let mut by_task: HashMap<(i64, u32), Vec<&UpstreamState>> = HashMap::new();
    for state in states {
        by_task.entry((state.dag_run_id, index(state.task_index))).or_default().push(state);
    }
    for run in runs {
        let graph = std::sync::Arc::clone(&run.graph);
        for touched in &mut run.touched {
            let task = touched.task_index;
            let seen = |other: u32, touched: &TouchedTask| -> Vec<&UpstreamState> {
                let all = by_task.get(&(run.run.0, other)).map(Vec::as_slice).unwrap_or_default();
                let together = graph.go_together(task, other);
                all.iter().copied().filter(|state| !together || state.map_index == touched.map_index).collect()
            };
            for &setup in &graph.setups[task as usize] {
                for state in seen(setup, touched) {
                    touched.setups.total += 1;
                    touched.setups.add(task_state(&state.state)?, 1);
                }
            }
            for &decider in &graph.deciders[task as usize] {
                let decided: Vec<bool> =
                    seen(decider, touched).iter().filter_map(|state| leaves_out(state, task)).collect();
                touched.is_left_out |= !decided.is_empty() && decided.iter().all(|&leaves_out| leaves_out);
            }
        }
    }
    Ok(())
}

/// Whether a branch that has decided left the task out.
fn leaves_out(decider: &UpstreamState, task: u32) -> Option<bool> {
    if decider.state != "success" {
        return None;
    }
    let skips: Vec<u32> = decider.skips.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Some(skips.contains(&task))
}
