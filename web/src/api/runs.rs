//! DAG runs: listing, triggering, marking, cancelling.

use std::fmt::Display;
use std::str::FromStr;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use flow_model::limits::{NOTE_CHARACTERS_MAX, ROWS_PER_PAGE_MAX, RUN_ID_CHARACTERS_MAX};
use flow_model::outside::is_step;
use flow_model::params::resolve_params;
use flow_model::state::TriggeredBy;
use flow_model::suggest::nearest;
use flow_model::{Dag, RunReason, RunState, RunType, Timestamp};
use flow_queue::Bell;
use flow_store::read::{Page, RunFilter, RunOrder, RunRecord};
use flow_store::{ClearRequest, NewRun, RunCreated, Selection};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::LIMIT;
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::App;
use crate::words;

/// Everybody who may have to look after somebody intervened.
pub(crate) const ALL_BELLS: &[Bell] = &[Bell::Scheduler, Bell::Workers, Bell::Runs];

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    offset: Option<i64>,
    #[serde(default)]
    state: Vec<String>,
    #[serde(default)]
    reason: Vec<String>,
    order_by: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Path(dag_id): Path<String>,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> WebResult {
    let dag_id = (dag_id != "~").then_some(dag_id);
    if let Some(dag_id) = &dag_id {
        app.store.find_dag(dag_id).await?;
    }
    let filter = RunFilter {
        dag_id,
        states: named("state of a run", &query.state, RunState::ALL)?,
        reasons: named("reason", &query.reason, RunReason::ALL)?,
        order: order(query.order_by.as_deref().unwrap_or("-id"))?,
    };
    let page = Page::new(query.limit.unwrap_or(LIMIT), query.offset.unwrap_or(0), ROWS_PER_PAGE_MAX);
    let (runs, total) = app.store.list_runs(&filter, page).await?;
    let runs: Vec<Value> = runs.iter().map(run_json).collect();
    Ok(Json(json!({ "dag_runs": runs, "total_entries": total })))
}

