//! One DAG: its grid of runs and tasks, its source, and the form that triggers it.

use std::collections::HashMap;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use flow_model::params::{Param, coerce_text};
use flow_model::state::TriggeredBy;
use flow_model::{DagGraph, DagRunKey};
use flow_store::read::{DagRecord, GridCell, Page, RunFilter, RunOrder, RunRecord};
use serde_json::{Map, Value};

use super::frame::{dag_path, run_path, task_path};
use super::mark::{Mark, Square, Time, duration};
use super::{Frame, PageResult, show};
use crate::api::{Trigger, graph_of, trigger as trigger_run, upcoming};
use crate::auth::Principal;
use crate::error::WebError;
use crate::state::App;
use crate::words;

/// Columns of the grid.
const RUNS: i64 = 25;

/// Rows of the grid at most.
const TASKS_MAX: usize = 500;

/// The prefix of the form's fields that are params.
const PARAM: &str = "param:";

/// The head that all pages of a DAG share.
struct Head {
    dag_id: String,
    name: String,
    path: String,
    description: String,
    owner: String,
    tags: Vec<String>,
    schedule: String,
    schedule_words: String,
    file: String,
    version: i64,
    is_paused: bool,
    is_stale: bool,
    has_import_errors: bool,
    limits: String,
}

impl From<&DagRecord> for Head {
    fn from(dag: &DagRecord) -> Head {
        Head {
            dag_id: dag.dag_id.clone(),
            name: dag.display_name.clone().unwrap_or_else(|| dag.dag_id.clone()),
            path: dag_path(&dag.dag_id),
            description: dag.description.clone().unwrap_or_default(),
            owner: dag.owner.clone(),
            tags: dag.tags.clone(),
            schedule: dag.schedule_summary.clone(),
            schedule_words: words::schedule(&dag.schedule.schedule),
            file: dag.file_path.clone(),
            version: dag.version_number.unwrap_or(0),
            is_paused: dag.is_paused,
            is_stale: !dag.is_active,
            has_import_errors: dag.has_import_errors,
            limits: format!("{} runs, {} task instances at once", dag.max_active_runs, dag.max_active_tasks),
        }
    }
}

#[derive(Template)]
#[template(path = "dag.html")]
struct DagPage {
    frame: Frame,
    head: Head,
    tab: &'static str,
    upcoming: Vec<Time>,
    doc: String,
    runs: Vec<Column>,
    tasks: Vec<Row>,
    tasks_left_out: usize,
}

struct Column {
    square: Square,
    day: String,
    length: String,
}

struct Row {
    task_id: String,
    operator: &'static str,
    after: String,
    cells: Vec<Option<Square>>,
}

pub(super) async fn page(State(app): State<App>, frame: Frame, Path(dag_id): Path<String>) -> PageResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &dag).await?;
    let filter = RunFilter { dag_id: Some(dag_id.clone()), states: Vec::new(), order: RunOrder::NewestFirst };
    let (mut runs, _) = app.store.list_runs(&filter, Page::first(RUNS)).await?;
    runs.reverse();
    let keys: Vec<DagRunKey> = runs.iter().map(|run| run.id).collect();
    let cells = app.store.grid(&keys, TASKS_MAX as i64).await?;
    let now = app.store.now();
    show(&DagPage {
        frame,
        head: Head::from(&dag),
        tab: "grid",
        upcoming: upcoming(&dag, now, 3).into_iter().map(|(tick, _)| Time::from(tick)).collect(),
        doc: graph.dag.doc_md.clone().unwrap_or_default(),
        tasks: rows(&graph, &runs, &cells),
        tasks_left_out: graph.dag.tasks.len().saturating_sub(TASKS_MAX),
        runs: runs
            .iter()
            .map(|run| Column {
                square: Square {
                    mark: run.state.into(),
                    path: run_path(&run.dag_id, &run.run_id),
                    title: format!("{}: {}", run.run_id, run.state),
                },
                day: run.run_after.to_string().get(5..10).unwrap_or("").to_owned(),
                length: duration(run.started_at, run.ended_at, now),
            })
            .collect(),
    })
}

fn rows(graph: &DagGraph, runs: &[RunRecord], cells: &[GridCell]) -> Vec<Row> {
    let by_place: HashMap<(DagRunKey, &str), &GridCell> =
        cells.iter().map(|cell| ((cell.dag_run_id, cell.task_id.as_str()), cell)).collect();
    let square = |run: &RunRecord, task_id: &str| {
        let cell = by_place.get(&(run.id, task_id))?;
        let tries = if cell.try_number > 1 { format!(", try {}", cell.try_number) } else { String::new() };
        let mark = Mark::from(cell.state);
        Some(Square {
            mark,
            path: task_path(&run.dag_id, &run.run_id, task_id),
            title: format!("{task_id} in {}: {}{tries}", run.run_id, mark.name),
        })
    };
    graph
        .dag
        .tasks
        .iter()
        .take(TASKS_MAX)
        .map(|task| Row {
            task_id: task.task_id.clone(),
            operator: task.operator.name(),
            after: task.depends_on.join(", "),
            cells: runs.iter().map(|run| square(run, &task.task_id)).collect(),
        })
        .collect()
}

