//! One DAG: its grid of runs and tasks, and its source.

use std::collections::{BTreeSet, HashMap, HashSet};

use askama::Template;
use axum::extract::{Path, State};
use flow_model::{DagGraph, DagRunKey};
use flow_store::StartRecord;
use flow_store::read::{DagRecord, GridCell, Page, RunFilter, RunOrder, RunRecord};

use super::frame::{dag_path, run_path, task_path};
use super::mark::{Mark, Square, Time, duration};
use super::outline::{Item, Line, outline};
use super::tally::urgency;
use super::{Frame, PageResult, show};
use crate::api::{graph_of, start_address, upcoming};
use crate::state::App;
use crate::words;

/// Columns of the grid.
const RUNS: i64 = 25;

/// Rows of the grid at most.
const TASKS_MAX: usize = 500;

/// The head that all pages of a DAG share.
pub(super) struct Head {
    pub(super) dag_id: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) description: String,
    pub(super) owner: String,
    pub(super) tags: Vec<String>,
    pub(super) schedule: String,
    pub(super) schedule_words: String,
    pub(super) file: String,
    pub(super) version: i64,
    pub(super) is_paused: bool,
    pub(super) is_stale: bool,
    pub(super) has_import_errors: bool,
    pub(super) limits: String,
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
            schedule_words: words::runs_of(dag),
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
    starts: Vec<StartRow>,
    /// Pools that its tasks name, and that are not there.
    missing_pools: Vec<String>,
    doc: String,
    runs: Vec<Column>,
    tasks: Vec<Row>,
    tasks_left_out: usize,
}

/// What starts the DAG from outside.
struct StartRow {
    summary: String,
    address: String,
    looked_at: Option<Time>,
    problem: String,
}

impl From<StartRecord> for StartRow {
    fn from(record: StartRecord) -> StartRow {
        StartRow {
            summary: record.start.summary(),
            address: start_address(&record.start).unwrap_or_default(),
            looked_at: record.looked_at.map(Time::from),
            problem: record.problem.unwrap_or_default(),
        }
    }
}

struct Column {
    square: Square,
    day: String,
    length: String,
}

struct Row {
    depth: usize,
    is_group: bool,
    name: String,
    about: &'static str,
    after: String,
    cells: Vec<Option<Square>>,
}

pub(super) async fn page(State(app): State<App>, frame: Frame, Path(dag_id): Path<String>) -> PageResult {
    let dag = app.store.find_dag(&dag_id).await?;
    let graph = graph_of(&app, &dag).await?;
    let filter = RunFilter {
        dag_id: Some(dag_id.clone()),
        states: Vec::new(),
        reasons: Vec::new(),
        order: RunOrder::NewestFirst,
    };
    let (mut runs, _) = app.store.list_runs(&filter, Page::first(RUNS)).await?;
    runs.reverse();
    let keys: Vec<DagRunKey> = runs.iter().map(|run| run.id).collect();
    let cells = app.store.grid(&keys, TASKS_MAX as i64).await?;
    let now = app.store.now();
    let pools: HashSet<String> = app.store.pools_in_use().await?.into_iter().map(|pool| pool.name).collect();
    let named: BTreeSet<&String> = graph.dag.tasks.iter().map(|task| &task.pool).collect();
    show(&DagPage {
        missing_pools: named.into_iter().filter(|pool| !pools.contains(*pool)).cloned().collect(),
        frame,
        head: Head::from(&dag),
        tab: "grid",
        upcoming: upcoming(&dag, now, 3).into_iter().map(|(tick, _)| Time::from(tick)).collect(),
        starts: app.store.list_starts(&dag_id).await?.into_iter().map(StartRow::from).collect(),
        doc: graph.dag.doc_md.clone().unwrap_or_default(),
        tasks: rows(&graph, &runs, &cells),
        tasks_left_out: graph.dag.tasks.len().saturating_sub(TASKS_MAX),
        runs: runs
            .iter()
            .map(|run| Column {
                square: Square {
                    mark: run.state.into(),
                    path: run_path(&run.dag_id, &run.run_id),
                    title: match &run.reason {
                        Some(reason) => format!("{}: {} ({reason})", run.run_id, run.state),
                        None => format!("{}: {}", run.run_id, run.state),
                    },
                },
                day: run.run_after.to_string().get(5..10).unwrap_or("").to_owned(),
                length: duration(run.started_at, run.ended_at, now),
            })
            .collect(),
    })
}

