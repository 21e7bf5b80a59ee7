//! The layers of the configuration, and the check of their keys.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Settings;
use crate::failure::{Failure, usage};
use crate::hardening;

/// The file that is read from the working directory when none is named.
const DEFAULT_FILE: &str = "flow.toml";
/// What the names of environment variables begin with.
const PREFIX: &str = "FLOW__";

/// Settings from flags: dotted keys and their values.
pub type Overrides = Vec<(String, Value)>;

/// Loads the configuration from all layers.
///
/// # Errors
/// A file cannot be read, a key is unknown, or a value does not fit.
pub fn load(file: Option<&Path>, overrides: Overrides) -> anyhow::Result<Settings> {
    let known = known_keys();
    let mut merged = Table::new();
    if let Some((path, table)) = read_file(file)? {
        let origin = path.display().to_string();
        for (key, value) in leaves(&table) {
            if value.as_table().is_some_and(Table::is_empty) && is_section(&known, &key) {
                continue;
            }
            set(&mut merged, &known, &key, value, &format!("in `{origin}`"))?;
        }
    }
    for (name, text) in hardening::variables().into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
        let value = from_text(&known, &key, &text);
        set(&mut merged, &known, &key, value, &format!("in the environment variable `{name}`"))?;
    }
    for (key, value) in overrides {
        set(&mut merged, &known, &key, value, "on the command line")?;
    }
    let settings: Settings = Value::Table(merged)
        .try_into()
        .map_err(|error: toml::de::Error| usage(format!("the configuration cannot be used: {}", error.message())))?;
    settings.check().map_err(usage)?;
    Ok(settings)
}

fn read_file(named: Option<&Path>) -> anyhow::Result<Option<(PathBuf, Table)>> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(None),
        Err(error) => {
            return Err(usage(format!("cannot read the configuration file `{}`: {error}", path.display())).into());
        }
    };
    let table = flow_model::outside::without_mark(&text)
        .parse::<Table>()
        .map_err(|error| usage(format!("the configuration file `{}` is not TOML:\n{error}", path.display())))?;
    Ok(Some((path.to_owned(), table)))
}

/// Every key, with its default.
fn known_keys() -> Vec<(String, Value)> {
    let defaults = Table::try_from(Settings::default()).expect("the settings are tables of plain values");
    leaves(&defaults)
}

/// Whether keys begin with this one.
fn is_section(known: &[(String, Value)], name: &str) -> bool {
    known.iter().any(|(known, _)| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The values of a table with their dotted keys; a table without any is a value itself.
fn leaves(table: &Table) -> Vec<(String, Value)> {
    table
        .iter()
        .flat_map(|(key, value)| match value {
            Value::Table(inner) if !inner.is_empty() => {
                leaves(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)).collect()
            }
            other => vec![(key.clone(), other.clone())],
        })
        .collect()
}

/// Text as the type of the key's default. Text that does not fit is passed on, and refused with the key's name.
fn from_text(known: &[(String, Value)], key: &str, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    match known.iter().find(|(known, _)| known == key) {
        Some((_, Value::Integer(_))) => text.trim().parse().map_or_else(|_| as_text(), Value::Integer),
        Some((_, Value::Boolean(_))) => text.trim().parse().map_or_else(|_| as_text(), Value::Boolean),
        Some((_, Value::Array(_))) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        _ => as_text(),
    }
}

fn set(merged: &mut Table, known: &[(String, Value)], key: &str, value: Value, place: &str) -> Result<(), Failure> {
    let Some((_, default)) = known.iter().find(|(known, _)| known == key) else {
        return Err(unknown_key(known, key, place));
    };
    if std::mem::discriminant(default) != std::mem::discriminant(&value) {
        let message = format!("`{key}` {place} must be {}, not {}", name_of(default), name_of(&value));
        return Err(usage(message).hint(format!("its default is `{key} = {default}`")));
    }
    check_alone(key, &value, place)?;
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    if let Value::Table(section) = merged.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        section.insert(name.to_owned(), value);
    }
    Ok(())
}

/// Reads the settings with this one value only, so that an error can name the place that it came from.
fn check_alone(key: &str, value: &Value, place: &str) -> Result<(), Failure> {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let inner: Table = [(name.to_owned(), value.clone())].into_iter().collect();
    let outer: Table = [(section.to_owned(), Value::Table(inner))].into_iter().collect();
    match Value::Table(outer).try_into::<Settings>() {
        Ok(_) => Ok(()),
        Err(error) => Err(usage(format!("`{key}` {place} cannot be used: {}", error.message()))),
    }
}

fn unknown_key(known: &[(String, Value)], key: &str, place: &str) -> Failure {
    let sections = known.iter().filter_map(|(known, _)| known.split_once('.')).map(|(section, _)| section);
    let nearest = known
        .iter()
        .map(|(known, _)| known.as_str())
        .chain(sections)
        .map(|known| (strsim::jaro_winkler(known, key), known))
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .filter(|(likeness, _)| *likeness > 0.8);
    let failure = usage(format!("unknown key `{key}` {place}"));
    match nearest {
        Some((_, nearest)) => failure.hint(format!("did you mean `{nearest}`?")),
        None => failure.hint("`flowctl config show` prints every key"),
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
        Value::Datetime(_) => "a date",
    }
}
