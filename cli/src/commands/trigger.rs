//! `flowctl trigger`.

use flow_model::Timestamp;
use flow_model::params::{Param, Params, coerce_text};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::dags::{broken_file, with_what_was_meant};
use super::runs::run_path;
use super::tasks::instances;
use crate::args::{Form, TriggerArgs};
use crate::client::Client;
use crate::failure::{Exit, usage};
use crate::output::{self, cell, segment};
use crate::output::{say, tell};

/// Failed tasks that are named at the end of a run.
const FAILURES_SHOWN_MAX: usize = 10;

/// Triggers a DAG, and waits or follows if asked to.
///
/// # Errors
/// The conf or a param cannot be used, or the server refuses.
pub async fn run(client: &Client, form: Form, args: TriggerArgs) -> anyhow::Result<Exit> {
    let run = match start(client, &args).await {
        Ok(run) => run,
        Err(error) => return Err(with_what_was_meant(client, &args.dag, error).await),
    };
    let run_id = cell(&run["dag_run_id"]);
    if !args.wait && !args.follow {
        if form == Form::Json {
            output::json(&run)?;
        } else {
            say!("{run_id}");
        }
        warn_of_dag(client, &args.dag).await;
        return Ok(Exit::Success);
    }
    tell!("{} {run_id}: {}/dags/{}/runs/{}", args.dag, client.url(), segment(&args.dag), segment(&run_id));
    warn_of_dag(client, &args.dag).await;
    let last = follow(client, form, &args.dag, &run_id, args.follow).await?;
    if form == Form::Json && !args.follow {
        output::json(&last)?;
    }
    if form == Form::Table {
        say!("{run_id} {}", cell(&last["state"]));
    }
    if last["state"] == "success" {
        return Ok(Exit::Success);
    }
    name_failures(client, &args.dag, &run_id).await;
    tell!("hint: flowctl runs show {} {run_id}", args.dag);
    Ok(Exit::Failed)
}

/// Asks for the run.
async fn start(client: &Client, args: &TriggerArgs) -> anyhow::Result<Value> {
    let body = body(client, args).await?;
    client.ask(Method::POST, &format!("/api/v2/dags/{}/dagRuns", segment(&args.dag)), Some(&body)).await
}

/// Says which tasks failed, and why.
async fn name_failures(client: &Client, dag: &str, run_id: &str) {
    let path = run_path(dag, run_id);
    let Ok((failed, total)) = instances(client, &path, "&state=failed", FAILURES_SHOWN_MAX).await else { return };
    for task in &failed {
        let index = task["map_index"].as_i64().filter(|index| *index >= 0);
        let index = index.map_or(String::new(), |index| format!(" [{index}]"));
        let reason = task["reason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
        tell!("failed: {}{index}{reason}", cell(&task["task_id"]));
    }
    let more = total.saturating_sub(failed.len() as u64);
    if more > 0 {
        tell!("failed: {more} more");
    }
}

async fn body(client: &Client, args: &TriggerArgs) -> anyhow::Result<Value> {
    let mut conf = match &args.conf {
        Some(text) => read_conf(text)?,
        None => Map::new(),
    };
    if !args.params.is_empty() {
        let declared = declared_params(client, &args.dag).await?;
        for pair in &args.params {
            let (name, text) = pair.split_once('=').ok_or_else(|| usage(format!("`-p {pair}` is not `key=value`")))?;
            let value = coerce_text(&declared, name, text).map_err(|problem| usage(problem.to_string()))?;
            conf.insert(name.to_owned(), value);
        }
    }
    let mut body = json!({ "conf": conf });
    match args.logical_date.as_deref() {
        None => {}
        Some("none") => body["logical_date"] = Value::Null,
        Some(text) => {
            body["logical_date"] = json!(time("--logical-date", text, ", or `none`")?);
        }
    }
    for (flag, field, given) in [
        ("--data-interval-start", "data_interval_start", &args.data_interval_start),
        ("--data-interval-end", "data_interval_end", &args.data_interval_end),
    ] {
        if let Some(text) = given {
            body[field] = json!(time(flag, text, "")?);
        }
    }
    if let Some(run_id) = &args.run_id {
        body["dag_run_id"] = json!(run_id);
    }
    if let Some(note) = &args.note {
        body["note"] = json!(note);
    }
    Ok(body)
}

/// The instant that a flag names.
fn time(flag: &str, text: &str, or: &str) -> anyhow::Result<Timestamp> {
    text.parse().map_err(|_| {
        usage(format!("`{flag} {text}` is not a time")).hint(format!("write it like 2026-01-31T06:00:00Z{or}")).into()
    })
}

fn read_conf(text: &str) -> anyhow::Result<Map<String, Value>> {
    let content = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| usage(format!("cannot read the conf file `{path}`: {error}")))?,
        None => text.to_owned(),
    };
    match serde_json::from_str(flow_model::outside::without_mark(&content)) {
        Ok(Value::Object(conf)) => Ok(conf),
        Ok(_) => Err(usage("`--conf` must be a JSON object").hint("for instance --conf '{\"region\": \"eu\"}'").into()),
        Err(error) => Err(usage(format!("`--conf` is not JSON: {error}"))
            .hint("for instance --conf '{\"region\": \"eu\"}'")
            .into()),
    }
}

