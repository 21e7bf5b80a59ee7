//! What Python code knows of its task, under Airflow's names.

use flow_model::state::RunType;
use flow_model::{Connection, Timestamp};
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use crate::template::params_of;

/// Everything that needs no question.
pub(super) fn of(order: &WorkOrder) -> Map<String, Value> {
    let formatted = |format: &str| order.logical_date.map(|at| zoned(at).strftime(format).to_string());
    let dag = &order.graph.dag;
    let task = order.task();
    let (start, end) = order.data_interval.unzip();
    let (start, end) = (start.map(date), end.map(date));
    let logical_date = order.logical_date.map(date);
    let ti = json!({
        "task_id": task.task_id, "dag_id": dag.dag_id, "run_id": order.run_id, "try_number": order.try_number,
        "max_tries": order.max_tries, "map_index": order.map_index, "state": "running",
        "start_date": date(order.try_started_at), "operator": task.operator.name(), "queue": task.queue, "pool": task.pool,
    });
    let day = formatted("%Y%m%d").unwrap_or_else(|| order.run_id.clone());
    let context = json!({
        "ds": formatted("%Y-%m-%d"),
        "ds_nodash": formatted("%Y%m%d"),
        "ts": order.logical_date.map(|at| at.to_string()),
        "ts_nodash": formatted("%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": formatted("%Y%m%dT%H%M%S+0000"),
        "logical_date": logical_date,
        "data_interval_start": start,
        "data_interval_end": end,
        "run_id": order.run_id,
        "run_after": date(order.run_after),
        "try_number": order.try_number,
        "map_index": order.map_index,
        "params": params_of(order),
        "conf": order.conf,
        "task_instance_key_str": format!("{}__{}__{day}", dag.dag_id, task.task_id),
        "ti": ti,
        "dag": {
            "dag_id": dag.dag_id, "display_name": dag.display_name, "description": dag.description,
            "owner": dag.owner, "tags": dag.tags, "doc_md": dag.doc_md, "max_active_runs": dag.max_active_runs,
            "max_active_tasks": dag.max_active_tasks, "start_date": dag.start_date.map(date),
            "end_date": dag.end_date.map(date),
        },
        "dag_run": {
            "run_id": order.run_id, "dag_id": dag.dag_id, "run_type": order.run_type.as_str(), "conf": order.conf,
            "run_after": date(order.run_after), "logical_date": logical_date,
            "start_date": order.run_started_at.map(date), "data_interval_start": start, "data_interval_end": end,
            "end_date": null, "state": "running", "external_trigger": order.run_type != RunType::Scheduled,
        },
        "task": {
            "task_id": task.task_id, "owner": task.owner, "retries": task.retry.retries, "pool": task.pool,
            "queue": task.queue, "operator": task.operator.name(), "upstream_task_ids": task.depends_on,
            "pool_slots": task.pool_slots, "priority_weight": task.priority_weight, "trigger_rule": task.trigger_rule,
            "depends_on_past": task.depends_on_past, "display_name": task.display_name, "doc_md": task.doc_md,
        },
        // There are no assets: no task takes or leaves any.
        "inlets": [],
        "outlets": [],
        "test_mode": false,
    });
    match context {
        Value::Object(context) => context,
        _ => Map::new(),
    }
}

/// When the last success before this run was, and what it was about.
pub(super) fn previous(found: Option<&Value>) -> Value {
    let at = |field: &str| found.and_then(|found| found[field].as_i64()).map(|at| date(Timestamp::from_micros(at)));
    let fields = ["data_interval_start", "data_interval_end", "start_date", "end_date"];
    Value::Object(fields.into_iter().map(|field| (field.to_owned(), json!(at(field)))).collect())
}

/// A connection's fields, as Airflow's connections have them, and its URI.
///
/// # Errors
/// What is kept of it is no connection.
pub(super) fn connection(conn_id: &str, mut fields: Value) -> Result<Value, String> {
    let connection = Connection::from_json(conn_id, &fields).map_err(|why| format!("connection `{conn_id}`: {why}"))?;
    fields["extra_dejson"] = fields["extra"].take();
    fields["extra"] = Value::String(fields["extra_dejson"].to_string());
    fields["uri"] = Value::String(connection.to_uri().expose().to_owned());
    Ok(fields)
}

/// As `datetime.fromisoformat` of every Python reads it.
fn date(at: Timestamp) -> String {
    zoned(at).strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

fn zoned(at: Timestamp) -> jiff::Zoned {
    at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC)
}
