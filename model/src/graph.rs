//! A DAG with its edges resolved to indexes, and what follows from them.

use std::collections::HashMap;

use crate::dag::{Dag, WeightRule};
use crate::ids::DagVersionKey;

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
    index_of: HashMap<String, u32>,
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
        DagGraph { version, dag, upstream, downstream, priority, index_of }
    }

    /// The index of a task.
    pub fn index_of(&self, task_id: &str) -> Option<u32> {
        self.index_of.get(task_id).copied()
    }

    /// Whether nothing comes after the task; leaves decide the run's result.
    pub fn is_leaf(&self, index: u32) -> bool {
        self.downstream[index as usize].is_empty()
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
