//! What a branch or short circuit that succeeded leaves out.

use std::collections::BTreeSet;

use flow_model::DagGraph;
use flow_model::operator::Operator;
use flow_model::operator::branch::{chosen_ids, is_truthy};
use flow_store::WorkOrder;
use serde_json::Value;

use super::{Ended, Ending};
use flow_model::dag::RETURN_VALUE;

/// Reads the choice from what the task left, and adds the tasks that it leaves out.
pub(super) fn conclude(order: &WorkOrder, mut ended: Ended) -> Ended {
    if !matches!(ended.kind, Ending::Success) {
        return ended;
    }
    let value = ended.xcoms.iter().find(|xcom| xcom.key == RETURN_VALUE);
    let value: Value = value.and_then(|xcom| serde_json::from_str(&xcom.value).ok()).unwrap_or_default();
    match left_out(&order.graph, order.task_index, &value) {
        Ok(skips) => ended.skips = skips,
        Err(why) => ended.kind = Ending::Failed(why),
    }
    ended
}

fn left_out(graph: &DagGraph, task: u32, value: &Value) -> Result<Vec<u32>, String> {
    let children = &graph.downstream[task as usize];
    match &graph.dag.tasks[task as usize].operator {
        Operator::Branch(_) => {
            let chosen = followed(graph, task, value)?;
            // What comes after a followed task is not left out, although it may come directly after the branch, too.
            let chosen: Vec<u32> = chosen.into_iter().collect();
            let after: BTreeSet<u32> = graph.reachable(&chosen, &graph.downstream).into_iter().collect();
            Ok(children.iter().copied().filter(|child| !chosen.contains(child) && !after.contains(child)).collect())
        }
        _ if goes_on(value) => Ok(Vec::new()),
        operator if operator.may_skip_all_after() => {
            let after = graph.reachable(&[task], &graph.downstream);
            Ok(after.into_iter().filter(|&index| !graph.dag.tasks[index as usize].is_teardown).collect())
        }
        _ => Ok(children.clone()),
    }
}

fn goes_on(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => is_truthy(text),
        Value::Null => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(list) => !list.is_empty(),
        Value::Object(table) => !table.is_empty(),
    }
}

/// The tasks directly after the branch that were chosen; a group stands for those of its tasks that come directly after it.
fn followed(graph: &DagGraph, task: u32, value: &Value) -> Result<BTreeSet<u32>, String> {
    let ids = match value {
        Value::String(text) => chosen_ids(text)?,
        Value::Array(list) => list
            .iter()
            .map(|id| {
                id.as_str().map(str::to_owned).ok_or_else(|| format!("the branch chose `{id}`, which names no task"))
            })
            .collect::<Result<_, _>>()?,
        Value::Null => Vec::new(),
        other => return Err(format!("the branch chose `{other}`, which names no task")),
    };
    let children = &graph.downstream[task as usize];
    let mut followed = BTreeSet::new();
    for id in ids {
        let around = graph.groups_of(task).map(|group| format!("{}.{id}", group.group_id));
        let names: Vec<String> = around.chain([id.clone()]).collect();
        let direct = names.iter().find_map(|name| graph.index_of(name).filter(|index| children.contains(index)));
        let in_group = || {
            names.iter().find_map(|name| {
                let inside: Vec<u32> =
                    graph.tasks_of(name).into_iter().filter(|index| children.contains(index)).collect();
                (!inside.is_empty()).then_some(inside)
            })
        };
        match direct.map(|index| vec![index]).or_else(in_group) {
            Some(found) => followed.extend(found),
            None => return Err(not_a_child(graph, task, &id)),
        }
    }
    Ok(followed)
}

fn not_a_child(graph: &DagGraph, task: u32, id: &str) -> String {
    let children = graph.downstream[task as usize].iter();
    let names: Vec<String> = children.map(|&child| format!("`{}`", graph.dag.tasks[child as usize].task_id)).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!(
        "the branch chose `{id}`, which does not come directly after it\nhint: the tasks directly after it are {names}"
    )
}
