//! About the installation itself.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use flow_store::read::ProcessRecord;
use serde_json::{Value, json};

use crate::auth::Session;
use crate::error::WebResult;
use crate::state::App;

pub(super) async fn version(State(app): State<App>) -> Json<Value> {
    Json(json!({ "version": app.version, "git_version": null }))
}

/// Airflow's shape. Files are read by the scheduler here, so it stands for the DAG processor too.
pub(super) async fn health(State(app): State<App>) -> WebResult {
    let now = app.store.now();
    let processes = match app.store.list_processes().await {
        Ok(processes) => processes,
        Err(error) if error.is_transient() => {
            return Ok(Json(json!({
                "metadatabase": { "status": "unhealthy" },
                "scheduler": { "status": "unhealthy", "latest_scheduler_heartbeat": null },
            })));
        }
        Err(error) => return Err(error.into()),
    };
    let part = |kind: &str, heartbeat_name: &str| {
        let all: Vec<&ProcessRecord> = processes.iter().filter(|process| process.kind == kind).collect();
        let is_alive = all.iter().any(|process| process.lease_until > now);
        let status = match (all.is_empty(), is_alive) {
            (_, true) => json!("healthy"),
            (true, false) if kind == "triggerer" => Value::Null,
            _ => json!("unhealthy"),
        };
        json!({ "status": status, heartbeat_name: all.iter().map(|process| process.heartbeat_at).max() })
    };
    Ok(Json(json!({
        "metadatabase": { "status": "healthy" },
        "scheduler": part("scheduler", "latest_scheduler_heartbeat"),
        "triggerer": part("triggerer", "latest_triggerer_heartbeat"),
        "dag_processor": part("scheduler", "latest_dag_processor_heartbeat"),
        "worker": part("worker", "latest_worker_heartbeat"),
    })))
}

pub(super) async fn processes(State(app): State<App>) -> WebResult {
    let now = app.store.now();
    let processes = app.store.list_processes().await?;
    let rows: Vec<Value> = processes
        .iter()
        .map(|process| {
            json!({
                "id": process.id,
                "kind": process.kind,
                "slot": process.slot,
                "host": process.host,
                "pid": process.pid,
                "version": process.version,
                "state": process.state,
                "is_alive": process.lease_until > now,
                "queues": process.queues.as_deref().filter(|queues| !queues.is_empty())
                    .map(|queues| queues.split(',').collect::<Vec<_>>()),
                "concurrency": process.concurrency,
                "running": process.running,
                "lease_until": process.lease_until,
                "started_at": process.started_at,
                "heartbeat_at": process.heartbeat_at,
            })
        })
        .collect();
    Ok(Json(json!({ "processes": rows, "total_entries": rows.len() })))
}

pub(super) async fn events(State(app): State<App>, session: Session) -> WebResult<Response> {
    crate::stream::changes(&app, session)
}
