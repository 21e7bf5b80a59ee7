//! Edges: that there is no cycle, and the order that follows from them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

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
    tell_cycles(layout, &edges, "take one of these `depends_on` away", problems);
}

/// Checks the same with what mappings wait for, once all else is known to be in order.
pub(super) fn check_mapped(layout: &Layout<'_>, tasks: &[Task], problems: &mut Problems) {
    if !problems.is_empty() {
        return;
    }
    let mut by_id: HashMap<&str, Vec<&str>> = HashMap::new();
    for task in tasks {
        by_id.insert(&task.task_id, task.depends_on.iter().map(String::as_str).collect());
    }
    let hint =
        "what a task or group is mapped over comes before it: map over something else, or take a `depends_on` away";
    tell_cycles(layout, &by_id, hint, problems);
}

fn tell_cycles(layout: &Layout<'_>, edges: &HashMap<&str, Vec<&str>>, hint: &str, problems: &mut Problems) {
    let ids: Vec<&str> = layout.tasks.iter().map(|task| task.id.as_str()).collect();
    let mut told: HashSet<&str> = HashSet::new();
    for cycle in cycles(&ids, edges) {
        // In a dense knot there are more cycles than anybody wants to read.
        if cycle.iter().filter(|task| told.insert(task)).count() == 0 {
            continue;
        }
        // Where one of the edges is a mapping's, that is the place to look at.
        let pairs = (0..cycle.len()).map(|at| (cycle[at], cycle[(at + 1) % cycle.len()]));
        let mapped = pairs.clone().find_map(|(task, before)| place_of_mapping(layout, task, before));
        let place = mapped.or_else(|| pairs.clone().find_map(|(task, before)| place_of_edge(layout, task, before)));
        let (place, first) = (place.unwrap_or(0..0), cycle[0]);
        // Edges are written from a task to those before it; people read them in the order of running.
        let path: Vec<&str> = std::iter::once(first).chain(cycle.iter().rev().copied()).collect();
        problems
            .add(place, format!("these tasks wait for each other: {}", path.join(" -> ")))
            .label("this closes the cycle")
            .hint(hint);
    }
}

fn place_of_edge(layout: &Layout<'_>, task: &str, before: &str) -> Option<Range<usize>> {
    let task = layout.tasks.iter().find(|placed| placed.id == task)?;
    Some(task.upstream.get(before)?.span.clone())
}

/// The `expand` of a task or of a group around it, where no `depends_on` makes the edge.
fn place_of_mapping(layout: &Layout<'_>, task: &str, before: &str) -> Option<Range<usize>> {
    let task = layout.tasks.iter().find(|placed| placed.id == task)?;
    if task.upstream.contains_key(before) {
        return None;
    }
    let around = layout.groups_around(task.group).into_iter().map(|group| layout.groups[group].entry);
    std::iter::once(task.entry)
        .chain(around)
        .find_map(|entry| entry.node.get("expand").or(entry.node.get("expand_kwargs")))
        .map(|mapping| mapping.span.clone())
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
