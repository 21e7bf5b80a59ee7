//! Mapped tasks: from one undecided instance to as many as its mapping has values.
//!
//! The same steps serve the first expansion and the ones after a task was cleared: the instances that are there get the
//! values of now, missing ones are added, and undecided ones beyond the end are removed. Instances that have been decided
//! about are left alone.

use std::collections::HashMap;

use flow_model::decision::{EMPTY_MAP, Ending};
use flow_model::expand::{ExpandError, Lookup};
use flow_model::params::resolve_params;
use flow_model::plan::Expansion;
use flow_model::{Dag, DagGraph, TaskState};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Result, StoreError};
use crate::rows::index;

#[derive(sqlx::FromRow)]
pub(super) struct MappingXCom {
    dag_run_id: i64,
    task_id: String,
    map_index: i64,
    key: String,
    value: String,
}

#[derive(sqlx::FromRow)]
pub(super) struct ScopeInstance {
    pub id: i64,
    pub task_index: i64,
    map_index: i64,
    #[sqlx(try_from = "String")]
    state: TaskState,
    must_expand: bool,
}

impl ScopeInstance {
    fn is_undecided(&self) -> bool {
        self.state == TaskState::None
    }
}

#[derive(Serialize)]
pub(super) struct XComQuestion<'a> {
    run: i64,
    task: &'a str,
    key: &'a str,
}

/// The XComs that a mapping of a run needs.
pub(super) fn questions<'a>(graph: &'a DagGraph, expansion: &Expansion) -> Vec<XComQuestion<'a>> {
    let mapping = &graph.scopes[expansion.scope as usize].mapping;
    mapping.xcoms().into_iter().map(|(task, key)| XComQuestion { run: expansion.run.0, task, key }).collect()
}

/// What the run knows: XComs and params.
pub(super) struct RunValues {
    xcoms: HashMap<(String, String), Value>,
    params: Map<String, Value>,
    /// Mapped tasks that had nothing to do: each of their values is an empty list.
    empty: Vec<String>,
    nothing: Value,
}

