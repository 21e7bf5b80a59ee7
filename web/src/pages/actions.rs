//! What buttons do. Each answers with a redirect to the page that shows the result, so that going back or reloading
//! never does it again.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use flow_model::RunState;
use flow_queue::Bell;
use flow_store::read::RunRecord;
use flow_store::{ClearRequest, Mark, MarkRequest, Selection};
use serde::Deserialize;

use super::frame::{instance_path, run_path};
use super::{Frame, PageResult};
use crate::api::{ALL_BELLS, find_run, set_run_state as set_state};
use crate::auth::Principal;
use crate::error::WebError;
use crate::state::App;

/// A page of ours: one slash, and nothing that a browser could read as another host. Whatever our own pages say is
/// percent-encoded, so only visible ASCII remains.
fn local_path(path: &str) -> &str {
    let is_ours = path.starts_with('/')
        && !path[1..].starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours { path } else { "/" }
}

#[derive(Deserialize)]
pub(super) struct PauseForm {
    paused: bool,
    back: String,
}

pub(super) async fn pause(
    State(app): State<App>,
    frame: Frame,
    Path(dag_id): Path<String>,
    Form(form): Form<PauseForm>,
) -> PageResult {
    app.store.set_dag_paused(app.store.now(), &dag_id, form.paused, &frame.principal).await?;
    app.ring(&[Bell::Scheduler, Bell::Runs]).await;
    Ok(Redirect::to(local_path(&form.back)).into_response())
}

#[derive(Deserialize)]
pub(super) struct StateForm {
    map_index: Option<i64>,
    state: String,
}

pub(super) async fn set_run_state(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id)): Path<(String, String)>,
    Form(form): Form<StateForm>,
) -> PageResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let principal = Principal(frame.principal);
    match form.state.as_str() {
        "cancelled" => {
            app.store.cancel_run(app.store.now(), run.id, &principal.0).await?;
            app.ring(ALL_BELLS).await;
        }
        "queued" => set_state(&app, &run, RunState::Queued, principal).await?,
        "success" => set_state(&app, &run, RunState::Success, principal).await?,
        "failed" => set_state(&app, &run, RunState::Failed, principal).await?,
        other => return Err(WebError::unprocessable(format!("a run cannot be marked `{other}`")).into()),
    }
    Ok(Redirect::to(&run_path(&dag_id, &run_id)).into_response())
}

pub(super) async fn clear_failed(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> PageResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let request =
        ClearRequest { run: run.id, tasks: Selection::default(), only_failed: true, principal: frame.principal };
    app.store.clear_tasks(app.store.now(), &request, false).await?;
    app.ring(ALL_BELLS).await;
    Ok(Redirect::to(&run_path(&dag_id, &run_id)).into_response())
}

#[derive(Deserialize)]
pub(super) struct ClearForm {
    map_index: Option<i64>,
    downstream: Option<String>,
    upstream: Option<String>,
    only_failed: Option<String>,
}

pub(super) async fn clear_task(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Form(form): Form<ClearForm>,
) -> PageResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let (upstream, downstream) = (form.upstream.is_some(), form.downstream.is_some());
    let tasks = Selection { upstream, downstream, ..Selection::of(task_id.clone(), form.map_index) };
    let only_failed = form.only_failed.is_some();
    let request = ClearRequest { run: run.id, tasks, only_failed, principal: frame.principal };
    app.store.clear_tasks(app.store.now(), &request, false).await?;
    app.ring(ALL_BELLS).await;
    back_to(&app, &run, &task_id, form.map_index).await
}

pub(super) async fn set_task_state(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Form(form): Form<StateForm>,
) -> PageResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let to = match form.state.as_str() {
        "success" => Mark::Success,
        "failed" => Mark::Failed,
        "skipped" => Mark::Skipped,
        other => return Err(WebError::unprocessable(format!("a task cannot be marked `{other}`")).into()),
    };
    let tasks = Selection::of(task_id.clone(), form.map_index);
    let request = MarkRequest { run: run.id, tasks, to, principal: frame.principal };
    app.store.mark_tasks(app.store.now(), &request, false).await?;
    app.ring(ALL_BELLS).await;
    back_to(&app, &run, &task_id, form.map_index).await
}

/// To the page of the task; groups are on that of the run.
async fn back_to(app: &App, run: &RunRecord, task_id: &str, map_index: Option<i64>) -> PageResult {
    let graph = app.store.dag_graph(run.version_id).await?;
    let path = match graph.index_of(task_id) {
        Some(_) => instance_path(&run.dag_id, &run.run_id, task_id, map_index.unwrap_or(-1)),
        None => run_path(&run.dag_id, &run.run_id),
    };
    Ok(Redirect::to(&path).into_response())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Uri};
    use proptest::prelude::*;

    use super::local_path;

    #[test]
    fn redirects_stay_here() {
        assert_eq!(local_path("/dags/a?x=1"), "/dags/a?x=1");
        assert_eq!(local_path("/dags/%C3%A9#top"), "/dags/%C3%A9#top");
        for evil in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "evil",
            "",
            "/\t/evil.example",
            "/\0",
            "/a\0b",
            "/\u{1}",
            "/\u{7f}",
            "/\r\nSet-Cookie: a=b",
            "/ /evil.example",
            "/é",
            "/\u{202e}",
            "javascript:alert(1)",
            "\\\\evil",
        ] {
            assert_eq!(local_path(evil), "/", "{evil:?}");
        }
    }

    proptest! {
        /// Whatever is sent, the answer is a header of a path on this host.
        #[test]
        fn every_text_becomes_a_local_path(text in prop_oneof![any::<String>(), "[/\\\\:.a-z\t\r\n\0 @?#%]{0,12}"]) {
            let path = local_path(&text);
            prop_assert!(HeaderValue::from_str(path).is_ok());
            prop_assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'));
            // Where it can be read as a URI at all, it names no host.
            prop_assert!(path.parse::<Uri>().map_or(true, |uri| uri.authority().is_none()));
        }
    }
}
