//! What the moves since the last tick change in the counts of runs and of the tasks after them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::plan::{RunSnapshot, TouchedTask};
use super::task::{MappingStage, ProducerCounts, Votes};
use crate::graph::DagGraph;
use crate::ids::{DagRunKey, TaskInstanceKey};
use crate::state::TaskState;
use crate::trigger_rule::UpstreamCounts;

/// The map index of an instance that is not mapped, or not expanded yet.
const UNEXPANDED: i64 = -1;

/// A move of a task instance into or out of a finished state, or back to `none`.
#[derive(Debug, Clone)]
pub struct Change {
    /// Orders the changes.
    pub id: i64,
    /// The run.
    pub run: DagRunKey,
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// Its task; none of the DAG's for a change of nothing, which is there only to have the run looked at.
    pub task_index: u32,
    /// -1 for an instance that is not mapped, or not expanded yet.
    pub map_index: i64,
    /// The state it left.
    pub from: TaskState,
    /// The state it has.
    pub to: TaskState,
}

impl Change {
    /// Whether it has failed for good.
    pub fn is_failure(&self) -> bool {
        self.to == TaskState::Failed
    }
}

/// How the upstream counts change of all instances of a task, or of the one with a map index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountDelta {
    run: DagRunKey,
    index: u32,
    map: Option<i64>,
    success: i64,
    failed: i64,
    upstream_failed: i64,
    skipped: i64,
    removed: i64,
}

/// The changes of upstream counts. Two statements: one row must not be met twice by the same.
#[derive(Debug, Default)]
pub struct Deltas {
    /// Of all instances of tasks.
    pub of_tasks: Vec<CountDelta>,
    /// Of single instances.
    pub of_instances: Vec<CountDelta>,
}

/// Run, task, and map index where only one instance is meant.
type Place = (DagRunKey, u32, Option<i64>);

/// Takes the changes into the runs' counts, and says how the counts of the tasks after them change. A task that became
/// undecided again (it was cleared), needs a setup that has moved, or may have been left out is touched with no change of
/// its counts.
pub fn take_in(runs: &mut HashMap<DagRunKey, RunSnapshot>, changes: &[Change]) -> Deltas {
    let mut counts: BTreeMap<Place, UpstreamCounts> = BTreeMap::new();
    for change in changes {
        let Some(run) = runs.get_mut(&change.run) else { continue };
        let (from, to, task) = (change.from, change.to, change.task_index);
        // A change of nothing is there only to have the run looked at.
        let Some(children) = run.graph.downstream.get(task as usize) else { continue };
        run.unfinished += i64::from(from.is_finished()) - i64::from(to.is_finished());
        if run.graph.is_leaf(task) {
            run.failed_leaves += i64::from(is_failure(to)) - i64::from(is_failure(from));
        }
        for &child in children {
            for place in places(&run.graph, change, child) {
                let counts = counts.entry(place).or_default();
                counts.add(from, -1);
                counts.add(to, 1);
            }
        }
        for &other in looks_at(&run.graph, task, to) {
            for place in places(&run.graph, change, other) {
                counts.entry(place).or_default();
            }
        }
        if to == TaskState::None {
            counts.entry((change.run, task, Some(change.map_index))).or_default();
        }
    }
    deltas(counts)
}

