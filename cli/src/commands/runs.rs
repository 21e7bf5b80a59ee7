//! `flowctl runs`.

use reqwest::Method;
use serde_json::Value;

use crate::args::{Form, RunsCommand};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{self, cell, segment};
use crate::output::{say, tell};

const LIST: &[(&str, &str)] = &[
    ("DAG", "dag_id"),
    ("RUN", "dag_run_id"),
    ("STATE", "state"),
    ("TYPE", "run_type"),
    ("LOGICAL DATE", "logical_date"),
    ("STARTED", "start_date"),
    ("SECONDS", "duration"),
    ("REASON", "reason"),
];

/// Columns of a list of task instances.
pub const TASKS: &[(&str, &str)] = &[
    ("TASK", "task_id"),
    ("INDEX", "map_index"),
    ("STATE", "state"),
    ("TRY", "try_number"),
    ("STARTED", "start_date"),
    ("SECONDS", "duration"),
    ("REASON", "reason"),
];

const FIELDS: &[(&str, &str)] = &[
    ("dag", "dag_id"),
    ("run", "dag_run_id"),
    ("state", "state"),
    ("reason", "reason"),
    ("type", "run_type"),
    ("triggered by", "triggered_by"),
    ("who", "triggering_user_name"),
    ("logical date", "logical_date"),
    ("run after", "run_after"),
    ("started", "start_date"),
    ("ended", "end_date"),
    ("seconds", "duration"),
    ("conf", "conf"),
    ("note", "note"),
];

/// Task instances that are shown with a run.
const INSTANCES: usize = 1_000;

/// Runs a subcommand.
///
/// # Errors
/// The server refuses.
pub async fn run(client: &Client, form: Form, command: RunsCommand) -> anyhow::Result<Exit> {
    match command {
        RunsCommand::List { dag, state, reason, limit } => {
            let dag = dag.map_or_else(|| "~".to_owned(), |dag| segment(&dag));
            let mut query = format!("/api/v2/dags/{dag}/dagRuns?limit={}&order_by=-id", limit.min(100));
            if let Some(state) = state {
                query.push_str(&format!("&state={}", segment(&state)));
            }
            if let Some(reason) = reason {
                query.push_str(&format!("&reason={}", segment(&reason)));
            }
            let page = client.get(&query).await?;
            output::list(form, page["dag_runs"].as_array().map_or(&[], Vec::as_slice), LIST)?;
        }
        RunsCommand::Show { dag, run } => {
            let run = resolve(client, &dag, run).await?;
            let path = run_path(&dag, &run);
            let mut shown = client.get(&path).await?;
            let (instances, total) = super::tasks::instances(client, &path, "", INSTANCES).await?;
            if form == Form::Json {
                shown["task_instances"] = instances.clone().into();
                output::json(&shown)?;
            } else {
                output::one(form, &shown, FIELDS)?;
                say!();
                output::list(form, &instances, TASKS)?;
            }
            super::tasks::tell_of_more(instances.len(), total);
        }
        RunsCommand::Cancel { dag, run } => {
            let run = resolve(client, &dag, run).await?;
            let path = format!("/api/flow/dags/{}/dagRuns/{}/cancel", segment(&dag), segment(&run));
            let shown = client.ask(Method::POST, &path, None).await?;
            if form == Form::Json {
                output::json(&shown)?;
            } else {
                say!("{run} cancelled");
                if shown["state"] == "running" {
                    tell!("its teardowns still run, and it fails after them; cancel it again to end them, too");
                }
            }
        }
    }
    Ok(Exit::Success)
}

/// The path of a run in the API.
pub fn run_path(dag: &str, run: &str) -> String {
    format!("/api/v2/dags/{}/dagRuns/{}", segment(dag), segment(run))
}

/// The named run, or the newest of the DAG.
///
/// # Errors
/// The DAG does not exist or has no runs.
pub async fn resolve(client: &Client, dag: &str, run: Option<String>) -> anyhow::Result<String> {
    if let Some(run) = run.filter(|run| run != "latest") {
        return Ok(run);
    }
    let page = client.get(&format!("/api/v2/dags/{}/dagRuns?limit=1&order_by=-id", segment(dag))).await?;
    match page["dag_runs"].as_array().and_then(|runs| runs.first()) {
        Some(Value::Object(run)) => Ok(cell(&run["dag_run_id"])),
        _ => Err(Failure::new(Exit::NotFound, format!("`{dag}` has no runs yet"))
            .hint(format!("flowctl trigger {dag}"))
            .into()),
    }
}
