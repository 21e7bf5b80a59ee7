//! Mapped tasks: from one undecided instance to as many as its mapping has values.
//!
//! The same steps serve the first expansion and the ones after a task was cleared: the instances that are there get the
//! values of now, missing ones are added, and undecided ones beyond the end are removed. Instances that have been decided
//! about are left alone.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::plan::Expansion;
use super::task::{EMPTY_MAP, Ending, MappingStage};
use crate::expand::{ExpandError, Lookup};
use crate::graph::DagGraph;
use crate::ids::{DagRunKey, TaskInstanceKey};
use crate::params::resolve_params;
use crate::state::TaskState;

/// A value that a task has left for a mapping.
#[derive(Debug, Clone)]
pub struct MappingXCom {
    /// The run.
    pub run: DagRunKey,
    /// The task.
    pub task_id: String,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// Its key.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// A task instance of a scope.
#[derive(Debug, Clone)]
pub struct ScopeInstance {
    /// Its key.
    pub id: TaskInstanceKey,
    /// Its task.
    pub task_index: u32,
    /// -1 for one that is not expanded yet.
    pub map_index: i64,
    /// Its state.
    pub state: TaskState,
    /// It gets its values from the scope's mapping.
    pub must_expand: bool,
}

impl ScopeInstance {
    fn is_undecided(&self) -> bool {
        self.state == TaskState::None
    }
}

/// A value of a task, or of all its instances, that a mapping needs.
#[derive(Debug, Serialize)]
pub struct XComQuestion<'a> {
    run: DagRunKey,
    task: &'a str,
    key: &'a str,
}

/// The XComs that a mapping of a run needs.
pub fn questions<'a>(graph: &'a DagGraph, expansion: &Expansion) -> Vec<XComQuestion<'a>> {
    let mapping = &graph.scopes[expansion.scope as usize].mapping;
    mapping.xcoms().into_iter().map(|(task, key)| XComQuestion { run: expansion.run, task, key }).collect()
}

/// What the run knows: XComs and params.
#[derive(Debug)]
pub struct RunValues {
    xcoms: HashMap<(String, String), Value>,
    params: Map<String, Value>,
    /// Mapped tasks that had nothing to do: each of their values is an empty list.
    empty: Vec<String>,
    nothing: Value,
}

impl RunValues {
    /// From the values that tasks have left, in the order of their map indexes, the run's conf, and the producers that had
    /// nothing to do.
    pub fn new(
        graph: &DagGraph,
        run: DagRunKey,
        found: Vec<MappingXCom>,
        conf: Map<String, Value>,
        empty: &[u32],
    ) -> Self {
        let mut xcoms: HashMap<(String, String), Value> = HashMap::new();
        for xcom in found.into_iter().filter(|xcom| xcom.run == run) {
            let is_mapped = graph.index_of(&xcom.task_id).is_some_and(|task| graph.scope_of(task).is_some());
            let place = (xcom.task_id, xcom.key);
            if is_mapped && xcom.map_index >= 0 {
                if let Value::Array(list) = xcoms.entry(place).or_insert_with(|| Value::Array(Vec::new())) {
                    list.push(xcom.value);
                }
            } else {
                xcoms.insert(place, xcom.value);
            }
        }
        let params = resolve_params(&graph.dag.params, &conf).unwrap_or(conf);
        let empty = empty.iter().map(|&task| graph.dag.tasks[task as usize].task_id.clone()).collect();
        RunValues { xcoms, params, empty, nothing: Value::Array(Vec::new()) }
    }
}

impl Lookup for RunValues {
    fn xcom(&self, task_id: &str, key: &str) -> Option<&Value> {
        let nothing = || self.empty.iter().any(|empty| empty == task_id).then_some(&self.nothing);
        self.xcoms.get(&(task_id.to_owned(), key.to_owned())).or_else(nothing)
    }

    fn param(&self, name: &str) -> Option<&Value> {
        self.params.get(name)
    }
}

/// The instances of the mapping.
pub fn instances(graph: &DagGraph, scope: u32, values: &RunValues) -> Instances {
    match graph.scopes[scope as usize].mapping.instances(values, graph.dag.max_map_length) {
        Ok(instances) if instances.is_empty() => Instances::Nothing,
        Ok(instances) => Instances::Values(instances),
        Err(error @ ExpandError::NotProduced { .. }) => Instances::Refused("upstream_failed", error.to_string()),
        Err(error) => Instances::Refused("failed", error.to_string()),
    }
}

