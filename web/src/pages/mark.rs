//! States and times as pages show them: a word or a sign besides the colour.

use flow_model::{RunState, TaskState, Timestamp};

use crate::words;

/// A state for the eye: colour by class, sign and word for those who do not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The state's name, which is also the class of its colour.
    pub(super) name: &'static str,
    /// The state in one sign.
    pub(super) sign: &'static str,
}

impl From<TaskState> for Mark {
    fn from(state: TaskState) -> Mark {
        let sign = match state {
            TaskState::None => "·",
            TaskState::Scheduled => "◔",
            TaskState::Queued => "…",
            TaskState::Running => "▶",
            TaskState::Success => "✓",
            TaskState::Restarting | TaskState::UpForRetry | TaskState::UpForReschedule => "↻",
            TaskState::Failed => "✕",
            TaskState::UpstreamFailed => "!",
            TaskState::Skipped => "–",
            TaskState::Deferred => "‖",
            TaskState::AwaitingInput => "?",
            TaskState::Removed => "□",
        };
        let name = if state == TaskState::None { "none" } else { state.as_str() };
        Mark { name, sign }
    }
}

impl From<RunState> for Mark {
    fn from(state: RunState) -> Mark {
        let sign = match state {
            RunState::Queued => "…",
            RunState::Running => "▶",
            RunState::Success => "✓",
            RunState::Failed => "✕",
        };
        Mark { name: state.as_str(), sign }
    }
}

/// A coloured square that leads somewhere.
pub(super) struct Square {
    pub(super) mark: Mark,
    pub(super) path: String,
    /// What the pointer and the screen reader are told.
    pub(super) title: String,
}

/// An instant for people and for programs.
pub(super) struct Time {
    pub(super) machine: String,
    pub(super) text: String,
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Time {
        Time { machine: at.to_string(), text: words::instant(at) }
    }
}

/// The time from start to end; to now while there is no end.
pub(super) fn duration(start: Option<Timestamp>, end: Option<Timestamp>, now: Timestamp) -> String {
    start.map_or(String::new(), |start| words::length(end.unwrap_or(now).since(start)))
}
