//! States of task instances and runs, named as in Airflow.

/// Declares an enum whose variants have one fixed lower-case name each, used in the database, the API and the CLI alike.
macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The name used in the database, the API and the CLI.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok($name::$variant),)+
                    other => Err(format!(
                        "`{other}` is not one of: {}",
                        [$($text),+].join(", ")
                    )),
                }
            }
        }
    };
}
pub(crate) use named_enum;

named_enum!(
    /// State of a task instance. `None` is written as null in the REST API.
    TaskState {
        /// Created; its upstream tasks have not decided yet.
        None = "none",
        /// May run as soon as a pool slot and the limits allow.
        Scheduled = "scheduled",
        /// Holds its slots; waits for a worker to claim it.
        Queued = "queued",
        /// A worker executes it.
        Running = "running",
        /// Finished well.
        Success = "success",
        /// Cleared while running; its old attempt is being killed.
        Restarting = "restarting",
        /// Finished badly, no tries left.
        Failed = "failed",
        /// The last try failed; waits for its retry delay.
        UpForRetry = "up_for_retry",
        /// A sensor in reschedule mode, between two pokes.
        UpForReschedule = "up_for_reschedule",
        /// Will not run because something before it failed.
        UpstreamFailed = "upstream_failed",
        /// Will not run because a branch, a rule or the task itself said so.
        Skipped = "skipped",
        /// Waits in the triggerer and holds no worker slot.
        Deferred = "deferred",
        /// Waits for a person's decision.
        AwaitingInput = "awaiting_input",
        /// No longer part of the DAG version that the run is pinned to.
        Removed = "removed",
    }
);

impl TaskState {
    /// No further move happens by itself from here.
    pub const fn is_finished(self) -> bool {
        matches!(
            self,
            TaskState::Success
                | TaskState::Failed
                | TaskState::Skipped
                | TaskState::UpstreamFailed
                | TaskState::Removed
        )
    }

    /// A try that has given its slot back and is not over.
    pub const fn is_suspended(self) -> bool {
        matches!(self, TaskState::Deferred | TaskState::UpForReschedule | TaskState::AwaitingInput)
    }

    /// Holds pool slots and counts against `max_active_tasks`.
    pub const fn holds_slots(self) -> bool {
        matches!(self, TaskState::Queued | TaskState::Running)
    }
}

named_enum!(
    /// State of a DAG run.
    RunState {
        /// Created; waits for `run_after` or for `max_active_runs`.
        Queued = "queued",
        /// Its tasks are being scheduled.
        Running = "running",
        /// All tasks finished and no leaf failed.
        Success = "success",
        /// A leaf failed, the run timed out, or somebody said so.
        Failed = "failed",
    }
);

impl RunState {
    /// The run is over.
    pub const fn is_finished(self) -> bool {
        matches!(self, RunState::Success | RunState::Failed)
    }
}

named_enum!(
    /// Why a run is in its state, where somebody or something besides its tasks has brought it there. While its teardowns run, a
    /// run that was ended is `running` with the reason already.
    RunReason {
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// Somebody marked it as success or failed.
        Marked = "marked",
        /// It took longer than `dagrun_timeout`.
        DagrunTimeout = "dagrun_timeout",
        /// Tasks of it were cleared, and it waits to start again.
        Cleared = "cleared",
    }
);

named_enum!(
    /// What kind of run it is; the prefix of generated run ids.
    RunType {
        /// Created by the schedule.
        Scheduled = "scheduled",
        /// Asked for by a person or a script.
        Manual = "manual",
        /// Part of a backfill.
        Backfill = "backfill",
        /// Started by another DAG's task.
        OperatorTriggered = "operator_triggered",
        /// Started by an event: of an asset, or from outside.
        AssetTriggered = "asset_triggered",
        /// Started to produce an asset.
        AssetMaterialization = "asset_materialization",
    }
);

named_enum!(
    /// Through which door a run came in.
    TriggeredBy {
        /// `flowctl trigger`.
        Cli = "cli",
        /// A task of another DAG.
        Operator = "operator",
        /// The REST API.
        RestApi = "rest_api",
        /// The web UI.
        Ui = "ui",
        /// `flowctl dags test`.
        Test = "test",
        /// The schedule.
        Timetable = "timetable",
        /// An event: of an asset, or from outside.
        Asset = "asset",
        /// A backfill.
        Backfill = "backfill",
    }
);

/// The run id that a run of this type gets when nobody names one, e.g. `scheduled__2026-01-01T06:00:00+00:00`.
pub fn generated_run_id(run_type: RunType, at: crate::Timestamp) -> String {
    let prefix = match run_type {
        RunType::OperatorTriggered => "manual",
        other => other.as_str(),
    };
    format!("{prefix}__{at}")
}
