//! The list of DAGs.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use flow_store::read::{DagFilter, DagRecord, Page, RecentRun};
use serde::Deserialize;

use super::frame::{dag_path, run_path};
use super::mark::{Square, Time};
use super::{Frame, PageResult, show};
use crate::extract::ApiQuery;
use crate::state::App;
use crate::words;

/// DAGs on a page.
const PER_PAGE: i64 = 50;

/// Squares in a row.
const RUNS_PER_DAG: i64 = 14;

#[derive(Deserialize)]
pub(super) struct Query {
    q: Option<String>,
    tag: Option<String>,
    paused: Option<String>,
    page: Option<i64>,
}

#[derive(Template)]
#[template(path = "dags.html")]
struct DagsPage {
    frame: Frame,
    rows: Vec<Row>,
    total: i64,
    import_errors: i64,
    tags: Vec<String>,
    q: String,
    tag: String,
    paused: String,
    previous: Option<String>,
    next: Option<String>,
    dags_folder: String,
}

struct Row {
    dag_id: String,
    name: String,
    path: String,
    description: String,
    tags: Vec<String>,
    schedule: String,
    schedule_words: String,
    is_paused: bool,
    is_stale: bool,
    has_import_errors: bool,
    next: Option<Time>,
    runs: Vec<Square>,
}

pub(super) async fn page(State(app): State<App>, frame: Frame, ApiQuery(query): ApiQuery<Query>) -> PageResult {
    let text = |value: Option<String>| value.unwrap_or_default().trim().to_owned();
    let (q, tag, paused) = (text(query.q), text(query.tag), text(query.paused));
    let filter = DagFilter {
        pattern: (!q.is_empty()).then(|| q.clone()),
        paused: match paused.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        tags: if tag.is_empty() { Vec::new() } else { vec![tag.clone()] },
        include_stale: false,
    };
    let number = query.page.unwrap_or(0).max(0);
    let (dags, total) =
        app.store.list_dags(&filter, Page::new(PER_PAGE, number.saturating_mul(PER_PAGE), PER_PAGE)).await?;
    let ids: Vec<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
    let mut runs: HashMap<String, Vec<Square>> = HashMap::new();
    for run in app.store.recent_runs(&ids, RUNS_PER_DAG).await? {
        runs.entry(run.dag_id.clone()).or_default().push(square(&run));
    }
    let link = |number: i64| {
        let mut query = form_urlencoded(&[("q", &q), ("tag", &tag), ("paused", &paused)]);
        query.push_str(&format!("page={number}"));
        format!("/?{query}")
    };
    let page = DagsPage {
        frame,
        rows: dags.into_iter().map(|dag| row(dag, &mut runs)).collect(),
        total,
        import_errors: app.store.count_import_errors().await?,
        tags: app.store.dag_tags().await?,
        previous: (number > 0).then(|| link(number - 1)),
        next: (total > (number + 1) * PER_PAGE).then(|| link(number + 1)),
        dags_folder: app.dags_folder.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default(),
        q,
        tag,
        paused,
    };
    show(&page) as PageResult<Response>
}

fn square(run: &RecentRun) -> Square {
    Square {
        mark: run.state.into(),
        path: run_path(&run.dag_id, &run.run_id),
        title: format!("{}: {}", run.run_id, run.state),
    }
}

fn row(dag: DagRecord, runs: &mut HashMap<String, Vec<Square>>) -> Row {
    let mut squares = runs.remove(&dag.dag_id).unwrap_or_default();
    // Time goes from left to right.
    squares.reverse();
    let schedule_words = words::runs_of(&dag);
    Row {
        path: dag_path(&dag.dag_id),
        name: dag.display_name.clone().unwrap_or_else(|| dag.dag_id.clone()),
        description: dag.description.unwrap_or_default(),
        tags: dag.tags,
        schedule_words,
        schedule: dag.schedule_summary,
        is_paused: dag.is_paused,
        is_stale: !dag.is_active,
        has_import_errors: dag.has_import_errors,
        next: dag.next_tick.filter(|_| !dag.is_paused).map(Time::from),
        runs: squares,
        dag_id: dag.dag_id,
    }
}

/// `name=value&` for each pair that has a value.
fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}&", super::frame::segment(value).replace('+', "%2B")))
        .collect()
}
