//! Probes: is the process up, and can it work.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::state::App;

/// A probe must be answered within this time.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready))
}

async fn ready(State(app): State<App>) -> Response {
    let store = probe(app.store.ping()).await;
    let schema =
        if store.is_ok() { probe(app.store.require_current_schema()).await } else { Err("not looked at".to_owned()) };
    let queue = probe(app.queue.ping()).await;
    let is_ready = store.is_ok() && schema.is_ok() && queue.is_ok();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": is_ready, "store": said(&store), "schema": said(&schema), "queue": said(&queue) });
    (status, Json(body)).into_response()
}

async fn probe<E: std::error::Error>(asked: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    match tokio::time::timeout(PROBE_WITHIN, asked).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("no answer within 1 s".to_owned()),
    }
}

fn said(result: &Result<(), String>) -> Value {
    match result {
        Ok(()) => "ok".into(),
        Err(why) => why.as_str().into(),
    }
}
