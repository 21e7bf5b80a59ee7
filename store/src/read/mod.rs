//! What pages, the REST API and the CLI read: one file per noun. Nothing here takes part in scheduling, and every
//! statement is bounded, so that its cost does not grow with the history.

mod dags;
mod events;
mod explain;
mod import_errors;
mod logs;
mod processes;
mod questions;
mod runs;
mod tallies;
mod task_instances;

use flow_model::state::{RunType, TriggeredBy};
use flow_model::{DagRunKey, DagVersionKey, ProcessId, RunState, TaskInstanceKey, TaskState, Timestamp};
use serde_json::Value;

use crate::error::StoreError;

pub use dags::{DagFilter, DagRecord, DagSource, DagVersionRecord, PlannedSchedule, RecentRun};
pub use events::{HistoryMark, LiveCounts, RunEvent};
pub use import_errors::ImportError;
pub use logs::{LogChunk, TRY_LOG_CHUNKS_MAX};
pub use processes::ProcessRecord;
pub use questions::{QuestionFilter, QuestionRecord};
pub use runs::{RunFilter, RunOrder, RunRecord};
pub use tallies::TaskTally;
pub use task_instances::{AttemptRecord, GridCell, TaskInstanceFilter, TaskInstanceRecord, XComFilter, XComRecord};

/// Rows that a listing counts at most; where there are more, its total says this number.
pub const COUNTED_MAX: i64 = 10_000;

/// Task instances of a run that can be skipped: more than any run has.
const OFFSET_IN_RUN_MAX: i64 = 10_000_000;

/// Which part of a listing is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    limit: i64,
    offset: i64,
}

impl Page {
    /// `limit` rows (between 1 and `limit_max`) after skipping `offset` (at most [`COUNTED_MAX`]).
    pub fn new(limit: i64, offset: i64, limit_max: i64) -> Page {
        Page { limit: limit.clamp(1, limit_max), offset: offset.clamp(0, COUNTED_MAX) }
    }

    /// The same within one run, whose task instances may be more than are counted elsewhere.
    pub fn in_run(limit: i64, offset: i64, limit_max: i64) -> Page {
        Page { limit: limit.clamp(1, limit_max), offset: offset.clamp(0, OFFSET_IN_RUN_MAX) }
    }

    /// The first `limit` rows.
    pub const fn first(limit: i64) -> Page {
        Page { limit, offset: 0 }
    }

    /// Rows at most.
    pub const fn limit(self) -> i64 {
        self.limit
    }

    /// Rows skipped.
    pub const fn offset(self) -> i64 {
        self.offset
    }
}

/// A value that a column of plain type stands for.
pub(crate) trait Column: Sized {
    /// What the database holds.
    type Raw;
    /// Reads it.
    fn read(raw: Self::Raw) -> Result<Self, StoreError>;
}

macro_rules! plain_column {
    ($($type:ty),+) => { $(impl Column for $type {
        type Raw = $type;
        fn read(raw: $type) -> Result<Self, StoreError> {
            Ok(raw)
        }
    })+ };
}
plain_column!(i64, bool, String, Option<i64>, Option<bool>, Option<String>);

macro_rules! key_column {
    ($($type:ident),+) => { $(impl Column for $type {
        type Raw = i64;
        fn read(raw: i64) -> Result<Self, StoreError> {
            Ok($type(raw))
        }
    })+ };
}
key_column!(DagRunKey, DagVersionKey, ProcessId, TaskInstanceKey);

macro_rules! named_column {
    ($($type:ident: $what:literal),+) => { $(impl Column for $type {
        type Raw = String;
        fn read(raw: String) -> Result<Self, StoreError> {
            raw.parse().map_err(|why| StoreError::Corrupt { what: $what, why })
        }
    })+ };
}
named_column!(TaskState: "task state", RunState: "run state", RunType: "run type", TriggeredBy: "trigger's name");

impl Column for Option<TaskState> {
    type Raw = Option<String>;
    fn read(raw: Option<String>) -> Result<Self, StoreError> {
        raw.map(TaskState::read).transpose()
    }
}

impl Column for Option<DagVersionKey> {
    type Raw = Option<i64>;
    fn read(raw: Option<i64>) -> Result<Self, StoreError> {
        Ok(raw.map(DagVersionKey))
    }
}

impl Column for Option<ProcessId> {
    type Raw = Option<i64>;
    fn read(raw: Option<i64>) -> Result<Self, StoreError> {
        Ok(raw.map(ProcessId))
    }
}

impl Column for Timestamp {
    type Raw = i64;
    fn read(raw: i64) -> Result<Self, StoreError> {
        Ok(Timestamp::from_micros(raw))
    }
}

impl Column for Option<Timestamp> {
    type Raw = Option<i64>;
    fn read(raw: Option<i64>) -> Result<Self, StoreError> {
        Ok(raw.map(Timestamp::from_micros))
    }
}

impl Column for Value {
    type Raw = String;
    fn read(raw: String) -> Result<Self, StoreError> {
        serde_json::from_str(&raw).map_err(|error| StoreError::Corrupt { what: "JSON value", why: error.to_string() })
    }
}

impl Column for Option<Value> {
    type Raw = Option<String>;
    fn read(raw: Option<String>) -> Result<Self, StoreError> {
        raw.map(Value::read).transpose()
    }
}

impl Column for Vec<String> {
    type Raw = String;
    fn read(raw: String) -> Result<Self, StoreError> {
        serde_json::from_str(&raw).map_err(|error| StoreError::Corrupt { what: "list", why: error.to_string() })
    }
}

/// Declares a row as its readers see it, and how it is read from the columns of the same names.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident from $raw:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)+ }

        #[derive(sqlx::FromRow)]
        struct $raw { $($field: <$type as $crate::read::Column>::Raw,)+ }

        impl TryFrom<$raw> for $name {
            type Error = $crate::error::StoreError;
            fn try_from(raw: $raw) -> Result<Self, Self::Error> {
                Ok($name { $($field: $crate::read::Column::read(raw.$field)?,)+ })
            }
        }
    };
}
pub(crate) use record;

/// All rows as their readers see them.
pub(crate) fn records<Raw, Record>(rows: Vec<Raw>) -> Result<Vec<Record>, StoreError>
where
    Record: TryFrom<Raw, Error = StoreError>,
{
    rows.into_iter().map(Record::try_from).collect()
}
