//! Task groups.

use flow_model::Task;
use flow_model::dag::TaskGroup;
use flow_model::expand::Mapping;
use serde_json::Value;

use super::layout::{Layout, Target};
use super::mapping::Reader;
use crate::diagnostic::Problems;
use crate::spec::GroupSettings;

/// Reads the groups, outer ones first.
pub(super) fn read(layout: &Layout<'_>, max_map_length: u32, problems: &mut Problems) -> Vec<TaskGroup> {
    let mut groups: Vec<TaskGroup> = Vec::with_capacity(layout.groups.len());
    for (position, placed) in layout.groups.iter().enumerate() {
        let reader = Reader { layout, group: placed.parent, this: Target::Group(position), max_map_length };
        let expand = reader.read(placed.entry, problems);
        let around = layout.groups_around(placed.parent).into_iter().find(|&group| groups[group].expand.is_some());
        if let (Some(_), Some(around)) = (&expand, around) {
            problems
                .add(
                    placed.entry.key_span.clone(),
                    format!(
                        "group `{}` stands in the group `{}`, which is mapped itself",
                        placed.id, layout.groups[around].id
                    ),
                )
                .hint("map one of the two, over a list that holds every combination");
        }
        let Value::Object(own) = placed.entry.node.to_json() else { continue };
        // What does not fit has been complained about by the walk.
        let settings: GroupSettings = serde_json::from_value(Value::Object(own)).unwrap_or_default();
        groups.push(TaskGroup {
            group_id: placed.id.clone(),
            parent: placed.parent.map(|parent| layout.groups[parent].id.clone()),
            display_name: settings.display_name,
            doc_md: settings.doc_md,
            expand,
            retries: settings.retries.unwrap_or(0),
            retry_delay: settings.retry_delay.map(|delay| delay.0),
        });
    }
    groups
}

/// What a mapped group is mapped over has to be there before any of its tasks.
pub(super) fn wait_for_mapped(groups: &[TaskGroup], tasks: &mut [Task]) {
    for group in groups {
        let sources: Vec<String> = group.expand.iter().flat_map(Mapping::tasks).map(str::to_owned).collect();
        if sources.is_empty() {
            continue;
        }
        let is_inside = |id: &str| id == group.group_id || id.starts_with(&format!("{}.", group.group_id));
        let inside: Vec<String> = tasks
            .iter()
            .filter(|task| task.group.as_deref().is_some_and(is_inside))
            .map(|task| task.task_id.clone())
            .collect();
        for task in tasks.iter_mut().filter(|task| inside.contains(&task.task_id)) {
            if !task.depends_on.iter().any(|upstream| inside.contains(upstream)) {
                task.depends_on.extend(sources.clone());
            }
        }
    }
    for task in tasks {
        task.depends_on.sort();
        task.depends_on.dedup();
    }
}
