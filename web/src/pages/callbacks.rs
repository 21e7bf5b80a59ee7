//! The callbacks of a run, in tables of the run and of the task.

use flow_store::CallbackRecord;

use super::mark::Time;

/// A callback, and what became of it.
pub(super) struct CallbackRow {
    pub(super) of: String,
    pub(super) event: String,
    pub(super) state: String,
    pub(super) is_bad: bool,
    pub(super) tries: i64,
    pub(super) happened: Time,
    pub(super) said: String,
}

/// Rows for the callbacks of a run or of a task.
pub(super) fn rows(callbacks: Vec<CallbackRecord>) -> Vec<CallbackRow> {
    let row = |callback: CallbackRecord| CallbackRow {
        of: match (&callback.task_id, callback.map_index) {
            (None, _) => "the run".to_owned(),
            (Some(task_id), ..0) => format!("{task_id}, try {}", callback.try_number),
            (Some(task_id), map_index) => format!("{task_id} [{map_index}], try {}", callback.try_number),
        },
        is_bad: callback.results.iter().any(|result| !result.ok),
        said: callback
            .results
            .iter()
            .map(|result| format!("{}: {}", result.kind, result.message))
            .collect::<Vec<_>>()
            .join("\n"),
        event: callback.event,
        state: callback.state,
        tries: callback.tries,
        happened: callback.created_at.into(),
    };
    callbacks.into_iter().map(row).collect()
}
