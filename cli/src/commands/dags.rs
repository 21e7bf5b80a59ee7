//! `flowctl dags`.

use std::collections::BTreeSet;

use flow_model::suggest::nearest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{DagsCommand, Form};
use crate::client::Client;
use crate::commands::pools;
use crate::config::Settings;
use crate::failure::{Exit, Failure};
use crate::output::{self, cell, segment};
use crate::output::{say, tell};

mod check;
mod github;
mod reference;

const LIST: &[(&str, &str)] = &[
    ("DAG", "dag_id"),
    ("PAUSED", "is_paused"),
    ("SCHEDULE", "timetable_summary"),
    ("NEXT RUN", "next_dagrun_run_after"),
    ("OWNERS", "owners"),
    ("TAGS", "tags"),
];

const DETAILS: &[(&str, &str)] = &[
    ("dag", "dag_id"),
    ("description", "description"),
    ("file", "fileloc"),
    ("owners", "owners"),
    ("tags", "tags"),
    ("paused", "is_paused"),
    ("schedule", "timetable_summary"),
    ("in words", "timetable_description"),
    ("next run", "next_dagrun_run_after"),
    ("start date", "start_date"),
    ("end date", "end_date"),
    ("catchup", "catchup_mode"),
    ("max active runs", "max_active_runs"),
    ("max active tasks", "max_active_tasks"),
];

/// Runs a subcommand.
///
/// # Errors
/// The server refuses, or a path cannot be read.
pub async fn run(settings: Settings, form: Form, command: DagsCommand) -> anyhow::Result<Exit> {
    match command {
        DagsCommand::Check { paths } => return check::run(&settings, form, &paths).await,
        DagsCommand::Reference { name } => return reference::print(form, name.as_deref()),
        DagsCommand::Schema => {
            output::json(&flow_dagfile::schema())?;
            return Ok(Exit::Success);
        }
        _ => {}
    }
    let client = Client::find(&settings)?;
    let named = match &command {
        DagsCommand::Next { dag, .. } | DagsCommand::Pause { dag } | DagsCommand::Unpause { dag } => Some(dag.clone()),
        _ => None,
    };
    let done = on_server(&client, form, command).await;
    match (done, named) {
        (Err(error), Some(dag)) => Err(with_what_was_meant(&client, &dag, error).await),
        (done, _) => done.map(|()| Exit::Success),
    }
}

async fn on_server(client: &Client, form: Form, command: DagsCommand) -> anyhow::Result<()> {
    match command {
        DagsCommand::List { pattern, paused } => list(client, form, pattern.as_deref(), paused).await?,
        DagsCommand::Show { dag, source } => show(client, form, &dag, source).await?,
        DagsCommand::Next { dag, count } => next(client, form, &dag, count).await?,
        DagsCommand::Pause { dag } => pause(client, form, &dag, true).await?,
        DagsCommand::Unpause { dag } => pause(client, form, &dag, false).await?,
        DagsCommand::Check { .. } | DagsCommand::Reference { .. } | DagsCommand::Schema => {}
    }
    Ok(())
}

async fn list(client: &Client, form: Form, pattern: Option<&str>, paused: bool) -> anyhow::Result<()> {
    let mut query = String::new();
    if let Some(pattern) = pattern {
        query.push_str(&format!("&dag_id_pattern={}", segment(pattern)));
    }
    if paused {
        query.push_str("&paused=true");
    }
    let dags = all(client, &query).await?;
    output::list(form, &dags, LIST)?;
    let errors = client.get("/api/v2/importErrors?limit=1").await?;
    if let Some(count) = errors["total_entries"].as_u64().filter(|count| *count > 0) {
        tell!("note: {count} DAG files have errors\nhint: flowctl dags check");
    }
    Ok(())
}

/// The DAGs that fit a filter.
async fn all(client: &Client, filter: &str) -> anyhow::Result<Vec<Value>> {
    let mut dags: Vec<Value> = Vec::new();
    loop {
        let page = client.get(&format!("/api/v2/dags?limit=100{filter}&offset={}", dags.len())).await?;
        let found = page["dags"].as_array().cloned().unwrap_or_default();
        let is_last = found.is_empty();
        dags.extend(found);
        if is_last || dags.len() as u64 >= page["total_entries"].as_u64().unwrap_or_default() {
            return Ok(dags);
        }
    }
}

/// An error about a DAG; if it is that there is none, with what may have been meant.
pub async fn with_what_was_meant(client: &Client, dag: &str, error: anyhow::Error) -> anyhow::Error {
    if error.downcast_ref::<Failure>().is_none_or(|failure| failure.exit != Exit::NotFound) {
        return error;
    }
    let Ok(dags) = all(client, "").await else { return error };
    let known = || dags.iter().filter_map(|known| known["dag_id"].as_str());
    if known().any(|known| known == dag) {
        return error;
    }
    if let Ok(Some(broken)) = broken_file(client, dag).await {
        return never_published(dag, &broken).into();
    }
    let failure = Failure::new(Exit::NotFound, error.to_string());
    match nearest(dag, known()) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint("`flowctl dags list` lists the DAGs, `flowctl dags check` says what is wrong with files"),
    }
    .into()
}

fn never_published(dag: &str, broken: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("`{dag}` was never published, because its file has errors\n{broken}"))
        .hint("correct the file; `flowctl dags check` checks it")
}

