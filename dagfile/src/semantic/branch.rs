//! What the types of `branch` and `short_circuit` cannot say.

use flow_model::operator::Operator;
use flow_model::operator::branch::{time_window, weekday};

use crate::diagnostic::Problems;
use crate::suggest::listed;
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
            if jiff::tz::TimeZone::get(&branch.timezone).is_err() {
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
        }
        _ => {}
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
