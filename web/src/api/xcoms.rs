//! XComs: listing, reading, and what people change of them. Airflow's shapes.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow_model::limits::TASK_INSTANCES_PER_PAGE_MAX;
use flow_store::read::{Page, RunRecord, XComFilter, XComRecord};
use flow_store::{XComChange, XComPlace};
use serde::Deserialize;
use serde_json::{Value, json};

use super::LIMIT;
use super::runs::find as find_run;
use super::task_instances::TaskPath;
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::App;

/// The path of an XCom: DAG, run, task, key.
type XComPath = Path<(String, String, String, String)>;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    offset: Option<i64>,
    map_index: Option<i64>,
    xcom_key: Option<String>,
    /// Not Airflow's: the listing with the values in it.
    #[serde(default)]
    values: bool,
}

/// The task `~` means all tasks of the run.
pub(super) async fn list(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let filter = XComFilter {
        task_id: (task_id != "~").then_some(task_id.as_str()),
        map_index: query.map_index,
        key: query.xcom_key.as_deref(),
    };
    let page = Page::new(query.limit.unwrap_or(LIMIT), query.offset.unwrap_or(0), TASK_INSTANCES_PER_PAGE_MAX);
    let (xcoms, total) = app.store.list_xcoms(run.id, &filter, page).await?;
    let entries: Vec<Value> = xcoms
        .iter()
        .map(|xcom| {
            let mut body = xcom_json(xcom, &run);
            if let (Value::Object(body), false) = (&mut body, query.values) {
                body.remove("value");
            }
            body
        })
        .collect();
    Ok(Json(json!({ "xcom_entries": entries, "total_entries": total })))
}

#[derive(Deserialize)]
pub(super) struct OneQuery {
    map_index: Option<i64>,
    /// The value as text, for clients that cannot read any JSON.
    #[serde(default)]
    stringify: bool,
}

pub(super) async fn one(
    State(app): State<App>,
    Path((dag_id, run_id, task_id, key)): XComPath,
    ApiQuery(query): ApiQuery<OneQuery>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let xcom = find(&app, &run, &task_id, query.map_index.unwrap_or(-1), &key).await?;
    let mut body = xcom_json(&xcom, &run);
    if query.stringify && !xcom.value.is_string() {
        body["value"] = xcom.value.to_string().into();
    }
    Ok(Json(body))
}

async fn find(app: &App, run: &RunRecord, task_id: &str, map_index: i64, key: &str) -> WebResult<XComRecord> {
    let filter = XComFilter { task_id: Some(task_id), map_index: Some(map_index), key: Some(key) };
    let (xcoms, _) = app.store.list_xcoms(run.id, &filter, Page::first(1)).await?;
    xcoms.into_iter().next().ok_or_else(|| {
        WebError::not_found(format!("task `{task_id}` left no XCom `{key}` in the run `{}`", run.run_id))
            .hint(format!("`flowctl xcoms list {} --run {}` lists them", run.dag_id, run.run_id))
    })
}

#[derive(Deserialize)]
pub(super) struct CreateBody {
    key: String,
    value: Value,
    map_index: Option<i64>,
}

pub(super) async fn create(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    principal: Principal,
    ApiJson(body): ApiJson<CreateBody>,
) -> WebResult<(StatusCode, Json<Value>)> {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let place = XComPlace { run: run.id, task_id: &task_id, map_index: body.map_index.unwrap_or(-1), key: &body.key };
    let change = XComChange::Create(&body.value);
    app.store.change_xcom(app.store.now(), place, change, &principal.0).await?;
    let xcom = find(&app, &run, &task_id, place.map_index, &body.key).await?;
    Ok((StatusCode::CREATED, Json(xcom_json(&xcom, &run))))
}

#[derive(Deserialize)]
pub(super) struct ReplaceBody {
    value: Value,
    map_index: Option<i64>,
}

pub(super) async fn replace(
    State(app): State<App>,
    Path((dag_id, run_id, task_id, key)): XComPath,
    principal: Principal,
    ApiJson(body): ApiJson<ReplaceBody>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let place = XComPlace { run: run.id, task_id: &task_id, map_index: body.map_index.unwrap_or(-1), key: &key };
    let change = XComChange::Replace(&body.value);
    app.store.change_xcom(app.store.now(), place, change, &principal.0).await?;
    Ok(Json(xcom_json(&find(&app, &run, &task_id, place.map_index, &key).await?, &run)))
}

pub(super) async fn delete(
    State(app): State<App>,
    Path((dag_id, run_id, task_id, key)): XComPath,
    principal: Principal,
    ApiQuery(query): ApiQuery<OneQuery>,
) -> WebResult<StatusCode> {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let map_index = query.map_index.unwrap_or(-1);
    let place = XComPlace { run: run.id, task_id: &task_id, map_index, key: &key };
    app.store.change_xcom(app.store.now(), place, XComChange::Delete, &principal.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn xcom_json(xcom: &XComRecord, run: &RunRecord) -> Value {
    json!({
        "key": xcom.key,
        "timestamp": xcom.created_at,
        "logical_date": run.logical_date,
        "map_index": xcom.map_index,
        "task_id": xcom.task_id,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "dag_display_name": run.dag_display_name.as_ref().unwrap_or(&run.dag_id),
        "value": xcom.value,
    })
}
