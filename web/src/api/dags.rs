//! DAGs, their tasks, versions and next runs.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use flow_model::dag::{Catchup, Task};
use flow_model::limits::ROWS_PER_PAGE_MAX;
use flow_model::params::Params;
use flow_model::{Dag, DagGraph, Timestamp};
use flow_queue::Bell;
use flow_store::read::{DagFilter, DagRecord, Page};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{LIMIT, PageQuery};
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::App;
use crate::words;

/// Next runs that are computed at most.
const NEXT_MAX: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    offset: Option<i64>,
    dag_id_pattern: Option<String>,
    paused: Option<bool>,
    #[serde(default)]
    tags: Vec<String>,
    /// Airflow's name: leave out DAGs whose file is gone (the default).
    exclude_stale: Option<bool>,
}

pub(super) async fn list(State(app): State<App>, ApiQuery(query): ApiQuery<ListQuery>) -> WebResult {
    let filter = DagFilter {
        pattern: query.dag_id_pattern,
        paused: query.paused,
        tags: query.tags,
        include_stale: query.exclude_stale == Some(false),
    };
    let page = Page::new(query.limit.unwrap_or(LIMIT), query.offset.unwrap_or(0), ROWS_PER_PAGE_MAX);
    let (dags, total) = app.store.list_dags(&filter, page).await?;
    let dags: Vec<Value> = dags.iter().map(dag_json).collect();
    Ok(Json(json!({ "dags": dags, "total_entries": total })))
}

pub(super) async fn one(State(app): State<App>, Path(dag_id): Path<String>) -> WebResult {
    Ok(Json(dag_json(&app.store.find_dag(&dag_id).await?)))
}

#[derive(Deserialize)]
pub(super) struct Patch {
    is_paused: bool,
}

pub(super) async fn patch(
    State(app): State<App>,
    Path(dag_id): Path<String>,
    principal: Principal,
    ApiJson(patch): ApiJson<Patch>,
) -> WebResult {
    app.store.set_dag_paused(app.store.now(), &dag_id, patch.is_paused, &principal.0).await?;
    app.ring(&[Bell::Scheduler, Bell::Runs]).await;
    one(State(app), Path(dag_id)).await
}

pub(super) async fn details(State(app): State<App>, Path(dag_id): Path<String>) -> WebResult {
    let record = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &record).await?;
    let dag = &graph.dag;
    let mut body = dag_json(&record);
    let more = json!({
        "params": params_json(&dag.params),
        "doc_md": dag.doc_md,
        "catchup": dag.catchup != Catchup::None,
        "catchup_mode": dag.catchup,
        "start_date": dag.start_date,
        "end_date": dag.end_date,
        "dag_run_timeout": dag.dagrun_timeout.map(time_delta),
        "owner": dag.owner,
        "file": record.file_path,
        "concurrency": dag.max_active_tasks,
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "first_seen": record.first_seen_at,
        "task_count": dag.tasks.len(),
        "latest_dag_version": {
            "id": record.version_id,
            "version_number": record.version_number,
            "dag_id": record.dag_id,
            "created_at": record.changed_at,
        },
    });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Ok(Json(body))
}

#[derive(Deserialize)]
pub(super) struct SourceQuery {
    version_number: Option<i64>,
}

pub(super) async fn source(
    State(app): State<App>,
    Path(dag_id): Path<String>,
    ApiQuery(query): ApiQuery<SourceQuery>,
) -> WebResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let source = app.store.dag_source(&dag_id, query.version_number).await?;
    Ok(Json(json!({
        "content": source.source,
        "dag_id": dag_id,
        "version_number": source.number,
        "dag_display_name": dag.display_name.as_ref().unwrap_or(&dag.dag_id),
        "file": dag.file_path,
    })))
}

pub(super) async fn tasks(State(app): State<App>, Path(dag_id): Path<String>) -> WebResult {
    let record = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &record).await?;
    let tasks: Vec<Value> = (0..graph.dag.tasks.len()).map(|index| task_json(&graph, index)).collect();
    Ok(Json(json!({ "tasks": tasks, "total_entries": tasks.len() })))
}

pub(super) async fn versions(
    State(app): State<App>,
    Path(dag_id): Path<String>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> WebResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let (versions, total) = app.store.dag_versions(&dag_id, query.page(ROWS_PER_PAGE_MAX)).await?;
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            json!({
                "id": version.id,
                "version_number": version.number,
                "dag_id": dag_id,
                "dag_display_name": dag.display_name.as_ref().unwrap_or(&dag.dag_id),
                "bundle_name": null,
                "bundle_version": version.hash,
                "bundle_url": null,
                "created_at": version.created_at,
            })
        })
        .collect();
    Ok(Json(json!({ "dag_versions": versions, "total_entries": total })))
}

#[derive(Deserialize)]
pub(super) struct NextQuery {
    count: Option<usize>,
}

