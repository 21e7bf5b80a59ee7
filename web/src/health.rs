//! Probes: is the process up, and can it work. Everybody may ask that; what exactly is missing is told where metrics are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::state::App;

/// A probe must be answered within this time.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// For how long an answer counts: asking needs no login, so it must not cost the database anything.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// What was found last, and when. Only one probe looks at a time; others wait for what it finds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<Mutex<Option<(Instant, Ready)>>>);

/// Whether the process can work, in one word and in detail.
#[derive(Debug, Clone)]
struct Ready {
    is_ready: bool,
    details: Value,
}

impl Ready {
    fn status(&self) -> StatusCode {
        if self.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }
}

/// What load balancers ask, on the port that everybody reaches.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(bare))
}

/// What operators ask, on the port for them.
pub(crate) fn detailed_routes() -> Router<App> {
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(detailed))
}

async fn bare(State(app): State<App>) -> Response {
    let ready = ready(&app).await;
    (ready.status(), if ready.is_ready { "ok\n" } else { "not ready\n" }).into_response()
}

async fn detailed(State(app): State<App>) -> Response {
    let ready = ready(&app).await;
    (ready.status(), Json(ready.details)).into_response()
}

async fn ready(app: &App) -> Ready {
    let mut last = app.readiness.0.lock().await;
    match &*last {
        Some((at, ready)) if at.elapsed() < FRESH_FOR => ready.clone(),
        _ => {
            let ready = look(app).await;
            *last = Some((Instant::now(), ready.clone()));
            ready
        }
    }
}

async fn look(app: &App) -> Ready {
    let store = probe(app.store.check_writes()).await;
    let schema =
        if store.is_ok() { probe(app.store.require_current_schema()).await } else { Err("not looked at".to_owned()) };
    let queue = probe(app.queue.ping()).await;
    let is_ready = store.is_ok() && schema.is_ok() && queue.is_ok();
    let details = json!({ "ready": is_ready, "store": said(&store), "schema": said(&schema), "queue": said(&queue) });
    Ready { is_ready, details }
}

async fn probe<E: std::error::Error>(asked: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    match tokio::time::timeout(PROBE_WITHIN, asked).await {
        Ok(result) => result.map_err(|error| flow_model::error_chain(&error)),
        Err(_) => Err("no answer within 1 s".to_owned()),
    }
}

fn said(result: &Result<(), String>) -> Value {
    match result {
        Ok(()) => "ok".into(),
        Err(why) => why.as_str().into(),
    }
}
