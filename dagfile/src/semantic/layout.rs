//! Where tasks stand: groups unfolded, ids prefixed, and every `depends_on` led to the tasks that it means.
//!
//! A name in `depends_on` is looked for among the siblings first, then further out. The name of a group stands for the
//! tasks at its end; a group's own `depends_on` goes to the tasks at its beginning.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flow_model::limits::GROUP_DEPTH_MAX;
use flow_model::suggest::{listed, nearest};
use serde_json::{Map, Value};

use super::check_id;
use crate::diagnostic::Problems;
use crate::tree::{Entry, Node};

/// A task where it stands.
pub(super) struct Placed<'a> {
    /// With the ids of the groups around it.
    pub id: String,
    pub entry: &'a Entry,
    /// Its group's position.
    pub group: Option<usize>,
    /// What the file and the groups around it set.
    pub defaults: Map<String, Value>,
    /// The tasks directly before it, and where that is written.
    pub upstream: BTreeMap<String, &'a Node>,
}

/// A group where it stands.
pub(super) struct PlacedGroup<'a> {
    /// With the ids of the groups around it.
    pub id: String,
    pub entry: &'a Entry,
    pub parent: Option<usize>,
}

/// All tasks and groups of a file.
pub(super) struct Layout<'a> {
    pub tasks: Vec<Placed<'a>>,
    /// Outer ones first.
    pub groups: Vec<PlacedGroup<'a>>,
    by_id: HashMap<String, Target>,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Task(usize),
    Group(usize),
}

/// A target and where it is named.
type Link<'a> = (Target, &'a Node);

impl<'a> Layout<'a> {
    /// Unfolds a file.
    pub fn read(root: &'a Node, problems: &mut Problems) -> Self {
        let mut layout = Layout { tasks: Vec::new(), groups: Vec::new(), by_id: HashMap::new() };
        let defaults = table(root.get("default_args"));
        layout.unfold(root, None, "", &defaults, 0, problems);
        layout.link(problems);
        layout
    }

    fn unfold(
        &mut self,
        place: &'a Node,
        group: Option<usize>,
        prefix: &str,
        defaults: &Map<String, Value>,
        depth: usize,
        problems: &mut Problems,
    ) {
        for entry in place.get("tasks").map(Node::entries).unwrap_or_default() {
            check_id(&entry.key_span, &entry.key, "task id", problems);
            let id = format!("{prefix}{}", entry.key);
            self.name(&id, Target::Task(self.tasks.len()), entry, problems);
            self.tasks.push(Placed { id, entry, group, defaults: defaults.clone(), upstream: BTreeMap::new() });
        }
        for entry in place.get("task_groups").map(Node::entries).unwrap_or_default() {
            check_id(&entry.key_span, &entry.key, "group id", problems);
            if depth >= GROUP_DEPTH_MAX {
                problems
                    .add(entry.key_span.clone(), format!("groups can stand {GROUP_DEPTH_MAX} deep at most"))
                    .hint("put its tasks into the group around it");
                continue;
            }
            let id = format!("{prefix}{}", entry.key);
            let position = self.groups.len();
            self.name(&id, Target::Group(position), entry, problems);
            self.groups.push(PlacedGroup { id: id.clone(), entry, parent: group });
            let own_prefix = match entry.node.get("prefix_group_id").map(|node| &node.kind) {
                Some(crate::tree::Kind::Bool(false)) => prefix.to_owned(),
                _ => format!("{id}."),
            };
            let mut inner = defaults.clone();
            merge(&mut inner, table(entry.node.get("default_args")));
            let before = self.tasks.len();
            self.unfold(&entry.node, Some(position), &own_prefix, &inner, depth + 1, problems);
            if self.tasks.len() == before && problems.is_empty() {
                problems
                    .add(entry.key_span.clone(), format!("group `{id}` has no tasks"))
                    .hint(format!("add one: a table `[task_groups.{id}.tasks.<id>]` with an operator"));
            }
        }
    }