pub(super) async fn next(
    State(app): State<App>,
    Path(dag_id): Path<String>,
    ApiQuery(query): ApiQuery<NextQuery>,
) -> WebResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let count = query.count.unwrap_or(5).clamp(1, NEXT_MAX);
    let upcoming: Vec<Value> = upcoming(&dag, app.store.now(), count)
        .into_iter()
        .map(|(tick, (start, end))| {
            json!({
                "logical_date": start,
                "data_interval_start": start,
                "data_interval_end": end,
                "run_after": tick,
            })
        })
        .collect();
    Ok(Json(json!({
        "dag_id": dag_id,
        "is_paused": dag.is_paused,
        "schedule": dag.schedule_summary,
        "description": words::runs_of(&dag),
        "upcoming": upcoming,
    })))
}

/// The next ticks after `now` with their data intervals, as the scheduler will create them.
pub(crate) fn upcoming(dag: &DagRecord, now: Timestamp, count: usize) -> Vec<(Timestamp, (Timestamp, Timestamp))> {
    let (schedule, bounds) = (&dag.schedule.schedule, dag.schedule.bounds());
    let ticks = schedule.upcoming(now, bounds, count);
    ticks.into_iter().map(|tick| (tick, schedule.data_interval(tick, bounds))).collect()
}

/// A DAG's newest version.
pub(crate) async fn graph_of(app: &App, dag: &DagRecord) -> WebResult<std::sync::Arc<DagGraph>> {
    let version =
        dag.version_id.ok_or_else(|| WebError::not_found(format!("dag `{}` has no version yet", dag.dag_id)))?;
    Ok(app.store.dag_graph(version).await?)
}

fn dag_json(dag: &DagRecord) -> Value {
    let next = dag.next_tick.map(|tick| (tick, dag.schedule.schedule.data_interval(tick, dag.schedule.bounds())));
    let tags: Vec<Value> = dag.tags.iter().map(|tag| json!({ "name": tag, "dag_id": dag.dag_id })).collect();
    json!({
        "dag_id": dag.dag_id,
        "dag_display_name": dag.display_name.as_ref().unwrap_or(&dag.dag_id),
        "is_paused": dag.is_paused,
        "is_stale": !dag.is_active,
        "last_parsed_time": dag.changed_at,
        "description": dag.description,
        "fileloc": dag.file_path,
        "relative_fileloc": dag.file_path,
        "timetable_summary": dag.schedule_summary,
        "timetable_description": words::runs_of(dag),
        "tags": tags,
        "owners": [dag.owner],
        "max_active_tasks": dag.max_active_tasks,
        "max_active_runs": dag.max_active_runs,
        "has_import_errors": dag.has_import_errors,
        "next_dagrun_logical_date": next.map(|(_, (start, _))| start),
        "next_dagrun_data_interval_start": next.map(|(_, (start, _))| start),
        "next_dagrun_data_interval_end": next.map(|(_, (_, end))| end),
        "next_dagrun_run_after": next.map(|(tick, _)| tick),
        "version_number": dag.version_number,
    })
}

fn params_json(params: &Params) -> Value {
    let params: Map<String, Value> = params
        .iter()
        .map(|(name, param)| {
            let body = json!({
                "value": param.default_value(),
                "schema": param.schema,
                "description": param.schema.get("description"),
            });
            (name.to_owned(), body)
        })
        .collect();
    Value::Object(params)
}

fn task_json(graph: &DagGraph, index: usize) -> Value {
    let dag: &Dag = &graph.dag;
    let task: &Task = &dag.tasks[index];
    let after: Vec<&str> =
        graph.downstream[index].iter().map(|&after| dag.tasks[after as usize].task_id.as_str()).collect();
    json!({
        "task_id": task.task_id,
        "task_display_name": task.display_name.as_ref().unwrap_or(&task.task_id),
        "owner": task.owner,
        "start_date": dag.start_date,
        "end_date": dag.end_date,
        "trigger_rule": task.trigger_rule,
        "depends_on_past": task.depends_on_past,
        "wait_for_downstream": task.wait_for_downstream,
        "retries": task.retry.retries,
        "retry_delay": time_delta(task.retry.retry_delay),
        "retry_exponential_backoff": task.retry.retry_backoff_factor > 1.0,
        "execution_timeout": task.execution_timeout.map(time_delta),
        "queue": task.queue,
        "pool": task.pool,
        "pool_slots": task.pool_slots,
        "priority_weight": task.priority_weight,
        "weight_rule": task.weight_rule,
        "operator_name": task.operator.name(),
        "params": task.params,
        "doc_md": task.doc_md,
        "is_mapped": false,
        "upstream_task_ids": task.depends_on,
        "downstream_task_ids": after,
    })
}

/// A duration as Airflow writes it.
fn time_delta(duration: Duration) -> Value {
    json!({
        "__type": "TimeDelta",
        "days": duration.as_secs() / 86_400,
        "seconds": duration.as_secs() % 86_400,
        "microseconds": duration.subsec_micros(),
    })
}
