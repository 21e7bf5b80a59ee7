//! `flowctl approvals`.

use flow_model::params::{Params, coerce_text};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::runs::{resolve, run_path};
use crate::args::{ApprovalsCommand, Form};
use crate::client::Client;
use crate::failure::{Exit, usage};
use crate::output::tell;
use crate::output::{self, segment};

const LIST: &[(&str, &str)] = &[
    ("DAG", "dag_id"),
    ("RUN", "dag_run_id"),
    ("TASK", "task_id"),
    ("SUBJECT", "subject"),
    ("OPTIONS", "options"),
    ("FOR", "assignees"),
    ("ASKED", "created_at"),
    ("UNTIL", "deadline"),
    ("ANSWER", "answer"),
];

/// Runs a subcommand.
///
/// # Errors
/// The server refuses.
pub async fn run(client: &Client, form: Form, command: ApprovalsCommand) -> anyhow::Result<Exit> {
    match command {
        ApprovalsCommand::List { dag, all } => {
            let dag = dag.map_or_else(|| "~".to_owned(), |dag| segment(&dag));
            let open = if all { "" } else { "&response_received=false" };
            let page = client.get(&format!("/api/v2/dags/{dag}/dagRuns/~/hitlDetails?limit=100{open}")).await?;
            let details = page["hitl_details"].as_array().cloned().unwrap_or_default();
            let rows = if form == Form::Json { details } else { details.iter().map(row).collect() };
            output::list(form, &rows, LIST)?;
        }
        ApprovalsCommand::Answer { dag, task, options, params, map_index, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let path = format!("{}/taskInstances/{}/{map_index}/hitlDetails", run_path(&dag, &run), segment(&task));
            let asked = client.get(&path).await?;
            let body = json!({ "chosen_options": options, "params_input": input(&asked, &params)? });
            let answered = client.ask(Method::PATCH, &path, Some(&body)).await?;
            if form == Form::Json {
                output::json(&answered)?;
            } else {
                tell!("answered");
            }
        }
    }
    Ok(Exit::Success)
}

/// What was filled in, read as the question declares it.
fn input(asked: &Value, pairs: &[String]) -> anyhow::Result<Map<String, Value>> {
    let declared: Params = serde_json::from_value(asked["params"].clone())?;
    let mut input = Map::new();
    for pair in pairs {
        let (name, text) = pair.split_once('=').ok_or_else(|| usage(format!("`-p {pair}` is not `name=value`")))?;
        let value = coerce_text(&declared, name, text).map_err(|problem| usage(problem.to_string()))?;
        input.insert(name.to_owned(), value);
    }
    Ok(input)
}

fn row(asked: &Value) -> Value {
    let of = &asked["task_instance"];
    let names: Vec<&Value> =
        asked["assigned_users"].as_array().into_iter().flatten().map(|user| &user["name"]).collect();
    let answer = match (asked["response_received"].as_bool(), asked["responded_by_user"]["name"].as_str()) {
        (Some(true), who) => {
            format!("{} ({})", output::cell(&asked["chosen_options"]), who.unwrap_or("nobody in time"))
        }
        _ => String::new(),
    };
    json!({
        "dag_id": of["dag_id"], "dag_run_id": of["dag_run_id"], "task_id": of["task_id"],
        "subject": asked["subject"], "options": asked["options"], "assignees": names,
        "created_at": asked["created_at"], "deadline": asked["deadline"], "answer": answer,
    })
}