impl RunValues {
    /// From the fetched rows, which come in the order of their map indexes, the run's conf, and the producers that had nothing
    /// to do.
    pub fn new(graph: &DagGraph, run: i64, rows: &[MappingXCom], conf: &str, empty: &[u32]) -> Result<Self> {
        let corrupt = |what, error: serde_json::Error| StoreError::Corrupt { what, why: error.to_string() };
        let mut xcoms: HashMap<(String, String), Value> = HashMap::new();
        for row in rows.iter().filter(|row| row.dag_run_id == run) {
            let value: Value = serde_json::from_str(&row.value).map_err(|error| corrupt("XCom", error))?;
            let place = (row.task_id.clone(), row.key.clone());
            let is_mapped = graph.index_of(&row.task_id).is_some_and(|task| graph.scope_of(task).is_some());
            if is_mapped && row.map_index >= 0 {
                if let Value::Array(list) = xcoms.entry(place).or_insert_with(|| Value::Array(Vec::new())) {
                    list.push(value);
                }
            } else {
                xcoms.insert(place, value);
            }
        }
        let conf: Map<String, Value> = serde_json::from_str(conf).map_err(|error| corrupt("run's conf", error))?;
        let params = resolve_params(&graph.dag.params, &conf).unwrap_or(conf);
        let empty = empty.iter().map(|&task| graph.dag.tasks[task as usize].task_id.clone()).collect();
        Ok(RunValues { xcoms, params, empty, nothing: Value::Array(Vec::new()) })
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
pub(super) fn instances(dag: &Dag, graph: &DagGraph, scope: u32, values: &RunValues) -> Instances {
    match graph.scopes[scope as usize].mapping.instances(values, dag.max_map_length) {
        Ok(instances) if instances.is_empty() => Instances::Nothing,
        Ok(instances) => Instances::Values(instances),
        Err(error @ ExpandError::NotProduced { .. }) => Instances::Refused("upstream_failed", error.to_string()),
        Err(error) => Instances::Refused("failed", error.to_string()),
    }
}

/// What a mapping comes to.
pub(super) enum Instances {
    /// The values of each instance.
    Values(Vec<Map<String, Value>>),
    /// An empty list: what would run is skipped.
    Nothing,
    /// It cannot be evaluated: the state of the tasks that asked, and why.
    Refused(&'static str, String),
}

/// What to do with the rows of a scope.
#[derive(Default)]
pub(super) struct ScopePlan {
    /// Rows that get a map index and values.
    pub give: Vec<GiveValues>,
    /// Rows to add.
    pub copy: Vec<CopyOf>,
    /// Undecided rows beyond the end.
    pub remove: Vec<i64>,
    /// Rows that were beyond the end of an earlier mapping.
    pub restore: Vec<GiveValues>,
    /// Rows whose task may run now.
    pub schedule: Vec<i64>,
}

#[derive(Serialize)]
pub(super) struct GiveValues {
    id: i64,
    map_index: i64,
    map_value: String,
}

#[derive(Serialize)]
pub(super) struct CopyOf {
    of: i64,
    map_index: i64,
    map_value: String,
}

/// Compares the rows of a scope with the values there should be.
pub(super) fn plan(rows: &[ScopeInstance], ready: &[u32], values: &[Map<String, Value>]) -> ScopePlan {
    let texts: Vec<String> = values.iter().map(|value| Value::Object(value.clone()).to_string()).collect();
    let mut plan = ScopePlan::default();
    for of_task in rows.chunk_by(|left, right| left.task_index == right.task_index) {
        // A task without such a row was decided about before the scope was expanded.
        let Some(pattern) = of_task.iter().find(|row| row.is_undecided() && row.must_expand) else { continue };
        let is_ready = ready.contains(&index(pattern.task_index));
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
pub(super) type Ends = Vec<(&'static str, String, Vec<i64>)>;

/// How the instances end that have asked for a mapping over nothing, or one that cannot be evaluated: those that would have run
/// with the mapping; in a group, the others as what is before them says.
pub(super) fn ends(expansion: &Expansion, state: &'static str, reason: &str) -> Ends {
    let mut ends: Ends = vec![(state, reason.to_owned(), expansion.instances.iter().map(|task| task.0).collect())];
    for (task, ending) in &expansion.ending {
        let (state, why) = match ending {
            // It would not have run, but neither was there anything to run it for.
            Ending::Skipped(_) if reason == EMPTY_MAP => ("skipped", EMPTY_MAP),
            ending => ending.state_and_reason(),
        };
        ends.push((state, why.to_owned(), vec![task.0]));
    }
    ends
}

/// Whether all rows of a scope stand as they did when the run began, so that those that are added stand like the ones that they
/// are copies of.
pub(super) fn is_untouched(rows: &[ScopeInstance]) -> bool {
    rows.iter().all(|row| row.is_undecided() && row.must_expand && row.map_index < 0)
}

/// A task, one of those before it, and whether their instances belong together.
#[derive(Serialize)]
pub(super) struct Edge {
    index: u32,
    upstream: u32,
    together: bool,
}

/// The edges to the tasks of a scope.
pub(super) fn edges(graph: &DagGraph, tasks: &[u32]) -> Vec<Edge> {
    let edge = |index: u32, upstream: u32| Edge { index, upstream, together: graph.go_together(index, upstream) };
    tasks
        .iter()
        .flat_map(|&index| graph.upstream[index as usize].iter().map(move |&upstream| edge(index, upstream)))
        .collect()
}

#[derive(Serialize)]
pub(super) struct Raise {
    index: u32,
    by: i64,
}

/// How many upstream instances more the tasks after a scope have, given how many were added of each task.
pub(super) fn raises(graph: &DagGraph, added: &HashMap<u32, i64>) -> Vec<Raise> {
    let mut by_child: HashMap<u32, i64> = HashMap::new();
    for (&task, &count) in added {
        for &child in graph.downstream[task as usize].iter().filter(|&&child| !graph.go_together(task, child)) {
            *by_child.entry(child).or_default() += count;
        }
    }
    by_child.into_iter().map(|(index, by)| Raise { index, by }).collect()
}
