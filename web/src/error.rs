//! The one error type at the edge: it knows its status, and how to say it to programs and to people.

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flow_model::params::ParamProblem;
use flow_secrets::SecretsError;
use flow_store::StoreError;
use serde_json::{Value, json};

/// A request that cannot be answered as asked.
#[derive(Debug)]
pub(crate) struct WebError {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
    pub(crate) problems: Vec<ParamProblem>,
}

impl From<SecretsError> for WebError {
    fn from(error: SecretsError) -> WebError {
        let SecretsError::Store(error) = error else {
            let text = error.to_string();
            let (detail, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            return WebError::conflict(detail).hint(hint);
        };
        error.into()
    }
}

/// Shorthand for results of handlers.
pub(crate) type WebResult<T = Json<Value>> = Result<T, WebError>;

impl WebError {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> WebError {
        WebError { status, detail: detail.into(), hint: None, problems: Vec::new() }
    }

    /// The request is understood, but what it says cannot be.
    pub(crate) fn unprocessable(detail: impl Into<String>) -> WebError {
        WebError::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The request contradicts the present state.
    pub(crate) fn conflict(detail: impl Into<String>) -> WebError {
        WebError::new(StatusCode::CONFLICT, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> WebError {
        WebError::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> WebError {
        self.hint = Some(hint.into());
        self
    }

    /// Values that do not fit a DAG's params.
    pub(crate) fn params(dag_id: &str, problems: Vec<ParamProblem>) -> WebError {
        let count = problems.len();
        let noun = if count == 1 { "value does" } else { "values do" };
        WebError { problems, ..WebError::unprocessable(format!("{count} {noun} not fit the params of dag `{dag_id}`")) }
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> WebError {
        match error {
            StoreError::NotFound { what, name } => {
                let hint = match what {
                    "dag" => Some("`flowctl dags list` lists them; a file that cannot be read is an import error"),
                    "dag run" => Some("`flowctl runs list <dag>` lists them"),
                    "task" => Some("the task must be part of the DAG version that the run is pinned to"),
                    _ => None,
                };
                WebError {
                    hint: hint.map(str::to_owned),
                    ..WebError::not_found(format!("there is no {what} `{name}`"))
                }
            }
            StoreError::Denied(text) => match text.split_once("; hint: ") {
                Some((detail, hint)) => WebError::new(StatusCode::FORBIDDEN, detail).hint(hint),
                None => WebError::new(StatusCode::FORBIDDEN, text),
            },
            StoreError::Conflict(text) => match text.split_once("; hint: ") {
                Some((detail, hint)) => WebError::conflict(detail).hint(hint),
                None => WebError::conflict(text),
            },
            error if error.is_full() => {
                tracing::error!(error = &error as &dyn std::error::Error, "the database has no room left");
                WebError::new(StatusCode::SERVICE_UNAVAILABLE, "the database's disk is full: nothing can be written")
                    .hint("make room there; Flow goes on by itself")
            }
            error if error.is_transient() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the store did not answer a request");
                WebError::new(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer at present")
                    .hint("try again in a moment; `/readyz` says more")
            }
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed in the store");
                WebError::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed inside flowctl")
                    .hint("the log of the web process says why")
            }
        }
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let mut body = json!({ "detail": self.detail });
        if let Some(hint) = self.hint {
            body["hint"] = hint.into();
        }
        if !self.problems.is_empty() {
            body["errors"] = json!(self.problems);
        }
        (self.status, Json(body)).into_response()
    }
}

/// Whether programs ask at this path, so that they are answered in JSON.
pub(crate) fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
}

/// The answer for paths that lead nowhere.
pub(crate) async fn no_such_page(uri: Uri) -> Response {
    let error = WebError::not_found(format!("there is nothing at `{}`", uri.path()));
    if is_api(uri.path()) { error.into_response() } else { crate::pages::PageError(error).into_response() }
}
