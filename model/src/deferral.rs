//! Waiting without a worker: what a deferred try waits for, for how long, and what happens then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::operator::sensor::ResponseCheck;
use crate::state::named_enum;
use crate::{RunState, TaskState, Timestamp};

/// What a try waits for in the triggerer. Serialised as a table with its name in `kind`. It never holds secrets in
/// clear, only names of connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Trigger {
    /// An instant. Costs no check at all.
    Time {
        /// When it fires.
        at: Timestamp,
    },
    /// A file, or files that fit a pattern, on the triggerer's machine.
    File {
        /// A path, or a pattern.
        path: String,
        /// A folder counts only once a file is in it or below it.
        recursive: bool,
        /// Files smaller than so many bytes do not count.
        min_size: u64,
        /// Files changed less long ago do not count.
        min_age: Option<Duration>,
    },
    /// An answer to an HTTP request.
    Http {
        /// Where to.
        url: String,
        /// A connection, which has the host and with what it lets us in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<String>,
        /// The method.
        method: String,
        /// Request headers.
        headers: BTreeMap<String, String>,
        /// Query parameters.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        query: BTreeMap<String, String>,
        /// The request's body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// Status codes or classes of the wanted answer.
        expected_status: Vec<String>,
        /// What it must say.
        check: Option<Box<ResponseCheck>>,
        /// What it says when it will never come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure_check: Option<Box<ResponseCheck>>,
        /// How long one exchange may take.
        timeout: Duration,
    },
    /// A row in a database.
    Sql {
        /// The connection's name.
        connection: String,
        /// The query.
        query: String,
        /// The values of `:name` in it.
        parameters: Map<String, Value>,
        /// Whether no row at all fails.
        fail_on_empty: bool,
        /// How long one query may take.
        timeout: Duration,
    },
    /// A key in a Redis.
    RedisKey {
        /// The connection's name.
        connection: String,
        /// The key.
        key: String,
    },
    /// Entries of a stream in a Redis.
    RedisStream {
        /// The connection's name.
        connection: String,
        /// The stream's key.
        stream: String,
        /// The id of the last entry that does not count.
        after: String,
        /// How many there must be.
        count: u32,
    },
    /// A run of another DAG, or tasks of it.
    ExternalTask {
        /// The other DAG.
        dag_id: String,
        /// Its tasks; none: the whole run.
        task_ids: Vec<String>,
        /// A task group of it.
        task_group_id: Option<String>,
        /// The logical date of the run.
        logical_date: Timestamp,
        /// States that are waited for.
        allowed_states: Vec<TaskState>,
        /// States that fail at once.
        failed_states: Vec<TaskState>,
        /// States that skip at once.
        skipped_states: Vec<TaskState>,
        /// Fails at once where there is no such DAG or task.
        check_existence: bool,
    },
    /// The end of a run that the task has started.
    DagRun {
        /// Its DAG.
        dag_id: String,
        /// The run.
        run_id: String,
        /// States with which the task succeeds.
        allowed_states: Vec<RunState>,
        /// States with which it fails.
        failed_states: Vec<RunState>,
    },
    /// Something that a newer version of Flow knows: it waits for a triggerer of that version.
    Unknown {},
}

/// The names of the triggers that this version knows.
const KINDS: [&str; 8] = ["time", "file", "http", "sql", "redis_key", "redis_stream", "external_task", "dag_run"];

/// `{"kind": ..., ...}`. Not serde's own form of it, which cannot hand on numbers of more than 64 bits.
impl Serialize for Trigger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = Trigger::serialize(self, serde_json::value::Serializer).map_err(S::Error::custom)?;
        let mut table = Map::from_iter([("kind".to_owned(), Value::from(self.kind()))]);
        if let Value::Object(named) = named {
            table.extend(named.into_iter().filter_map(|(_, fields)| fields.as_object().cloned()).flatten());
        }
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Trigger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields: Map<String, Value> = Deserialize::deserialize(deserializer)?;
        let kind = match fields.shift_remove("kind") {
            Some(Value::String(kind)) => kind,
            _ => return Err(D::Error::missing_field("kind")),
        };
        if !KINDS.contains(&kind.as_str()) {
            return Ok(Trigger::Unknown {});
        }
        Trigger::deserialize(Value::Object(Map::from_iter([(kind, Value::Object(fields))]))).map_err(D::Error::custom)
    }
}