/// Which instances of another task count an instance that has moved. In a mapped group those with its map index; and one that
/// was decided about before the group was expanded has none: it counts them all, and they all count it.
fn places(graph: &DagGraph, change: &Change, other: u32) -> Vec<Place> {
    let run = change.run;
    if change.map_index < 0 || !graph.go_together(change.task_index, other) {
        return vec![(run, other, None)];
    }
    vec![(run, other, Some(change.map_index)), (run, other, Some(UNEXPANDED))]
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

/// A task whose state touched tasks look at, besides the counts that they carry: all its instances, or the one with a map
/// index.
#[derive(Debug, Serialize, PartialEq, Eq, Hash)]
pub struct UpstreamQuestion {
    run: DagRunKey,
    index: u32,
    map: Option<i64>,
}

/// Instances of a task that are in the same state and have left out the same tasks.
#[derive(Debug, Clone)]
pub struct UpstreamState {
    /// The run.
    pub run: DagRunKey,
    /// Their task.
    pub task_index: u32,
    /// The map index, where only one instance was asked about.
    pub map_index: Option<i64>,
    /// Their state.
    pub state: TaskState,
    /// The tasks that they left out: those of a branch or short circuit.
    pub skips: Vec<u32>,
    /// It was never expanded, and not because there was nothing to map it over.
    pub is_whole: bool,
    /// How many they are.
    pub instances: i64,
}

impl UpstreamState {
    /// Whether these instances of a branch or short circuit left the task out.
    pub fn leaves_out(&self, task: u32) -> bool {
        self.skips.contains(&task)
    }
}

/// About the instances of another task that belong to a touched one: see [`places`].
fn questions(run: &RunSnapshot, touched: &TouchedTask, other: u32) -> Vec<UpstreamQuestion> {
    let question = |map| UpstreamQuestion { run: run.run, index: other, map };
    if touched.map_index < 0 || !run.graph.go_together(touched.task_index, other) {
        return vec![question(None)];
    }
    vec![question(Some(touched.map_index)), question(Some(UNEXPANDED))]
}

/// The producers that a touched task looks at: none, once it has been expanded.
fn producers<'a>(graph: &'a DagGraph, touched: &TouchedTask) -> &'a [u32] {
    match touched.standing.mapping {
        MappingStage::Done => &[],
        MappingStage::OfTask | MappingStage::OfGroup => &graph.producers[touched.task_index as usize],
    }
}

/// The setups, deciders and producers that the touched tasks look at.
pub fn upstream_questions(runs: &[RunSnapshot]) -> HashSet<UpstreamQuestion> {
    let mut questions = HashSet::new();
    for run in runs {
        for touched in &run.touched {
            let task = touched.task_index as usize;
            let asked = run.graph.setups[task].iter().chain(&run.graph.deciders[task]);
            let asked = asked.chain(producers(&run.graph, touched));
            questions.extend(asked.flat_map(|&other| self::questions(run, touched, other)));
        }
    }
    questions
}

/// Takes the answers in.
pub fn look_upstream(runs: &mut [RunSnapshot], states: &[UpstreamState]) {
    let mut answers: HashMap<UpstreamQuestion, Vec<&UpstreamState>> = HashMap::new();
    for state in states {
        let place = UpstreamQuestion { run: state.run, index: state.task_index, map: state.map_index };
        answers.entry(place).or_default().push(state);
    }
    let answer = |questions: Vec<UpstreamQuestion>| -> Vec<&UpstreamState> {
        questions
            .iter()
            .flat_map(|question| answers.get(question).map(Vec::as_slice).unwrap_or_default())
            .copied()
            .collect()
    };
    for run in runs {
        let graph = std::sync::Arc::clone(&run.graph);
        let mut all_touched = std::mem::take(&mut run.touched);
        for touched in &mut all_touched {
            let task = touched.task_index as usize;
            for &setup in &graph.setups[task] {
                for state in answer(questions(run, touched, setup)) {
                    touched.standing.setups.total += state.instances;
                    touched.standing.setups.add(state.state, state.instances);
                }
            }
            for &decider in &graph.deciders[task] {
                let votes = votes(&answer(questions(run, touched, decider)), touched.task_index);
                touched.standing.choice = touched.standing.choice.and(votes.choice());
            }
            for &producer in producers(&graph, touched) {
                let instances = produced(&answer(questions(run, touched, producer)));
                touched.standing.producers.add(producer, instances);
            }
        }
        run.touched = all_touched;
    }
}

/// How the instances of a branch or short circuit stand to a task after it.
fn votes(decider: &[&UpstreamState], task: u32) -> Votes {
    let mut votes = Votes::default();
    for row in decider {
        match row.state {
            TaskState::Removed => {}
            TaskState::Success if row.leaves_out(task) => votes.left_out += row.instances,
            state if state.is_finished() => votes.others += row.instances,
            _ => votes.pending += row.instances,
        }
    }
    votes
}

/// What has become of the instances of a task that a mapping goes over.
fn produced(producer: &[&UpstreamState]) -> ProducerCounts {
    let mut counts = ProducerCounts::default();
    for row in producer {
        match row.state {
            TaskState::Removed => {}
            TaskState::Success => counts.success += row.instances,
            TaskState::Failed | TaskState::UpstreamFailed => counts.failed += row.instances,
            TaskState::Skipped if row.is_whole => counts.skipped += row.instances,
            TaskState::Skipped => {}
            _ => counts.pending += row.instances,
        }
    }
    counts
}
