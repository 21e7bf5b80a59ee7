//! One task of a run: why it is where it is, its tries, its log, what it was given and what it left.

use askama::Template;
use axum::extract::{Path, State};
use flow_model::explain::{Explanation, explain};
use flow_model::log::lines;
use flow_model::{DagGraph, TaskState};
use flow_store::read::{AttemptRecord, LogChunk, Page, RunRecord, TaskInstanceFilter, TaskTally, XComFilter};
use serde::Deserialize;

use super::artifacts::{ArtifactRow, rows as artifact_rows};
use super::callbacks::{CallbackRow, rows as callback_rows};
use super::form::{Given, Widget};
use super::frame::task_path;
use super::mark::{Mark, Time, duration};
use super::questions::QuestionBlock;
use super::run::{PER_PAGE, RunHead, TaskRow, instance_name, row};
use super::tally::{Count, Tally};
use super::{Frame, PageResult, show};
use crate::api::{CALLBACKS_MAX, find_run, log_has_ended};
use crate::extract::ApiQuery;
use crate::state::App;
use crate::words;

/// Pieces of the log that the page carries; a follower gets all of it.
const LOG_CHUNKS: i64 = 16;

/// XComs that the page carries.
const XCOMS: i64 = 100;

/// Lines of the log that the page carries.
const LOG_LINES: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(rename = "try")]
    try_number: Option<i64>,
    /// Which instance of a mapped task.
    map_index: Option<i64>,
    page: Option<i64>,
    /// Only instances in this state.
    state: Option<TaskState>,
}

/// The instances of a mapped task.
#[derive(Template)]
#[template(path = "mapped.html")]
struct MappedPage {
    frame: Frame,
    head: RunHead,
    task_id: String,
    path: String,
    tasks: Vec<TaskRow>,
    counts: Vec<Count>,
    /// The state of those that are listed; empty: any.
    state: &'static str,
    total: i64,
    previous: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    run: RunHead,
    name: String,
    map_index: Option<i64>,
    path: String,
    tries_path: String,
    mark: Mark,
    explanation: Explanation,
    facts: Vec<(&'static str, String)>,
    doc: String,
    tries: Vec<Try>,
    shown_try: i64,
    log: Vec<Line>,
    /// Where the log is followed; empty when it is complete.
    follow: String,
    whole_log: String,
    rendered: String,
    xcoms: Vec<(String, String)>,
    artifacts: Vec<ArtifactRow>,
    callbacks: Vec<CallbackRow>,
    question: Option<QuestionBlock>,
    can_clear: bool,
    exists: bool,
}

struct Try {
    number: i64,
    mark: Mark,
    started: Time,
    length: String,
    host: String,
    exit_code: String,
    reason: String,
    is_shown: bool,
}

struct Line {
    stream: &'static str,
    time: String,
    text: String,
}

pub(super) async fn page(
    State(app): State<App>,
    frame: Frame,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    ApiQuery(query): ApiQuery<Query>,
) -> PageResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let now = app.store.now();
    let graph = app.store.dag_graph(run.version_id).await?;
    let map_index = query.map_index.unwrap_or(-1);
    if let Some(task) = graph.index_of(&task_id).filter(|task| map_index < 0 && graph.scope_of(*task).is_some()) {
        let tallies = app.store.task_tallies(run.id, &[task]).await?;
        // Before it is expanded it is explained like any other task.
        if tallies.iter().any(|tally| tally.last_map_index >= 0) {
            return mapped(&app, frame, &run, &graph, task, &tallies, &query).await;
        }
    }
    let facts = app.store.explain_facts(now, &run, &task_id, map_index).await?;
    let task = graph.index_of(&task_id).and_then(|index| graph.dag.tasks.get(index as usize));
    let instance = app.store.find_task_instance(&run, &task_id, map_index).await?;
    let attempts = match &instance {
        Some(instance) => app.store.list_attempts(instance.id).await?,
        None => Vec::new(),
    };
    let newest = instance.as_ref().map_or(0, |instance| instance.try_number);
    let shown_try = query.try_number.unwrap_or(newest).max(0);
    let (chunks, is_open) = match &instance {
        Some(instance) => {
            (app.store.read_log_tail(instance.id, shown_try, LOG_CHUNKS).await?, !log_has_ended(instance, shown_try))
        }
        None => (Vec::new(), !run.state.is_finished()),
    };
    let of_task = XComFilter { task_id: Some(&task_id), map_index: Some(map_index), key: None };
    let path = task_path(&dag_id, &run_id, &task_id);
    let segments =
        path.replacen("/dags/", "", 1).replacen("/runs/", "/dagRuns/", 1).replacen("/tasks/", "/taskInstances/", 1);
    let of_instance = if map_index < 0 { String::new() } else { format!("?map_index={map_index}") };
    // A try that has not begun is followed too: the reader sees it start.
    let followed_try = if query.try_number.is_some() { shown_try } else { 0 };
    let asked = match &instance {
        Some(instance) => app.store.find_question(instance.id).await?,
        None => None,
    };
    let question = asked.map(|asked| QuestionBlock::new(&asked, &frame.principal, &Given::default(), None));
    show(&TaskPage {
        frame,
        question,
        run: RunHead::new(&app, &run),
        mark: instance.as_ref().map_or(flow_model::TaskState::None, |instance| instance.state).into(),
        explanation: explain(&facts),
        facts: details(task, instance.as_ref()),
        doc: task.and_then(|task| task.doc_md.clone()).unwrap_or_default(),
        shown_try,
        log: log_lines(&chunks),
        follow: if is_open {
            format!("/api/flow/dags/{segments}/logs/{followed_try}/follow{of_instance}")
        } else {
            String::new()
        },
        whole_log: format!("/api/v2/dags/{segments}/logs/{shown_try}{of_instance}"),
        rendered: attempts
            .iter()
            .rfind(|attempt| attempt.try_number == shown_try)
            .and_then(|attempt| attempt.rendered.as_ref())
            .map_or(String::new(), |rendered| format!("{rendered:#}")),
        xcoms: app
            .store
            .list_xcoms(run.id, &of_task, Page::first(XCOMS))
            .await?
            .0
            .into_iter()
            .map(|xcom| (xcom.key, format!("{:#}", xcom.value)))
            .collect(),
        artifacts: match &instance {
            Some(instance) => {
                artifact_rows(&dag_id, &run_id, &app.store.list_artifacts(run.id, Some(instance.id)).await?)
            }
            None => Vec::new(),
        },
        callbacks: match &instance {
            Some(instance) => callback_rows(app.store.list_callbacks(run.id, Some(instance.id), CALLBACKS_MAX).await?),
            None => Vec::new(),
        },
        tries: attempts.iter().map(|attempt| try_row(attempt, shown_try, now)).collect(),
        can_clear: instance.as_ref().is_some_and(|instance| instance.state != flow_model::TaskState::None),
        exists: instance.is_some(),
        name: instance.as_ref().map_or_else(|| task_id.clone(), instance_name),
        map_index: (map_index >= 0).then_some(map_index),
        tries_path: if map_index < 0 { format!("{path}?") } else { format!("{path}?map_index={map_index}&") },
        path,
    })
}

