//! XComs in templates. Rendering is synchronous and pure: a value that is not at hand is noted as wanted, the attempt
//! fetches what is wanted, and renders again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

/// The name under which a task's output is kept.
pub const RETURN_VALUE: &str = "return_value";

/// An XCom of the run: task and key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XComKey {
    /// The task that left it.
    pub task_id: String,
    /// `return_value`, or the name that the task chose.
    pub key: String,
}

/// XComs that have been fetched, and those that are wanted.
#[derive(Debug, Default)]
pub struct Lookups {
    state: Mutex<LookupState>,
}

#[derive(Debug, Default)]
struct LookupState {
    known: HashMap<XComKey, Option<serde_json::Value>>,
    wanted: Vec<XComKey>,
}

impl Lookups {
    /// What rendering has asked for since the last call.
    pub fn take_wanted(&self) -> Vec<XComKey> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).wanted)
    }

    /// Keeps a fetched value; `None`: there is none.
    pub fn learn(&self, key: XComKey, value: Option<serde_json::Value>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).known.insert(key, value);
    }

    fn get(&self, key: XComKey) -> Result<Option<Value>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.known.get(&key) {
            Some(known) => Ok(known.as_ref().map(super::from_json)),
            None => {
                state.wanted.push(key);
                Err(Error::new(ErrorKind::InvalidOperation, "the XCom has not been fetched yet"))
            }
        }
    }
}

/// `xcom`: `xcom.<task_id>` is the task's output.
#[derive(Debug)]
pub(super) struct Outputs(pub Arc<Lookups>);

impl Object for Outputs {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let task_id = key.as_str()?.to_owned();
        match self.0.get(XComKey { task_id, key: RETURN_VALUE.to_owned() }) {
            Ok(value) => value,
            Err(error) => Some(Value::from(error)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("xcom")
    }
}

/// `ti` and `task_instance`.
#[derive(Debug)]
pub(super) struct TaskInstanceValue {
    pub fields: HashMap<&'static str, Value>,
    pub lookups: Arc<Lookups>,
}

impl Object for TaskInstanceValue {
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
        let key: Option<String> = kwargs.get("key")?;
        let default: Option<Value> = kwargs.get("default")?;
        kwargs.assert_all_used()?;
        let key = key.unwrap_or_else(|| RETURN_VALUE.to_owned());
        let pull = |task_id: &str| -> Result<Value, Error> {
            let value = self.lookups.get(XComKey { task_id: task_id.to_owned(), key: key.clone() })?;
            Ok(value.or_else(|| default.clone()).unwrap_or_else(|| Value::from(())))
        };
        if let Some(one) = task_ids.as_str() {
            return pull(one);
        }
        let mut values = Vec::new();
        for task_id in task_ids.try_iter()? {
            let task_id = task_id.as_str().ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, "`task_ids` must be a text or a list of texts")
            })?;
            values.push(pull(task_id)?);
        }
        Ok(Value::from(values))
    }
}
