//! What templates look up, and XComs among it. Rendering is synchronous and pure: a value that is not at hand is noted as wanted, the attempt
//! fetches what is wanted, and renders again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flow_model::DagGraph;
use flow_model::dag::RETURN_VALUE;
use flow_store::{XComInstances, XComPull, XComRun};
use flow_template::{from_json, from_table};
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

/// What templates ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A value, or a list of them.
    Value(XComPull),
    /// Every named value of a task of the run, as a table.
    Named(String),
    /// The text of a variable.
    Variable(String),
    /// A connection in its JSON form.
    Connection(String),
    /// The last success before this run: a table of timestamps, each in microseconds since 1970.
    PreviousSuccess,
}

impl Wanted {
    fn of(task_id: &str, key: &str) -> Wanted {
        Wanted::Value(XComPull {
            task_id: task_id.to_owned(),
            key: key.to_owned(),
            instances: XComInstances::All,
            run: XComRun::This,
        })
    }
}

/// Values that have been fetched, and those that are wanted.
#[derive(Debug, Default)]
pub struct Lookups {
    state: Mutex<LookupState>,
}

#[derive(Debug, Default)]
struct LookupState {
    known: HashMap<Wanted, Option<serde_json::Value>>,
    wanted: Vec<Wanted>,
}

impl Lookups {
    /// What rendering has asked for since the last call.
    pub fn take_wanted(&self) -> Vec<Wanted> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).wanted)
    }

    /// Keeps a fetched value; `None`: there is none.
    pub fn learn(&self, wanted: Wanted, value: Option<serde_json::Value>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).known.insert(wanted, value);
    }

    pub(super) fn get(&self, wanted: Wanted) -> Result<Option<serde_json::Value>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.known.get(&wanted) {
            Some(known) => Ok(known.clone()),
            None => {
                state.wanted.push(wanted);
                Err(Error::new(ErrorKind::InvalidOperation, "the value has not been fetched yet"))
            }
        }
    }
}

/// `xcom`: `xcom.<task_id>` is the task's output, `xcom.<task_id>.<name>` a field of it or a named value. Ids of tasks in
/// groups have dots: `xcom.<group>.<task>`; the groups around the task that asks may be left out.
#[derive(Debug)]
pub(super) struct Outputs {
    pub graph: Arc<DagGraph>,
    /// What may stand before the next step: the groups around the task, innermost first; then nothing.
    pub prefixes: Vec<String>,
    pub lookups: Arc<Lookups>,
}

impl Outputs {
    fn output(&self, task_id: &str) -> Result<Option<Value>, Error> {
        let lookups = &self.lookups;
        let fields = match lookups.get(Wanted::of(task_id, RETURN_VALUE))? {
            Some(serde_json::Value::Object(fields)) => fields,
            Some(other) => return Ok(Some(from_json(&other))),
            // No output: the task may have left named values only.
            None => match lookups.get(Wanted::Named(task_id.to_owned()))? {
                Some(serde_json::Value::Object(named)) if !named.is_empty() => {
                    return Ok(Some(from_table(&named)));
                }
                _ => return Ok(None),
            },
        };
        let output = TaskOutput { task_id: task_id.to_owned(), fields, lookups: Arc::clone(lookups) };
        Ok(Some(Value::from_object(output)))
    }
}

