//! What every page has around its content.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};

use super::{PageError, PageResult};
use crate::assets;
use crate::auth::Principal;
use crate::error::WebError;
use crate::state::App;

/// The frame of a page.
pub(super) struct Frame {
    /// Who is logged in; empty on pages for everybody.
    pub(super) principal: String,
    /// The page's own path and query, from which it is refreshed.
    pub(super) here: String,
    pub(super) version: &'static str,
    /// Questions that wait for an answer.
    pub(super) open_questions: i64,
}

impl Frame {
    /// For pages that everybody may see.
    pub(super) fn public() -> Frame {
        Frame { principal: String::new(), here: "/".to_owned(), version: "", open_questions: 0 }
    }

    pub(super) fn asset(&self, name: &str) -> String {
        assets::path(name)
    }
}

impl FromRequestParts<App> for Frame {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> PageResult<Frame> {
        let principal = Principal::from_request_parts(parts, app).await.map_err(PageError)?.0;
        let here = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let open_questions = app.store.count_open_questions().await.map_err(WebError::from)?;
        Ok(Frame { principal, here, version: app.version, open_questions })
    }
}

/// Renders a page.
pub(super) fn show(page: &impl Template) -> PageResult<Response> {
    show_with(StatusCode::OK, page)
}

/// Renders a page that answers with a status of its own.
pub(super) fn show_with(status: StatusCode, page: &impl Template) -> PageResult<Response> {
    match page.render() {
        Ok(html) => Ok((status, Html(html)).into_response()),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not render a page");
            Err(PageError(WebError::new(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered")))
        }
    }
}

/// Text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:+@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}

/// The path of a DAG's page.
pub(super) fn dag_path(dag_id: &str) -> String {
    format!("/dags/{}", segment(dag_id))
}

/// The path of a run's page.
pub(super) fn run_path(dag_id: &str, run_id: &str) -> String {
    format!("/dags/{}/runs/{}", segment(dag_id), segment(run_id))
}

/// The path of a task's page.
/// The page of one instance of a task; that of the task where it is not mapped.
pub(super) fn instance_path(dag_id: &str, run_id: &str, task_id: &str, map_index: i64) -> String {
    let path = task_path(dag_id, run_id, task_id);
    if map_index < 0 { path } else { format!("{path}?map_index={map_index}") }
}

pub(super) fn task_path(dag_id: &str, run_id: &str, task_id: &str) -> String {
    format!("{}/tasks/{}", run_path(dag_id, run_id), segment(task_id))
}
