//! The tasks of a DAG as people read them: those of a group together, under its name.

use std::collections::HashMap;

use flow_model::DagGraph;
use flow_model::dag::TaskGroup;

/// One line of it.
pub(super) struct Line<'a> {
    /// How many groups are around it.
    pub(super) depth: usize,
    pub(super) item: Item<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    /// What follows with a greater depth belongs to it.
    Group(&'a TaskGroup),
    /// The position of a task in the DAG.
    Task(u32),
}

impl<'a> Item<'a> {
    pub(super) const fn task(self) -> Option<u32> {
        match self {
            Item::Task(task) => Some(task),
            Item::Group(_) => None,
        }
    }

    pub(super) const fn group(self) -> Option<&'a TaskGroup> {
        match self {
            Item::Group(group) => Some(group),
            Item::Task(_) => None,
        }
    }
}

/// All groups and tasks, each group where its first task stands.
pub(super) fn outline(graph: &DagGraph) -> Vec<Line<'_>> {
    let mut inside: HashMap<Option<&str>, Vec<Item<'_>>> = HashMap::new();
    for task in 0..graph.dag.tasks.len() as u32 {
        let mut item = Item::Task(task);
        let mut has_place = false;
        for group in graph.groups_of(task) {
            has_place = inside.contains_key(&Some(group.group_id.as_str()));
            inside.entry(Some(&group.group_id)).or_default().push(item);
            if has_place {
                break;
            }
            item = Item::Group(group);
        }
        if !has_place {
            inside.entry(None).or_default().push(item);
        }
    }
    let mut lines = Vec::new();
    let mut open = vec![inside.remove(&None).unwrap_or_default().into_iter()];
    while let Some(items) = open.last_mut() {
        let Some(item) = items.next() else {
            open.pop();
            continue;
        };
        lines.push(Line { depth: open.len() - 1, item });
        if let Item::Group(group) = item {
            open.push(inside.remove(&Some(group.group_id.as_str())).unwrap_or_default().into_iter());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use flow_model::operator::{Noop, Operator};
    use flow_model::{Dag, DagVersionKey, Task};

    use super::*;

    #[test]
    fn groups_stand_where_their_first_task_stands() {
        let noop = Operator::Noop(Noop {});
        let task =
            |id: &str, group: Option<&str>| Task { group: group.map(str::to_owned), ..Task::new(id, noop.clone()) };
        let group = |id: &str, parent: Option<&str>| TaskGroup {
            group_id: id.to_owned(),
            parent: parent.map(str::to_owned),
            ..TaskGroup::default()
        };
        let tasks = vec![task("a", None), task("g.i.x", Some("g.i")), task("b", None), task("g.y", Some("g"))];
        let dag = Dag { groups: vec![group("g", None), group("g.i", Some("g"))], ..Dag::new("d", tasks) };
        let graph = DagGraph::new(DagVersionKey(1), dag);
        let told: Vec<String> = outline(&graph)
            .iter()
            .map(|line| match line.item {
                Item::Group(group) => format!("{}{}/", "  ".repeat(line.depth), group.group_id),
                Item::Task(task) => format!("{}{}", "  ".repeat(line.depth), graph.dag.tasks[task as usize].task_id),
            })
            .collect();
        assert_eq!(told, ["a", "g/", "  g.i/", "    g.i.x", "  g.y", "b"]);
    }
}
