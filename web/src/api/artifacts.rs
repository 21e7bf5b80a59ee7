//! Artifacts: listing and downloading what tries have left. What is downloaded comes from a task, so browsers may only
//! store it: it is never shown as a page of ours.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flow_store::Artifact;
use flow_store::read::RunRecord;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;

use super::runs::find as find_run;
use super::task_instances::{MapIndexQuery, TaskPath, find as find_instance};
use crate::error::{WebError, WebResult};
use crate::extract::ApiQuery;
use crate::state::App;

pub(super) async fn of_run(State(app): State<App>, Path((dag_id, run_id)): Path<(String, String)>) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    Ok(Json(listing(&app.store.list_artifacts(run.id, None).await?, &run)))
}

pub(super) async fn of_task(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    ApiQuery(query): ApiQuery<MapIndexQuery>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find_instance(&app, &run, &task_id, query.map_index.unwrap_or(-1)).await?;
    Ok(Json(listing(&app.store.list_artifacts(run.id, Some(instance.id)).await?, &run)))
}

fn listing(artifacts: &[Artifact], run: &RunRecord) -> Value {
    let entries: Vec<Value> = artifacts
        .iter()
        .map(|artifact| {
            json!({
                "dag_id": run.dag_id,
                "dag_run_id": run.run_id,
                "task_id": artifact.task_id,
                "map_index": artifact.map_index,
                "try_number": artifact.try_number,
                "name": artifact.name,
                "size": artifact.size,
                "sha256": artifact.sha256,
                "created_at": artifact.created_at(),
            })
        })
        .collect();
    json!({ "artifacts": entries, "total_entries": entries.len() })
}

#[derive(Deserialize)]
pub(super) struct ContentQuery {
    map_index: Option<i64>,
    /// The try that left it; the newest that left one without it.
    try_number: Option<i64>,
    name: String,
}

pub(super) async fn content(
    State(app): State<App>,
    Path((dag_id, run_id, task_id)): TaskPath,
    ApiQuery(query): ApiQuery<ContentQuery>,
) -> WebResult<Response> {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let instance = find_instance(&app, &run, &task_id, query.map_index.unwrap_or(-1)).await?;
    let artifacts = app.store.list_artifacts(run.id, Some(instance.id)).await?;
    let is_wanted = |artifact: &Artifact| {
        artifact.name == query.name && query.try_number.is_none_or(|number| number == artifact.try_number)
    };
    let Some(artifact) = artifacts.into_iter().rfind(is_wanted) else {
        return Err(WebError::not_found(format!("task `{task_id}` left no artifact `{}`", query.name))
            .hint(format!("`flowctl artifacts list {dag_id} --run {run_id}` lists them")));
    };
    Ok((headers(&artifact), pieces(app, artifact)).into_response())
}

/// The content as it is read, one piece at a time.
fn pieces(app: App, artifact: Artifact) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    tokio::spawn(async move {
        for seq in 0.. {
            let piece = match app.store.artifact_piece(artifact.id, seq).await {
                Ok(Some(piece)) => Ok(Bytes::from(piece)),
                Ok(None) => return,
                Err(error) => Err(std::io::Error::other(error)),
            };
            let is_broken = piece.is_err();
            if sender.send(piece).await.is_err() || is_broken {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

fn headers(artifact: &Artifact) -> [(HeaderName, HeaderValue); 5] {
    let fixed = HeaderValue::from_static;
    [
        (header::CONTENT_TYPE, fixed(content_type(&artifact.name))),
        (header::CONTENT_LENGTH, HeaderValue::from(artifact.size)),
        (header::CONTENT_DISPOSITION, disposition(&artifact.name)),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::CONTENT_SECURITY_POLICY, fixed("default-src 'none'; sandbox")),
    ]
}

/// Nothing that a browser would run, whatever the file is.
fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "log" | "csv" | "tsv" | "md" | "json" | "jsonl" | "yaml" | "yml" | "toml" => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    }
}

/// The last part of the name, percent-encoded: it comes from a task, and headers have rules of their own.
fn disposition(name: &str) -> HeaderValue {
    use std::fmt::Write;
    let file = name.rsplit('/').next().unwrap_or(name);
    let encoded = file.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    });
    HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{content_type, disposition};

    #[test]
    fn nothing_is_given_a_type_that_browsers_run() {
        for (name, expected) in [
            ("a.csv", "text/plain; charset=utf-8"),
            ("a.HTML", "application/octet-stream"),
            ("a.svg", "application/octet-stream"),
            ("noextension", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
        assert_eq!(disposition("plots/May 1.png"), "attachment; filename*=UTF-8''May%201.png");
    }

    proptest! {
        #[test]
        fn a_name_never_leaves_its_place_in_the_header(name in ".{0,40}") {
            let value = disposition(&name);
            let text = value.to_str().unwrap();
            let encoded = text.strip_prefix("attachment; filename*=UTF-8''").unwrap();
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        }
    }
}
