//! The names that templates know, as Airflow calls them.

use std::sync::Arc;

use flow_model::Timestamp;
use flow_model::params::resolve_params;
use flow_model::state::RunType;
use flow_model::suggest::listed;
use flow_secrets::SecretsError;
use flow_store::WorkOrder;
use flow_template::names::TEMPLATE_NAMES;
use flow_template::{DateValue, Macros, Scope, from_json, from_table, is_method_of_dates};
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::{Map, Value as Json, json};

use super::place::AttemptPlace;
use super::secrets::{Variables, connections, missing};
use super::xcom::{Lookups, Outputs, TaskInstanceValue, Wanted};

/// Names that mean something for a task only.
const OF_TASKS: [&str; 6] = ["task", "task_instance", "ti", "task_instance_key_str", "map_index", "try_number"];

/// Everything that the templates of one attempt may name.
#[derive(Debug)]
pub struct AttemptScope {
    order: WorkOrder,
    params: Map<String, Json>,
    lookups: Arc<Lookups>,
    place: Arc<AttemptPlace>,
}

impl AttemptScope {
    /// The scope of a claimed task instance.
    pub fn new(order: WorkOrder, lookups: Arc<Lookups>, place: Arc<AttemptPlace>) -> Self {
        AttemptScope { params: params_of(&order), order, lookups, place }
    }

    /// The XComs that have been fetched for this attempt.
    pub fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    fn name(&self, name: &str) -> Option<Value> {
        let order = &self.order;
        // The task of a run's own callback has no name: there is none.
        if order.task().task_id.is_empty() && OF_TASKS.contains(&name) {
            return None;
        }
        let formatted = |format: &str| order.logical_date.map(|at| Value::from(utc(at).strftime(format).to_string()));
        match name {
            "ds" => formatted("%Y-%m-%d"),
            "ds_nodash" => formatted("%Y%m%d"),
            "ts" => order.logical_date.map(|at| Value::from(at.to_string())),
            "ts_nodash" => formatted("%Y%m%dT%H%M%S"),
            "ts_nodash_with_tz" => order.logical_date.map(|at| Value::from(at.to_string().replace(['-', ':'], ""))),
            "logical_date" => order.logical_date.map(DateValue::value),
            "data_interval_start" => order.data_interval.map(|(start, _)| DateValue::value(start)),
            "data_interval_end" => order.data_interval.map(|(_, end)| DateValue::value(end)),
            "run_id" => Some(Value::from(&order.run_id)),
            "run_after" => Some(DateValue::value(order.run_after)),
            "dag" => Some(self.dag()),
            "dag_run" => Some(self.dag_run()),
            "task" => Some(self.task_value()),
            "task_instance" | "ti" => Some(self.task_instance()),
            "task_instance_key_str" => Some(Value::from(format!(
                "{}__{}__{}",
                order.graph.dag.dag_id,
                self.order.task().task_id,
                order.logical_date.map_or_else(|| order.run_id.clone(), |at| utc(at).strftime("%Y%m%d").to_string())
            ))),
            "params" => Some(from_table(&self.params)),
            "conf" => Some(from_table(&order.conf)),
            "xcom" => Some(Value::from_object(self.outputs())),
            "macros" => Some(Value::from_object(Macros::new(order.try_started_at))),
            "var" => Some(Value::from_object(Variables(Arc::clone(&self.lookups)))),
            "conn" => Some(connections(&self.lookups)),
            "map_index" => Some(Value::from(order.map_index)),
            "try_number" => Some(Value::from(order.try_number)),
            "prev_data_interval_start_success" => Some(self.last_success("data_interval_start")),
            "prev_data_interval_end_success" => Some(self.last_success("data_interval_end")),
            "prev_start_date_success" => Some(self.last_success("start_date")),
            "prev_end_date_success" => Some(self.last_success("end_date")),
            // There are no assets: no task takes or leaves any.
            "inlets" | "outlets" => Some(Value::from(Vec::<Value>::new())),
            "test_mode" => Some(Value::from(false)),
            // The values of this instance of a mapped task.
            _ => order.map_values.get(name).map(from_json),
        }
    }

    /// Something of the last success before this run; none if there is none.
    fn last_success(&self, field: &str) -> Value {
        match self.lookups.get(Wanted::PreviousSuccess) {
            Ok(found) => date(found.and_then(|found| found[field].as_i64()).map(Timestamp::from_micros)),
            Err(error) => Value::from(error),
        }
    }

    fn outputs(&self) -> Outputs {
        let graph = &self.order.graph;
        let groups = graph.groups_of(self.order.task_index).map(|group| format!("{}.", group.group_id)).collect();
        Outputs { graph: Arc::clone(graph), prefixes: groups, lookups: Arc::clone(&self.lookups) }
    }

    fn dag(&self) -> Value {
        let dag = &self.order.graph.dag;
        let fields = from_json(&json!({
            "dag_id": dag.dag_id, "display_name": dag.display_name, "description": dag.description,
            "owner": dag.owner, "tags": dag.tags, "doc_md": dag.doc_md, "max_active_runs": dag.max_active_runs,
            "max_active_tasks": dag.max_active_tasks,
        }));
        let dates = [("start_date", date(dag.start_date)), ("end_date", date(dag.end_date))];
        minijinja::value::merge_maps([Value::from_pairs(dates), fields])
    }

