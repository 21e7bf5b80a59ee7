//! `flowctl callbacks`.

use serde_json::Value;

use super::runs::resolve;
use crate::args::{CallbacksArgs, Form};
use crate::client::Client;
use crate::failure::Exit;
use crate::output::{self, segment};

const LIST: &[(&str, &str)] = &[
    ("TASK", "task_id"),
    ("INDEX", "map_index"),
    ("TRY", "try_number"),
    ("EVENT", "event"),
    ("STATE", "state"),
    ("TRIES", "tries"),
    ("HAPPENED", "created_at"),
    ("WHAT CAME OF IT", "said"),
];

/// Lists the callbacks of a run.
///
/// # Errors
/// The server refuses.
pub async fn run(client: &Client, form: Form, args: CallbacksArgs) -> anyhow::Result<Exit> {
    let run = resolve(client, &args.dag, args.run.run).await?;
    let path = format!("/api/flow/dags/{}/dagRuns/{}/callbacks", segment(&args.dag), segment(&run));
    let page = client.get(&path).await?;
    let mut callbacks = page["callbacks"].as_array().cloned().unwrap_or_default();
    if form == Form::Table {
        callbacks.iter_mut().for_each(summarise);
    }
    output::list(form, &callbacks, LIST)?;
    Ok(Exit::Success)
}

/// What the notifiers have said, in one cell.
fn summarise(callback: &mut Value) {
    let said: Vec<String> = callback["results"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|result| {
            let message = output::cell(&result["message"]);
            format!("{}: {}", output::cell(&result["kind"]), message.lines().next().unwrap_or_default())
        })
        .collect();
    callback["said"] = said.join("; ").into();
}