/// What a mapping comes to.
#[derive(Debug)]
pub enum Instances {
    /// The values of each instance.
    Values(Vec<Map<String, Value>>),
    /// An empty list: what would run is skipped.
    Nothing,
    /// It cannot be evaluated: the state of the tasks that asked, and why.
    Refused(&'static str, String),
}

/// What to do with the rows of a scope.
#[derive(Debug, Default)]
pub struct ScopePlan {
    /// Rows that get a map index and values.
    pub give: Vec<GiveValues>,
    /// Rows to add.
    pub copy: Vec<CopyOf>,
    /// Undecided rows beyond the end.
    pub remove: Vec<TaskInstanceKey>,
    /// Rows that were beyond the end of an earlier mapping.
    pub restore: Vec<GiveValues>,
    /// Rows whose task may run now.
    pub schedule: Vec<TaskInstanceKey>,
}

/// The map index and values that a row gets.
#[derive(Debug, Serialize)]
pub struct GiveValues {
    id: TaskInstanceKey,
    map_index: i64,
    map_value: String,
}

/// A row to add: like another one, with a map index and values.
#[derive(Debug, Serialize)]
pub struct CopyOf {
    of: TaskInstanceKey,
    map_index: i64,
    map_value: String,
}

/// Compares the rows of a scope with the values there should be.
pub fn plan(rows: &[ScopeInstance], ready: &[u32], values: &[Map<String, Value>]) -> ScopePlan {
    let texts: Vec<String> = values.iter().map(|value| Value::Object(value.clone()).to_string()).collect();
    let mut plan = ScopePlan::default();
    for of_task in rows.chunk_by(|left, right| left.task_index == right.task_index) {
        // A task without such a row was decided about before the scope was expanded.
        let Some(pattern) = of_task.iter().find(|row| row.is_undecided() && row.must_expand) else { continue };
        let is_ready = ready.contains(&pattern.task_index);
        let mut is_there = vec![false; texts.len()];
        for row in of_task {
            let position = usize::try_from(row.map_index.max(0)).unwrap_or(usize::MAX);
            if let Some(taken) = is_there.get_mut(position) {
                *taken = true;
            }
            if row.state == TaskState::Removed
                && let Some(text) = texts.get(position)
            {
                plan.restore.push(GiveValues { id: row.id, map_index: row.map_index, map_value: text.clone() });
            }
            if !row.is_undecided() || !row.must_expand {
                continue;
            }
            match texts.get(position) {
                Some(text) => {
                    plan.give.push(GiveValues { id: row.id, map_index: row.map_index.max(0), map_value: text.clone() });
                    plan.schedule.extend(is_ready.then_some(row.id));
                }
                None => plan.remove.push(row.id),
            }
        }
        let missing = is_there.iter().enumerate().filter(|(_, is_there)| !**is_there);
        plan.copy.extend(missing.map(|(position, _)| CopyOf {
            of: pattern.id,
            map_index: position as i64,
            map_value: texts[position].clone(),
        }));
    }
    plan
}

/// Rows that end with a scope for which there are no values: the state and the reason of each, and which ones.
pub type Ends = Vec<(&'static str, String, Vec<TaskInstanceKey>)>;

/// How the instances end that have asked for a mapping over nothing, or one that cannot be evaluated: those that would have run
/// with the mapping; in a group, the others as what is before them says.
pub fn ends(expansion: &Expansion, state: &'static str, reason: &str) -> Ends {
    let mut ends: Ends = vec![(state, reason.to_owned(), expansion.instances.clone())];
    for (task, ending) in &expansion.ending {
        let (state, why) = match ending {
            // It would not have run, but neither was there anything to run it for.
            Ending::Skipped(_) if reason == EMPTY_MAP => ("skipped", EMPTY_MAP),
            ending => ending.state_and_reason(),
        };
        ends.push((state, why.to_owned(), vec![*task]));
    }
    ends
}

/// Whether all rows of a scope stand as they did when the run began, so that those that are added stand like the ones that they
/// are copies of.
pub fn is_untouched(rows: &[ScopeInstance]) -> bool {
    rows.iter().all(|row| row.is_undecided() && row.must_expand && row.map_index < 0)
}

/// A task, one of those before it, and whether their instances belong together.
#[derive(Debug, Serialize)]
pub struct Edge {
    index: u32,
    upstream: u32,
    together: bool,
}

/// The edges to the tasks of a scope.
pub fn edges(graph: &DagGraph, tasks: &[u32]) -> Vec<Edge> {
    let edge = |index: u32, upstream: u32| Edge { index, upstream, together: graph.go_together(index, upstream) };
    tasks
        .iter()
        .flat_map(|&index| graph.upstream[index as usize].iter().map(move |&upstream| edge(index, upstream)))
        .collect()
}

/// How many upstream instances more a task has.
#[derive(Debug, Serialize)]
pub struct Raise {
    index: u32,
    by: i64,
}

/// How many upstream instances more the tasks after a scope have, given how many were added of each task.
pub fn raises(graph: &DagGraph, added: &HashMap<u32, i64>) -> Vec<Raise> {
    let mut by_child: HashMap<u32, i64> = HashMap::new();
    for (&task, &count) in added {
        for &child in graph.downstream[task as usize].iter().filter(|&&child| !graph.go_together(task, child)) {
            *by_child.entry(child).or_default() += count;
        }
    }
    by_child.into_iter().map(|(index, by)| Raise { index, by }).collect()
}

/// Whether an instance of the task still has to be expanded.
pub fn mapping_stage(graph: &DagGraph, task: u32, must_expand: bool) -> MappingStage {
    match graph.scope_of(task) {
        Some(scope) if must_expand && scope.group_id.is_some() => MappingStage::OfGroup,
        Some(_) if must_expand => MappingStage::OfTask,
        _ => MappingStage::Done,
    }
}