impl Trigger {
    /// Its name in the database, the API and the metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Trigger::Time { .. } => "time",
            Trigger::File { .. } => "file",
            Trigger::Http { .. } => "http",
            Trigger::Sql { .. } => "sql",
            Trigger::RedisKey { .. } => "redis_key",
            Trigger::RedisStream { .. } => "redis_stream",
            Trigger::ExternalTask { .. } => "external_task",
            Trigger::DagRun { .. } => "dag_run",
            Trigger::Unknown {} => "unknown",
        }
    }

    /// The instant at which it fires by itself; `None` where somebody has to look.
    pub const fn fires_at(&self) -> Option<Timestamp> {
        match self {
            Trigger::Time { at } => Some(*at),
            Trigger::File { .. }
            | Trigger::Http { .. }
            | Trigger::Sql { .. }
            | Trigger::RedisKey { .. }
            | Trigger::RedisStream { .. }
            | Trigger::ExternalTask { .. }
            | Trigger::DagRun { .. }
            | Trigger::Unknown {} => None,
        }
    }

    /// What it waits for, in a few words for people.
    pub fn summary(&self) -> String {
        match self {
            Trigger::Time { at } => format!("until {at}"),
            Trigger::File { path, .. } => format!("for the file `{path}`"),
            Trigger::Http { method, url, .. } => format!("for the answer to {method} {url}"),
            Trigger::Sql { connection, .. } => format!("for a row over the connection `{connection}`"),
            Trigger::RedisKey { connection, key } => format!("for the key `{key}` over the connection `{connection}`"),
            Trigger::RedisStream { connection, stream, after, count } => {
                let entries = if *count == 1 { "an entry".to_owned() } else { format!("{count} entries") };
                format!("for {entries} after {after} in the stream `{stream}` over the connection `{connection}`")
            }
            Trigger::DagRun { dag_id, run_id, .. } => format!("for the end of the run `{run_id}` of DAG `{dag_id}`"),
            Trigger::Unknown {} => "for something that this version of Flow does not know".to_owned(),
            Trigger::ExternalTask { dag_id, task_ids, task_group_id, logical_date, .. } => {
                let what = match (task_ids.as_slice(), task_group_id) {
                    ([], None) => format!("the run of DAG `{dag_id}`"),
                    ([], Some(group)) => format!("the task group `{group}` of DAG `{dag_id}`"),
                    (tasks, _) => format!("`{}` of DAG `{dag_id}`", tasks.join("`, `")),
                };
                format!("for {what} of {logical_date}")
            }
        }
    }
}

named_enum!(
    /// What happens when the time of a deferral runs out.
    OnTimeout {
        /// It fails, whatever tries are left.
        Fail = "fail",
        /// It fails, and is tried again if tries are left.
        Retry = "retry",
        /// It is skipped.
        Skip = "skip",
        /// A worker goes on with it, and is told so.
        Resume = "resume",
    }
);

/// How often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// Between two looks.
    pub interval: Duration,
    /// Doubles the pause after each look, up to `max_wait`.
    pub exponential_backoff: bool,
    /// The longest pause.
    pub max_wait: Option<Duration>,
}

impl Poll {
    /// The pause after the `checks`-th look (1 is the first).
    pub fn pause_after(&self, checks: u32) -> Duration {
        let doubled = if self.exponential_backoff {
            self.interval.saturating_mul(1_u32.checked_shl(checks.saturating_sub(1)).unwrap_or(u32::MAX))
        } else {
            self.interval
        };
        self.max_wait.map_or(doubled, |longest| doubled.min(longest))
    }
}

/// A try that goes on waiting in the triggerer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deferral {
    /// What it waits for.
    pub trigger: Trigger,
    /// How often the triggerer looks, where it has to.
    pub poll: Poll,
    /// When the waiting is over at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// A failure of the trigger skips the task instead.
    #[serde(default)]
    pub soft_fail: bool,
    /// With a payload a worker goes on with the try once the trigger has fired; without one it succeeds right away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Value>,
    /// What the task must leave, where it succeeds without a worker; the worker fills it in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// How long after a failure the next try may start; the worker fills it in.
    #[serde(default)]
    pub retry_delay: Duration,
}

