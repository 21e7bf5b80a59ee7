//! A DAG as the engine knows it: validated, defaults applied, in canonical order.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::callback::Callbacks;
use crate::control::AttemptControl;
use crate::expand::{MAX_MAP_LENGTH, Mapping};
use crate::operator::Operator;
use crate::params::Params;
use crate::retry::RetryPolicy;
use crate::schedule::{Bounds, Schedule, TimeRule};
use crate::start::Start;
use crate::state::named_enum;
use crate::time::duration_text;
use crate::{Timestamp, TriggerRule};

/// The key of the XCom that is a task's output.
pub const RETURN_VALUE: &str = "return_value";

/// The pool of tasks that name none; every installation begins with it.
pub const DEFAULT_POOL: &str = "default_pool";

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
    /// What starts runs from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Start>,
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
    /// The DAG file's folder, relative to the DAG folder; said where `files` are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub folder: String,
    /// Instances that one mapping of the DAG may have.
    #[serde(default = "default_max_map_length")]
    pub max_map_length: u32,
    /// How often a run that failed starts again at what failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub run_retries: u32,
    /// Time before a failed run starts again.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub run_retry_delay: Option<Duration>,
    /// What is done besides when a run has ended.
    #[serde(flatten)]
    pub callbacks: Callbacks,
    /// Its task groups, outer ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<TaskGroup>,
    /// The tasks in topological order, ties broken by id.
    pub tasks: Vec<Task>,
}

/// Tasks that are shown, mapped or tried again together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskGroup {
    /// Unique within the DAG, with the ids of the groups around it: `outer.inner`.
    pub group_id: String,
    /// The group around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Shown instead of the id where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Documentation in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_md: Option<String>,
    /// Over what all its tasks are mapped together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expand: Option<Mapping>,
    /// How often the whole group starts again after one of its tasks has failed for good.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// Time before it starts again.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<Duration>,
}

const fn default_max_map_length() -> u32 {
    MAX_MAP_LENGTH
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_false(flag: &bool) -> bool {
    !*flag
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
    /// Those of the DAG's files that its process finds besides what its operator names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Values for templates of this task, on top of the DAG's params.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// The group that it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it says about its attempts.
    #[serde(flatten)]
    pub control: AttemptControl,
    /// What is done besides when it has come somewhere.
    #[serde(flatten)]
    pub callbacks: Callbacks,
    /// Over what it is mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expand: Option<Mapping>,
    /// What each of its mapped instances is called (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_index_template: Option<String>,
    /// Instances of it, over all runs, that may be queued or running at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tis_per_dag: Option<u32>,
    /// Instances of it in one run that may be queued or running at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tis_per_dagrun: Option<u32>,
    /// Prepares something for the tasks after it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_setup: bool,
    /// Cleans up what setups before it have prepared.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_teardown: bool,
    /// For a teardown: its failure fails the run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_failure_fail_dagrun: bool,
    /// What it does.
    pub operator: Operator,
}

impl Task {
    /// The shortest delay that a single failure may ask for instead of `retry_delay`; `None`: none can.
    pub fn least_own_delay(&self) -> Option<Duration> {
        let of_rules = self.control.failure_rules.iter().filter_map(|rule| rule.delay).min();
        // A plugin names the delay itself.
        if matches!(self.operator, Operator::Plugin(_)) { Some(Duration::ZERO) } else { of_rules }
    }

    /// A task with Airflow's defaults, in no group, after nothing.
    pub fn new(task_id: impl Into<String>, operator: Operator) -> Self {
        Task {
            task_id: task_id.into(),
            display_name: None,
            doc_md: None,
            owner: "flow".to_owned(),
            depends_on: Vec::new(),
            trigger_rule: TriggerRule::AllSuccess,
            retry: RetryPolicy::default(),
            execution_timeout: None,
            pool: DEFAULT_POOL.to_owned(),
            pool_slots: 1,
            priority_weight: 1,
            weight_rule: WeightRule::Downstream,
            queue: "default".to_owned(),
            depends_on_past: false,
            wait_for_downstream: false,
            at_most_once: false,
            overlap: Overlap::Allow,
            env: BTreeMap::new(),
            control: AttemptControl::default(),
            callbacks: Callbacks::default(),
            cwd: None,
            output: Output::LastLine,
            files: Vec::new(),
            params: BTreeMap::new(),
            group: None,
            expand: None,
            map_index_template: None,
            max_active_tis_per_dag: None,
            max_active_tis_per_dagrun: None,
            is_setup: false,
            is_teardown: false,
            on_failure_fail_dagrun: false,
            operator,
        }
    }
}

impl Dag {
    /// A DAG with Airflow's defaults, without a schedule.
    pub fn new(dag_id: impl Into<String>, tasks: Vec<Task>) -> Self {
        Dag {
            dag_id: dag_id.into(),
            display_name: None,
            description: None,
            doc_md: None,
            owner: "flow".to_owned(),
            tags: Vec::new(),
            schedule: Schedule::None,
            starts: Vec::new(),
            start_date: None,
            end_date: None,
            catchup: Catchup::Latest,
            max_active_runs: 16,
            max_active_tasks: 16,
            dagrun_timeout: None,
            is_paused_upon_creation: None,
            params: Default::default(),
            files: BTreeMap::new(),
            folder: String::new(),
            max_map_length: MAX_MAP_LENGTH,
            run_retries: 0,
            run_retry_delay: None,
            callbacks: Callbacks::default(),
            groups: Vec::new(),
            tasks,
        }
    }

    /// The version of this DAG: SHA-256 of its canonical JSON, in lower-case hex. Comments, layout and the order of
    /// tables in the file do not change it; the content of files that its tasks use does.
    pub fn content_hash(&self) -> String {
        let canonical = serde_json::to_vec(self).expect("a DAG has only string keys");
        hex(&Sha256::digest(canonical))
    }

    /// The schedule in a few characters, for lists: `0 6 * * 1-5 (Europe/Stockholm)`, `every 15m`, `@once`.
    pub fn schedule_summary(&self) -> String {
        let starts = self.starts.iter().map(Start::summary);
        let times = Some(self.times_summary()).filter(|_| self.schedule != Schedule::None || self.starts.is_empty());
        times.into_iter().chain(starts).collect::<Vec<_>>().join(", ")
    }

    /// Between which instants its ticks, or its data intervals, lie.
    pub const fn bounds(&self) -> Bounds {
        Bounds { start: self.start_date, end: self.end_date }
    }

    /// The data interval of a run that somebody or something outside starts at an instant: the last complete one before it.
    pub fn manual_interval(&self, logical_date: Timestamp) -> (Timestamp, Timestamp) {
        self.schedule.manual_interval(logical_date, self.bounds())
    }

    fn times_summary(&self) -> String {
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
