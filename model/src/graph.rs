//! A DAG with its edges resolved to indexes, and what follows from them.

use std::collections::{BTreeSet, HashMap};

use crate::dag::{Dag, Task, TaskGroup, WeightRule};
use crate::expand::Mapping;
use crate::ids::DagVersionKey;
use crate::trigger_rule::TriggerRule;

/// A published DAG version, ready for scheduling. Immutable, so it may be cached for ever.
///
/// Task index `i` is the position of the task in [`Dag::tasks`].
#[derive(Debug)]
pub struct DagGraph {
    /// The version it was built from.
    pub version: DagVersionKey,
    /// The DAG itself.
    pub dag: Dag,
    /// Indexes of the tasks directly before each task.
    pub upstream: Vec<Vec<u32>>,
    /// Indexes of the tasks directly after each task.
    pub downstream: Vec<Vec<u32>>,
    /// Effective priority of each task, after its weight rule.
    pub priority: Vec<i64>,
    /// What is mapped together with each task; `None` for a task that is not mapped.
    pub map_scope: Vec<Option<u32>>,
    /// The scopes: a mapped task by itself, or all tasks of a mapped group.
    pub scopes: Vec<MapScope>,
    /// Setups that each task needs, directly or not; for a teardown those that it cleans up after.
    pub setups: Vec<Vec<u32>>,
    /// Tasks before each task that may leave it out: branches directly before it, and short circuits anywhere before. Nothing
    /// leaves out a teardown, nor what waits for nothing (`always`).
    pub deciders: Vec<Vec<u32>>,
    /// Tasks that leave what each task, or the group around it, is mapped over.
    pub producers: Vec<Vec<u32>>,
    /// The other way round: tasks that look at the state of each task, besides counting it as their upstream.
    pub looked_at_by: Vec<Vec<u32>>,
    index_of: HashMap<String, u32>,
}

/// Tasks that are mapped together.
#[derive(Debug, Clone, PartialEq)]
pub struct MapScope {
    /// Over what.
    pub mapping: Mapping,
    /// The group, unless it is a single task.
    pub group_id: Option<String>,
    /// The tasks.
    pub tasks: Vec<u32>,
}

impl DagGraph {
    /// Resolves the edges. Upstream ids that do not exist are left out: validation has refused them before.
    pub fn new(version: DagVersionKey, dag: Dag) -> Self {
        let index_of: HashMap<String, u32> =
            dag.tasks.iter().enumerate().map(|(index, task)| (task.task_id.clone(), index as u32)).collect();
        let upstream: Vec<Vec<u32>> = dag
            .tasks
            .iter()
            .map(|task| task.depends_on.iter().filter_map(|id| index_of.get(id).copied()).collect())
            .collect();
        let mut downstream = vec![Vec::new(); dag.tasks.len()];
        for (index, parents) in upstream.iter().enumerate() {
            for &parent in parents {
                downstream[parent as usize].push(index as u32);
            }
        }
        let priority = priorities(&dag, &upstream, &downstream);
        let (map_scope, scopes) = map_scopes(&dag);
        let setups = setups(&dag, &upstream, &downstream);
        let deciders = deciders(&dag, &upstream, &downstream);
        let producers = producers(&scopes, &map_scope, &index_of);
        let mut looked_at_by = vec![Vec::new(); dag.tasks.len()];
        for index in 0..dag.tasks.len() {
            let others: BTreeSet<u32> =
                [&setups, &deciders, &producers].into_iter().flat_map(|lists| &lists[index]).copied().collect();
            others.into_iter().for_each(|other| looked_at_by[other as usize].push(index as u32));
        }
        DagGraph {
            version,
            dag,
            upstream,
            downstream,
            priority,
            map_scope,
            scopes,
            setups,
            deciders,
            producers,
            looked_at_by,
            index_of,
        }
    }

    /// The scope in which a task is mapped.
    pub fn scope_of(&self, index: u32) -> Option<&MapScope> {
        self.map_scope[index as usize].map(|scope| &self.scopes[scope as usize])
    }

    /// Whether both tasks belong to the same mapped group, so that each instance of one goes with the instance of the other
    /// that has the same map index.
    pub fn go_together(&self, left: u32, right: u32) -> bool {
        left != right
            && self.map_scope[left as usize].is_some()
            && self.map_scope[left as usize] == self.map_scope[right as usize]
    }

