//! What a file declares that templates may name: params, tasks and what comes before them, outputs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use flow_model::expand::Mapping;
use flow_model::start::Start;
use serde_json::Value;

use super::super::layout::{Layout, Placed, Target};
use super::super::mapping::Reader;
use super::File;
use super::vocabulary::{Place, Words};
use crate::diagnostic::Problems;
use crate::tree::{Entry, Kind, Node};

/// What the templates of a file may name.
pub(super) struct FileNames {
    /// The params of the DAG.
    pub params: BTreeSet<String>,
    /// Params that all tasks have from `default_args`.
    pub shared_params: BTreeSet<String>,
    pub tasks: Vec<TaskNames>,
    pub is_scheduled: bool,
    /// Keys of conf that events from outside bring.
    pub event_keys: BTreeSet<String>,
    /// Whether events from outside bring what their senders choose.
    pub senders_choose: bool,
    directly_before: Vec<Vec<usize>>,
}

/// What the templates of a task may name.
pub(super) struct TaskNames {
    pub id: String,
    /// The ids of the groups around it, innermost first, each with a dot.
    pub prefixes: Vec<String>,
    /// Its own params, on top of the DAG's.
    pub params: BTreeSet<String>,
    /// The names of its mapped values.
    pub mapped: BTreeSet<String>,
    /// Whether it has mapped values whose names are known in the run only.
    pub is_open: bool,
    /// The outputs that it declares, with their schemas.
    pub outputs: Option<BTreeMap<String, Value>>,
}

impl FileNames {
    pub fn read(file: &File<'_>) -> Self {
        let layout = file.layout;
        let mappings: Vec<Option<Mapping>> = (0..layout.tasks.len()).map(|task| mapping_of(layout, task)).collect();
        let of_groups: Vec<Option<Mapping>> =
            (0..layout.groups.len()).map(|group| mapping_of_group(layout, group)).collect();
        let tasks = (0..layout.tasks.len()).map(|position| {
            let around: Vec<Option<&Mapping>> =
                around(layout, position).map(|group| of_groups[group].as_ref()).collect();
            task(layout, position, mappings[position].as_ref(), &around)
        });
        FileNames {
            params: keys(file.root.get("params")),
            shared_params: keys(file.root.get("default_args").and_then(|defaults| defaults.get("params"))),
            tasks: tasks.collect(),
            directly_before: directly_before(layout, &mappings, &of_groups),
            is_scheduled: file.is_scheduled,
            event_keys: file.starts.iter().filter_map(Start::conf_keys).flatten().map(str::to_owned).collect(),
            senders_choose: file.starts.iter().any(|start| start.conf_keys().is_none()),
        }
    }

    /// Whether a task comes before another one, at any distance.
    pub fn comes_before(&self, first: usize, then: usize) -> bool {
        let mut seen = HashSet::new();
        let mut pending = self.directly_before[then].clone();
        while let Some(before) = pending.pop() {
            if before == first {
                return true;
            }
            if seen.insert(before) {
                pending.extend(&self.directly_before[before]);
            }
        }
        false
    }

    /// An expression in braces that begins with a name of templates.
    pub fn named_in_braces(&self, text: &str, place: Place) -> Option<Range<usize>> {
        use flow_template::analysis::Vocabulary;
        let names = Words { names: self, place }.names();
        let mut from = 0;
        while let Some(start) = text[from..].find("{{").map(|at| from + at) {
            let inside = text[start + 2..].trim_start_matches(['-', ' ']);
            let length = inside.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inside.len());
            let end = text[start..].find("}}").map(|length| start + length + 2);
            if let Some(end) = end.filter(|_| names.iter().any(|name| *name == inside[..length])) {
                return Some(start..end);
            }
            from = start + 2;
        }
        None
    }
}

fn task(layout: &Layout<'_>, position: usize, mapping: Option<&Mapping>, groups: &[Option<&Mapping>]) -> TaskNames {
    let placed = &layout.tasks[position];
    let own = placed.entry.node.get("outputs").map(Node::to_json).or_else(|| placed.defaults.get("outputs").cloned());
    let all = || groups.iter().copied().flatten().chain(mapping);
    let is_written = |entry: &Entry| entry.node.get("expand").or(entry.node.get("expand_kwargs")).is_some();
    let written = usize::from(is_written(placed.entry))
        + around(layout, position).filter(|group| is_written(layout.groups[*group].entry)).count();
    TaskNames {
        id: placed.id.clone(),
        prefixes: around(layout, position).map(|group| format!("{}.", layout.groups[group].id)).collect(),
        params: keys(placed.entry.node.get("params")),
        mapped: all().flat_map(Mapping::names).map(str::to_owned).collect(),
        // A mapping that cannot be read, or tables that another task leaves: their names are not known here.
        is_open: all().any(|mapping| mapping.names().is_empty()) || all().count() < written,
        outputs: own.and_then(|outputs| serde_json::from_value(outputs).ok()),
    }
}

fn around(layout: &Layout<'_>, task: usize) -> impl Iterator<Item = usize> {
    layout.groups_around(layout.tasks[task].group).into_iter()
}

fn mapping_of(layout: &Layout<'_>, task: usize) -> Option<Mapping> {
    let placed = &layout.tasks[task];
    let reader = Reader { layout, group: placed.group, this: Target::Task(task), max_map_length: u32::MAX };
    // What is wrong with it has been told.
    reader.read(placed.entry, &mut Problems::default())
}

fn mapping_of_group(layout: &Layout<'_>, group: usize) -> Option<Mapping> {
    let placed = &layout.groups[group];
    let reader = Reader { layout, group: placed.parent, this: Target::Group(group), max_map_length: u32::MAX };
    reader.read(placed.entry, &mut Problems::default())
}

/// For each task those directly before it: what it depends on, and what it is mapped over.
fn directly_before(
    layout: &Layout<'_>,
    mappings: &[Option<Mapping>],
    of_groups: &[Option<Mapping>],
) -> Vec<Vec<usize>> {
    let positions: HashMap<&str, usize> =
        layout.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let find = |id: &str| positions.get(id).copied();
    let of = |(task, placed): (usize, &Placed<'_>)| {
        let groups = around(layout, task).filter_map(|group| of_groups[group].as_ref());
        let mapped = groups.chain(&mappings[task]).flat_map(Mapping::tasks).filter_map(find);
        placed.upstream.keys().filter_map(|id| find(id)).chain(mapped).collect()
    };
    layout.tasks.iter().enumerate().map(of).collect()
}

fn keys(node: Option<&Node>) -> BTreeSet<String> {
    match node.map(|node| &node.kind) {
        Some(Kind::Table(entries)) => entries.iter().map(|entry| entry.key.clone()).collect(),
        _ => BTreeSet::new(),
    }
}