    fn name(&mut self, id: &str, target: Target, entry: &Entry, problems: &mut Problems) {
        if self.by_id.insert(id.to_owned(), target).is_some() {
            problems
                .add(entry.key_span.clone(), format!("there are two tasks or groups `{id}`"))
                .hint("give one of them another name, or take `prefix_group_id = false` away");
        }
    }

    /// What a name means inside a group: among the siblings first, then further out.
    pub fn resolve(&self, name: &str, group: Option<usize>, except: Option<Target>) -> Option<Target> {
        let mut around = group;
        loop {
            let full = around.map_or_else(|| name.to_owned(), |group| format!("{}.{name}", self.groups[group].id));
            // A group without a prefix has its tasks beside it.
            match self.by_id.get(&full).copied() {
                Some(target) if Some(target) != except => return Some(target),
                _ => {}
            }
            around = self.groups[around?].parent;
        }
    }

    fn link(&mut self, problems: &mut Problems) {
        let own: Vec<Vec<Link<'a>>> = (0..self.tasks.len())
            .map(|task| {
                let placed = &self.tasks[task];
                self.links(placed.entry, placed.group, Target::Task(task), problems)
            })
            .collect();
        let of_groups: Vec<Vec<Link<'a>>> = (0..self.groups.len())
            .map(|group| {
                let placed = &self.groups[group];
                self.links(placed.entry, placed.parent, Target::Group(group), problems)
            })
            .collect();
        let ends = Ends::of(self, &own, &of_groups);
        let mut upstream: Vec<BTreeMap<String, &'a Node>> = Vec::with_capacity(self.tasks.len());
        for (task, links) in own.iter().enumerate() {
            let around = self.groups_around(self.tasks[task].group);
            let inherited = around.into_iter().filter(|group| ends.roots[*group].contains(&task));
            let links = links.iter().chain(inherited.flat_map(|group| &of_groups[group]));
            let mut all = BTreeMap::new();
            for (target, node) in links {
                let before: Vec<usize> = match target {
                    Target::Task(other) => vec![*other],
                    Target::Group(group) => ends.leaves[*group].iter().copied().collect(),
                };
                for other in before.into_iter().filter(|other| *other != task) {
                    all.entry(self.tasks[other].id.clone()).or_insert(*node);
                }
            }
            upstream.push(all);
        }
        for (task, upstream) in self.tasks.iter_mut().zip(upstream) {
            task.upstream = upstream;
        }
    }

    /// The targets that `depends_on` and `teardown_of` name.
    fn links(&self, entry: &'a Entry, group: Option<usize>, this: Target, problems: &mut Problems) -> Vec<Link<'a>> {
        let mut links = Vec::new();
        for key in ["depends_on", "teardown_of"] {
            for node in entry.node.get(key).map(Node::items).unwrap_or_default() {
                let Some(name) = node.text() else { continue };
                match self.resolve(name, group, Some(this)) {
                    Some(target) if self.contains(target, this) => {
                        problems
                            .add(node.span.clone(), format!("`{}` stands inside the group `{name}`", entry.key))
                            .hint("name tasks of the group instead");
                    }
                    Some(target) => links.push((target, node)),
                    None if name == entry.key => {
                        problems
                            .add(node.span.clone(), format!("task `{name}` depends on itself"))
                            .hint("take it out of its own `depends_on`");
                    }
                    None => self.unknown(node, name, problems),
                }
            }
        }
        links
    }

    fn unknown(&self, node: &Node, name: &str, problems: &mut Problems) {
        let mut known: Vec<&str> = self.by_id.keys().map(String::as_str).collect();
        known.sort_unstable();
        let hint = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.len() <= 12 => format!("the tasks of this file are {}", listed(known)),
            None => "`depends_on` names tasks and groups of the same file".to_owned(),
        };
        problems.add(node.span.clone(), format!("there is no task `{name}` to depend on")).hint(hint);
    }

    /// Whether a group is around a task or group, or is that group itself.
    fn contains(&self, outer: Target, inner: Target) -> bool {
        let Target::Group(outer) = outer else { return false };
        let start = match inner {
            Target::Task(task) => self.tasks[task].group,
            Target::Group(group) => Some(group),
        };
        self.groups_around(start).contains(&outer)
    }

