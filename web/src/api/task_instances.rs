//! Task instances: listing, marking, clearing, explaining; their tries.

use axum::Json;
use axum::extract::{Path, State};
use flow_model::explain::explain as explain_task;
use flow_model::limits::TASK_INSTANCES_PER_PAGE_MAX;
use flow_model::{DagGraph, RunState, TaskState};
use flow_store::read::{AttemptRecord, Page, RunRecord, TaskInstanceFilter, TaskInstanceRecord};
use flow_store::{Affected, ClearRequest, Mark, MarkRequest, Selection};
use serde::Deserialize;
use serde_json::{Value, json};

use super::LIMIT;
use super::runs::{ALL_BELLS, find as find_run};
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::App;
use crate::words;

/// The path of a task instance: DAG, run, task.
pub(super) type TaskPath = Path<(String, String, String)>;

/// Task instances that an answer about what was changed lists at most.
const AFFECTED_MAX: usize = 20_000;

#[derive(Deserialize)]
pub(super) struct MapIndexQuery {
    pub(super) map_index: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    offset: Option<i64>,
    /// Airflow's names; `none` and `no_status` for those about which nothing has been decided.
    #[serde(default)]
    state: Vec<String>,
    /// Of these tasks, or of all tasks in these groups.
    #[serde(default)]
    task_id: Vec<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Path((dag_id, run_id)): Path<(String, String)>,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> WebResult {
    list_fitting(&app, &dag_id, &run_id, query).await
}

/// The instances of a mapped task, as in Airflow.
pub(super) async fn list_mapped(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> WebResult {
    list_fitting(&app, &dag_id, &run_id, ListQuery { task_id: vec![task_id], ..query }).await
}

async fn list_fitting(app: &App, dag_id: &str, run_id: &str, query: ListQuery) -> WebResult {
    let run = find_run(app, dag_id, run_id).await?;
    let graph = app.store.dag_graph(run.version_id).await?;
    let mut tasks = Vec::new();
    for id in &query.task_id {
        let found = graph.index_of(id).map_or_else(|| graph.tasks_of(id), |task| vec![task]);
        if found.is_empty() {
            return Err(WebError::not_found(format!("the DAG `{dag_id}` has no task or group `{id}`"))
                .hint("the task must be part of the DAG version that the run is pinned to"));
        }
        tasks.extend(found);
    }
    let filter = TaskInstanceFilter {
        tasks: (!query.task_id.is_empty()).then_some(tasks),
        states: query.state.iter().map(|name| state_named(name)).collect::<WebResult<_>>()?,
        is_unmapped: false,
    };
    let page = Page::in_run(query.limit.unwrap_or(LIMIT), query.offset.unwrap_or(0), TASK_INSTANCES_PER_PAGE_MAX);
    let (instances, total) = app.store.list_task_instances(run.id, &filter, page).await?;
    let instances: Vec<Value> = instances.iter().map(|instance| instance_json(instance, &graph)).collect();
    Ok(Json(json!({ "task_instances": instances, "total_entries": total })))
}

fn state_named(name: &str) -> WebResult<TaskState> {
    let name = if matches!(name, "no_status" | "null") { "none" } else { name };
    name.parse().map_err(|_| {
        let known: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
        WebError::unprocessable(format!("there is no state `{name}`")).hint(format!("use {}", known.join(", ")))
    })
}

pub(super) async fn one(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    ApiQuery(query): ApiQuery<MapIndexQuery>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find(&app, &run, &task_id, query.map_index.unwrap_or(-1)).await?;
    let graph = app.store.dag_graph(run.version_id).await?;
    Ok(Json(instance_json(&instance, &graph)))
}

/// The instance of a task.
pub(crate) async fn find(app: &App, run: &RunRecord, task_id: &str, map_index: i64) -> WebResult<TaskInstanceRecord> {
    match app.store.find_task_instance(run, task_id, map_index).await? {
        Some(instance) => Ok(instance),
        None => Err(no_instance(app, run, task_id, map_index).await?),
    }
}

/// Says which instances of a task there are instead.
async fn no_instance(app: &App, run: &RunRecord, task_id: &str, map_index: i64) -> WebResult<WebError> {
    let graph = app.store.dag_graph(run.version_id).await?;
    let filter = TaskInstanceFilter { tasks: graph.index_of(task_id).map(|task| vec![task]), ..Default::default() };
    let at = async |offset: i64| {
        let (found, total) = app.store.list_task_instances(run.id, &filter, Page::in_run(1, offset, 1)).await?;
        WebResult::Ok((found.first().map(|instance| instance.map_index), total))
    };
    let (first, total) = at(0).await?;
    let (last, _) = at((total - 1).max(0)).await?;
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(WebError::not_found(format!("task `{task_id}` has no instance in the run `{}` yet", run.run_id))
            .hint(format!("the run is {}; its task instances are created when it starts", run.state)));
    };
    let message = match map_index {
        ..0 => format!("task `{task_id}` is mapped in the run `{}`, and no map index was named", run.run_id),
        _ => format!("task `{task_id}` has no instance with the map index {map_index} in the run `{}`", run.run_id),
    };
    Ok(WebError::not_found(message).hint(match (first, last) {
        (..0, _) => "it is not mapped, or not expanded yet: name no map index".to_owned(),
        (first, last) if first == last => format!("its only map index is {first}"),
        (first, last) => format!("its map indexes go from {first} to {last}"),
    }))
}

pub(super) async fn tries(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    ApiQuery(query): ApiQuery<MapIndexQuery>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find(&app, &run, &task_id, query.map_index.unwrap_or(-1)).await?;
    let graph = app.store.dag_graph(run.version_id).await?;
    let attempts = app.store.list_attempts(instance.id).await?;
    let tries: Vec<Value> = attempts.iter().map(|attempt| attempt_json(attempt, &instance, &graph)).collect();
    Ok(Json(json!({ "task_instances": tries, "total_entries": tries.len() })))
}

/// Airflow's wishes that are not understood: silently leaving them out would change more or less than was asked.
#[derive(Debug, Default, Deserialize)]
struct Unsupported {
    #[serde(default)]
    include_past: bool,
    #[serde(default)]
    include_future: bool,
    #[serde(default)]
    only_running: bool,
}

impl Unsupported {
    fn refuse(&self) -> WebResult<()> {
        for (is_asked, name) in [
            (self.include_past, "include_past"),
            (self.include_future, "include_future"),
            (self.only_running, "only_running"),
        ] {
            if is_asked {
                return Err(WebError::unprocessable(format!("`{name}` is not supported"))
                    .hint("name each run in a request of its own"));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
pub(super) struct MarkBody {
    new_state: String,
    map_index: Option<i64>,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default)]
    dry_run: bool,
    #[serde(flatten)]
    unsupported: Unsupported,
}

pub(super) async fn mark(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    principal: Principal,
    ApiJson(body): ApiJson<MarkBody>,
) -> WebResult {
    body.unsupported.refuse()?;
    let run = find_run(&app, &dag_id, &run_id).await?;
    let map_index = body.map_index.filter(|map_index| *map_index >= 0);
    let is_task = app.store.dag_graph(run.version_id).await?.index_of(&task_id).is_some();
    if let Some(map_index) = map_index.filter(|_| is_task) {
        find(&app, &run, &task_id, map_index).await?;
    }
    let to = match body.new_state.as_str() {
        "success" => Mark::Success,
        "failed" => Mark::Failed,
        "skipped" => Mark::Skipped,
        other => {
            return Err(WebError::unprocessable(format!("a task cannot be marked `{other}`"))
                .hint("use `success`, `failed` or `skipped`"));
        }
    };
    let (upstream, downstream) = (body.include_upstream, body.include_downstream);
    let tasks = Selection { upstream, downstream, ..Selection::of(task_id, map_index) };
    let request = MarkRequest { run: run.id, tasks, to, principal: principal.0 };
    let affected = app.store.mark_tasks(app.store.now(), &request, body.dry_run).await?;
    answer(&app, &run, &affected, body.dry_run).await
}

/// A task, or one of its instances: `"load"` or `["load", 3]`, as in Airflow.
#[derive(Deserialize)]
#[serde(untagged)]
enum TaskOrInstance {
    Task(String),
    Instance(String, serde_json::Number),
}

#[derive(Deserialize)]
pub(super) struct ClearBody {
    dag_run_id: Option<String>,
    task_ids: Option<Vec<TaskOrInstance>>,
    #[serde(default = "yes")]
    only_failed: bool,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default = "yes")]
    dry_run: bool,
    #[serde(flatten)]
    unsupported: Unsupported,
}

const fn yes() -> bool {
    true
}

pub(super) async fn clear(
    State(app): State<App>,
    Path(dag_id): Path<String>,
    principal: Principal,
    ApiJson(body): ApiJson<ClearBody>,
) -> WebResult {
    body.unsupported.refuse()?;
    let run_id = body.dag_run_id.ok_or_else(|| {
        WebError::unprocessable("`dag_run_id` is missing").hint("name the run whose tasks are to be cleared")
    })?;
    let run = find_run(&app, &dag_id, &run_id).await?;
    let mut tasks =
        Selection { upstream: body.include_upstream, downstream: body.include_downstream, ..Selection::default() };
    for one in body.task_ids.unwrap_or_default() {
        match one {
            TaskOrInstance::Task(task_id) => tasks.task_ids.push(task_id),
            TaskOrInstance::Instance(task_id, map_index) => {
                let index = map_index.as_i64().ok_or_else(|| {
                    WebError::unprocessable(format!("the map index of `{task_id}` is {map_index}"))
                        .hint("it is a whole number, as in `[\"load\", 3]`")
                })?;
                tasks.instances.push((task_id, index));
            }
        }
    }
    let request = ClearRequest { run: run.id, tasks, only_failed: body.only_failed, principal: principal.0 };
    let affected = app.store.clear_tasks(app.store.now(), &request, body.dry_run).await?;
    answer(&app, &run, &affected, body.dry_run).await
}

/// Lists what was changed, or would be.
async fn answer(app: &App, run: &RunRecord, affected: &Affected, dry_run: bool) -> WebResult {
    if !dry_run {
        app.ring(ALL_BELLS).await;
    }
    let graph = app.store.dag_graph(run.version_id).await?;
    let changed: Vec<_> = affected.tasks.iter().map(|task| task.task_instance).take(AFFECTED_MAX).collect();
    let instances = app.store.task_instances_of(&changed).await?;
    let instances: Vec<Value> = instances.iter().map(|instance| instance_json(instance, &graph)).collect();
    Ok(Json(json!({ "task_instances": instances, "total_entries": affected.tasks.len() })))
}

pub(super) async fn explain(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    ApiQuery(query): ApiQuery<MapIndexQuery>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let map_index = query.map_index.unwrap_or(-1);
    let facts = app.store.explain_facts(app.store.now(), &run, &task_id, map_index).await?;
    if facts.task.is_none() && map_index >= 0 && run.state != RunState::Queued {
        return Err(no_instance(&app, &run, &task_id, map_index).await?);
    }
    let explanation = explain_task(&facts);
    Ok(Json(json!({
        "dag_id": dag_id,
        "dag_run_id": run_id,
        "task_id": task_id,
        "map_index": map_index,
        "state": facts.task.as_ref().map_or(Value::Null, |task| state_json(task.state)),
        "summary": explanation.summary,
        "reasons": explanation.reasons,
    })))
}

/// A state's name; null for one that nothing has been decided about.
pub(super) fn state_json(state: TaskState) -> Value {
    match state {
        TaskState::None => Value::Null,
        other => other.as_str().into(),
    }
}

fn instance_json(instance: &TaskInstanceRecord, graph: &DagGraph) -> Value {
    let task = usize::try_from(instance.task_index).ok().and_then(|index| graph.dag.tasks.get(index));
    json!({
        "task_id": instance.task_id,
        "task_display_name": task.and_then(|task| task.display_name.as_ref()).unwrap_or(&instance.task_id),
        "dag_id": instance.dag_id,
        "dag_run_id": instance.run_id,
        "map_index": instance.map_index,
        "rendered_map_index": instance.map_label,
        "logical_date": instance.logical_date,
        "run_after": instance.run_after,
        "start_date": instance.started_at,
        "end_date": instance.ended_at,
        "duration": words::seconds(instance.started_at, instance.ended_at),
        "state": state_json(instance.state),
        "try_number": instance.try_number,
        "max_tries": instance.max_tries,
        "hostname": instance.hostname,
        "pool": instance.pool,
        "pool_slots": instance.pool_slots,
        "queue": instance.queue,
        "priority_weight": instance.priority,
        "operator": task.map(|task| task.operator.name()),
        "queued_when": instance.queued_at,
        "scheduled_when": instance.scheduled_at,
        "note": null,
        "reason": instance.reason,
    })
}

fn attempt_json(attempt: &AttemptRecord, instance: &TaskInstanceRecord, graph: &DagGraph) -> Value {
    let mut body = instance_json(instance, graph);
    let of_try = json!({
        "try_number": attempt.try_number,
        "state": state_json(attempt.state),
        "start_date": attempt.started_at,
        "end_date": attempt.ended_at,
        "duration": words::seconds(Some(attempt.started_at), attempt.ended_at),
        "hostname": attempt.hostname,
        "reason": attempt.reason,
        "exit_code": attempt.exit_code,
        "rendered_fields": attempt.rendered,
        "log_bytes": attempt.log_bytes,
        "log_lines": attempt.log_lines,
        "log_bytes_dropped": attempt.log_bytes_dropped,
    });
    if let (Value::Object(body), Value::Object(of_try)) = (&mut body, of_try) {
        body.extend(of_try);
    }
    body
}
