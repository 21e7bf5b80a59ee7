//! `flowctl tasks`.

use reqwest::Method;
use serde_json::{Value, json};

use super::runs::{TASKS, resolve, run_path};
use crate::args::{Form, TasksCommand};
use crate::client::Client;
use crate::failure::{Exit, usage};
use crate::output::{self, cell, segment};
use crate::output::{say, tell};

/// Task instances that are asked for at once.
const PAGE: usize = 1_000;

/// Runs a subcommand.
///
/// # Errors
/// The server refuses.
pub async fn run(client: &Client, form: Form, command: TasksCommand) -> anyhow::Result<Exit> {
    match command {
        TasksCommand::List { dag, tasks, run, state, limit } => {
            let run = resolve(client, &dag, run.run).await?;
            let of_tasks = tasks.iter().map(|task| format!("&task_id={}", segment(task)));
            let in_states = state.iter().map(|state| format!("&state={}", segment(state)));
            let filter: String = of_tasks.chain(in_states).collect();
            let (instances, total) = instances(client, &run_path(&dag, &run), &filter, limit).await?;
            output::list(form, &instances, TASKS)?;
            tell_of_more(instances.len(), total);
        }
        TasksCommand::Logs { dag, task, run, instance, try_number, follow, timestamps } => {
            let run = resolve(client, &dag, run.run).await?;
            if instance.map_index.is_none() {
                refuse_several(client, &dag, &run, &task).await?;
            }
            logs(
                client,
                form,
                &format!("{}/taskInstances/{}/logs", run_path(&dag, &run), segment(&task)),
                try_number,
                instance.map_index,
                follow,
                timestamps,
            )
            .await?;
        }
        TasksCommand::Clear { dag, tasks, run, instance, only_failed, upstream, downstream, dry_run } => {
            let run = resolve(client, &dag, run.run).await?;
            let mut body = json!({
                "dag_run_id": run, "only_failed": only_failed, "include_upstream": upstream,
                "include_downstream": downstream, "dry_run": dry_run,
            });
            if !tasks.is_empty() {
                body["task_ids"] = match instance.map_index {
                    Some(map_index) => tasks.iter().map(|task| json!([task, map_index])).collect(),
                    None => json!(tasks),
                };
            }
            let path = format!("/api/v2/dags/{}/clearTaskInstances", segment(&dag));
            let affected = client.ask(Method::POST, &path, Some(&body)).await?;
            affected_tasks(form, &affected, if dry_run { "would clear" } else { "cleared" })?;
        }
        TasksCommand::Mark { dag, task, state, run, instance, upstream, downstream, dry_run } => {
            let run = resolve(client, &dag, run.run).await?;
            let body = json!({
                "new_state": state, "map_index": instance.map_index, "include_upstream": upstream, "include_downstream": downstream, "dry_run": dry_run,
            });
            let path = format!("{}/taskInstances/{}", run_path(&dag, &run), segment(&task));
            let affected = client.ask(Method::PATCH, &path, Some(&body)).await?;
            affected_tasks(form, &affected, if dry_run { "would mark" } else { "marked" })?;
        }
        TasksCommand::Explain { dag, task, run, instance } => {
            let run = resolve(client, &dag, run.run).await?;
            let path = format!(
                "/api/flow/dags/{}/dagRuns/{}/taskInstances/{}/explain{}",
                segment(&dag),
                segment(&run),
                segment(&task),
                of_instance('?', instance.map_index)
            );
            explain(form, &client.get(&path).await?)?;
        }
    }
    Ok(Exit::Success)
}

/// Task instances of a run, `limit` at most, and how many there are.
///
/// # Errors
/// The server refuses.
pub(super) async fn instances(
    client: &Client,
    run_path: &str,
    filter: &str,
    limit: usize,
) -> anyhow::Result<(Vec<Value>, u64)> {
    let mut found: Vec<Value> = Vec::new();
    loop {
        let size = (limit - found.len()).min(PAGE);
        let path = format!("{run_path}/taskInstances?limit={}&offset={}{filter}", size.max(1), found.len());
        let page = client.get(&path).await?;
        let total = page["total_entries"].as_u64().unwrap_or(0);
        let rows = page["task_instances"].as_array().map_or(&[][..], Vec::as_slice);
        found.extend(rows.iter().take(size).cloned());
        if rows.is_empty() || found.len() >= limit || found.len() as u64 >= total {
            return Ok((found, total));
        }
    }
}

/// Says that a list is not complete.
pub(super) fn tell_of_more(listed: usize, total: u64) {
    if total > listed as u64 {
        tell!("note: these are {listed} of {total} task instances");
        tell!("hint: `flowctl tasks list` takes `--limit`, `--state` and the names of tasks");
    }
}

