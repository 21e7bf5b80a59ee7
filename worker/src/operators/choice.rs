//! The operators that choose what goes on: `branch`, `short_circuit`, `latest_only`. What they come to is a value; the
//! attempt reads the choice from it (`attempt/choice.rs`).

use flow_model::operator::{Branch, ShortCircuit};
use flow_model::state::RunType;
use flow_model::{Task, Timestamp};
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use super::process::Input;
use super::{Work, process};
use crate::template::{Renderer, TemplateError};

/// The exit code by which scripts skip themselves (Airflow: 99).
const SKIP_ON_EXIT_CODE: [i32; 1] = [99];

pub(super) fn branch(
    order: &WorkOrder,
    branch: &Branch,
    now: Timestamp,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Work, TemplateError> {
    if let Some(choose) = &branch.choose {
        let chosen = renderer.value("choose", choose.trim())?;
        rendered.insert("choose".to_owned(), chosen.clone());
        return Ok(Work::Value(chosen));
    }
    if let Some(code) = &branch.bash {
        let work = process::shell(
            order.task(),
            code,
            &Input { args: &[], stdin: branch.stdin.as_deref() },
            &SKIP_ON_EXIT_CODE,
            renderer,
            rendered,
        )?;
        return Ok(Work::Process(work));
    }
    let at = if branch.use_logical_date { order.logical_date.unwrap_or(order.run_after) } else { now };
    // What cannot be read was refused with the file.
    let followed = if branch.holds(at).unwrap_or(false) { &branch.follow } else { &branch.otherwise };
    Ok(Work::Value(json!(followed)))
}

pub(super) fn short_circuit(
    task: &Task,
    short: &ShortCircuit,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Work, TemplateError> {
    if let Some(code) = &short.bash {
        let work = process::shell(
            task,
            code,
            &Input { args: &[], stdin: short.stdin.as_deref() },
            &SKIP_ON_EXIT_CODE,
            renderer,
            rendered,
        )?;
        return Ok(Work::Process(work));
    }
    let (holds, shown) = renderer.condition("condition", short.condition.as_deref().unwrap_or_default())?;
    rendered.insert("condition".to_owned(), json!(shown));
    Ok(Work::Value(Value::Bool(holds)))
}

/// Whether no later tick of the schedule has come yet (Airflow: `LatestOnlyOperator`).
pub(super) fn is_latest(order: &WorkOrder, now: Timestamp) -> bool {
    if order.run_type != RunType::Scheduled {
        return true;
    }
    let dag = &order.graph.dag;
    dag.schedule.next_after(order.run_after, dag.bounds()).is_none_or(|next| next > now)
}
