//! One run and its task instances.

use askama::Template;
use axum::extract::{Path, State};
use flow_model::DagGraph;
use flow_store::read::{RunRecord, TaskInstanceRecord};
use serde::Deserialize;

use super::artifacts::{ArtifactRow, rows as artifact_rows};
use super::callbacks::{CallbackRow, rows as callback_rows};
use super::frame::{dag_path, instance_path, run_path, task_path};
use super::mark::{Mark, Time, duration};
use super::outline::{Line, outline};
use super::progress::{OutlineRow, outline_rows};
use super::{Frame, PageResult, show};
use crate::api::{CALLBACKS_MAX, find_run};
use crate::extract::ApiQuery;
use crate::state::App;

/// Rows on a page.
pub(super) const PER_PAGE: i64 = 200;

#[derive(Deserialize)]
pub(super) struct Query {
    page: Option<i64>,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    head: RunHead,
    rows: Vec<OutlineRow>,
    artifacts: Vec<ArtifactRow>,
    callbacks: Vec<CallbackRow>,
    total: i64,
    previous: Option<String>,
    next: Option<String>,
}

/// What is told about a run.
pub(super) struct RunHead {
    pub(super) dag_name: String,
    pub(super) dag_path: String,
    pub(super) run_id: String,
    pub(super) path: String,
    pub(super) mark: Mark,
    pub(super) is_over: bool,
    pub(super) reason: String,
    pub(super) kind: String,
    pub(super) logical_date: Option<Time>,
    pub(super) run_after: Time,
    pub(super) started: Option<Time>,
    pub(super) length: String,
    pub(super) version: i64,
    pub(super) conf: String,
    pub(super) note: String,
}

impl RunHead {
    pub(super) fn new(app: &App, run: &RunRecord) -> RunHead {
        let who = run.principal.as_ref().map_or(String::new(), |who| format!(" by {who}"));
        RunHead {
            dag_name: run.dag_display_name.clone().unwrap_or_else(|| run.dag_id.clone()),
            dag_path: dag_path(&run.dag_id),
            run_id: run.run_id.clone(),
            path: run_path(&run.dag_id, &run.run_id),
            mark: run.state.into(),
            is_over: run.state.is_finished(),
            reason: run.reason.clone().unwrap_or_default(),
            kind: format!("{}, through {}{who}", run.run_type, run.triggered_by),
            logical_date: run.logical_date.map(Time::from),
            run_after: run.run_after.into(),
            started: run.started_at.map(Time::from),
            length: duration(run.started_at, run.ended_at, app.store.now()),
            version: run.version_number,
            conf: match run.conf.as_object() {
                Some(conf) if conf.is_empty() => String::new(),
                _ => format!("{:#}", run.conf),
            },
            note: run.note.clone().unwrap_or_default(),
        }
    }
}

pub(super) struct TaskRow {
    pub(super) task_id: String,
    pub(super) path: String,
    pub(super) link: String,
    pub(super) map_index: Option<i64>,
    pub(super) operator: &'static str,
    pub(super) mark: Mark,
    pub(super) started: Option<Time>,
    pub(super) length: String,
    pub(super) tries: String,
    pub(super) reason: String,
    pub(super) can_clear: bool,
}

pub(super) async fn page(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id)): Path<(String, String)>,
    ApiQuery(query): ApiQuery<Query>,
) -> PageResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let graph = app.store.dag_graph(run.version_id).await?;
    let number = query.page.unwrap_or(0).max(0);
    let all = outline(&graph);
    let skipped = usize::try_from(number.saturating_mul(PER_PAGE)).unwrap_or(usize::MAX);
    let lines: Vec<&Line<'_>> = all.iter().skip(skipped).take(PER_PAGE as usize).collect();
    let head = RunHead::new(&app, &run);
    let rows = outline_rows(&app, &run, &graph, &lines).await?;
    let has_more = all.len() > skipped.saturating_add(lines.len());
    let link = |number: i64| format!("{}?page={number}", head.path);
    show(&RunPage {
        frame,
        previous: (number > 0).then(|| link(number - 1)),
        next: has_more.then(|| link(number + 1)),
        rows,
        artifacts: artifact_rows(&dag_id, &run_id, &app.store.list_artifacts(run.id, None).await?),
        callbacks: callback_rows(app.store.list_callbacks(run.id, None, CALLBACKS_MAX).await?),
        total: app.store.count_task_instances(run.id).await?,
        head,
    })
}

/// The task, and which of its instances.
pub(super) fn instance_name(instance: &TaskInstanceRecord) -> String {
    match (&instance.map_label, instance.map_index) {
        (_, ..0) => instance.task_id.clone(),
        (Some(label), map_index) => format!("{} [{map_index}] {label}", instance.task_id),
        (None, map_index) => format!("{} [{map_index}]", instance.task_id),
    }
}

pub(super) fn row(app: &App, instance: &TaskInstanceRecord, graph: &DagGraph) -> TaskRow {
    let task = usize::try_from(instance.task_index).ok().and_then(|index| graph.dag.tasks.get(index));
    TaskRow {
        task_id: instance_name(instance),
        path: task_path(&instance.dag_id, &instance.run_id, &instance.task_id),
        link: instance_path(&instance.dag_id, &instance.run_id, &instance.task_id, instance.map_index),
        map_index: (instance.map_index >= 0).then_some(instance.map_index),
        operator: task.map_or("", |task| task.operator.name()),
        mark: instance.state.into(),
        started: instance.started_at.map(Time::from),
        length: duration(instance.started_at, instance.ended_at, app.store.now()),
        tries: format!("{} of {}", instance.try_number, (instance.max_tries + 1).max(instance.try_number)),
        reason: instance.reason.clone().unwrap_or_default(),
        can_clear: instance.state != flow_model::TaskState::None,
    }
}
