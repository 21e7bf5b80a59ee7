//! What the moves since the last tick change in the counts of runs and of the tasks after them.

use std::collections::{BTreeMap, HashMap, HashSet};

use flow_model::decision::{MappingStage, ProducerCounts, Votes};
use flow_model::plan::{RunSnapshot, TouchedTask};
use flow_model::trigger_rule::UpstreamCounts;
use flow_model::{DagGraph, TaskState};
use serde::Serialize;

use crate::rows::index;

/// The map index of an instance that is not mapped, or not expanded yet.
const UNEXPANDED: i64 = -1;

/// A move into or out of a finished state, or back to `none`.
#[derive(sqlx::FromRow)]
pub(super) struct ChangeRow {
    pub id: i64,
    pub dag_run_id: i64,
    pub task_instance_id: i64,
    pub task_index: i64,
    pub map_index: i64,
    #[sqlx(try_from = "String")]
    from_state: TaskState,
    #[sqlx(try_from = "String")]
    to_state: TaskState,
}

impl ChangeRow {
    pub fn is_failure(&self) -> bool {
        self.to_state == TaskState::Failed
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
pub(super) fn take_in(runs: &mut HashMap<i64, RunSnapshot>, changes: &[ChangeRow]) -> Deltas {
    let mut counts: BTreeMap<Place, UpstreamCounts> = BTreeMap::new();
    for change in changes {
        let Some(run) = runs.get_mut(&change.dag_run_id) else { continue };
        let (from, to) = (change.from_state, change.to_state);
        let task = index(change.task_index);
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
            counts.entry((change.dag_run_id, task, Some(change.map_index))).or_default();
        }
    }
    deltas(counts)
}

/// Which instances of another task count an instance that has moved. In a mapped group those with its map index; and one that
/// was decided about before the group was expanded has none: it counts them all, and they all count it.
fn places(graph: &DagGraph, change: &ChangeRow, other: u32) -> Vec<Place> {
    let run = change.dag_run_id;
    if change.map_index < 0 || !graph.go_together(index(change.task_index), other) {
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
#[derive(Serialize, PartialEq, Eq, Hash)]
pub(crate) struct UpstreamQuestion {
    run: i64,
    index: u32,
    map: Option<i64>,
}

/// So many instances are in this state, and have left out these tasks.
#[derive(sqlx::FromRow)]
pub(crate) struct UpstreamState {
    dag_run_id: i64,
    pub task_index: i64,
    map_index: Option<i64>,
    #[sqlx(try_from = "String")]
    pub state: TaskState,
    skips: Option<String>,
    /// It was never expanded, and not because there was nothing to map it over.
    is_whole: bool,
    pub instances: i64,
}

/// About the instances of another task that belong to a touched one: see [`places`].
fn questions(run: &RunSnapshot, touched: &TouchedTask, other: u32) -> Vec<UpstreamQuestion> {
    let question = |map| UpstreamQuestion { run: run.run.0, index: other, map };
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
pub(crate) fn upstream_questions(runs: &[RunSnapshot]) -> HashSet<UpstreamQuestion> {
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
pub(crate) fn look_upstream(runs: &mut [RunSnapshot], states: &[UpstreamState]) {
    let mut answers: HashMap<UpstreamQuestion, Vec<&UpstreamState>> = HashMap::new();
    for state in states {
        let place = UpstreamQuestion { run: state.dag_run_id, index: index(state.task_index), map: state.map_index };
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
            TaskState::Success if leaves_out(row, task) => votes.left_out += row.instances,
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

/// Whether these instances of a branch or short circuit left the task out.
pub(crate) fn leaves_out(decider: &UpstreamState, task: u32) -> bool {
    let skips: Option<Vec<u32>> = decider.skips.as_deref().and_then(|text| serde_json::from_str(text).ok());
    skips.is_some_and(|skips| skips.contains(&task))
}
