//! What starts a DAG from outside.

use axum::Json;
use axum::extract::{Path, State};
use flow_model::start::Start;
use flow_store::StartRecord;
use serde_json::{Value, json};

use crate::error::WebResult;
use crate::state::App;

pub(super) async fn list(State(app): State<App>, Path(dag_id): Path<String>) -> WebResult {
    app.store.find_dag(&dag_id).await?;
    let starts: Vec<Value> = app.store.list_starts(&dag_id).await?.iter().map(start_json).collect();
    Ok(Json(json!({ "dag_id": dag_id, "starts": starts })))
}

fn start_json(record: &StartRecord) -> Value {
    json!({
        "kind": record.start.kind(),
        "name": record.start.name(),
        "address": address(&record.start),
        "settings": record.start,
        "began_at": record.began_at,
        "looked_at": record.looked_at,
        "problem": record.problem,
    })
}

/// Where requests to a webhook go.
pub(crate) fn address(start: &Start) -> Option<String> {
    match start {
        Start::Webhook(webhook) => Some(format!("/hooks/{}", webhook.name)),
        Start::Stream(_) | Start::Files(_) => None,
    }
}
