//! The callbacks of a run, and what became of them.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::runs::find as find_run;
use crate::error::WebResult;
use crate::state::App;

/// Callbacks of one run that are listed.
pub(crate) const CALLBACKS_MAX: i64 = 500;

pub(super) async fn of_run(State(app): State<App>, Path((dag_id, run_id)): Path<(String, String)>) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let callbacks: Vec<Value> = app
        .store
        .list_callbacks(run.id, None, CALLBACKS_MAX)
        .await?
        .iter()
        .map(|callback| {
            let mut fields = json!(callback);
            fields["dag_id"] = json!(run.dag_id);
            fields["dag_run_id"] = json!(run.run_id);
            fields
        })
        .collect();
    Ok(Json(json!({ "callbacks": callbacks, "total_entries": callbacks.len() })))
}