async fn show(client: &Client, form: Form, dag: &str, source: bool) -> anyhow::Result<()> {
    if source {
        let shown = client.get(&format!("/api/v2/dagSources/{}", segment(dag))).await?;
        if form == Form::Json {
            return output::json(&shown);
        }
        output::raw(&cell(&shown["content"]))?;
        return Ok(());
    }
    let details = client.get(&format!("/api/v2/dags/{}/details", segment(dag))).await;
    let may_be_broken = details.as_ref().map_or(true, |details| details["has_import_errors"] == true);
    let broken = if may_be_broken { broken_file(client, dag).await? } else { None };
    let mut details = match details {
        Ok(details) => details,
        Err(error) => {
            return Err(match broken {
                Some(broken) => never_published(dag, &broken).into(),
                None => with_what_was_meant(client, dag, error).await,
            });
        }
    };
    if let Some(broken) = broken {
        tell!("warning: the file has errors, so what is shown is its last good version\n{broken}");
    } else if details["is_stale"] == true {
        tell!("warning: its file is gone from the DAG folder, so what is shown is its last version");
    }
    let found = client.get(&format!("/api/flow/dags/{}/starts", segment(dag))).await?;
    if form == Form::Json {
        details["starts"] = found["starts"].clone();
        return output::one(form, &details, DETAILS);
    }
    output::one(form, &details, DETAILS)?;
    for (name, param) in details["params"].as_object().into_iter().flatten() {
        say!("param {name} = {}", param["value"]);
    }
    let starts = found["starts"].as_array().cloned().unwrap_or_default();
    for start in &starts {
        if let Some(problem) = start["problem"].as_str() {
            tell!("warning: {} {}: {problem}", cell(&start["kind"]), cell(&start["name"]));
        }
    }
    if !starts.is_empty() {
        say!();
        let columns =
            [("STARTS FOR EACH", "kind"), ("NAME", "name"), ("ADDRESS", "address"), ("LOOKED AT", "looked_at")];
        output::list(form, &starts, &columns)?;
    }
    let tasks = client.get(&format!("/api/v2/dags/{}/tasks", segment(dag))).await?;
    warn_of_pools(client, &tasks).await?;
    let columns = [
        ("TASK", "task_id"),
        ("OPERATOR", "operator_name"),
        ("DOWNSTREAM", "downstream_task_ids"),
        ("RULE", "trigger_rule"),
        ("POOL", "pool"),
        ("RETRIES", "retries"),
    ];
    say!();
    output::list(form, tasks["tasks"].as_array().map_or(&[], Vec::as_slice), &columns)
}

/// Says which pools tasks name that are not there.
async fn warn_of_pools(client: &Client, tasks: &Value) -> anyhow::Result<()> {
    let pools = pools::names(client).await?;
    let tasks = tasks["tasks"].as_array().map_or(&[][..], Vec::as_slice);
    let named: BTreeSet<&str> = tasks.iter().filter_map(|task| task["pool"].as_str()).collect();
    for pool in named.into_iter().filter(|pool| !pools.contains(*pool)) {
        tell!(
            "warning: there is no pool `{pool}`, so the tasks that name it wait\nhint: flowctl pools set {pool} <slots>"
        );
    }
    Ok(())
}

/// What is wrong with the file of a DAG, if anything. A file that was never published is known by its name only.
///
/// # Errors
/// The server refuses.
pub async fn broken_file(client: &Client, dag: &str) -> anyhow::Result<Option<String>> {
    let file = format!("{dag}.toml");
    let of_dag = |error: &&Value| {
        let name = error["filename"].as_str().unwrap_or_default();
        error["dag_id"] == dag || name == file || name.ends_with(&format!("/{file}"))
    };
    let mut seen = 0;
    loop {
        let page = client.get(&format!("/api/v2/importErrors?limit=100&offset={seen}")).await?;
        let errors = page["import_errors"].as_array().map_or(&[][..], Vec::as_slice);
        seen += errors.len();
        let found = errors.iter().find(of_dag);
        if found.is_some() || errors.is_empty() || seen as u64 >= page["total_entries"].as_u64().unwrap_or_default() {
            return Ok(found.map(|error| cell(&error["stack_trace"])));
        }
    }
}

async fn next(client: &Client, form: Form, dag: &str, count: usize) -> anyhow::Result<()> {
    let next = client.get(&format!("/api/flow/dags/{}/next?count={count}", segment(dag))).await?;
    if form == Form::Json {
        return output::json(&next);
    }
    let upcoming = next["upcoming"].as_array().cloned().unwrap_or_default();
    if upcoming.is_empty() {
        tell!("`{dag}` has no upcoming runs (schedule: {})", cell(&next["schedule"]));
    } else {
        output::list(form, &upcoming, &[("RUNS AT", "run_after"), ("LOGICAL DATE", "logical_date")])?;
    }
    if next["is_paused"] == true {
        tell!("note: `{dag}` is paused\nhint: flowctl dags unpause {dag}");
    }
    Ok(())
}

async fn pause(client: &Client, form: Form, dag: &str, is_paused: bool) -> anyhow::Result<()> {
    let body = json!({ "is_paused": is_paused });
    let shown = client.ask(Method::PATCH, &format!("/api/v2/dags/{}", segment(dag)), Some(&body)).await?;
    if form == Form::Json {
        return output::json(&shown);
    }
    say!("{dag} {}", if is_paused { "paused" } else { "unpaused" });
    Ok(())
}