    /// A group and those around it, innermost first.
    pub fn groups_around(&self, group: Option<usize>) -> Vec<usize> {
        std::iter::successors(group, |group| self.groups[*group].parent).collect()
    }

    /// The keys that lead to a task from the top of the file.
    pub fn path_of(&self, task: usize) -> Vec<String> {
        let placed = &self.tasks[task];
        let groups = self.groups_around(placed.group).into_iter().rev();
        let groups = groups.flat_map(|group| ["task_groups", &self.groups[group].entry.key]);
        groups.chain(["tasks", &placed.entry.key]).map(str::to_owned).collect()
    }

    /// The tasks in a group, at any depth.
    fn members(&self, group: usize) -> BTreeSet<usize> {
        (0..self.tasks.len()).filter(|task| self.groups_around(self.tasks[*task].group).contains(&group)).collect()
    }
}

/// The tasks at the beginning and at the end of each group.
struct Ends {
    roots: Vec<BTreeSet<usize>>,
    leaves: Vec<BTreeSet<usize>>,
}

impl Ends {
    fn of(layout: &Layout<'_>, own: &[Vec<Link<'_>>], of_groups: &[Vec<Link<'_>>]) -> Self {
        let members: Vec<BTreeSet<usize>> = (0..layout.groups.len()).map(|group| layout.members(group)).collect();
        let covers = |target: Target| match target {
            Target::Task(task) => BTreeSet::from([task]),
            Target::Group(group) => members[group].clone(),
        };
        let mut ends = Ends { roots: Vec::new(), leaves: Vec::new() };
        for (group, inside) in members.iter().enumerate() {
            let mut roots = inside.clone();
            let mut leaves = inside.clone();
            for &task in inside {
                let inner =
                    layout.groups_around(layout.tasks[task].group).into_iter().take_while(|&around| around != group);
                let targets: Vec<Target> = own[task]
                    .iter()
                    .chain(inner.flat_map(|inner| &of_groups[inner]))
                    .map(|(target, _)| *target)
                    .collect();
                for before in targets.into_iter().map(covers) {
                    if before.iter().any(|before| inside.contains(before)) {
                        roots.remove(&task);
                    }
                    leaves.retain(|leaf| !before.contains(leaf));
                }
            }
            // What comes after a group does not wait for its teardowns.
            let is_teardown = |task: &usize| layout.tasks[*task].entry.node.get("teardown_of").is_some();
            let without: BTreeSet<usize> = work_before_teardowns(layout, own, inside, &leaves, is_teardown);
            ends.roots.push(roots);
            ends.leaves.push(if without.is_empty() { leaves } else { without });
        }
        ends
    }
}

/// The last tasks of a group, teardowns left out: those that only teardowns come after.
fn work_before_teardowns(
    layout: &Layout<'_>,
    own: &[Vec<Link<'_>>],
    inside: &BTreeSet<usize>,
    leaves: &BTreeSet<usize>,
    is_teardown: impl Fn(&usize) -> bool,
) -> BTreeSet<usize> {
    if !leaves.iter().any(&is_teardown) {
        return BTreeSet::new();
    }
    inside
        .iter()
        .copied()
        .filter(|task| !is_teardown(task))
        .filter(|task| {
            inside.iter().filter(|other| !is_teardown(other)).all(|other| {
                own[*other].iter().all(|(target, _)| match target {
                    Target::Task(before) => before != task,
                    Target::Group(group) => !layout.groups_around(layout.tasks[*task].group).contains(group),
                })
            })
        })
        .collect()
}

fn table(node: Option<&Node>) -> Map<String, Value> {
    match node.map(Node::to_json) {
        Some(Value::Object(table)) => table,
        _ => Map::new(),
    }
}

/// Lays settings over others. Environment variables and params stay, unless the same ones are set again.
pub(super) fn merge(settings: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (settings.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) if key == "env" || key == "params" => {
                below.extend(above);
            }
            (_, value) => {
                settings.insert(key, value);
            }
        }
    }
}