    fn dag_run(&self) -> Value {
        let order = &self.order;
        let (start, end) = order.data_interval.unzip();
        Value::from_pairs([
            ("run_id", Value::from(&order.run_id)),
            ("dag_id", Value::from(&order.graph.dag.dag_id)),
            ("run_type", Value::from(order.run_type.as_str())),
            ("conf", from_table(&order.conf)),
            ("run_after", DateValue::value(order.run_after)),
            ("state", Value::from("running")),
            ("logical_date", date(order.logical_date)),
            ("start_date", date(order.run_started_at)),
            ("end_date", date(None)),
            ("data_interval_start", date(start)),
            ("data_interval_end", date(end)),
            ("external_trigger", Value::from(order.run_type != RunType::Scheduled)),
        ])
    }

    fn task_value(&self) -> Value {
        let task = self.order.task();
        from_json(&json!({
            "task_id": task.task_id, "owner": task.owner, "retries": task.retry.retries, "pool": task.pool,
            "queue": task.queue, "operator": task.operator.name(), "upstream_task_ids": task.depends_on,
            "pool_slots": task.pool_slots, "priority_weight": task.priority_weight,
            "trigger_rule": task.trigger_rule, "depends_on_past": task.depends_on_past, "display_name": task.display_name,
            "doc_md": task.doc_md,
        }))
    }

    fn task_instance(&self) -> Value {
        let order = &self.order;
        let fields = [
            ("task_id", Value::from(&self.order.task().task_id)),
            ("dag_id", Value::from(&order.graph.dag.dag_id)),
            ("run_id", Value::from(&order.run_id)),
            ("try_number", Value::from(order.try_number)),
            ("max_tries", Value::from(order.max_tries)),
            ("map_index", Value::from(order.map_index)),
            ("state", Value::from("running")),
            ("start_date", DateValue::value(order.try_started_at)),
            // The try goes on: nobody knows when it ends.
            ("end_date", date(None)),
            ("duration", Value::from(())),
            ("operator", Value::from(self.order.task().operator.name())),
            ("queue", Value::from(&self.order.task().queue)),
            ("pool", Value::from(&self.order.task().pool)),
            ("hostname", Value::from(&self.place.host)),
            ("log_url", Value::from(self.place.log_url(order))),
        ]
        .into();
        Value::from_object(TaskInstanceValue { fields, lookups: Arc::clone(&self.lookups) })
    }
}

impl Scope for AttemptScope {
    fn knows(&self, path: &str) -> bool {
        let mut parts = path.split('.');
        let mut value = parts.next().and_then(|name| self.name(name));
        for part in parts {
            value = value
                .and_then(|value| value.get_attr(part).ok())
                // Methods are called, not looked up.
                .filter(|value| {
                    !value.is_undefined()
                        || ["xcom_pull", "ds_add", "get", "get_uri"].contains(&part)
                        || is_method_of_dates(part)
                });
        }
        value.is_some()
    }

    fn hint_for(&self, path: &str) -> String {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let keys = |of: &Map<String, Json>| {
            if of.is_empty() { "none".to_owned() } else { listed(of.keys().map(String::as_str)) }
        };
        match first {
            "ds"
            | "ds_nodash"
            | "ts"
            | "ts_nodash"
            | "ts_nodash_with_tz"
            | "logical_date"
            | "data_interval_start"
            | "data_interval_end" => {
                format!("this run has no logical date; use `run_after`, or trigger it with one (`{first}` needs it)")
            }
            "params" => format!("this run's params are {}", keys(&self.params)),
            "conf" => format!("this run's conf has {}", keys(&self.order.conf)),
            "xcom" => match rest.split_once('.') {
                Some((task_id, name)) => format!(
                    "the output of `{task_id}` has no field `{name}`; beside an output that is text, a named value is read with `ti.xcom_pull(task_ids=\"{task_id}\", key=\"{name}\")`"
                ),
                None => format!(
                    "task `{rest}` left no output in this run: does it exist, come before this one, and print a line?"
                ),
            },
            "var" => match rest.split_once('.') {
                Some(("value" | "json", key)) => told(&missing(false, key.split('.').next().unwrap_or(key))),
                _ => "write `var.value.<key>`, or `var.json.<key>` for one that holds JSON".to_owned(),
            },
            "conn" => {
                let (conn_id, field) = rest.split_once('.').unwrap_or((rest, ""));
                if self.knows(&format!("conn.{conn_id}")) {
                    format!(
                        "connection `{conn_id}` has no `{field}`; it has `conn_type`, `host`, `port`, `login`, `password`, `schema`, `extra_dejson` and `get_uri()`"
                    )
                } else {
                    told(&missing(true, conn_id))
                }
            }
            _ if TEMPLATE_NAMES.contains(&first) => format!("`{first}` has no such field"),
            _ => format!("templates know {}", listed(TEMPLATE_NAMES)),
        }
    }
}

/// The values that a task sees as `params`.
pub(crate) fn params_of(order: &WorkOrder) -> Map<String, Json> {
    // The trigger has checked conf; values that do not fit a newer declaration are still passed on.
    let mut params = resolve_params(&order.graph.dag.params, &order.conf).unwrap_or_else(|_| order.conf.clone());
    params.extend(order.task().params.clone());
    params
}

impl Object for AttemptScope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.name(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&TEMPLATE_NAMES)
    }
}

/// What to do, from an error that says so.
fn told(error: &SecretsError) -> String {
    let text = error.to_string();
    text.split_once("\nhint: ").map_or(text.clone(), |(_, hint)| hint.to_owned())
}

/// A date, or none.
fn date(at: Option<Timestamp>) -> Value {
    at.map_or_else(|| Value::from(()), DateValue::value)
}

fn utc(at: Timestamp) -> jiff::Zoned {
    at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC)
}
