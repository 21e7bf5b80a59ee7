//! `flowctl artifacts`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::runs::resolve;
use crate::args::{ArtifactsCommand, Form};
use crate::client::Client;
use crate::failure::Exit;
use crate::output::tell;
use crate::output::{self, segment};

const LIST: &[(&str, &str)] = &[
    ("TASK", "task_id"),
    ("INDEX", "map_index"),
    ("TRY", "try_number"),
    ("NAME", "name"),
    ("BYTES", "size"),
    ("KEPT", "created_at"),
];

/// Runs a subcommand.
///
/// # Errors
/// The server refuses, or the file cannot be written.
pub async fn run(client: &Client, form: Form, command: ArtifactsCommand) -> anyhow::Result<Exit> {
    match command {
        ArtifactsCommand::List { dag, task, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let page = client.get(&format!("{}/artifacts", run_path(&dag, &run))).await?;
            let of_task = |artifact: &&Value| task.as_ref().is_none_or(|task| artifact["task_id"] == task.as_str());
            let artifacts: Vec<Value> =
                page["artifacts"].as_array().into_iter().flatten().filter(of_task).cloned().collect();
            output::list(form, &artifacts, LIST)?;
        }
        ArtifactsCommand::Get { dag, task, name, try_number, map_index, to, run } => {
            let run = resolve(client, &dag, run.run).await?;
            let mut path = format!(
                "{}/taskInstances/{}/artifacts/content?map_index={map_index}&name={}",
                run_path(&dag, &run),
                segment(&task),
                segment(&name)
            );
            if let Some(number) = try_number {
                path.push_str(&format!("&try_number={number}"));
            }
            download(client, &path, &target(to, &name)).await?;
        }
    }
    Ok(Exit::Success)
}

fn run_path(dag: &str, run: &str) -> String {
    format!("/api/flow/dags/{}/dagRuns/{}", segment(dag), segment(run))
}

/// Where the file goes: what was asked for, or the last part of its name in this folder.
fn target(to: Option<PathBuf>, name: &str) -> PathBuf {
    to.unwrap_or_else(|| PathBuf::from(name.rsplit('/').next().unwrap_or(name)))
}

async fn download(client: &Client, path: &str, to: &Path) -> anyhow::Result<()> {
    let is_stdout = to == Path::new("-");
    let mut out: Option<Box<dyn Write>> = None;
    client
        .bytes(path, |piece| {
            // Not before the server has said yes: a refusal must not leave an empty file.
            let out = match &mut out {
                Some(out) => out,
                None => out.insert(open(to, is_stdout)?),
            };
            out.write_all(piece).with_context(|| format!("cannot write `{}`", to.display()))
        })
        .await?;
    let mut out = match out {
        Some(out) => out,
        None => open(to, is_stdout)?,
    };
    out.flush().with_context(|| format!("cannot write `{}`", to.display()))?;
    if !is_stdout {
        tell!("{}", to.display());
    }
    Ok(())
}

fn open(to: &Path, is_stdout: bool) -> anyhow::Result<Box<dyn Write>> {
    if is_stdout {
        return Ok(Box::new(std::io::stdout()));
    }
    let file = std::fs::File::create(to).with_context(|| format!("cannot write `{}`", to.display()))?;
    Ok(Box::new(file))
}
