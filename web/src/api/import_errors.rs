//! Files in the DAG folder that cannot be read.

use axum::Json;
use axum::extract::State;
use flow_model::limits::ROWS_PER_PAGE_MAX;
use serde_json::{Value, json};

use super::PageQuery;
use crate::error::WebResult;
use crate::extract::ApiQuery;
use crate::state::App;

pub(super) async fn list(State(app): State<App>, ApiQuery(query): ApiQuery<PageQuery>) -> WebResult {
    let (errors, total) = app.store.list_import_errors(query.page(ROWS_PER_PAGE_MAX)).await?;
    let errors: Vec<Value> = errors
        .iter()
        .map(|error| {
            json!({
                "filename": error.file_path,
                "dag_id": error.dag_id,
                "timestamp": error.seen_at,
                "stack_trace": error.rendered,
                "diagnostics": error.diagnostics,
            })
        })
        .collect();
    Ok(Json(json!({ "import_errors": errors, "total_entries": total })))
}
