//! Task instances of a run that are meant together: whole tasks, and single instances of mapped ones.

use std::collections::{HashMap, HashSet};

use crate::graph::DagGraph;

/// Whole tasks, and single instances of others (the task and the map index).
#[derive(Debug, Clone, Default)]
pub struct Selected {
    /// Whole tasks.
    pub tasks: HashSet<u32>,
    /// Single instances: the task and the map index.
    pub instances: HashSet<(u32, i64)>,
}

impl Selected {
    /// Whether an instance, given by its task and map index, is among them.
    pub fn has(&self, (task, map_index): (u32, i64)) -> bool {
        self.tasks.contains(&task) || self.instances.contains(&(task, map_index))
    }

    /// Adds others.
    pub fn add(&mut self, more: Selected) {
        self.tasks.extend(more.tasks);
        self.instances.extend(more.instances);
    }

    /// What lies around them. Of a single instance in a mapped group, what is in the same group has the same map index.
    pub fn around(&self, graph: &DagGraph, find: impl Fn(&[u32]) -> Vec<u32>) -> Selected {
        let whole: Vec<u32> = self.tasks.iter().copied().collect();
        let mut found = Selected { tasks: find(&whole).into_iter().collect(), instances: HashSet::new() };
        let mut single: HashMap<u32, Vec<i64>> = HashMap::new();
        for &(task, map_index) in &self.instances {
            single.entry(task).or_default().push(map_index);
        }
        for (task, map_indexes) in single {
            for other in find(&[task]) {
                if graph.go_together(task, other) {
                    found.instances.extend(map_indexes.iter().map(|&map_index| (other, map_index)));
                } else if other != task {
                    found.tasks.insert(other);
                }
            }
        }
        found
    }
}
