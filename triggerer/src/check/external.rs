//! Looks at a run of another DAG.

use flow_model::deferral::Trigger;
use flow_model::{RunState, TaskState, Timestamp};
use flow_store::{ExternalDag, ExternalRun, Store, StoreError};
use serde_json::Value;

use super::Found;

/// What is waited for.
struct Wanted<'a> {
    dag_id: &'a str,
    task_ids: &'a [String],
    group: Option<&'a str>,
    allowed: &'a [TaskState],
    failed: &'a [TaskState],
    skipped: &'a [TaskState],
}

pub(super) async fn look(store: &Store, trigger: &Trigger) -> Found {
    let Trigger::ExternalTask {
        dag_id,
        task_ids,
        task_group_id,
        logical_date,
        allowed_states,
        failed_states,
        skipped_states,
        check_existence,
    } = trigger
    else {
        return Found::FailedForGood("it waits for no other DAG".to_owned());
    };
    let wanted = Wanted {
        dag_id,
        task_ids,
        group: task_group_id.as_deref(),
        allowed: allowed_states,
        failed: failed_states,
        skipped: skipped_states,
    };
    match answer(store, &wanted, *logical_date, *check_existence).await {
        Ok(found) => found,
        Err(error) => Found::NotYet(format!("could not ask: {error}")),
    }
}

/// A look at one run, which its own task has started.
pub(super) async fn look_at_run(
    store: &Store,
    dag_id: &str,
    run_id: &str,
    allowed: &[RunState],
    failed: &[RunState],
) -> Found {
    match store.external_run_state(dag_id, run_id).await {
        Ok(Some(state)) if allowed.contains(&state) => Found::There(Value::String(run_id.to_owned())),
        Ok(Some(state)) if failed.contains(&state) || state.is_finished() => {
            Found::Failed(format!("the run `{run_id}` of dag `{dag_id}` is {state}"))
        }
        Ok(Some(state)) => Found::NotYet(format!("the run `{run_id}` is {state}")),
        Ok(None) => Found::FailedForGood(format!("the run `{run_id}` of dag `{dag_id}` is gone")),
        Err(error) => Found::NotYet(format!("could not ask: {error}")),
    }
}

async fn answer(
    store: &Store,
    wanted: &Wanted<'_>,
    logical_date: Timestamp,
    check_existence: bool,
) -> Result<Found, StoreError> {
    if check_existence && let Some(missing) = missing(wanted, store.external_dag_tasks(wanted.dag_id).await?.as_deref())
    {
        return Ok(Found::FailedForGood(format!(
            "{missing}\nhint: correct the name, or take `check_existence` away to wait for it"
        )));
    }
    let with_tasks = !wanted.task_ids.is_empty() || wanted.group.is_some();
    Ok(match store.external_run(wanted.dag_id, logical_date, with_tasks).await? {
        None => Found::NotYet(no_run(wanted.dag_id, logical_date, store.external_dag(wanted.dag_id).await?.as_ref())),
        Some(run) => judge(wanted, &run),
    })
}

/// Why there is no such run, as far as that can be told: most often the dates differ, and nobody sees it.
fn no_run(dag_id: &str, logical_date: Timestamp, dag: Option<&ExternalDag>) -> String {
    let Some(dag) = dag else { return format!("there is no DAG `{dag_id}`") };
    let newest = match dag.newest_logical_date {
        Some(newest) => format!("its newest is of {newest}"),
        None => "it has none at all".to_owned(),
    };
    let paused = if dag.is_paused { ", and it is paused" } else { "" };
    format!("DAG `{dag_id}` has no run of {logical_date}; {newest}{paused}")
}

/// What does not exist, of what is waited for.
fn missing(wanted: &Wanted<'_>, tasks: Option<&[String]>) -> Option<String> {
    let Some(tasks) = tasks else { return Some(format!("there is no DAG `{}`", wanted.dag_id)) };
    if let Some(task) = wanted.task_ids.iter().find(|task| !tasks.contains(task)) {
        return Some(format!("DAG `{}` has no task `{task}`", wanted.dag_id));
    }
    let group = wanted.group?;
    let has_group = tasks.iter().any(|task| is_in(group, task));
    (!has_group).then(|| format!("DAG `{}` has no task group `{group}`", wanted.dag_id))
}

fn is_in(group: &str, task: &str) -> bool {
    task.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'))
}

