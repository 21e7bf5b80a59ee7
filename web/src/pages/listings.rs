//! Import errors, pools and processes.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use flow_store::Pool;
use flow_store::read::Page;
use serde::Deserialize;

use super::frame::dag_path;
use super::mark::Time;
use super::{Frame, PageResult, show};
use crate::api::set_pool as change_pool;
use crate::auth::Principal;
use crate::state::App;
use crate::words;

/// Import errors on the page.
const IMPORT_ERRORS_MAX: i64 = 100;

#[derive(Template)]
#[template(path = "import_errors.html")]
struct ImportErrorsPage {
    frame: Frame,
    errors: Vec<ErrorRow>,
    total: i64,
}

struct ErrorRow {
    file: String,
    dag_id: String,
    dag_path: String,
    seen: Time,
    text: String,
}

pub(super) async fn import_errors(State(app): State<App>, frame: Frame) -> PageResult {
    let (errors, total) = app.store.list_import_errors(Page::first(IMPORT_ERRORS_MAX)).await?;
    let errors = errors
        .into_iter()
        .map(|error| {
            let dag_id = error.dag_id.unwrap_or_default();
            ErrorRow {
                file: error.file_path,
                dag_path: dag_path(&dag_id),
                dag_id,
                seen: error.seen_at.into(),
                text: error.rendered,
            }
        })
        .collect();
    show(&ImportErrorsPage { frame, errors, total })
}

#[derive(Template)]
#[template(path = "pools.html")]
struct PoolsPage {
    frame: Frame,
    pools: Vec<Pool>,
}

pub(super) async fn pools(State(app): State<App>, frame: Frame) -> PageResult {
    show(&PoolsPage { frame, pools: app.store.pools_in_use().await? })
}

#[derive(Deserialize)]
pub(super) struct PoolForm {
    name: String,
    slots: i64,
    #[serde(default)]
    description: String,
}

pub(super) async fn set_pool(State(app): State<App>, frame: Frame, Form(form): Form<PoolForm>) -> PageResult {
    let description = Some(form.description.trim()).filter(|text| !text.is_empty());
    change_pool(&app, form.name.trim(), form.slots, description, Principal(frame.principal)).await?;
    Ok(Redirect::to("/pools").into_response())
}

#[derive(Template)]
#[template(path = "processes.html")]
struct ProcessesPage {
    frame: Frame,
    processes: Vec<ProcessRow>,
}

struct ProcessRow {
    kind: String,
    slot: String,
    host: String,
    pid: i64,
    version: String,
    state: String,
    is_alive: bool,
    queues: String,
    load: String,
    started: Time,
    heard: String,
}

pub(super) async fn processes(State(app): State<App>, frame: Frame) -> PageResult {
    let now = app.store.now();
    let processes = app
        .store
        .list_processes()
        .await?
        .into_iter()
        .map(|process| ProcessRow {
            is_alive: process.lease_until > now,
            load: process.concurrency.map_or(String::new(), |most| format!("{} of {most}", process.running)),
            heard: words::length(now.since(process.heartbeat_at)),
            started: process.started_at.into(),
            queues: process.queues.unwrap_or_default(),
            kind: process.kind,
            slot: process.slot,
            host: process.host,
            pid: process.pid,
            version: process.version,
            state: process.state,
        })
        .collect();
    show(&ProcessesPage { frame, processes })
}
