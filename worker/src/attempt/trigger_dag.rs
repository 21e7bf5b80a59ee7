//! Attempts of `trigger_dag`: they start a run of another DAG, and leave the waiting to the triggerer.

use flow_model::deferral::Trigger;
use flow_model::limits::RUN_ID_CHARACTERS_MAX;
use flow_model::operator::TriggerDag;
use flow_model::params::resolve_params;
use flow_model::state::{RunType, TriggeredBy};
use flow_model::{Deferral, Timestamp};
use flow_store::{ClearRequest, NewRun, Selection, StoreError, WorkOrder};
use serde_json::Value;

use super::{Ended, Ending, Workshop};
use crate::log::AttemptLog;
use crate::operators::TriggerDagWork;
use crate::output::xcom;
use flow_model::dag::RETURN_VALUE;

pub(super) async fn run(workshop: &Workshop, order: &WorkOrder, work: TriggerDagWork, log: &AttemptLog) -> Ended {
    let asked = work.asked;
    let run_id = match start(workshop, order, &asked, log).await {
        Ok(run_id) => run_id,
        Err(ending) => return Ended::new(ending),
    };
    if asked.wait_for_completion {
        let trigger = Trigger::DagRun {
            dag_id: asked.trigger_dag_id,
            run_id,
            allowed_states: asked.allowed_states,
            failed_states: asked.failed_states,
        };
        return Ended::new(Ending::Deferred(Box::new(Deferral::new(trigger, asked.poke_interval))));
    }
    let xcoms = vec![xcom(RETURN_VALUE, &Value::String(run_id))];
    Ended { kind: Ending::Success, exit_code: None, xcoms, skips: Vec::new() }
}

/// Starts the run; its id.
async fn start(workshop: &Workshop, order: &WorkOrder, asked: &TriggerDag, log: &AttemptLog) -> Result<String, Ending> {
    let store = &workshop.store;
    let dag_id = &asked.trigger_dag_id;
    let dag = store.find_dag(dag_id).await.map_err(|error| not_found_or_lost(dag_id, error))?;
    let version = dag.version_id.filter(|_| dag.is_active).ok_or_else(|| {
        Ending::FailedForGood(format!("the file of dag `{dag_id}` is gone\nhint: put it back, or name another DAG"))
    })?;
    if dag.is_paused && asked.fail_when_dag_is_paused {
        return Err(Ending::FailedForGood(format!(
            "dag `{dag_id}` is paused, and the task has `fail_when_dag_is_paused`\nhint: flowctl dags unpause {dag_id}"
        )));
    }
    let graph = store.dag_graph(version).await.map_err(lost)?;
    resolve_params(&graph.dag.params, &asked.conf).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Ending::FailedForGood(format!("`conf` does not fit the params of dag `{dag_id}`: {}", problems.join("; ")))
    })?;
    let now = store.now();
    let logical_date = logical_date(asked, now)?;
    let new = NewRun {
        dag_id: dag_id.clone(),
        run_id: Some(asked.trigger_run_id.clone().unwrap_or_else(|| own_run_id(order))),
        run_type: RunType::OperatorTriggered,
        triggered_by: TriggeredBy::Operator,
        principal: format!("{}.{}", order.graph.dag.dag_id, order.task().task_id),
        logical_date: Some(logical_date),
        data_interval: Some(graph.dag.manual_interval(logical_date)),
        run_after: now,
        conf: asked.conf.clone(),
        note: None,
    };
    check_run_id(new.run_id.as_deref().unwrap_or_default())?;
    let what = match store.create_run(now, &new).await {
        Ok(_) => "started",
        // A part of this try that was lost has started it: that is the one.
        Err(StoreError::Conflict(_)) if asked.trigger_run_id.is_none() => "has started",
        Err(StoreError::Conflict(_)) => {
            meet(workshop, asked, &new).await?;
            "cleared"
        }
        Err(error) => return Err(lost(error)),
    };
    let run_id = new.run_id.unwrap_or_default();
    log.system(store.now(), &format!("{what} the run `{run_id}` of dag `{dag_id}`"));
    if dag.is_paused {
        log.system(store.now(), &format!("dag `{dag_id}` is paused: the run waits until somebody unpauses it"));
    }
    Ok(run_id)
}

/// What happens when the run that the task names is there already: it is cleared, or that is the end of the try.
async fn meet(workshop: &Workshop, asked: &TriggerDag, new: &NewRun) -> Result<(), Ending> {
    let run_id = new.run_id.as_deref().unwrap_or_default();
    let there = format!("dag `{}` already has a run `{run_id}`", new.dag_id);
    if asked.skip_when_already_exists {
        return Err(Ending::Skipped(there));
    }
    if !asked.reset_dag_run {
        return Err(Ending::FailedForGood(format!(
            "{there}\nhint: give each run its own `trigger_run_id`, or say what happens then with `reset_dag_run` or `skip_when_already_exists`"
        )));
    }
    let store = &workshop.store;
    let run = store.find_run(&new.dag_id, run_id).await.map_err(lost)?;
    let tasks = Selection::default();
    let request = ClearRequest { run: run.id, tasks, only_failed: false, principal: new.principal.clone() };
    store.clear_tasks(store.now(), &request, false).await.map(drop).map_err(lost)
}

/// A try that is run again because its worker was lost has the same, and so starts no second run; a retry and a cleared
/// task have another.
fn own_run_id(order: &WorkOrder) -> String {
    format!("operator_triggered__{}__{}", order.scheduled_at, order.task_instance)
}

fn logical_date(asked: &TriggerDag, now: Timestamp) -> Result<Timestamp, Ending> {
    let Some(text) = &asked.logical_date else { return Ok(now) };
    text.trim().parse().map_err(|_| {
        Ending::FailedForGood(format!(
            "`logical_date` is `{text}`, which is no instant\nhint: for instance {{{{ ts }}}}"
        ))
    })
}

/// Ids of runs become parts of URLs (Airflow: `allowed_run_id_pattern`).
fn check_run_id(run_id: &str) -> Result<(), Ending> {
    let is_usable = |character: char| character.is_ascii_alphanumeric() || "_.~:+-".contains(character);
    if run_id.is_empty()
        || flow_model::outside::is_step(run_id)
        || run_id.len() > RUN_ID_CHARACTERS_MAX
        || !run_id.chars().all(is_usable)
    {
        let hint =
            format!("hint: run ids have 1 to {RUN_ID_CHARACTERS_MAX} letters, digits, `_`, `.`, `~`, `:`, `+` and `-`");
        // The reason is one line.
        let shown = run_id.escape_debug();
        return Err(Ending::FailedForGood(format!("`{shown}` is not usable as a run id\n{hint}")));
    }
    Ok(())
}

fn not_found_or_lost(dag_id: &str, error: StoreError) -> Ending {
    match error {
        StoreError::NotFound { .. } => Ending::FailedForGood(format!(
            "there is no dag `{dag_id}` to trigger\nhint: `flowctl dags list` shows the DAGs there are"
        )),
        error => lost(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
fn lost(error: StoreError) -> Ending {
    Ending::Lost(format!("could not start the run: {error}"))
}
