//! Edges: that they lead somewhere, that there is no cycle, and the order that follows from them.

use std::collections::{BTreeSet, HashMap, HashSet};

use flow_model::Task;

use crate::diagnostic::Problems;
use crate::suggest::{listed, nearest};
use crate::tree::{Entry, Node};

/// Checks the edges between the tasks as they are written.
pub(super) fn check(tasks: Option<&Node>, problems: &mut Problems) {
    let Some(tasks) = tasks else { return };
    let known: HashSet<&str> = tasks.entries().iter().map(|entry| entry.key.as_str()).collect();
    let mut edges: HashMap<&str, Vec<&str>> = HashMap::new();
    for entry in tasks.entries() {
        for upstream in upstreams(entry) {
            let Some(id) = upstream.text() else { continue };
            if id == entry.key {
                problems
                    .add(upstream.span.clone(), format!("task `{id}` depends on itself"))
                    .hint("take it out of its own `depends_on`");
            } else if known.contains(id) {
                edges.entry(entry.key.as_str()).or_default().push(id);
            } else {
                unknown_upstream(upstream, id, &known, problems);
            }
        }
    }
    let mut told: HashSet<&str> = HashSet::new();
    for cycle in cycles(tasks.entries(), &edges) {
        // In a dense knot there are more cycles than anybody wants to read.
        if cycle.iter().filter(|task| told.insert(task)).count() == 0 {
            continue;
        }
        let (first, second) = (cycle[0], cycle[1 % cycle.len()]);
        let place = tasks
            .entry(first)
            .and_then(|entry| upstreams(entry).iter().find(|node| node.text() == Some(second)))
            .map_or(0..0, |node| node.span.clone());
        // Edges are written from a task to those before it; people read them in the order of running.
        let path: Vec<&str> = std::iter::once(first).chain(cycle.iter().rev().copied()).collect();
        problems
            .add(place, format!("these tasks wait for each other: {}", path.join(" -> ")))
            .label("this closes the cycle")
            .hint("take one of these `depends_on` away");
    }
}

fn upstreams(entry: &Entry) -> &[Node] {
    entry.node.get("depends_on").map(Node::items).unwrap_or_default()
}

fn unknown_upstream(node: &Node, id: &str, known: &HashSet<&str>, problems: &mut Problems) {
    let mut sorted: Vec<&str> = known.iter().copied().collect();
    sorted.sort_unstable();
    let hint = match nearest(id, sorted.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if sorted.len() <= 12 => format!("the tasks of this file are {}", listed(sorted)),
        None => "`depends_on` names tasks of the same file".to_owned(),
    };
    problems.add(node.span.clone(), format!("there is no task `{id}` to depend on")).hint(hint);
}

/// Cycles of tasks that wait for each other, at least one for every knot, in order of the file.
fn cycles<'a>(entries: &'a [Entry], edges: &HashMap<&'a str, Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Open,
        Done,
    }
    let mut visits: HashMap<&str, Visit> = HashMap::new();
    let mut found = Vec::new();
    for entry in entries {
        if visits.contains_key(entry.key.as_str()) {
            continue;
        }
        // The path with, for each task on it, the next edge to follow. No recursion: chains may be long.
        let mut path: Vec<(&str, usize)> = vec![(&entry.key, 0)];
        visits.insert(&entry.key, Visit::Open);
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
