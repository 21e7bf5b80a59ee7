//! What the imports of variables, connections and XComs share: reading the file, what becomes of things that exist already,
//! and telling what was set.

mod yaml;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use flow_model::outside::without_mark;
use serde_json::{Map, Value};

use crate::args::OnExisting;
use crate::failure::{Exit, Failure, usage};
use crate::output::tell;

/// Names that an error lists at most.
const NAMES_SHOWN_MAX: usize = 10;

/// The text of a file, or stdin.
pub(super) fn read_text(file: &str) -> anyhow::Result<String> {
    let text = match file {
        "-" => std::io::read_to_string(std::io::stdin()).context("cannot read stdin")?,
        _ => std::fs::read_to_string(file).with_context(|| format!("cannot read `{file}`"))?,
    };
    Ok(without_mark(&text).to_owned())
}

/// The forms in which Airflow exports, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileFormat {
    Json,
    Yaml,
    /// Lines of `name=value`.
    Env,
}

impl FileFormat {
    /// By the file's name, else by its looks.
    fn of(file: &str, text: &str) -> FileFormat {
        match Path::new(file).extension().and_then(|extension| extension.to_str()) {
            Some("json") => return FileFormat::Json,
            Some("yaml" | "yml") => return FileFormat::Yaml,
            Some("env") => return FileFormat::Env,
            _ => {}
        }
        let is_name = |name: &str| !name.is_empty() && !name.contains([' ', ':', '"', '{']);
        let is_pair = |line: &str| line.split_once('=').is_some_and(|(name, _)| is_name(name.trim()));
        match text.trim_start().starts_with(['{', '[']) {
            true => FileFormat::Json,
            false if !text.trim().is_empty() && env_lines(text).all(|(_, line)| is_pair(line)) => FileFormat::Env,
            false => FileFormat::Yaml,
        }
    }
}

/// A file with things by name.
pub(super) fn read_named(file: &str, what: &str) -> anyhow::Result<Map<String, Value>> {
    let text = read_text(file)?;
    let named = match FileFormat::of(file, &text) {
        FileFormat::Json => serde_json::from_str(&text).map_err(|error| format!("no JSON object of {what}: {error}")),
        FileFormat::Yaml => {
            yaml::read(&text).map_err(|error| format!("no YAML: {error}")).and_then(|value| match value {
                Value::Object(named) => Ok(named),
                _ => Err(format!("no YAML mapping of {what}")),
            })
        }
        FileFormat::Env => from_env(&text),
    };
    named.map_err(|why| {
        usage(format!("`{file}` is {why}"))
            .hint(format!("`flowctl {what} export > file.json` writes such a file; `.yaml` and `.env` are read, too"))
            .into()
    })
}

fn env_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn from_env(text: &str) -> Result<Map<String, Value>, String> {
    env_lines(text)
        .map(|(number, line)| {
            let (name, value) =
                line.split_once('=').ok_or_else(|| format!("no list of `name=value`: look at line {number}"))?;
            Ok((own_name(name.trim()), Value::from(value.trim())))
        })
        .collect()
}

/// The name that an environment variable stands for; other names stand for themselves.
fn own_name(name: &str) -> String {
    let prefixes = ["AIRFLOW_CONN_", "FLOW_CONN_", "AIRFLOW_VAR_", "FLOW_VAR_"];
    let found = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
    found.map_or_else(|| name.to_owned(), str::to_lowercase)
}

/// What is set of one kind of things.
pub(super) struct Import<'a, T> {
    /// What they are called, for instance `variables`.
    pub what: &'a str,
    /// By name.
    pub entries: Vec<(String, T)>,
    pub on_existing: OnExisting,
}

impl<T> Import<'_, T> {
    /// Sets one after the other. One that is refused does not stop the others.
    ///
    /// # Errors
    /// Something exists and must not; nobody answers; or some were refused, and which.
    pub async fn run(
        self,
        existing: &BTreeSet<String>,
        set: impl AsyncFn(&str, &T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Import { what, entries, on_existing } = self;
        let count = entries.len();
        let (old, new): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| existing.contains(name));
        if on_existing == OnExisting::Fail && !old.is_empty() {
            let names = listed(old.iter().map(|(name, _)| name.as_str()));
            return Err(Failure::new(
                Exit::Failed,
                format!("{} of the {what} exist already, so nothing was set: {names}", old.len()),
            )
            .hint("`--action-on-existing-key skip` leaves those as they are, `overwrite` sets them anew")
            .into());
        }
        let kept = if on_existing == OnExisting::Skip { old.len() } else { 0 };
        let old = old.into_iter().filter(|_| on_existing == OnExisting::Overwrite);
        let mut refused = Vec::new();
        let mut done = 0_usize;
        for (name, entry) in old.chain(new) {
            match set(&name, &entry).await {
                Ok(()) => done += 1,
                Err(error) if is_about_one(&error) => refused.push(format!("{name}: {error}")),
                Err(error) => return Err(error.context(format!("{done} of {count} {what} were set"))),
            }
        }
        let kept = if kept > 0 { format!(", {kept} left as they were") } else { String::new() };
        tell!("{done} {what} set{kept}");
        if refused.is_empty() {
            return Ok(());
        }
        let shown = refused.iter().map(|line| format!("\n  {line}")).collect::<String>();
        Err(Failure::new(Exit::Failed, format!("{} of {count} {what} could not be set:{shown}", refused.len()))
            .hint("the others are set; correct these and import them again")
            .into())
    }
}

/// Whether the next one may have better luck.
fn is_about_one(error: &anyhow::Error) -> bool {
    let exit = error.downcast_ref::<Failure>().map(|failure| failure.exit);
    matches!(exit, Some(Exit::Usage | Exit::NotFound | Exit::Failed))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(NAMES_SHOWN_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let rest = names.len().saturating_sub(NAMES_SHOWN_MAX);
    if rest > 0 { format!("{shown} and {rest} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_are_told_by_name_or_looks() {
        for (file, text, format) in [
            ("a.json", "", FileFormat::Json),
            ("a.yml", "", FileFormat::Yaml),
            ("a.env", "", FileFormat::Env),
            ("-", "{\"a\": 1}", FileFormat::Json),
            ("-", "# mine\nA=1\n\nB=postgres://h/s?x=y\n", FileFormat::Env),
            ("-", "a:\n  conn_type: http\n", FileFormat::Yaml),
            ("-", "a: http://h/?x=y\n", FileFormat::Yaml),
        ] {
            assert_eq!(FileFormat::of(file, text), format, "{file} {text}");
        }
    }

    #[test]
    fn lines_of_an_environment_name_things() {
        let read =
            from_env("# mine\nold_db=postgres://ada:x%3D@h/s?a=b\nAIRFLOW_CONN_NEW_DB={\"conn_type\": \"http\"}\n");
        let wanted = json!({ "old_db": "postgres://ada:x%3D@h/s?a=b", "new_db": "{\"conn_type\": \"http\"}" });
        assert_eq!(Value::Object(read.unwrap()), wanted);
        assert!(from_env("A=1\nnothing\n").unwrap_err().contains("line 2"));
    }
}