/// Pure: what the states say.
fn judge(wanted: &Wanted<'_>, run: &ExternalRun) -> Found {
    let states: Vec<(String, TaskState)> = match (wanted.task_ids, wanted.group) {
        ([], None) => vec![("the run".to_owned(), run_as_task(run.state))],
        ([], Some(group)) => named(run, |task| is_in(group, task)),
        (tasks, _) => {
            let found = named(run, |task| tasks.iter().any(|wanted| wanted == task));
            if let Some(task) = tasks.iter().find(|task| !run.tasks.iter().any(|(known, ..)| known == *task)) {
                return Found::NotYet(format!("there is no `{task}` in the run yet"));
            }
            found
        }
    };
    let one_in = |list: &[TaskState]| states.iter().find(|(_, state)| list.contains(state));
    if let Some((task, state)) = one_in(wanted.failed) {
        return Found::Failed(format!("{task} of DAG `{}` is {state}", wanted.dag_id));
    }
    if let Some((task, state)) = one_in(wanted.skipped) {
        return Found::Skip(format!("{task} of DAG `{}` is {state}", wanted.dag_id));
    }
    match states.iter().find(|(_, state)| !wanted.allowed.contains(state)) {
        Some((task, state)) => Found::NotYet(format!("{task} is {state}")),
        None if states.is_empty() => Found::NotYet("there are no such tasks in the run yet".to_owned()),
        None => Found::There(Value::Null),
    }
}

fn named(run: &ExternalRun, is_wanted: impl Fn(&str) -> bool) -> Vec<(String, TaskState)> {
    run.tasks
        .iter()
        .filter(|(task, ..)| is_wanted(task))
        .map(|(task, map_index, state)| {
            let name = if *map_index < 0 { format!("`{task}`") } else { format!("`{task}[{map_index}]`") };
            (name, *state)
        })
        .collect()
}

/// A run's state in the words of tasks, in which sensors name states.
const fn run_as_task(state: RunState) -> TaskState {
    match state {
        RunState::Queued => TaskState::Queued,
        RunState::Running => TaskState::Running,
        RunState::Success => TaskState::Success,
        RunState::Failed => TaskState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(state: RunState, tasks: &[(&str, TaskState)]) -> ExternalRun {
        ExternalRun { state, tasks: tasks.iter().map(|(task, state)| ((*task).to_owned(), -1, *state)).collect() }
    }

    fn wanted<'a>(task_ids: &'a [String], group: Option<&'a str>) -> Wanted<'a> {
        Wanted {
            dag_id: "other",
            task_ids,
            group,
            allowed: &[TaskState::Success],
            failed: &[TaskState::Failed],
            skipped: &[TaskState::Skipped],
        }
    }

    #[test]
    fn runs_tasks_and_groups_are_judged() {
        use TaskState::{Failed, Running, Skipped, Success};
        let whole = wanted(&[], None);
        assert_eq!(judge(&whole, &run(RunState::Success, &[])), Found::There(Value::Null));
        assert_eq!(judge(&whole, &run(RunState::Running, &[])), Found::NotYet("the run is running".to_owned()));
        assert!(matches!(judge(&whole, &run(RunState::Failed, &[])), Found::Failed(_)));
        let ids = ["a".to_owned(), "b".to_owned()];
        let tasks = wanted(&ids, None);
        assert_eq!(
            judge(&tasks, &run(RunState::Running, &[("a", Success), ("b", Success)])),
            Found::There(Value::Null)
        );
        assert_eq!(
            judge(&tasks, &run(RunState::Running, &[("a", Success), ("b", Running)])),
            Found::NotYet("`b` is running".to_owned())
        );
        assert!(matches!(judge(&tasks, &run(RunState::Running, &[("a", Success), ("b", Skipped)])), Found::Skip(_)));
        assert!(matches!(judge(&tasks, &run(RunState::Running, &[("a", Success)])), Found::NotYet(_)));
        let group = wanted(&[], Some("load"));
        let mixed = [("load.x", Success), ("loader", Failed), ("load.y", Success)];
        assert_eq!(judge(&group, &run(RunState::Failed, &mixed)), Found::There(Value::Null));
        assert!(matches!(judge(&group, &run(RunState::Running, &[("a", Success)])), Found::NotYet(_)));
    }

    #[test]
    fn a_run_that_is_not_there_is_told_with_what_is() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let wanted = at("2026-03-05T00:00:00Z");
        assert_eq!(no_run("d", wanted, None), "there is no DAG `d`");
        let mut dag = ExternalDag { is_paused: false, newest_logical_date: None };
        assert!(no_run("d", wanted, Some(&dag)).ends_with("; it has none at all"));
        dag = ExternalDag { is_paused: true, newest_logical_date: Some(at("2026-03-04T00:00:00Z")) };
        let expected = "DAG `d` has no run of 2026-03-05T00:00:00+00:00; its newest is of 2026-03-04T00:00:00+00:00, and it is paused";
        assert_eq!(no_run("d", wanted, Some(&dag)), expected);
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let ids = ["a".to_owned()];
        let known = ["b".to_owned(), "g.c".to_owned()];
        assert_eq!(missing(&wanted(&[], None), None).unwrap(), "there is no DAG `other`");
        assert_eq!(missing(&wanted(&ids, None), Some(&known)).unwrap(), "DAG `other` has no task `a`");
        assert_eq!(missing(&wanted(&[], Some("g")), Some(&known)), None);
        assert!(missing(&wanted(&[], Some("b")), Some(&known)).is_some());
        assert_eq!(missing(&wanted(&[], None), Some(&known)), None);
    }
}
