//! What the types of `branch` and `short_circuit` cannot say.

use flow_model::operator::Operator;
use flow_model::operator::branch::{Branch, chosen_ids, time_window, weekday};
use flow_model::suggest::listed;

use super::layout::{Layout, Placed, Target};
use crate::diagnostic::Problems;
use crate::tree::Node;

pub(super) fn check(operator: &Operator, node: &Node, problems: &mut Problems) {
    match operator {
        Operator::Branch(branch) => {
            let ways =
                [branch.choose.is_some(), branch.bash.is_some(), !branch.weekday.is_empty(), branch.between.is_some()];
            if exactly_one("branch", &["choose", "bash", "weekday", "between"], &ways, node, problems) {
                let decides_by_time = ways[2] || ways[3];
                let names_tasks = !branch.follow.is_empty() || !branch.otherwise.is_empty();
                if decides_by_time && !names_tasks {
                    problems
                        .add(node.span.clone(), "the branch names no tasks to follow")
                        .hint("give it `follow`, `otherwise`, or both");
                }
            }
            check_stdin(branch.stdin.is_some() && branch.bash.is_none(), node, problems);
            for (name, written) in branch.weekday.iter().zip(node.deepest(&["weekday"]).items()) {
                if weekday(name).is_none() {
                    problems
                        .add(written.span.clone(), format!("`{name}` is not a weekday"))
                        .hint("write `mon` or `monday`, and so on");
                }
            }
            if let Some(window) = branch.between.as_deref().filter(|window| time_window(window).is_none()) {
                problems
                    .add(node.deepest(&["between"]).span.clone(), format!("`{window}` is not a window of the day"))
                    .hint("for instance `09:00-17:30`");
            }
            if flow_model::schedule::time_zone(&branch.timezone).is_err() {
                problems
                    .add(
                        node.deepest(&["timezone"]).span.clone(),
                        format!("there is no time zone `{}`", branch.timezone),
                    )
                    .hint("zones have IANA names such as `Europe/Stockholm` or `UTC`");
            }
        }
        Operator::ShortCircuit(short) => {
            let ways = [short.condition.is_some(), short.bash.is_some()];
            exactly_one("short_circuit", &["condition", "bash"], &ways, node, problems);
            check_stdin(short.stdin.is_some() && short.bash.is_none(), node, problems);
        }
        _ => {}
    }
}

fn check_stdin(is_for_nobody: bool, node: &Node, problems: &mut Problems) {
    if is_for_nobody {
        problems
            .add(node.deepest(&["stdin"]).span.clone(), "`stdin` is what `bash` reads, and there is none")
            .hint("take it away, or write the script that reads it as `bash`");
    }
}

/// What a branch follows stands directly after it. Templates and scripts tell only when they run.
pub(super) fn check_targets(layout: &Layout<'_>, position: usize, branch: &Branch, problems: &mut Problems) {
    let placed = &layout.tasks[position];
    let Some(written) = placed.entry.node.get("branch") else { return };
    let named = ["follow", "otherwise"].into_iter().filter_map(|key| written.get(key)).flat_map(Node::items);
    let mut names: Vec<(&Node, String)> = named.filter_map(|node| Some((node, node.text()?.to_owned()))).collect();
    if let Some(choose) = branch.choose.as_deref().filter(|choose| !choose.contains("{{") && !choose.contains("{%")) {
        let ids = chosen_ids(choose).unwrap_or_default();
        names.extend(ids.into_iter().map(|id| (written.deepest(&["choose"]), id)));
    }
    let after: Vec<&Placed<'_>> = layout.tasks.iter().filter(|task| task.upstream.contains_key(&placed.id)).collect();
    for (node, name) in names {
        let follows = match layout.resolve(&name, placed.group, Some(Target::Task(position))) {
            Some(Target::Task(task)) => layout.tasks[task].upstream.contains_key(&placed.id),
            Some(Target::Group(group)) => after.iter().any(|task| layout.groups_around(task.group).contains(&group)),
            None => false,
        };
        if follows {
            continue;
        }
        let hint = match after.as_slice() {
            [] => format!(
                "nothing comes after it: write depends_on = [\"{}\"] in the tasks to choose from",
                placed.entry.key
            ),
            after => format!("directly after it come {}", listed(after.iter().take(12).map(|task| task.id.as_str()))),
        };
        problems.add(node.span.clone(), format!("`{name}` does not come directly after the branch")).hint(hint);
    }
}

fn exactly_one(operator: &str, names: &[&str], ways: &[bool], node: &Node, problems: &mut Problems) -> bool {
    let count = ways.iter().filter(|way| **way).count();
    if count != 1 {
        let message = if count == 0 {
            format!("`{operator}` has nothing to decide by")
        } else {
            format!("`{operator}` decides in {count} ways")
        };
        problems.add(node.span.clone(), message).hint(format!("give it one of {}", listed(names.iter().copied())));
    }
    count == 1
}
