//! How far a run has come: the outline of its DAG with the states of its tasks. A mapped task is one row, however many
//! instances it has, and a group tells what is in it.

use flow_model::{DagGraph, Timestamp};
use flow_store::StoreError;
use flow_store::read::{Page, RunRecord, TaskInstanceFilter, TaskTally};

use super::frame::task_path;
use super::mark::{Mark, Time};
use super::outline::{Item, Line};
use super::run::{PER_PAGE, TaskRow, row};
use super::tally::{Count, Tally};
use crate::state::App;

/// A task, all instances of a mapped one, or a group.
pub(super) struct OutlineRow {
    pub(super) depth: usize,
    pub(super) is_group: bool,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) about: String,
    pub(super) mark: Mark,
    pub(super) counts: Vec<Count>,
    pub(super) started: Option<Time>,
    pub(super) length: String,
    pub(super) tries: String,
    pub(super) reason: String,
    pub(super) can_clear: bool,
}

impl OutlineRow {
    fn of_instance(depth: usize, row: TaskRow) -> OutlineRow {
        OutlineRow {
            depth,
            is_group: false,
            name: row.task_id,
            path: row.link,
            about: row.operator.to_owned(),
            mark: row.mark,
            counts: Vec::new(),
            started: row.started,
            length: row.length,
            tries: row.tries,
            reason: row.reason,
            can_clear: row.can_clear,
        }
    }

    fn of_tally(depth: usize, name: &str, path: String, about: String, tally: &Tally, now: Timestamp) -> OutlineRow {
        OutlineRow {
            depth,
            is_group: false,
            name: name.to_owned(),
            about,
            mark: tally.mark(),
            counts: tally.counts(|mark| format!("{path}?state={}", mark.name)),
            started: tally.started_at().map(Time::from),
            length: tally.duration(now),
            tries: if tally.try_number() > 1 { format!("up to {}", tally.try_number()) } else { String::new() },
            reason: String::new(),
            can_clear: tally.instances() > 0,
            path,
        }
    }
}

/// The lines of a page with what has become of them.
pub(super) async fn outline_rows(
    app: &App,
    run: &RunRecord,
    graph: &DagGraph,
    lines: &[&Line<'_>],
) -> Result<Vec<OutlineRow>, StoreError> {
    let shown: Vec<u32> = lines.iter().filter_map(|line| line.item.task()).collect();
    let groups = lines.iter().filter_map(|line| line.item.group());
    let mapped = shown.iter().copied().filter(|&task| graph.scope_of(task).is_some());
    let mut counted: Vec<u32> = groups.flat_map(|group| graph.tasks_of(&group.group_id)).chain(mapped).collect();
    counted.sort_unstable();
    counted.dedup();
    let tallies = app.store.task_tallies(run.id, &counted).await?;
    let single = TaskInstanceFilter { tasks: Some(shown), is_unmapped: true, ..TaskInstanceFilter::default() };
    let (instances, _) = app.store.list_task_instances(run.id, &single, Page::first(PER_PAGE)).await?;
    let now = app.store.now();
    let path = |id: &str| task_path(&run.dag_id, &run.run_id, id);
    let rows = lines.iter().filter_map(|line| match line.item {
        Item::Group(group) => {
            let tally = of_tasks(&tallies, &graph.tasks_of(&group.group_id));
            let about = if group.expand.is_some() { "group, mapped" } else { "group" }.to_owned();
            let name = group.display_name.as_ref().unwrap_or(&group.group_id);
            let row = OutlineRow::of_tally(line.depth, name, path(&group.group_id), about, &tally, now);
            Some(OutlineRow { is_group: true, counts: tally.counts(|_| String::new()), ..row })
        }
        Item::Task(task) => {
            if let Some(instance) = instances.iter().find(|instance| instance.task_index == i64::from(task)) {
                return Some(OutlineRow::of_instance(line.depth, row(app, instance, graph)));
            }
            let tally = of_tasks(&tallies, &[task]);
            let task = &graph.dag.tasks[task as usize];
            let about = format!("{} × {}", task.operator.name(), tally.instances());
            // A run that has not started has no instances.
            (tally.instances() > 0)
                .then(|| OutlineRow::of_tally(line.depth, &task.task_id, path(&task.task_id), about, &tally, now))
        }
    });
    Ok(rows.collect())
}

fn of_tasks(tallies: &[TaskTally], tasks: &[u32]) -> Tally {
    let mut all = Tally::default();
    let is_meant = |tally: &&TaskTally| tasks.binary_search_by_key(&tally.task_index, |&task| i64::from(task)).is_ok();
    tallies.iter().filter(is_meant).for_each(|tally| all.add(tally));
    all
}
