//! Mapping: one task, or a group of tasks, becomes as many as there are values. What `expand` may say, and the values
//! that follow from it. Pure: whoever expands fetches the XComs first.

use std::collections::BTreeMap;

use crate::limits::MAP_LENGTH_MAX;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Instances that a mapping may have unless the DAG says otherwise (Airflow: `core.max_map_length`).
pub const MAX_MAP_LENGTH: u32 = 1_024;

/// Over what a task or a group is mapped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapping {
    /// Named lists: one instance for every combination of their values, the last name varying fastest.
    Product(BTreeMap<String, Source>),
    /// A list of tables: one instance for each, its keys are the names (Airflow: `expand_kwargs`).
    Kwargs(Source),
}

/// Where a list of values comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Written in the file.
    List(Vec<Value>),
    /// What an upstream task left; of a mapped task the list of what its instances left.
    XCom {
        /// The task.
        task_id: String,
        /// The key under which it left it.
        key: String,
        /// Fields and positions to follow inside the value.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        path: Vec<String>,
    },
    /// A param of the run.
    Param {
        /// Its name, and fields to follow inside it.
        path: Vec<String>,
    },
    /// Lists side by side: the first values of all, the second values of all ...
    Zip {
        /// The lists.
        sources: Vec<Source>,
        /// Fills up the shorter ones; without it the shortest list decides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<Value>,
    },
    /// Lists one after the other.
    Concat(Vec<Source>),
}

/// Why there are no instances.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A task did not leave the value: its instances can never run.
    #[error("task `{task_id}` left no XCom `{key}` to map over")]
    NotProduced {
        /// The task.
        task_id: String,
        /// The key.
        key: String,
    },
    /// A task left something else than what is asked for.
    #[error(
        "what `{task_id}` left has no `{path}` to map over; hint: a value that it left under another key is named \
         {{ xcom = \"{task_id}\", key = \"<key>\" }}"
    )]
    NoField {
        /// The task.
        task_id: String,
        /// Fields and positions, from the outside in.
        path: String,
    },
    /// A value that is no list.
    #[error("cannot map over {kind}: {what} must be a list or a table")]
    NotAList {
        /// Where it comes from.
        what: String,
        /// What it is instead, in words.
        kind: &'static str,
    },
    /// A value of `expand_kwargs` that is no table.
    #[error("each value of `expand_kwargs` must be a table, number {position} is {kind}")]
    NotATable {
        /// Its position; 0 is the first.
        position: usize,
        /// What it is instead, in words.
        kind: &'static str,
    },
    /// More instances than allowed.
    #[error(
        "the mapping has {length} instances, at most {max} are allowed; hint: map over less, or raise `max_map_length` \
         in the DAG file (up to {MAP_LENGTH_MAX})"
    )]
    TooLong {
        /// Instances asked for.
        length: usize,
        /// The limit.
        max: u32,
    },
}

/// The values of the run that mappings refer to.
pub trait Lookup {
    /// What a task left under a key; of a mapped task a list in the order of its instances.
    fn xcom(&self, task_id: &str, key: &str) -> Option<&Value>;
    /// A param of the run.
    fn param(&self, name: &str) -> Option<&Value>;
}

impl Mapping {
    /// The tasks whose XComs it needs, in order and without repetition.
    pub fn tasks(&self) -> Vec<&str> {
        let mut tasks: Vec<&str> = self.xcoms().into_iter().map(|(task, _)| task).collect();
        tasks.dedup();
        tasks
    }

    /// The XComs it needs (task and key), sorted and without repetition.
    pub fn xcoms(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        self.sources().into_iter().for_each(|source| source.collect_xcoms(&mut found));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// How many instances it makes, where all its values are written out in the file.
    pub fn written_length(&self) -> Option<usize> {
        match self {
            Mapping::Kwargs(source) => source.written_length(),
            Mapping::Product(named) => {
                named.values().try_fold(1_usize, |length, source| Some(length.saturating_mul(source.written_length()?)))
            }
        }
    }

    fn sources(&self) -> Vec<&Source> {
        match self {
            Mapping::Product(named) => named.values().collect(),
            Mapping::Kwargs(source) => vec![source],
        }
    }

    /// The names that templates of an instance know, as far as the file tells.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Mapping::Product(named) => named.keys().map(String::as_str).collect(),
            Mapping::Kwargs(Source::List(tables)) => {
                let mut names: Vec<&str> = tables
                    .iter()
                    .filter_map(Value::as_object)
                    .flat_map(|table| table.keys())
                    .map(String::as_str)
                    .collect();
                names.sort_unstable();
                names.dedup();
                names
            }
            Mapping::Kwargs(_) => Vec::new(),
        }
    }

    /// The values of each instance, in the order of their map index. An empty list means that there is nothing to do.
    ///
    /// # Errors
    /// A value is missing, is no list, or there are more than `max`.
    pub fn instances(&self, values: &impl Lookup, max: u32) -> Result<Vec<Map<String, Value>>, ExpandError> {
        match self {
            Mapping::Kwargs(source) => {
                let tables = source.values(values)?;
                check_length(tables.len(), max)?;
                tables
                    .into_iter()
                    .enumerate()
                    .map(|(position, value)| match value {
                        Value::Object(table) => Ok(table),
                        other => Err(ExpandError::NotATable { position, kind: kind(&other) }),
                    })
                    .collect()
            }
            Mapping::Product(named) => {
                let lists: Vec<(&String, Vec<Value>)> =
                    named.iter().map(|(name, source)| Ok((name, source.values(values)?))).collect::<Result<_, _>>()?;
                let length = lists.iter().try_fold(1_usize, |length, (_, list)| length.checked_mul(list.len()));
                let length = length.unwrap_or(usize::MAX);
                check_length(length, max)?;
                Ok((0..length).map(|index| combination(&lists, index)).collect())
            }
        }
    }
}