    /// The groups around a task, innermost first.
    pub fn groups_of(&self, index: u32) -> impl Iterator<Item = &TaskGroup> {
        let find =
            |id: &Option<String>| id.as_ref().and_then(|id| self.dag.groups.iter().find(|group| group.group_id == *id));
        std::iter::successors(find(&self.dag.tasks[index as usize].group), move |group| find(&group.parent))
    }

    /// The tasks with the setups that they need and the teardowns of these (Airflow clears them together).
    pub fn with_setups_and_teardowns(&self, tasks: &[u32]) -> Vec<u32> {
        let mut all: BTreeSet<u32> = tasks.iter().copied().collect();
        for &task in tasks {
            for &setup in &self.setups[task as usize] {
                all.insert(setup);
                let is_teardown = |&&next: &&u32| self.dag.tasks[next as usize].is_teardown;
                all.extend(self.downstream[setup as usize].iter().filter(is_teardown));
            }
        }
        all.into_iter().collect()
    }

    /// The tasks of a group, those of the groups inside it included.
    pub fn tasks_of(&self, group_id: &str) -> Vec<u32> {
        (0..self.dag.tasks.len() as u32)
            .filter(|&index| self.groups_of(index).any(|group| group.group_id == group_id))
            .collect()
    }

    /// The index of a task.
    pub fn index_of(&self, task_id: &str) -> Option<u32> {
        self.index_of.get(task_id).copied()
    }

    /// Whether the task decides the run's result: nothing comes after it but teardowns, and it is itself none. A teardown
    /// with `on_failure_fail_dagrun` counts like any other task (Airflow: `DAG.leaves` without ignorable teardowns).
    pub fn is_leaf(&self, index: u32) -> bool {
        let is_ignored = |index: u32| {
            let task = &self.dag.tasks[index as usize];
            task.is_teardown && !task.on_failure_fail_dagrun
        };
        !is_ignored(index) && self.downstream[index as usize].iter().all(|&next| is_ignored(next))
    }

    /// Everything after (`downstream`) or before (`upstream`) a task, itself excluded, in topological order.
    pub fn reachable(&self, from: &[u32], edges: &[Vec<u32>]) -> Vec<u32> {
        let mut seen = vec![false; edges.len()];
        let mut stack: Vec<u32> = from.iter().flat_map(|&index| edges[index as usize].iter().copied()).collect();
        while let Some(index) = stack.pop() {
            if !std::mem::replace(&mut seen[index as usize], true) {
                stack.extend(&edges[index as usize]);
            }
        }
        (0..edges.len() as u32).filter(|&index| seen[index as usize]).collect()
    }
}

fn map_scopes(dag: &Dag) -> (Vec<Option<u32>>, Vec<MapScope>) {
    let groups: HashMap<&str, &TaskGroup> = dag.groups.iter().map(|group| (group.group_id.as_str(), group)).collect();
    let mapped_group = |task: &Task| {
        let start = task.group.as_deref().and_then(|id| groups.get(id).copied());
        std::iter::successors(start, |group| group.parent.as_deref().and_then(|id| groups.get(id).copied()))
            .find(|group| group.expand.is_some())
    };
    let mut scope_of = vec![None; dag.tasks.len()];
    let mut scopes: Vec<MapScope> = Vec::new();
    for (index, task) in dag.tasks.iter().enumerate() {
        let (mapping, group_id) = match (mapped_group(task), &task.expand) {
            (Some(group), _) => (group.expand.clone(), Some(group.group_id.clone())),
            (None, own) => (own.clone(), None),
        };
        let Some(mapping) = mapping else { continue };
        let known = group_id.as_ref().and_then(|_| scopes.iter().position(|scope| scope.group_id == group_id));
        let scope = known.unwrap_or_else(|| {
            scopes.push(MapScope { mapping, group_id, tasks: Vec::new() });
            scopes.len() - 1
        });
        scopes[scope].tasks.push(index as u32);
        scope_of[index] = Some(scope as u32);
    }
    (scope_of, scopes)
}

fn all_after(from: u32, edges: &[Vec<u32>]) -> Vec<bool> {
    let mut seen = vec![false; edges.len()];
    let mut stack = edges[from as usize].clone();
    while let Some(index) = stack.pop() {
        if !std::mem::replace(&mut seen[index as usize], true) {
            stack.extend(&edges[index as usize]);
        }
    }
    seen
}

