//! Files that were published with the DAG's version: fetched, and put where the task finds them.
//!
//! They stand to each other as in the DAG folder, so that `../shared/x.sh` and imports mean there what they mean here.

use std::path::PathBuf;

use flow_model::operator::{Bash, Operator, Sql};
use flow_store::WorkOrder;

use super::folder::AttemptFolder;
use super::launch::StartError;
use super::{PrepareError, Workshop};

/// The content of a file, by its path relative to the DAG file. `None`: it was not published with the version.
pub(super) async fn published(
    workshop: &Workshop,
    order: &WorkOrder,
    path: &str,
) -> Result<Option<Vec<u8>>, StartError> {
    let Some(hash) = hash_of(order, path) else { return Ok(None) };
    let content = workshop.store.dag_file(hash).await;
    content.map(Some).map_err(|error| StartError::Infrastructure(format!("cannot read the file `{path}`: {error}")))
}

/// The text of the task's file that may be a template.
pub(super) async fn text(workshop: &Workshop, order: &WorkOrder) -> Result<Option<String>, PrepareError> {
    let path = match &order.task().operator {
        Operator::Bash(Bash { script: Some(path), .. }) => path,
        Operator::Sql(Sql { file: Some(path), query: None, .. }) => path,
        _ => return Ok(None),
    };
    let Some(hash) = hash_of(order, path) else {
        return Err(PrepareError::Template(format!(
            "the file `{path}` was not published with this version of the DAG"
        )));
    };
    let content = workshop.store.dag_file(hash).await?;
    let is_sql = matches!(order.task().operator, Operator::Sql(_));
    match String::from_utf8(content) {
        Ok(text) => Ok(Some(text)),
        // A shell takes any bytes; they are no template.
        Err(_) if !is_sql => Ok(None),
        Err(_) => Err(PrepareError::Template(format!("the file `{path}` is not UTF-8\nhint: save it as UTF-8"))),
    }
}

/// The hash of a file's content, by its path relative to the DAG file.
pub(super) fn hash_of<'a>(order: &'a WorkOrder, path: &str) -> Option<&'a str> {
    let files = &order.graph.dag.files;
    files.get(path).or_else(|| files.get(&key(path))).map(String::as_str)
}

/// A path as files are called: without `.`, and with `..` at its beginning only.
fn key(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/').filter(|step| !matches!(*step, "" | ".")) {
        match steps.last() {
            Some(last) if step == ".." && *last != ".." => drop(steps.pop()),
            _ => steps.push(step),
        }
    }
    steps.join("/")
}

/// Where a file is put, relative to the attempt's folder.
pub(super) fn place_of(order: &WorkOrder, path: &str) -> String {
    match order.graph.dag.folder.as_str() {
        "" => path.to_owned(),
        folder => format!("{folder}/{path}"),
    }
}

/// Puts the task's files in place. Returns the folder that stands for the DAG file's own: where the process works.
pub(super) async fn place(
    workshop: &Workshop,
    order: &WorkOrder,
    folder: &AttemptFolder,
) -> Result<PathBuf, StartError> {
    let cannot = |what: &str, error: &dyn std::fmt::Display| StartError::Infrastructure(format!("{what}: {error}"));
    let dag = &order.graph.dag;
    let files = &order.task().files;
    if !files.is_empty() {
        let hashes: Vec<&str> = files.iter().filter_map(|path| dag.files.get(path)).map(String::as_str).collect();
        let contents =
            workshop.store.dag_files(&hashes).await.map_err(|e| cannot("cannot read the task's files", &e))?;
        for path in files {
            let content = dag.files.get(path).and_then(|hash| contents.get(hash));
            let Some(content) = content else {
                return Err(StartError::Task(format!(
                    "the file `{path}` was not published with this version of the DAG"
                )));
            };
            folder.write(&place_of(order, path), content).map_err(|e| cannot(&format!("cannot write `{path}`"), &e))?;
        }
    }
    folder.home(&dag.folder).map_err(|error| cannot("cannot create the folder that the task works in", &error))
}
