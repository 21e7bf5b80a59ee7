//! Small conversions between rows and the model's types.

use flow_model::{RunState, TaskState};

use crate::error::StoreError;

/// A count as the database's integer.
pub(crate) fn row_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count or index from the database.
pub(crate) fn index(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A task state's name from the database.
pub(crate) fn task_state(name: &str) -> Result<TaskState, StoreError> {
    name.parse().map_err(|why| StoreError::Corrupt { what: "task state", why })
}

/// A run state's name from the database.
pub(crate) fn run_state(name: &str) -> Result<RunState, StoreError> {
    name.parse().map_err(|why| StoreError::Corrupt { what: "run state", why })
}

/// A list of keys or names as the one JSON value that a statement binds.
pub(crate) fn json<T: serde::Serialize + ?Sized>(rows: &T) -> String {
    serde_json::to_string(rows).expect("rows have only string keys")
}
