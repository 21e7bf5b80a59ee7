//! When everything is over, some runs are cleared and run once more, with nobody disturbing: then what they come to can be told
//! from what their tasks have left.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use flow_model::expand::{ExpandError, Lookup};
use flow_model::graph::MapScope;
use flow_model::params::resolve_params;
use flow_model::{DagGraph, RunState, TaskState, TriggerRule};
use flow_store::read::{Page, RunRecord, TaskInstanceRecord, XComFilter};
use flow_store::{ClearRequest, Selection, StoreError};
use rand::prelude::*;
use serde_json::{Map, Value};

use crate::world::{PRINCIPAL, World};

/// Runs that are cleared at most.
const RUNS_MAX: usize = 6;

/// The values of a run that mappings go over.
struct Left {
    xcoms: BTreeMap<(String, String), Value>,
    params: Map<String, Value>,
}

impl Lookup for Left {
    fn xcom(&self, task_id: &str, key: &str) -> Option<&Value> {
        self.xcoms.get(&(task_id.to_owned(), key.to_owned()))
    }

    fn param(&self, name: &str) -> Option<&Value> {
        self.params.get(name)
    }
}

impl World {
    /// Clears some runs as a whole. Which ones.
    pub async fn call_for_encore(&mut self) -> anyhow::Result<Vec<RunRecord>> {
        let mut runs = self.runs(None, &[RunState::Success, RunState::Failed]).await?;
        runs.shuffle(&mut self.rng);
        runs.truncate(RUNS_MAX);
        for run in &runs {
            self.tell("person", &format!("clears {} {} once more", run.dag_id, run.run_id));
            let (tasks, principal) = (Selection::default(), PRINCIPAL.to_owned());
            let request = ClearRequest { run: run.id, tasks, only_failed: false, principal };
            match self.store.clear_tasks(self.now(), &request, false).await {
                Ok(_) | Err(StoreError::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(runs)
    }

    /// Compares the instances of all mapped tasks with the lists that they are mapped over.
    pub async fn check_encore(&self, runs: &[RunRecord]) -> anyhow::Result<()> {
        for run in runs {
            let graph = self.store.dag_graph(run.version_id).await?;
            let tasks = self.tasks(run.id).await?;
            self.check_branches(&graph, &tasks)?;
            if graph.scopes.is_empty() {
                continue;
            }
            let left = self.left(run, &graph).await?;
            for scope in &graph.scopes {
                check_scope(&graph, scope, &left, &tasks)
                    .map_err(|error| error.context(format!("{} {}", run.dag_id, run.run_id)))?;
            }
        }
        Ok(())
    }

    /// What a branch left out has not run, unless its rule did not wait for the branch.
    fn check_branches(&self, graph: &DagGraph, tasks: &[TaskInstanceRecord]) -> anyhow::Result<()> {
        let by_branch = tasks.iter().filter(|task| task.map_index < 0 && task.state == TaskState::Success);
        for branch in by_branch.filter(|task| task.reason.as_deref() != Some("marked")) {
            let index = u32::try_from(branch.task_index)?;
            for &child in self.left_out.get(&branch.id).into_iter().flatten() {
                let is_alone =
                    graph.deciders[child as usize] == [index] && graph.upstream[child as usize].contains(&index);
                if !is_alone || is_early(graph.dag.tasks[child as usize].trigger_rule) {
                    continue;
                }
                let of_child = tasks.iter().filter(|task| task.task_index == i64::from(child));
                let has_run = of_child.filter(|task| task.started_at >= branch.ended_at).count();
                let (branch, child) = (&branch.task_id, &graph.dag.tasks[child as usize].task_id);
                ensure!(has_run == 0, "{child} has run, although {branch} left it out");
            }
        }
        Ok(())
    }

    async fn left(&self, run: &RunRecord, graph: &DagGraph) -> anyhow::Result<Left> {
        let all = self.store.list_xcoms(run.id, &XComFilter::default(), Page::first(10_000)).await?.0;
        let mut xcoms = BTreeMap::new();
        // In the order of their map indexes.
        for xcom in all {
            let is_mapped = graph.index_of(&xcom.task_id).is_some_and(|task| graph.scope_of(task).is_some());
            let place = (xcom.task_id, xcom.key);
            if !is_mapped || xcom.map_index < 0 {
                xcoms.insert(place, xcom.value);
            } else if let Value::Array(list) = xcoms.entry(place).or_insert_with(|| Value::Array(Vec::new())) {
                list.push(xcom.value);
            }
        }
        let conf = run.conf.as_object().cloned().unwrap_or_default();
        let params = resolve_params(&graph.dag.params, &conf).unwrap_or_default();
        Ok(Left { xcoms, params })
    }
}

/// Where a scope was expanded, each of its tasks that ran has one instance for each value.
fn check_scope(graph: &DagGraph, scope: &MapScope, left: &Left, tasks: &[TaskInstanceRecord]) -> anyhow::Result<()> {
    use TaskState as S;
    // A rule that does not wait for all may evaluate the mapping before the whole list is there, and a group that starts again
    // makes it anew.
    let sources = scope.mapping.tasks();
    let is_source = |task: &&TaskInstanceRecord| sources.contains(&task.task_id.as_str());
    let listed_at = tasks.iter().filter(is_source).filter_map(|task| task.ended_at).max();
    let is_inside = |task: &&TaskInstanceRecord| scope.tasks.iter().any(|&index| task.task_index == i64::from(index));
    let is_late = tasks.iter().filter(is_inside).filter_map(|task| task.scheduled_at).min() < listed_at;
    if is_late || scope.tasks.iter().any(|&index| is_early(graph.dag.tasks[index as usize].trigger_rule)) {
        return Ok(());
    }
    for &index in &scope.tasks {
        let task_id = &graph.dag.tasks[index as usize].task_id;
        let of_task: Vec<&TaskInstanceRecord> = tasks.iter().filter(|task| task.task_id == *task_id).collect();
        // What somebody marked need not have been expanded.
        let is_own_success =
            |task: &&TaskInstanceRecord| task.state == S::Success && task.reason.as_deref() != Some("marked");
        let has_run = of_task.iter().any(is_own_success);
        let indexes: BTreeSet<i64> =
            of_task.iter().filter(|task| task.state != S::Removed).map(|task| task.map_index).collect();
        match scope.mapping.instances(left, graph.dag.max_map_length) {
            Ok(values) if has_run => {
                let wanted: BTreeSet<i64> = (0..i64::try_from(values.len())?).collect();
                ensure!(indexes == wanted, "{task_id} has the instances {indexes:?}, not {wanted:?}");
            }
            Err(ExpandError::TooLong { .. } | ExpandError::NotAList { .. } | ExpandError::NotATable { .. }) => {
                ensure!(!has_run, "{task_id} has run, although its mapping cannot be evaluated");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the rule may hold before everything upstream is done.
fn is_early(rule: TriggerRule) -> bool {
    use TriggerRule as R;
    matches!(rule, R::Always | R::OneSuccess | R::OneFailed | R::OneDone)
}
