//! The REST API: Airflow's paths and field names under `/api/v2`, what is only Flow's under `/api/flow`.

mod artifacts;
mod callbacks;
mod connections;
mod dags;
mod follow;
mod import_errors;
mod logs;
mod pools;
mod questions;
mod runs;
mod starts;
mod system;
mod task_instances;
mod variables;
mod xcoms;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use flow_model::limits::VALUE_REQUEST_BYTES_MAX;
use flow_store::read::Page;
use serde::Deserialize;

use crate::error::{WebError, WebResult};
use crate::state::App;

pub(crate) use callbacks::CALLBACKS_MAX;
pub(crate) use connections::{connection_json, delete_connection, set_connection};
pub(crate) use dags::{graph_of, upcoming};
pub(crate) use logs::has_ended as log_has_ended;
pub(crate) use pools::set_pool;
pub(crate) use questions::answer;
pub(crate) use runs::{ALL_BELLS, Trigger, find as find_run, set_state as set_run_state, trigger};
pub(crate) use starts::address as start_address;
pub(crate) use task_instances::find as find_instance;
pub(crate) use variables::{VariableSet, delete_variable, set_variable, shown_value, unreadable};

/// Rows of a listing unless the request says otherwise.
const LIMIT: i64 = 50;

/// Which part of a listing a request wants.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    limit: Option<i64>,
    offset: Option<i64>,
}

impl PageQuery {
    fn page(&self, limit_max: i64) -> Page {
        Page::new(self.limit.unwrap_or(LIMIT), self.offset.unwrap_or(0), limit_max)
    }
}

/// Names of variables and connections become parts of paths, and of names of environment variables.
fn check_name(what: &str, name: &str, chars_max: usize, punctuation: &str) -> WebResult<()> {
    let is_usable = |c: char| c.is_alphanumeric() || punctuation.contains(c);
    let is_step = |step: &str| step.is_empty() || step == "." || step == "..";
    if name.chars().count() > chars_max || !name.chars().all(is_usable) || name.split('/').any(is_step) {
        return Err(WebError::unprocessable(format!("`{name}` is not usable as the name of a {what}"))
            .hint(format!("names have 1 to {chars_max} letters, digits and `{punctuation}`")));
    }
    Ok(())
}

pub(crate) fn routes() -> Router<App> {
    let large = DefaultBodyLimit::max(VALUE_REQUEST_BYTES_MAX);
    const RUN: &str = "/api/v2/dags/{dag_id}/dagRuns/{run_id}";
    const FLOW_RUN: &str = "/api/flow/dags/{dag_id}/dagRuns/{run_id}";
    let task = |rest: &str| format!("{RUN}/taskInstances/{{task_id}}{rest}");
    let flow_task = |rest: &str| format!("{FLOW_RUN}/taskInstances/{{task_id}}{rest}");
    Router::new()
        .route("/api/v2/version", get(system::version))
        .route("/api/v2/monitor/health", get(system::health))
        .route("/api/flow/processes", get(system::processes))
        .route("/api/flow/events", get(system::events))
        .route("/api/v2/dags", get(dags::list))
        .route("/api/v2/dags/{dag_id}", get(dags::one).patch(dags::patch))
        .route("/api/v2/dags/{dag_id}/details", get(dags::details))
        .route("/api/v2/dagSources/{dag_id}", get(dags::source))
        .route("/api/v2/dags/{dag_id}/tasks", get(dags::tasks))
        .route("/api/v2/dags/{dag_id}/dagVersions", get(dags::versions))
        .route("/api/flow/dags/{dag_id}/next", get(dags::next))
        .route("/api/flow/dags/{dag_id}/starts", get(starts::list))
        .route("/api/v2/dags/{dag_id}/dagRuns", get(runs::list).post(runs::create))
        .route(RUN, get(runs::one).patch(runs::patch))
        .route(&format!("{FLOW_RUN}/cancel"), post(runs::cancel))
        .route(&format!("{FLOW_RUN}/follow"), get(follow::run))
        .route(&format!("{FLOW_RUN}/artifacts"), get(artifacts::of_run))
        .route(&format!("{FLOW_RUN}/callbacks"), get(callbacks::of_run))
        .route(&flow_task("/artifacts"), get(artifacts::of_task))
        .route(&flow_task("/artifacts/content"), get(artifacts::content))
        .route(&format!("{RUN}/taskInstances"), get(task_instances::list))
        .route(&task(""), get(task_instances::one).patch(task_instances::mark))
        .route(&task("/listMapped"), get(task_instances::list_mapped))
        .route(&task("/tries"), get(task_instances::tries))
        .route(&task("/xcomEntries"), get(xcoms::list).post(xcoms::create).layer(large))
        .route(&task("/xcomEntries/{key}"), get(xcoms::one).patch(xcoms::replace).delete(xcoms::delete).layer(large))
        .route(&task("/logs/{try_number}"), get(logs::read))
        .route(&flow_task("/logs/{try_number}/follow"), get(logs::follow))
        .route(&flow_task("/explain"), get(task_instances::explain))
        .route("/api/v2/dags/{dag_id}/clearTaskInstances", post(task_instances::clear))
        .route(&format!("{RUN}/hitlDetails"), get(questions::list))
        .route(&task("/{map_index}/hitlDetails"), get(questions::one).patch(questions::respond))
        .route("/api/v2/pools", get(pools::list).post(pools::create))
        .route("/api/v2/pools/{name}", get(pools::one).patch(pools::set))
        .route("/api/v2/variables", get(variables::list).post(variables::create).layer(large))
        .route(
            "/api/v2/variables/{*key}",
            get(variables::one).patch(variables::patch).delete(variables::delete).layer(large),
        )
        .route("/api/v2/connections", get(connections::list).post(connections::create))
        .route(
            "/api/v2/connections/{connection_id}",
            get(connections::one).patch(connections::patch).delete(connections::delete),
        )
        .route("/api/v2/importErrors", get(import_errors::list))
}