/// A state, with the number of instances in it where there are several.
fn told(cell: &GridCell, states: usize) -> String {
    let name = Mark::from(cell.state).name;
    if cell.instances > 1 || states > 1 {
        format!("{} {name}", cell.instances)
    } else if cell.try_number > 1 {
        format!("{name}, try {}", cell.try_number)
    } else {
        name.to_owned()
    }
}

fn rows(graph: &DagGraph, runs: &[RunRecord], cells: &[GridCell]) -> Vec<Row> {
    let mut by_place: HashMap<(DagRunKey, &str), Vec<&GridCell>> = HashMap::new();
    for cell in cells {
        by_place.entry((cell.dag_run_id, cell.task_id.as_str())).or_default().push(cell);
    }
    let of_task = |run: &RunRecord, task: u32| {
        let task_id = graph.dag.tasks[task as usize].task_id.as_str();
        by_place.get(&(run.id, task_id)).map_or(&[][..], Vec::as_slice)
    };
    let row = |line: &Line<'_>| match line.item {
        Item::Task(index) => {
            let task = &graph.dag.tasks[index as usize];
            let cell = |run: &RunRecord| {
                let path = task_path(&run.dag_id, &run.run_id, &task.task_id);
                square(&task.task_id, run, path, of_task(run, index).to_vec())
            };
            Row {
                depth: line.depth,
                is_group: false,
                name: task.task_id.clone(),
                about: task.operator.name(),
                after: task.depends_on.join(", "),
                cells: runs.iter().map(cell).collect(),
            }
        }
        Item::Group(group) => {
            let tasks = graph.tasks_of(&group.group_id);
            let cell = |run: &RunRecord| {
                let all = tasks.iter().flat_map(|&task| of_task(run, task)).copied().collect();
                square(&group.group_id, run, run_path(&run.dag_id, &run.run_id), all)
            };
            Row {
                depth: line.depth,
                is_group: true,
                name: group.display_name.as_ref().unwrap_or(&group.group_id).clone(),
                about: if group.expand.is_some() { "group, mapped" } else { "group" },
                after: String::new(),
                cells: runs.iter().map(cell).collect(),
            }
        }
    };
    let is_shown = |line: &&Line<'_>| line.item.task().is_none_or(|task| (task as usize) < TASKS_MAX);
    outline(graph).iter().filter(is_shown).map(row).collect()
}

/// The most urgent state of what is in a cell; the title tells all of them.
fn square(name: &str, run: &RunRecord, path: String, mut cells: Vec<&GridCell>) -> Option<Square> {
    cells.sort_by_key(|cell| (urgency(cell.state), cell.state));
    let states: Vec<GridCell> = cells.chunk_by(|left, right| left.state == right.state).map(together).collect();
    let told: Vec<String> = states.iter().map(|cell| told(cell, states.len())).collect();
    Some(Square {
        mark: Mark::from(states.first()?.state),
        path,
        title: format!("{name} in {}: {}", run.run_id, told.join(", ")),
    })
}

/// Cells of the same state as one.
fn together(cells: &[&GridCell]) -> GridCell {
    GridCell {
        instances: cells.iter().map(|cell| cell.instances).sum(),
        try_number: cells.iter().map(|cell| cell.try_number).max().unwrap_or(0),
        ..cells[0].clone()
    }
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