impl Object for Outputs {
    /// Nothing to list: names are looked up one by one.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let step = key.as_str()?;
        let names = self.prefixes.iter().map(String::as_str).chain([""]).map(|prefix| format!("{prefix}{step}"));
        let is_known = |name: &String| {
            let inside = format!("{name}.");
            self.graph.dag.tasks.iter().any(|task| task.task_id == *name || task.task_id.starts_with(&inside))
        };
        let name = names.into_iter().find(is_known).unwrap_or_else(|| step.to_owned());
        if self.graph.index_of(&name).is_none() && is_known(&name) {
            let inside = Outputs {
                graph: Arc::clone(&self.graph),
                prefixes: vec![format!("{name}.")],
                lookups: Arc::clone(&self.lookups),
            };
            return Some(Value::from_object(inside));
        }
        self.output(&name).unwrap_or_else(|error| Some(Value::from(error)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("xcom")
    }
}

/// An output that is a table: its fields, and behind them the named values of the task.
#[derive(Debug)]
struct TaskOutput {
    task_id: String,
    fields: serde_json::Map<String, serde_json::Value>,
    lookups: Arc<Lookups>,
}

impl Object for TaskOutput {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        if let Some(field) = self.fields.get(key) {
            return Some(from_json(field));
        }
        match self.lookups.get(Wanted::Named(self.task_id.clone())) {
            Ok(named) => named?.get(key).map(from_json),
            Err(error) => Some(Value::from(error)),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.fields.keys().map(Value::from).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// `ti` and `task_instance`.
#[derive(Debug)]
pub(super) struct TaskInstanceValue {
    pub fields: HashMap<&'static str, Value>,
    pub lookups: Arc<Lookups>,
}

impl Object for TaskInstanceValue {
    /// Nothing to list: names are looked up one by one.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    /// A callback of a DAG knows no task: `{% if ti %}` tells whether this one does.
    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.fields.get(key.as_str()?).cloned()
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "xcom_pull" {
            return Err(Error::new(ErrorKind::UnknownMethod, format!("there is no `ti.{method}` in templates")));
        }
        let (task_ids, kwargs): (Option<Value>, Kwargs) = minijinja::value::from_args(args)?;
        let task_ids = match task_ids {
            Some(task_ids) => task_ids,
            None => kwargs.get("task_ids")?,
        };
        let pull = Pull {
            key: kwargs.get::<Option<String>>("key")?.unwrap_or_else(|| RETURN_VALUE.to_owned()),
            default: kwargs.get("default")?,
            instances: instances(kwargs.get("map_indexes")?)?,
            run: run(kwargs.get("run_id")?, kwargs.get::<Option<bool>>("include_prior_dates")?.unwrap_or(false))?,
        };
        kwargs.assert_all_used()?;
        if let Some(one) = task_ids.as_str() {
            return pull.of(one, &self.lookups);
        }
        let wrong = || Error::new(ErrorKind::InvalidOperation, "`task_ids` must be a text or a list of texts");
        let mut values = Vec::new();
        for task_id in task_ids.try_iter().map_err(|_| wrong())? {
            values.push(pull.of(task_id.as_str().ok_or_else(wrong)?, &self.lookups)?);
        }
        Ok(Value::from(values))
    }
}

/// The arguments of a pull, besides the tasks.
struct Pull {
    key: String,
    default: Option<Value>,
    instances: XComInstances,
    run: XComRun,
}

impl Pull {
    fn of(&self, task_id: &str, lookups: &Lookups) -> Result<Value, Error> {
        let wanted = Wanted::Value(XComPull {
            task_id: task_id.to_owned(),
            key: self.key.clone(),
            instances: self.instances.clone(),
            run: self.run.clone(),
        });
        let value = lookups.get(wanted)?.as_ref().map(from_json);
        Ok(value.or_else(|| self.default.clone()).unwrap_or_else(|| Value::from(())))
    }
}

fn instances(map_indexes: Option<Value>) -> Result<XComInstances, Error> {
    let wrong = || Error::new(ErrorKind::InvalidOperation, "`map_indexes` must be a number or a list of numbers");
    let Some(map_indexes) = map_indexes.filter(|value| !value.is_none()) else { return Ok(XComInstances::All) };
    if let Ok(one) = i64::try_from(map_indexes.clone()) {
        return Ok(XComInstances::One(one));
    }
    let several = map_indexes.try_iter().map_err(|_| wrong())?.map(|index| i64::try_from(index).map_err(|_| wrong()));
    several.collect::<Result<_, _>>().map(XComInstances::Several)
}

fn run(run_id: Option<String>, include_prior_dates: bool) -> Result<XComRun, Error> {
    match (run_id, include_prior_dates) {
        (Some(_), true) => {
            Err(Error::new(ErrorKind::InvalidOperation, "`run_id` and `include_prior_dates` exclude each other"))
        }
        (Some(run_id), false) => Ok(XComRun::Named(run_id)),
        (None, true) => Ok(XComRun::ThisOrEarlier),
        (None, false) => Ok(XComRun::This),
    }
}
