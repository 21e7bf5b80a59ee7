//! Edges: that there is no cycle, and the order that follows from them.

use std::collections::{BTreeSet, HashMap, HashSet};

use flow_model::Task;

use super::layout::Layout;
use crate::diagnostic::Problems;
use crate::tree::Node;

/// Checks that no tasks wait for each other.
pub(super) fn check(layout: &Layout<'_>, problems: &mut Problems) {
    let mut edges: HashMap<&str, Vec<&str>> = HashMap::new();
    for task in &layout.tasks {
        // In the order in which they are written, so that mistakes are told in order.
        let mut upstream: Vec<(&String, &&Node)> = task.upstream.iter().collect();
        upstream.sort_by_key(|(_, node)| node.span.start);
        edges.insert(&task.id, upstream.into_iter().map(|(id, _)| id.as_str()).collect());
    }
    let ids: Vec<&str> = layout.tasks.iter().map(|task| task.id.as_str()).collect();
    let mut told: HashSet<&str> = HashSet::new();
    for cycle in cycles(&ids, &edges) {
        // In a dense knot there are more cycles than anybody wants to read.
        if cycle.iter().filter(|task| told.insert(task)).count() == 0 {
            continue;
        }
        let (first, second) = (cycle[0], cycle[1 % cycle.len()]);
        let place = layout
            .tasks
            .iter()
            .find(|task| task.id == first)
            .and_then(|task| task.upstream.get(second))
            .map_or(0..0, |node| node.span.clone());
        // Edges are written from a task to those before it; people read them in the order of running.
        let path: Vec<&str> = std::iter::once(first).chain(cycle.iter().rev().copied()).collect();
        problems
            .add(place, format!("these tasks wait for each other: {}", path.join(" -> ")))
            .label("this closes the cycle")
            .hint("take one of these `depends_on` away");
    }
}

/// Cycles of tasks that wait for each other, at least one for every knot, in order of the file.
fn cycles<'a>(tasks: &[&'a str], edges: &HashMap<&'a str, Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Open,
        Done,
    }
    let mut visits: HashMap<&str, Visit> = HashMap::new();
    let mut found = Vec::new();
    for &task in tasks {
        if visits.contains_key(task) {
            continue;
        }
        // The path with, for each task on it, the next edge to follow. No recursion: chains may be long.
        let mut path: Vec<(&str, usize)> = vec![(task, 0)];
        visits.insert(task, Visit::Open);
        while let Some((task, next)) = path.last_mut() {
            let upstream = edges.get(task).and_then(|upstreams| upstreams.get(*next)).copied();
            *next += 1;
            match upstream {
                None => {
                    visits.insert(task, Visit::Done);
                    path.pop();
                }
                Some(upstream) => match visits.get(upstream) {
                    Some(Visit::Done) => {}
                    Some(Visit::Open) => {
                        let start = path.iter().position(|(on_path, _)| *on_path == upstream).unwrap_or(0);
                        found.push(path[start..].iter().map(|(task, _)| *task).collect());
                    }
                    None => {
                        visits.insert(upstream, Visit::Open);
                        path.push((upstream, 0));
                    }
                },
            }
        }
    }
    found
}

/// The tasks in topological order, ties broken by id. Tasks on a cycle come last; they have been complained about.
pub(super) fn order(tasks: Vec<Task>) -> Vec<Task> {
    let mut waiting: HashMap<String, usize> = HashMap::new();
    let mut after: HashMap<String, Vec<String>> = HashMap::new();
    let mut by_id: HashMap<String, Task> = HashMap::new();
    let mut ready = BTreeSet::new();
    for task in tasks {
        if task.depends_on.is_empty() {
            ready.insert(task.task_id.clone());
        }
        waiting.insert(task.task_id.clone(), task.depends_on.len());
        for upstream in &task.depends_on {
            after.entry(upstream.clone()).or_default().push(task.task_id.clone());
        }
        by_id.insert(task.task_id.clone(), task);
    }
    let mut ordered = Vec::with_capacity(by_id.len());
    while let Some(id) = ready.pop_first() {
        for next in after.remove(&id).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(&next) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(next);
                }
            }
        }
        ordered.extend(by_id.remove(&id));
    }
    let mut rest: Vec<Task> = by_id.into_values().collect();
    rest.sort_by(|left, right| left.task_id.cmp(&right.task_id));
    ordered.extend(rest);
    ordered
}
