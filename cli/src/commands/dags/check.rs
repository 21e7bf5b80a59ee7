//! `flowctl dags check`.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Component, Path, PathBuf};

use flow_dagfile::{CheckedFile, Severity, check_file};
use serde_json::{Value, json};

use super::github;
use crate::args::Form;
use crate::client::Client;
use crate::commands::pools;
use crate::config::Settings;
use crate::failure::{Exit, Failure};
use crate::output::{self, say, tell};

/// Checks files without a server: CI and editors use it. Only one that is named, or runs here, knows the pools.
///
/// # Errors
/// A path is not there, or cannot be read.
pub(super) async fn run(settings: &Settings, form: Form, paths: &[PathBuf]) -> anyhow::Result<Exit> {
    let root = dag_folder(&settings.dags.folder)?;
    let default = [root.clone().unwrap_or_else(|| settings.dags.folder.clone())];
    let mut files = Vec::new();
    let mut others = Vec::new();
    for path in if paths.is_empty() { &default } else { paths } {
        let found = checked(path, root.as_deref())?;
        files.extend(found.named);
        others.extend(found.others);
    }
    // Only whole folders know which DAGs there are.
    if paths.iter().all(|path| path.is_dir()) {
        let named = files.len();
        files.append(&mut others);
        flow_dagfile::check_links(&mut files);
        files.truncate(named);
    }
    if let Some(pools) = known_pools(settings).await {
        flow_dagfile::check_pools(&mut files, &pools);
    }
    tell_of(form, &files)
}

fn tell_of(form: Form, files: &[CheckedFile]) -> anyhow::Result<Exit> {
    let broken = files.iter().filter(|file| file.result.is_err()).count();
    let color = std::io::stderr().is_terminal();
    let mut rows = Vec::new();
    for file in files {
        let (errors, warnings): (Vec<_>, Vec<_>) =
            file.diagnostics().iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        match form {
            Form::Table if !file.diagnostics().is_empty() => {
                anstream::eprintln!("{}", flow_dagfile::render(file, color));
            }
            Form::Github => {
                for diagnostic in file.diagnostics() {
                    say!("{}", github::command(&file.path, diagnostic));
                }
            }
            _ => {}
        }
        rows.push(json!({ "file": file.path, "dag_id": file.dag_id, "errors": errors, "warnings": warnings }));
    }
    if form == Form::Json {
        output::json(&Value::Array(rows))?;
    } else {
        say!("{} files checked, {broken} broken", files.len());
    }
    Ok(if broken > 0 { Exit::Usage } else { Exit::Success })
}

/// The pools of the web role that is configured, or of the standalone that runs here.
async fn known_pools(settings: &Settings) -> Option<BTreeSet<String>> {
    let is_named = !settings.client.url.is_empty();
    let names = match Client::find(settings) {
        Ok(client) => pools::names(&client).await,
        Err(error) => Err(error),
    };
    names
        .inspect_err(|error| {
            if is_named {
                tell!("note: pools are not checked: {error}");
            }
        })
        .ok()
}

/// The DAG folder of the project: here, or in the nearest folder above that has one.
fn dag_folder(configured: &Path) -> std::io::Result<Option<PathBuf>> {
    // What is here is named as it was configured.
    if configured.is_dir() || configured.is_absolute() {
        return Ok(configured.is_dir().then(|| configured.to_owned()));
    }
    let here = std::env::current_dir()?;
    Ok(here.ancestors().map(|folder| folder.join(configured)).find(|folder| folder.is_dir()))
}

/// Where a path leads from the DAG folder, if it lies inside.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let below = |root: PathBuf, path: PathBuf| path.strip_prefix(root).ok().map(Path::to_owned);
    let as_written = || {
        let is_plain = !path.components().any(|part| part == Component::ParentDir);
        below(std::path::absolute(root).ok()?, std::path::absolute(path).ok()?).filter(|_| is_plain)
    };
    // A link inside of the folder may lead out of it.
    below(root.canonicalize().ok()?, path.canonicalize().ok()?).or_else(as_written)
}

/// Files that were asked for, and the others of the DAG folder, which they may name.
#[derive(Default)]
struct Found {
    named: Vec<CheckedFile>,
    others: Vec<CheckedFile>,
}

fn checked(path: &Path, root: Option<&Path>) -> anyhow::Result<Found> {
    if !path.exists() {
        let failure = Failure::new(Exit::NotFound, format!("there is no file or folder `{}`", path.display()));
        return Err(failure.hint("name DAG files or folders, or set `dags.folder`").into());
    }
    let within = root.and_then(|root| Some((root, inside(root, path)?)));
    if path.is_dir() {
        return folder(path, within);
    }
    let (root, relative) = within.unwrap_or_else(|| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (parent, PathBuf::from(path.file_name().unwrap_or_default()))
    });
    let mut file = check_file(root, &relative);
    file.path = path.display().to_string();
    Ok(Found { named: vec![file], ..Found::default() })
}

fn folder(path: &Path, within: Option<(&Path, PathBuf)>) -> anyhow::Result<Found> {
    // A scan of the whole passes over these, and whoever names one means it.
    let is_passed_over = |part: Component<'_>| {
        part.as_os_str().as_encoded_bytes().starts_with(b".") || part.as_os_str().as_encoded_bytes().starts_with(b"_")
    };
    let within = within.filter(|(_, relative)| !relative.components().any(is_passed_over));
    let (root, relative) = within.unwrap_or((path, PathBuf::new()));
    let mut found = Found::default();
    for mut file in flow_dagfile::Folder::new(root).scan()?.changed {
        // Named as the user would open them.
        let below = Path::new(&file.path).strip_prefix(&relative).map(|below| path.join(below));
        match below {
            Ok(named) => {
                file.path = named.display().to_string();
                found.named.push(file);
            }
            Err(_) => found.others.push(file),
        }
    }
    Ok(found)
}
