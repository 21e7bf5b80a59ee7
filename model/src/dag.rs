//! A DAG as the engine knows it: validated, defaults applied, in canonical order.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::operator::Operator;
use crate::params::Params;
use crate::retry::RetryPolicy;
use crate::schedule::{Schedule, TimeRule};
use crate::state::named_enum;
use crate::time::duration_text;
use crate::{Timestamp, TriggerRule};

named_enum!(
    /// What happens to ticks of the schedule that passed while nothing could run them.
    Catchup {
        /// They are dropped.
        None = "none",
        /// The newest of them runs.
        Latest = "latest",
        /// All of them run, oldest first.
        All = "all",
    }
);

named_enum!(
    /// How a task's effective priority follows from the weights around it.
    WeightRule {
        /// Its own weight plus those of everything after it (the default).
        Downstream = "downstream",
        /// Its own weight plus those of everything before it.
        Upstream = "upstream",
        /// Its own weight.
        Absolute = "absolute",
    }
);

named_enum!(
    /// What of a task's standard output becomes its XCom `return_value`.
    Output {
        /// Nothing.
        None = "none",
        /// The last line that is not empty (the default, as in Airflow's BashOperator).
        LastLine = "last_line",
        /// All of it.
        Text = "text",
        /// All of it, read as JSON; text that is not JSON fails the task.
        Json = "json",
    }
);

named_enum!(
    /// Whether a second attempt may start while a lost one might still be running.
    Overlap {
        /// Yes: during a network partition the old attempt goes on, and its result is refused (the default).
        Allow = "allow",
        /// No: the attempt is killed before its lease can be given away.
        Forbid = "forbid",
    }
);

/// A DAG. Two files with the same meaning give equal values, and so the same version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    /// Unique among all DAGs: the file's stem, unless the file says otherwise.
    pub dag_id: String,
    /// Shown instead of the id where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// One line about what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Longer documentation in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_md: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Labels to find it by, sorted.
    pub tags: Vec<String>,
    /// When it runs.
    pub schedule: Schedule,
    /// No tick before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<Timestamp>,
    /// No tick after this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<Timestamp>,
    /// What happens to missed ticks.
    pub catchup: Catchup,
    /// Runs that may be running at once.
    pub max_active_runs: u32,
    /// Task instances, over all runs, that may be queued or running at once.
    pub max_active_tasks: u32,
    /// A run that takes longer fails, and what is unfinished in it is skipped.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub dagrun_timeout: Option<Duration>,
    /// Whether the DAG is paused when it is seen for the first time; the installation decides where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_paused_upon_creation: Option<bool>,
    /// Typed parameters, in the order in which a form asks for them.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub params: Params,
    /// Files that its tasks use: path relative to the DAG file, and SHA-256 of the content in lower-case hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The tasks in topological order, ties broken by id.
    pub tasks: Vec<Task>,
}

/// A task of a DAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Unique within the DAG.
    pub task_id: String,
    /// Shown instead of the id where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Documentation in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_md: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Ids of the tasks directly before it, sorted.
    pub depends_on: Vec<String>,
    /// When it may start, given how those ended.
    pub trigger_rule: TriggerRule,
    /// Further tries after a failure.
    #[serde(flatten)]
    pub retry: RetryPolicy,
    /// A try that takes longer is killed and counts as failed.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub execution_timeout: Option<Duration>,
    /// The pool whose slots it uses.
    pub pool: String,
    /// How many of them.
    pub pool_slots: u32,
    /// Its own weight.
    pub priority_weight: i64,
    /// How its effective priority follows from the weights.
    pub weight_rule: WeightRule,
    /// The queue whose workers run it.
    pub queue: String,
    /// Waits until the same task of the previous run succeeded or was skipped.
    pub depends_on_past: bool,
    /// Also waits for the tasks directly after it in the previous run.
    pub wait_for_downstream: bool,
    /// Is never rerun after its worker was lost: it fails with the reason `outcome_unknown` instead.
    pub at_most_once: bool,
    /// Whether attempts may overlap during a partition.
    pub overlap: Overlap,
    /// Environment variables of its process (templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Working directory of its process (a template); a temporary directory where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What of its standard output becomes its XCom.
    pub output: Output,
    /// Values for templates of this task, on top of the DAG's params.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// What it does.
    pub operator: Operator,
}

impl Dag {
    /// The version of this DAG: SHA-256 of its canonical JSON, in lower-case hex. Comments, layout and the order of
    /// tables in the file do not change it; the content of files that its tasks use does.
    pub fn content_hash(&self) -> String {
        let canonical = serde_json::to_vec(self).expect("a DAG has only string keys");
        hex(&Sha256::digest(canonical))
    }

    /// The schedule in a few characters, for lists: `0 6 * * 1-5 (Europe/Stockholm)`, `every 15m`, `@once`.
    pub fn schedule_summary(&self) -> String {
        match &self.schedule {
            Schedule::None => "none".to_owned(),
            Schedule::Once => "@once".to_owned(),
            Schedule::Continuous => "@continuous".to_owned(),
            Schedule::Times { rules, .. } => rules
                .iter()
                .map(|rule| match rule {
                    TimeRule::Cron { expression, timezone } if timezone == "UTC" => expression.clone(),
                    TimeRule::Cron { expression, timezone } => format!("{expression} ({timezone})"),
                    TimeRule::Every { interval } => format!("every {}", duration_text::format(*interval)),
                    TimeRule::At { instants } if instants.len() == 1 => format!("at {}", instants[0]),
                    TimeRule::At { instants } => format!("at {} instants", instants.len()),
                })
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