/// The DAG's params, as the API shows them: value, schema, description.
async fn declared_params(client: &Client, dag: &str) -> anyhow::Result<Params> {
    let details = client.get(&format!("/api/v2/dags/{}/details", segment(dag))).await?;
    let mut declared = Params::default();
    for (name, param) in details["params"].as_object().into_iter().flatten() {
        let schema = param["schema"].as_object().cloned().unwrap_or_default();
        declared.insert(name.clone(), Param { default: None, schema });
    }
    Ok(declared)
}

/// Says what the run may not be as whoever asks for it expects: the DAG is paused, or its newest text is not used.
async fn warn_of_dag(client: &Client, dag: &str) {
    let Ok(shown) = client.get(&format!("/api/v2/dags/{}", segment(dag))).await else { return };
    if shown["has_import_errors"] == true
        && let Ok(Some(broken)) = broken_file(client, dag).await
    {
        tell!("warning: the file of `{dag}` has errors, so its last good version runs\n{broken}");
        tell!("hint: correct the file; `flowctl dags check` checks it");
    }
    if shown["is_paused"] == true {
        tell!("note: `{dag}` is paused, so the run waits\nhint: flowctl dags unpause {dag}");
    }
}

/// Follows a run to its end and returns it as it is then.
async fn follow(client: &Client, form: Form, dag: &str, run_id: &str, prints: bool) -> anyhow::Result<Value> {
    let path = format!("/api/flow/dags/{}/dagRuns/{}/follow", segment(dag), segment(run_id));
    let mut last = Value::Null;
    // A server that restarts ends the stream early: it is asked again until the run is over.
    for _ in 0..1_000 {
        client
            .lines(&path, |line| {
                if prints && form == Form::Json {
                    say!("{line}");
                } else if prints && line["task_id"].is_string() && !line["state"].is_null() {
                    print_move(&line);
                }
                if line["dag_run"].is_object() {
                    last = line["dag_run"].clone();
                }
                Ok(())
            })
            .await?;
        if last["state"] == "success" || last["state"] == "failed" {
            return Ok(last);
        }
    }
    anyhow::bail!("the server ended the stream of run `{run_id}` again and again before the run was over")
}

fn print_move(line: &Value) {
    let at = line["at"].as_str().unwrap_or_default();
    let time = at.get(11..23).unwrap_or(at).trim_end_matches('+');
    let mut task = cell(&line["task_id"]);
    if let Some(index) = line["map_index"].as_i64().filter(|index| *index >= 0) {
        task.push_str(&format!(" [{index}]"));
    }
    let mut text = format!("{time:<12} {task:<24} {}", cell(&line["state"]));
    if line["try_number"].as_i64().is_some_and(|number| number > 1) {
        text.push_str(&format!(" (try {})", line["try_number"]));
    }
    if let Some(reason) = line["reason"].as_str() {
        text.push_str(&format!(": {reason}"));
    }
    tell!("{text}");
}
