//! `flowctl xcoms`.

use reqwest::Method;
use serde_json::{Value, json};

use super::import::{Import, read_text};
use super::runs::{resolve, run_path};
use crate::args::{Form, XcomsCommand};
use crate::client::Client;
use crate::failure::{Exit, Failure, usage};
use crate::output::{self, segment};

const LIST: &[(&str, &str)] =
    &[("TASK", "task_id"), ("INDEX", "map_index"), ("KEY", "key"), ("VALUE", "value"), ("WRITTEN", "timestamp")];

/// Values asked for at once: each may be large.
const PAGE: usize = 100;

/// Runs a subcommand.
///
/// # Errors
/// The server refuses.
pub async fn run(client: &Client, form: Form, command: XcomsCommand) -> anyhow::Result<Exit> {
    match command {
        XcomsCommand::List { dag, task, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let mut entries = all(client, &dag, &run, task.as_deref()).await?;
            if form == Form::Table {
                entries.iter_mut().for_each(shorten);
            }
            output::list(form, &entries, LIST)?;
        }
        XcomsCommand::Get { dag, task, key, map_index, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let path = format!("{}/{}?map_index={map_index}", entries_path(&dag, &run, &task), segment(&key));
            let entry = client.get(&path).await?;
            match &entry["value"] {
                Value::String(text) if form == Form::Table => output::raw(&format!("{text}\n"))?,
                value => output::json(value)?,
            }
        }
        XcomsCommand::Set { dag, task, key, value, map_index, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
            set(client, &dag, &run, &json!({ "task_id": task, "key": key, "value": value, "map_index": map_index }))
                .await?;
        }
        XcomsCommand::Delete { dag, task, key, map_index, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let path = format!("{}/{}?map_index={map_index}", entries_path(&dag, &run, &task), segment(&key));
            client.ask(Method::DELETE, &path, None).await?;
        }
        XcomsCommand::Export { dag, task, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let entries: Vec<Value> = all(client, &dag, &run, task.as_deref()).await?.iter().map(exported).collect();
            output::json(&Value::Array(entries))?;
        }
        XcomsCommand::Import { dag, import: args, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let entries = read(&args.file)?;
            let entries = entries.into_iter().map(|entry| Ok((name(&entry)?, entry)));
            let entries = entries.collect::<anyhow::Result<Vec<_>>>()?;
            let existing = all(client, &dag, &run, None).await?.iter().flat_map(name).collect();
            let what = format!("values in the run {run}");
            let import = Import { what: &what, entries, on_existing: args.action_on_existing_key };
            import.run(&existing, async |_, entry| set(client, &dag, &run, entry).await).await?;
        }
    }
    Ok(Exit::Success)
}

fn entries_path(dag: &str, run: &str, task: &str) -> String {
    format!("{}/taskInstances/{}/xcomEntries", run_path(dag, run), segment(task))
}

async fn all(client: &Client, dag: &str, run: &str, task: Option<&str>) -> anyhow::Result<Vec<Value>> {
    // `~`, all tasks, is no task id.
    let path = match task {
        Some(task) => entries_path(dag, run, task),
        None => format!("{}/taskInstances/~/xcomEntries", run_path(dag, run)),
    };
    let mut entries = Vec::new();
    loop {
        let page = client.get(&format!("{path}?values=true&limit={PAGE}&offset={}", entries.len())).await?;
        let found = page["xcom_entries"].as_array().cloned().unwrap_or_default();
        let is_last = found.len() < PAGE;
        entries.extend(found);
        if is_last {
            return Ok(entries);
        }
    }
}

/// Replaces a value, or creates it where there is none.
async fn set(client: &Client, dag: &str, run: &str, entry: &Value) -> anyhow::Result<()> {
    let (task, key) = (entry["task_id"].as_str().unwrap_or_default(), entry["key"].as_str().unwrap_or_default());
    let path = entries_path(dag, run, task);
    let body = json!({ "key": key, "value": entry["value"], "map_index": entry["map_index"].as_i64().unwrap_or(-1) });
    let replaced = client.ask(Method::PATCH, &format!("{path}/{}", segment(key)), Some(&body)).await;
    match replaced {
        Err(error) if error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::NotFound) => {
            client.ask(Method::POST, &path, Some(&body)).await.map(drop)
        }
        other => other.map(drop),
    }
}

/// What an entry is called.
fn name(entry: &Value) -> anyhow::Result<String> {
    let (Some(task), Some(key)) = (entry["task_id"].as_str(), entry["key"].as_str()) else {
        return Err(usage(format!("`{entry}` has no `task_id` and `key`")).hint("nothing was set").into());
    };
    let index = entry["map_index"].as_i64().filter(|index| *index >= 0);
    Ok(format!("{task}{}.{key}", index.map(|index| format!("[{index}]")).unwrap_or_default()))
}

/// What `import` needs of an entry.
fn exported(entry: &Value) -> Value {
    json!({
        "task_id": entry["task_id"], "map_index": entry["map_index"], "key": entry["key"], "value": entry["value"],
    })
}

fn read(file: &str) -> anyhow::Result<Vec<Value>> {
    let text = read_text(file)?;
    serde_json::from_str(&text).map_err(|error| {
        usage(format!("`{file}` is no list of XComs: {error}"))
            .hint("`flowctl xcoms export <dag> > file` writes one")
            .into()
    })
}

/// A value in a table is one line of at most 80 characters.
fn shorten(entry: &mut Value) {
    let text = match &entry["value"] {
        Value::String(text) => text.replace('\n', " "),
        // No digit of a number is left out.
        value => value.to_string(),
    };
    entry["value"] = match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    };
}