fn affected_tasks(form: Form, affected: &Value, done: &str) -> anyhow::Result<()> {
    if form == Form::Json {
        return output::json(affected);
    }
    let tasks = affected["task_instances"].as_array().cloned().unwrap_or_default();
    let place = |task: &Value| (cell(&task["task_id"]), task["map_index"].as_i64().unwrap_or(-1));
    let places: Vec<(String, i64)> = tasks.iter().map(place).collect();
    // Map indexes one after the other are one line.
    for several in places.chunk_by(|(left, first), (right, second)| left == right && first + 1 == *second) {
        let ((task, first), (_, last)) = (&several[0], &several[several.len() - 1]);
        match (*first, *last) {
            (-1, _) => say!("{done} {task}"),
            (first, last) if first == last => say!("{done} {task} [{first}]"),
            (first, last) => say!("{done} {task} [{first}-{last}]"),
        }
    }
    let more = affected["total_entries"].as_u64().unwrap_or(0).saturating_sub(tasks.len() as u64);
    if more > 0 {
        say!("{done} {more} more task instances");
    }
    if tasks.is_empty() {
        tell!("nothing to do: no task instance is in a state that this changes");
    }
    Ok(())
}

fn explain(form: Form, explanation: &Value) -> anyhow::Result<()> {
    if form == Form::Json {
        return output::json(explanation);
    }
    say!("{}: {}", cell(&explanation["task_id"]), cell(&explanation["summary"]));
    for reason in explanation["reasons"].as_array().into_iter().flatten() {
        if reason["text"] != explanation["summary"] {
            say!("  - {}", cell(&reason["text"]));
        }
        if let Some(hint) = reason["hint"].as_str() {
            say!("    hint: {hint}");
        }
    }
    Ok(())
}

/// The part of a URL that names an instance of a mapped task.
fn of_instance(separator: char, map_index: Option<i64>) -> String {
    map_index.map_or(String::new(), |map_index| format!("{separator}map_index={map_index}"))
}

/// Instances of a mapped task that are named where one must be chosen.
const INSTANCES_SHOWN_MAX: usize = 20;

/// Each instance of a mapped task has a log of its own.
async fn refuse_several(client: &Client, dag: &str, run: &str, task: &str) -> anyhow::Result<()> {
    let filter = format!("&task_id={}", segment(task));
    let (found, total) = instances(client, &run_path(dag, run), &filter, INSTANCES_SHOWN_MAX).await?;
    match &found[..] {
        [one] if one["map_index"].as_i64().unwrap_or(-1) < 0 => {
            if one["try_number"].as_u64().unwrap_or(0) == 0 {
                anstream::eprintln!("`{task}` has not started in this run: it is {}", cell(&one["state"]));
                anstream::eprintln!("hint: flowctl tasks explain {dag} {task} --run {run}");
            }
            Ok(())
        }
        [] => Ok(()),
        several => {
            let named = several.iter().map(|one| format!("\n  [{}] {}", cell(&one["map_index"]), cell(&one["state"])));
            let more = total.saturating_sub(several.len() as u64);
            let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
            let message = format!(
                "`{task}` is mapped, and each of its instances has a log of its own:{}{more}",
                named.collect::<String>()
            );
            let first = cell(&several[0]["map_index"]);
            Err(usage(message).hint(format!("flowctl tasks logs {dag} {task} --run {run} --map-index {first}")).into())
        }
    }
}

async fn logs(
    client: &Client,
    form: Form,
    path: &str,
    try_number: u32,
    map_index: Option<i64>,
    follow: bool,
    timestamps: bool,
) -> anyhow::Result<()> {
    if follow {
        let path = format!(
            "{}/{try_number}/follow{}",
            path.replacen("/api/v2/", "/api/flow/", 1),
            of_instance('?', map_index)
        );
        return client
            .lines(&path, |line| {
                match line["end"].as_bool() {
                    Some(true) if form == Form::Table => tell!("({})", cell(&line["state"])),
                    _ => print_line(form, &line, timestamps),
                }
                Ok(())
            })
            .await;
    }
    let mut token = String::new();
    loop {
        let page = client
            .get(&format!("{path}/{try_number}?token={}{}", segment(&token), of_instance('&', map_index)))
            .await?;
        for line in page["content"].as_array().into_iter().flatten() {
            print_line(form, line, timestamps);
        }
        match page["continuation_token"].as_str() {
            Some(next) if next != token => next.clone_into(&mut token),
            _ => return Ok(()),
        }
    }
}

fn print_line(form: Form, line: &Value, timestamps: bool) {
    if form == Form::Json {
        say!("{line}");
    } else if timestamps {
        say!("{} {:<6} {}", cell(&line["timestamp"]), cell(&line["stream"]), cell(&line["event"]));
    } else {
        say!("{}", line["event"].as_str().unwrap_or_default());
    }
}