/// What names mean, each of which is one of these.
fn named<T: FromStr + Display>(what: &str, names: &[String], all: &[T]) -> WebResult<Vec<T>> {
    let read = |name: &String| {
        name.parse().map_err(|_| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            let hint = match nearest(name, all.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`? There are {}", all.join(", ")),
                None => format!("use {}", all.join(", ")),
            };
            WebError::unprocessable(format!("there is no {what} `{name}`")).hint(hint)
        })
    };
    names.iter().map(read).collect()
}

fn order(order_by: &str) -> WebResult<RunOrder> {
    let descending = order_by.starts_with('-');
    let field = match order_by.trim_start_matches('-') {
        "id" | "dag_run_id" | "queued_at" | "created_at" => {
            return Ok(if descending { RunOrder::NewestFirst } else { RunOrder::OldestFirst });
        }
        "run_after" => "run_after",
        "logical_date" => "logical_date",
        "start_date" => "start_date",
        "end_date" => "end_date",
        other => {
            return Err(WebError::unprocessable(format!("runs cannot be ordered by `{other}`")).hint(
                "use `id`, `queued_at`, `run_after`, `logical_date`, `start_date` or `end_date`, with `-` for latest first",
            ));
        }
    };
    Ok(RunOrder::By { field, descending })
}

pub(super) async fn one(State(app): State<App>, Path((dag_id, run_id)): Path<(String, String)>) -> WebResult {
    Ok(Json(run_json(&find(&app, &dag_id, &run_id).await?)))
}

/// A run; if there is none, it is told whether at least the DAG exists.
pub(crate) async fn find(app: &App, dag_id: &str, run_id: &str) -> WebResult<RunRecord> {
    match app.store.find_run(dag_id, run_id).await {
        Ok(run) => Ok(run),
        Err(flow_store::StoreError::NotFound { .. }) => {
            app.store.find_dag(dag_id).await?;
            Err(WebError::not_found(format!("dag `{dag_id}` has no run `{run_id}`"))
                .hint(format!("`flowctl runs list {dag_id}` lists them")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks for a run. An absent logical date means now, null means none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trigger {
    pub(crate) dag_run_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) logical_date: Option<Option<Timestamp>>,
    pub(crate) run_after: Option<Timestamp>,
    pub(crate) data_interval_start: Option<Timestamp>,
    pub(crate) data_interval_end: Option<Timestamp>,
    pub(crate) conf: Option<Map<String, Value>>,
    pub(crate) note: Option<String>,
}

/// Tells a value that is null from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::<Timestamp>::deserialize(deserializer).map(Some)
}

pub(super) async fn create(
    State(app): State<App>,
    Path(dag_id): Path<String>,
    principal: Principal,
    headers: HeaderMap,
    ApiJson(asked): ApiJson<Trigger>,
) -> WebResult {
    let is_cli = headers.get("x-flow-client").is_some_and(|client| client == "cli");
    let door = if is_cli { TriggeredBy::Cli } else { TriggeredBy::RestApi };
    let created = trigger(&app, &dag_id, asked, door, principal).await?;
    let mut body = run_json(&app.store.find_run(&dag_id, &created.run_id).await?);
    body["dag_is_paused"] = created.dag_is_paused.into();
    Ok(Json(body))
}

/// Checks what is asked against the DAG's params, creates the run and wakes the scheduler.
pub(crate) async fn trigger(
    app: &App,
    dag_id: &str,
    asked: Trigger,
    door: TriggeredBy,
    principal: Principal,
) -> WebResult<RunCreated> {
    let dag = app.store.find_dag(dag_id).await?;
    if !dag.is_active {
        return Err(WebError::conflict(format!("the file `{}` of dag `{dag_id}` is gone", dag.file_path))
            .hint("put the file back to run the DAG again"));
    }
    if let Some(run_id) = &asked.dag_run_id {
        check_run_id(run_id)?;
    }
    check_note(asked.note.as_deref())?;
    let graph = super::dags::graph_of(app, &dag).await?;
    let conf = asked.conf.clone().unwrap_or_default();
    resolve_params(&graph.dag.params, &conf).map_err(|problems| WebError::params(dag_id, problems))?;
    let now = app.store.now();
    let logical_date = asked.logical_date.unwrap_or(Some(now));
    let data_interval = data_interval(&asked, logical_date, &graph.dag)?;
    let new = NewRun {
        dag_id: dag_id.to_owned(),
        run_id: asked.dag_run_id,
        run_type: RunType::Manual,
        triggered_by: door,
        principal: principal.0,
        logical_date,
        data_interval,
        run_after: asked.run_after.unwrap_or(now),
        conf,
        note: asked.note,
    };
    let created = app.store.create_run(now, &new).await?;
    app.ring(&[Bell::Scheduler, Bell::Runs]).await;
    Ok(created)
}

/// The data interval that is asked for, or the one that the schedule has for the logical date.
fn data_interval(
    asked: &Trigger,
    logical_date: Option<Timestamp>,
    dag: &Dag,
) -> WebResult<Option<(Timestamp, Timestamp)>> {
    match (asked.data_interval_start, asked.data_interval_end) {
        (None, None) => Ok(logical_date.map(|date| dag.manual_interval(date))),
        (Some(start), Some(end)) if start <= end => Ok(Some((start, end))),
        (Some(start), Some(end)) => {
            Err(WebError::unprocessable(format!("the data interval ends at {end}, before it begins at {start}"))
                .hint("swap `data_interval_start` and `data_interval_end`"))
        }
        _ => Err(WebError::unprocessable("a data interval needs both its ends")
            .hint("pass `data_interval_start` and `data_interval_end`, or neither")),
    }
}

fn check_run_id(run_id: &str) -> WebResult<()> {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "_.~:+-".contains(character);
    if run_id.is_empty() || is_step(run_id) || run_id.len() > RUN_ID_CHARACTERS_MAX || !run_id.chars().all(is_allowed) {
        return Err(WebError::unprocessable(format!("`{run_id}` cannot be a run id"))
            .hint(format!("use letters, digits and `_.~:+-`, at most {RUN_ID_CHARACTERS_MAX} characters")));
    }
    Ok(())
}

fn check_note(note: Option<&str>) -> WebResult<()> {
    if note.is_some_and(|note| note.chars().count() > NOTE_CHARACTERS_MAX) {
        return Err(WebError::unprocessable(format!("a note has at most {NOTE_CHARACTERS_MAX} characters")));
    }
    Ok(())
}

#[derive(Deserialize)]
pub(super) struct Patch {
    state: Option<RunState>,
    note: Option<String>,
}

pub(super) async fn patch(
    State(app): State<App>,
    Path((dag_id, run_id)): Path<(String, String)>,
    principal: Principal,
    ApiJson(patch): ApiJson<Patch>,
) -> WebResult {
    let run = find(&app, &dag_id, &run_id).await?;
    check_note(patch.note.as_deref())?;
    match patch.state {
        Some(RunState::Running) => {
            return Err(WebError::unprocessable("a run cannot be marked running")
                .hint("use `queued` to clear all its tasks, `success` or `failed`"));
        }
        Some(state) => set_state(&app, &run, state, principal).await?,
        None => {}
    }
    if let Some(note) = &patch.note {
        app.store.set_run_note(run.id, Some(note)).await?;
    }
    app.ring(ALL_BELLS).await;
    one(State(app), Path((dag_id, run_id))).await
}

/// Gives a run a final state, or (`queued`) clears all its tasks so that it runs again.
pub(crate) async fn set_state(app: &App, run: &RunRecord, state: RunState, principal: Principal) -> WebResult<()> {
    let now = app.store.now();
    if state.is_finished() {
        app.store.mark_run(now, run.id, state, &principal.0).await?;
    } else {
        let tasks = Selection::default();
        let request = ClearRequest { run: run.id, tasks, only_failed: false, principal: principal.0 };
        app.store.clear_tasks(now, &request, false).await?;
    }
    app.ring(ALL_BELLS).await;
    Ok(())
}

pub(super) async fn cancel(
    State(app): State<App>,
    Path((dag_id, run_id)): Path<(String, String)>,
    principal: Principal,
) -> WebResult {
    let run = find(&app, &dag_id, &run_id).await?;
    app.store.cancel_run(app.store.now(), run.id, &principal.0).await?;
    app.ring(ALL_BELLS).await;
    one(State(app), Path((dag_id, run_id))).await
}

pub(super) fn run_json(run: &RunRecord) -> Value {
    json!({
        "dag_run_id": run.run_id,
        "dag_id": run.dag_id,
        "dag_display_name": run.dag_display_name.as_ref().unwrap_or(&run.dag_id),
        "logical_date": run.logical_date,
        "data_interval_start": run.data_interval_start,
        "data_interval_end": run.data_interval_end,
        "run_after": run.run_after,
        "queued_at": run.created_at,
        "start_date": run.started_at,
        "end_date": run.ended_at,
        "duration": words::seconds(run.started_at, run.ended_at),
        "run_type": run.run_type,
        "state": run.state,
        "triggered_by": run.triggered_by,
        "triggering_user_name": run.principal,
        "conf": run.conf,
        "note": run.note,
        "dag_versions": [{
            "id": run.version_id,
            "version_number": run.version_number,
            "dag_id": run.dag_id,
            "created_at": run.version_created_at,
        }],
        "reason": run.reason,
    })
}