#[derive(Template)]
#[template(path = "source.html")]
struct SourcePage {
    frame: Frame,
    head: Head,
    tab: &'static str,
    number: i64,
    source: String,
}

pub(super) async fn source(State(app): State<App>, frame: Frame, Path(dag_id): Path<String>) -> PageResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let source = app.store.dag_source(&dag_id, None).await?;
    show(&SourcePage { frame, head: Head::from(&dag), tab: "source", number: source.number, source: source.source })
}

#[derive(Template)]
#[template(path = "trigger.html")]
struct TriggerPage {
    frame: Frame,
    head: Head,
    tab: &'static str,
    fields: Vec<Field>,
    run_id: String,
    note: String,
    problem: String,
}

struct Field {
    name: String,
    input: String,
    label: String,
    description: String,
    kind: String,
    value: String,
    choices: Vec<String>,
    problem: String,
}

pub(super) async fn trigger_form(State(app): State<App>, frame: Frame, Path(dag_id): Path<String>) -> PageResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &dag).await?;
    let fields = graph.dag.params.iter().map(|(name, param)| field(name, param, None)).collect();
    let (run_id, note, problem) = Default::default();
    show(&TriggerPage { frame, head: Head::from(&dag), tab: "trigger", fields, run_id, note, problem })
}

pub(super) async fn trigger(
    State(app): State<App>,
    frame: Frame,
    Path(dag_id): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> PageResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &dag).await?;
    let given = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim().to_owned());
    let (run_id, note) = (given("dag_run_id").unwrap_or_default(), given("note").unwrap_or_default());
    let mut conf: Map<String, Value> = Map::new();
    let mut problems = Vec::new();
    for (name, param) in &graph.dag.params {
        let Some(text) = given(&format!("{PARAM}{name}")) else { continue };
        // An empty field means the default, where there is one.
        if text.is_empty() && param.default.is_some() {
            continue;
        }
        match coerce_text(&graph.dag.params, name, &text) {
            Ok(value) => {
                conf.insert(name.clone(), value);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let outcome = if problems.is_empty() {
        let not_empty = |text: &String| (!text.is_empty()).then(|| text.clone());
        let asked =
            Trigger { dag_run_id: not_empty(&run_id), conf: Some(conf), note: not_empty(&note), ..Trigger::default() };
        trigger_run(&app, &dag_id, asked, TriggeredBy::Ui, Principal(frame.principal.clone())).await
    } else {
        Err(WebError::params(&dag_id, problems))
    };
    let error = match outcome {
        Ok(created) => return Ok(Redirect::to(&run_path(&dag_id, &created.run_id)).into_response()),
        Err(error) => error,
    };
    let fields = graph
        .dag
        .params
        .iter()
        .map(|(name, param)| {
            let mut field = field(name, param, given(&format!("{PARAM}{name}")));
            let found: Vec<&str> = error
                .problems
                .iter()
                .filter(|problem| problem.name == *name)
                .map(|problem| problem.message.as_str())
                .collect();
            field.problem = found.join("; ");
            field
        })
        .collect();
    let problem = match &error.hint {
        Some(hint) => format!("{}; {hint}", error.detail),
        None => error.detail,
    };
    let page = TriggerPage { frame, head: Head::from(&dag), tab: "trigger", fields, run_id, note, problem };
    let html = askama::Template::render(&page)
        .map_err(|_| WebError::new(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered"))?;
    Ok((error.status, Html(html)).into_response() as Response)
}

/// A param as a field of a form, with the text that was given or its default.
fn field(name: &str, param: &Param, given: Option<String>) -> Field {
    let text_of = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let word = |key: &str| param.schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let title = word("title");
    Field {
        input: format!("{PARAM}{name}"),
        label: if title.is_empty() { name.to_owned() } else { title },
        description: word("description"),
        kind: match param.schema.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
            _ => "any".to_owned(),
        },
        value: given.or_else(|| param.default.as_ref().map(text_of)).unwrap_or_default(),
        choices: param
            .schema
            .get("enum")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |all| all.iter().map(text_of).collect()),
        problem: String::new(),
        name: name.to_owned(),
    }
}