impl Deferral {
    /// Waits for `trigger` without a limit, looking every `interval`, and then succeeds.
    pub fn new(trigger: Trigger, interval: Duration) -> Self {
        Deferral {
            trigger,
            poll: Poll { interval, exponential_backoff: false, max_wait: None },
            deadline_at: None,
            on_timeout: OnTimeout::Fail,
            soft_fail: false,
            resume: None,
            outputs: BTreeMap::new(),
            retry_delay: Duration::ZERO,
        }
    }

    /// Lets a worker go on with `payload` once the trigger has fired.
    pub fn then_resume(self, payload: Value) -> Self {
        Deferral { resume: Some(payload), ..self }
    }

    /// What the worker is told that goes on: `{"payload": ..., "event": ..., "timed_out": false}`, where `event` is what
    /// the trigger fired with. `None` where no worker goes on.
    pub fn resumed_with(&self, event: &Value) -> Option<Value> {
        self.resume.as_ref().map(|payload| json!({"payload": payload, "event": event, "timed_out": false}))
    }

    /// The same where the time ran out.
    pub fn resumed_by_timeout(&self) -> Value {
        json!({"payload": self.resume, "event": null, "timed_out": true})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_limit() {
        let second = Duration::from_secs(1);
        let steady = Poll { interval: second, exponential_backoff: false, max_wait: None };
        assert_eq!(steady.pause_after(100), second);
        let growing = Poll { exponential_backoff: true, max_wait: Some(second * 10), ..steady };
        let pauses: Vec<u64> = (1..=6).map(|checks| growing.pause_after(checks).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        assert_eq!(growing.pause_after(1_000), second * 10);
        assert!(Poll { max_wait: None, ..growing }.pause_after(1_000) > second * 1_000_000);
    }

    #[test]
    fn what_a_trigger_asks_keeps_its_digits() {
        let parameters = serde_json::from_str(r#"{"id": 12345678901234567890123, "share": 0.50}"#).unwrap();
        let (connection, query) = ("db".to_owned(), "select :id".to_owned());
        let timeout = Duration::from_millis(1_500);
        let asked = Trigger::Sql { connection, query, parameters, fail_on_empty: false, timeout };
        let text = serde_json::to_string(&asked).unwrap();
        assert!(
            text.starts_with(r#"{"kind":"sql","#) && text.contains(r#"12345678901234567890123,"share":0.50"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Trigger>(&text).unwrap(), asked);
        assert!(serde_json::from_str::<Trigger>("{}").unwrap_err().to_string().contains("missing field `kind`"));
    }

    #[test]
    fn a_deferral_is_read_back() {
        let at = Timestamp::from_micros(1_234_567);
        let waiting = Deferral {
            deadline_at: Some(at),
            on_timeout: OnTimeout::Resume,
            ..Deferral::new(Trigger::Time { at }, Duration::from_millis(250)).then_resume(json!({"job": 7}))
        };
        let text = serde_json::to_string(&waiting).unwrap();
        assert_eq!(serde_json::from_str::<Deferral>(&text).unwrap(), waiting);
        assert!(text.contains(r#""kind":"time""#), "{text}");
        assert_eq!(
            waiting.resumed_with(&json!(1)),
            Some(json!({"payload": {"job": 7}, "event": 1, "timed_out": false}))
        );
        assert_eq!(waiting.resumed_by_timeout()["timed_out"], true);
        assert_eq!(Deferral { resume: None, ..waiting }.resumed_with(&json!(1)), None);
        // A worker of a newer version has deferred it: nothing else breaks.
        let newer = text.replace(r#""kind":"time""#, r#""kind":"moon_phase""#);
        let newer = serde_json::from_str::<Deferral>(&newer).unwrap();
        assert_eq!((newer.trigger, newer.deadline_at), (Trigger::Unknown {}, Some(at)));
    }
}
