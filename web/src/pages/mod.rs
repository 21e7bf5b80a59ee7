//! Pages for people: complete without JavaScript, alive with it. A page's main part carries the id `live`; when the
//! pulse says that something has changed, the browser fetches the page again and morphs that part.

mod actions;
mod artifacts;
mod callbacks;
mod dag;
mod dags;
mod error;
mod form;
mod frame;
mod listings;
mod mark;
mod outline;
mod progress;
mod questions;
mod run;
mod secrets;
mod tally;
mod task;
mod trigger;

use axum::Router;
use axum::routing::{get, post};

use crate::state::App;

use error::PageResult;
pub(crate) use error::{PageError, confirm_login_page, login_page};
use frame::{Frame, show};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(dags::page))
        .route("/dags/{dag_id}", get(dag::page))
        .route("/dags/{dag_id}/source", get(dag::source))
        .route("/dags/{dag_id}/trigger", get(trigger::page).post(trigger::submit))
        .route("/dags/{dag_id}/pause", post(actions::pause))
        .route("/dags/{dag_id}/runs/{run_id}", get(run::page))
        .route("/dags/{dag_id}/runs/{run_id}/state", post(actions::set_run_state))
        .route("/dags/{dag_id}/runs/{run_id}/clear", post(actions::clear_failed))
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}", get(task::page))
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/clear", post(actions::clear_task))
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/state", post(actions::set_task_state))
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/answer", get(questions::one).post(questions::answer))
        .route("/questions", get(questions::page))
        .route("/import-errors", get(listings::import_errors))
        .route("/pools", get(listings::pools).post(listings::set_pool))
        .route("/variables", get(secrets::variables).post(secrets::submit_variable))
        .route("/connections", get(secrets::connections).post(secrets::submit_connection))
        .route("/processes", get(listings::processes))
}