/// The combination of that number: the last list varies fastest.
fn combination(lists: &[(&String, Vec<Value>)], index: usize) -> Map<String, Value> {
    let mut rest = index;
    let mut picked: Vec<(String, Value)> = lists
        .iter()
        .rev()
        .map(|(name, list)| {
            let value = list[rest % list.len()].clone();
            rest /= list.len();
            ((*name).clone(), value)
        })
        .collect();
    picked.reverse();
    picked.into_iter().collect()
}

const fn check_length(length: usize, max: u32) -> Result<(), ExpandError> {
    if length > max as usize { Err(ExpandError::TooLong { length, max }) } else { Ok(()) }
}

impl Source {
    fn written_length(&self) -> Option<usize> {
        match self {
            Source::List(list) => Some(list.len()),
            Source::XCom { .. } | Source::Param { .. } => None,
            Source::Concat(sources) => {
                sources.iter().try_fold(0_usize, |length, source| Some(length.saturating_add(source.written_length()?)))
            }
            Source::Zip { sources, fill } => {
                let lengths: Option<Vec<usize>> = sources.iter().map(Source::written_length).collect();
                if fill.is_some() { lengths?.into_iter().max() } else { lengths?.into_iter().min() }
            }
        }
    }

    fn collect_xcoms<'a>(&'a self, found: &mut Vec<(&'a str, &'a str)>) {
        match self {
            Source::XCom { task_id, key, .. } => found.push((task_id, key)),
            Source::Zip { sources, .. } | Source::Concat(sources) => {
                sources.iter().for_each(|source| source.collect_xcoms(found));
            }
            Source::List(_) | Source::Param { .. } => {}
        }
    }

    /// Its values; nulls are dropped, as Airflow's `filter` does.
    fn values(&self, values: &impl Lookup) -> Result<Vec<Value>, ExpandError> {
        let mut list = self.list(values)?;
        list.retain(|value| !value.is_null());
        Ok(list)
    }

    fn list(&self, values: &impl Lookup) -> Result<Vec<Value>, ExpandError> {
        match self {
            Source::List(list) => Ok(list.clone()),
            Source::XCom { task_id, key, path } => {
                let not_produced = || ExpandError::NotProduced { task_id: task_id.clone(), key: key.clone() };
                let no_field = || ExpandError::NoField { task_id: task_id.clone(), path: path.join(".") };
                let value = values.xcom(task_id, key).ok_or_else(not_produced)?;
                let value = follow(value, path).ok_or_else(no_field)?;
                as_list(value, || format!("what `{task_id}` left"))
            }
            Source::Param { path } => {
                let (name, fields) = path.split_first().map_or(("", path.as_slice()), |(name, rest)| (name, rest));
                let value = values.param(name).and_then(|value| follow(value, fields)).unwrap_or(&Value::Null);
                as_list(value, || format!("`params.{}`", path.join(".")))
            }
            Source::Zip { sources, fill } => {
                let lists: Vec<Vec<Value>> =
                    sources.iter().map(|source| source.list(values)).collect::<Result<_, _>>()?;
                let lengths = lists.iter().map(Vec::len);
                let length = if fill.is_some() { lengths.max() } else { lengths.min() }.unwrap_or(0);
                let at =
                    |list: &Vec<Value>, index: usize| list.get(index).or(fill.as_ref()).cloned().unwrap_or_default();
                Ok((0..length).map(|index| lists.iter().map(|list| at(list, index)).collect()).collect())
            }
            Source::Concat(sources) => {
                let mut all = Vec::new();
                for source in sources {
                    all.extend(source.list(values)?);
                }
                Ok(all)
            }
        }
    }
}

/// A field or position inside a value.
fn follow<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Object(table) => table.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The values of a list; of a table its entries as `[key, value]`, as in Airflow.
fn as_list(value: &Value, what: impl Fn() -> String) -> Result<Vec<Value>, ExpandError> {
    match value {
        Value::Array(list) => Ok(list.clone()),
        Value::Object(table) => {
            Ok(table.iter().map(|(key, value)| Value::Array(vec![Value::String(key.clone()), value.clone()])).collect())
        }
        other => Err(ExpandError::NotAList { what: what(), kind: kind(other) }),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