/// Which setups each task needs (Airflow: `task.get_upstreams_only_setups_and_teardowns`): a setup with teardowns binds what
/// lies between it and them, one without binds everything after it.
fn setups(dag: &Dag, upstream: &[Vec<u32>], downstream: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut setups = vec![Vec::new(); dag.tasks.len()];
    for (setup, _) in dag.tasks.iter().enumerate().filter(|(_, task)| task.is_setup) {
        let after = all_after(setup as u32, downstream);
        let teardowns: Vec<u32> =
            downstream[setup].iter().copied().filter(|&next| dag.tasks[next as usize].is_teardown).collect();
        let before: Vec<Vec<bool>> = teardowns.iter().map(|&teardown| all_after(teardown, upstream)).collect();
        for (index, task) in dag.tasks.iter().enumerate() {
            let is_bound = if task.is_teardown {
                teardowns.contains(&(index as u32))
            } else {
                after[index] && (teardowns.is_empty() || before.iter().any(|before| before[index]))
            };
            if is_bound {
                setups[index].push(setup as u32);
            }
        }
    }
    setups
}

fn producers(scopes: &[MapScope], map_scope: &[Option<u32>], index_of: &HashMap<String, u32>) -> Vec<Vec<u32>> {
    let of_scope =
        |scope: &MapScope| scope.mapping.tasks().iter().filter_map(|id| index_of.get(*id).copied()).collect();
    let of_scopes: Vec<Vec<u32>> = scopes.iter().map(of_scope).collect();
    map_scope.iter().map(|scope| scope.map_or_else(Vec::new, |scope| of_scopes[scope as usize].clone())).collect()
}

fn deciders(dag: &Dag, upstream: &[Vec<u32>], downstream: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let decides = |index: &u32| dag.tasks[*index as usize].operator.decides_what_follows();
    let mut deciders: Vec<Vec<u32>> =
        upstream.iter().map(|parents| parents.iter().copied().filter(decides).collect()).collect();
    for (index, _) in dag.tasks.iter().enumerate().filter(|(_, task)| task.operator.may_skip_all_after()) {
        for (after, _) in all_after(index as u32, downstream).iter().enumerate().filter(|(_, is_after)| **is_after) {
            if !deciders[after].contains(&(index as u32)) {
                deciders[after].push(index as u32);
            }
        }
    }
    for (task, deciders) in dag.tasks.iter().zip(&mut deciders) {
        if task.is_teardown || task.trigger_rule == TriggerRule::Always {
            deciders.clear();
        }
    }
    deciders
}

/// Task counts above which summing every task's closure would be quadratic: `downstream` and `upstream` weights then
/// follow the longest chain instead of the exact closure.
const EXACT_WEIGHTS_TASKS_MAX: usize = 2_000;

fn priorities(dag: &Dag, upstream: &[Vec<u32>], downstream: &[Vec<u32>]) -> Vec<i64> {
    let weights: Vec<i64> = dag.tasks.iter().map(|task| task.priority_weight).collect();
    let exact = dag.tasks.len() <= EXACT_WEIGHTS_TASKS_MAX;
    let along_chain = |edges: &[Vec<u32>], order: &mut dyn Iterator<Item = usize>| {
        let mut sums = weights.clone();
        for index in order {
            sums[index] += edges[index].iter().map(|&next| sums[next as usize]).max().unwrap_or(0);
        }
        sums
    };
    let (chain_down, chain_up) = if exact {
        (Vec::new(), Vec::new())
    } else {
        (along_chain(downstream, &mut (0..weights.len()).rev()), along_chain(upstream, &mut (0..weights.len())))
    };
    let closure_sum = |index: usize, edges: &[Vec<u32>]| {
        let mut seen = vec![false; edges.len()];
        let mut stack = edges[index].clone();
        let mut sum = weights[index];
        while let Some(next) = stack.pop() {
            if !std::mem::replace(&mut seen[next as usize], true) {
                sum = sum.saturating_add(weights[next as usize]);
                stack.extend(&edges[next as usize]);
            }
        }
        sum
    };
    dag.tasks
        .iter()
        .enumerate()
        .map(|(index, task)| match (task.weight_rule, exact) {
            (WeightRule::Absolute, _) => weights[index],
            (WeightRule::Downstream, true) => closure_sum(index, downstream),
            (WeightRule::Upstream, true) => closure_sum(index, upstream),
            (WeightRule::Downstream, false) => chain_down[index],
            (WeightRule::Upstream, false) => chain_up[index],
        })
        .collect()
}