/// The instances of a mapped task, a page of them.
async fn mapped(
    app: &App,
    frame: Frame,
    run: &RunRecord,
    graph: &DagGraph,
    task: u32,
    tallies: &[TaskTally],
    query: &Query,
) -> PageResult {
    let task_id = graph.dag.tasks[task as usize].task_id.clone();
    let path = task_path(&run.dag_id, &run.run_id, &task_id);
    let number = query.page.unwrap_or(0).max(0);
    let page = Page::in_run(PER_PAGE, number.saturating_mul(PER_PAGE), PER_PAGE);
    let states: Vec<TaskState> = query.state.into_iter().collect();
    let filter = TaskInstanceFilter { tasks: Some(vec![task]), states, is_unmapped: false };
    let (instances, total) = app.store.list_task_instances(run.id, &filter, page).await?;
    let mut tally = Tally::default();
    tallies.iter().for_each(|row| tally.add(row));
    let state = query.state.map_or("", |state| Mark::from(state).name);
    let of_state = if state.is_empty() { String::new() } else { format!("state={state}&") };
    let link = |number: i64| format!("{path}?{of_state}page={number}");
    show(&MappedPage {
        frame,
        head: RunHead::new(app, run),
        counts: tally.counts(|mark| format!("{path}?state={}", mark.name)),
        previous: (number > 0).then(|| link(number - 1)),
        next: (total > number.saturating_add(1).saturating_mul(PER_PAGE)).then(|| link(number + 1)),
        tasks: instances.iter().map(|instance| row(app, instance, graph)).collect(),
        state,
        total,
        task_id,
        path,
    })
}

fn details(
    task: Option<&flow_model::Task>,
    instance: Option<&flow_store::read::TaskInstanceRecord>,
) -> Vec<(&'static str, String)> {
    let mut details = Vec::new();
    if let Some(task) = task {
        details.push(("Operator", task.operator.name().to_owned()));
        details.push(("Trigger rule", task.trigger_rule.to_string()));
        if !task.depends_on.is_empty() {
            details.push(("After", task.depends_on.join(", ")));
        }
        let slots = if task.pool_slots == 1 { "slot" } else { "slots" };
        details.push(("Pool", format!("{} ({} {slots})", task.pool, task.pool_slots)));
        details.push(("Queue", task.queue.clone()));
        details.push(("Retries", task.retry.retries.to_string()));
        if let Some(timeout) = task.execution_timeout {
            details.push(("Time limit", words::length(timeout)));
        }
    }
    if let Some(instance) = instance {
        details.push(("Priority", instance.priority.to_string()));
        if let Some(at) = instance.queued_at {
            details.push(("Queued", words::instant(at)));
        }
        if let Some(host) = &instance.hostname {
            details.push(("Runs on", host.clone()));
        }
        if instance.lost_count > 0 {
            details.push(("Workers lost", instance.lost_count.to_string()));
        }
    }
    details
}

fn try_row(attempt: &AttemptRecord, shown_try: i64, now: flow_model::Timestamp) -> Try {
    Try {
        number: attempt.try_number,
        mark: attempt.state.into(),
        started: attempt.started_at.into(),
        length: duration(Some(attempt.started_at), attempt.ended_at, now),
        host: attempt.hostname.clone().unwrap_or_default(),
        exit_code: attempt.exit_code.map_or(String::new(), |code| code.to_string()),
        reason: attempt.reason.clone().unwrap_or_default(),
        is_shown: attempt.try_number == shown_try,
    }
}

fn log_lines(chunks: &[LogChunk]) -> Vec<Line> {
    let mut all: Vec<Line> = chunks
        .iter()
        .flat_map(|chunk| lines(&chunk.content))
        .map(|line| Line {
            stream: line.stream.as_str(),
            time: words::instant(line.at).get(11..).unwrap_or("").to_owned(),
            text: line.text,
        })
        .collect();
    all.drain(..all.len().saturating_sub(LOG_LINES));
    all
}
