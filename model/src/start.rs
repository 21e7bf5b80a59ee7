//! What starts runs from outside, beside the clock: webhooks, entries of Redis streams, files that arrive.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::outside::bytes_without_mark;
use crate::state::named_enum;
use crate::time::duration_text;

/// Something outside that starts runs of a DAG, one for each event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Requests to `POST /hooks/<name>`.
    Webhook(Webhook),
    /// Entries of a Redis stream.
    Stream(RedisStream),
    /// Files that arrive.
    Files(FileArrival),
}

named_enum!(
    /// How the sender of a webhook signs.
    SignatureScheme {
        /// `X-Flow-Signature` over time, event id and body (the default).
        Flow = "flow",
        /// GitHub's `X-Hub-Signature-256` over the body.
        Github = "github",
    }
);

named_enum!(
    /// Whether what is there at the first look starts runs.
    Existing {
        /// No: only what comes later (the default).
        Ignore = "ignore",
        /// Yes.
        Start = "start",
    }
);

/// Starts a run for each signed request to `POST /hooks/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The last part of its address.
    pub name: String,
    /// The variable that holds the secret with which requests are signed.
    pub secret: String,
    /// The variable that holds the secret before: it counts, too, until all senders have the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<String>,
    /// How requests are signed: `flow` (the default) or `github`.
    #[serde(default = "default_scheme")]
    pub scheme: SignatureScheme,
    /// How far the time of a signature may be from now (default: `5m`).
    #[serde(default = "default_window", with = "duration_text")]
    #[schemars(schema_with = "crate::operator::duration_schema")]
    pub window: Duration,
    /// The key of `conf` that gets the whole body; without it, the body's own keys are the conf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Starts a run for each entry of a Redis stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisStream {
    /// The connection that says where Redis is.
    pub connection: String,
    /// The stream's key.
    pub stream: String,
    /// The consumer group (default: `flow-<dag_id>`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What happens to entries that are there already when the group is made: `ignore` (the default) or `start`.
    #[serde(default = "default_existing")]
    pub existing: Existing,
}

/// Starts a run for each file that arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileArrival {
    /// A path, or a pattern with `*`, `?`, `[...]` and `**`, on the triggerers' machines.
    pub path: String,
    /// A file counts once its size and its time of change have stayed the same for so long (default: `10s`).
    #[serde(default = "default_stable_for", with = "duration_text")]
    #[schemars(schema_with = "crate::operator::duration_schema")]
    pub stable_for: Duration,
    /// Time between two looks (default: `10s`).
    #[serde(default = "default_poke_interval", with = "duration_text")]
    #[schemars(schema_with = "crate::operator::duration_schema")]
    pub poke_interval: Duration,
    /// What happens to files that are there already at the first look: `ignore` (the default) or `start`.
    #[serde(default = "default_existing")]
    pub existing: Existing,
}

const fn default_scheme() -> SignatureScheme {
    SignatureScheme::Flow
}

const fn default_window() -> Duration {
    Duration::from_secs(300)
}

const fn default_existing() -> Existing {
    Existing::Ignore
}

const fn default_stable_for() -> Duration {
    Duration::from_secs(10)
}

const fn default_poke_interval() -> Duration {
    Duration::from_secs(10)
}

impl Start {
    /// Its kind, as it is written in the file.
    pub const fn kind(&self) -> &'static str {
        match self {
            Start::Webhook(_) => "webhook",
            Start::Stream(_) => "stream",
            Start::Files(_) => "files",
        }
    }

    /// What tells it from others of its kind in the same DAG.
    pub fn name(&self) -> String {
        match self {
            Start::Webhook(webhook) => webhook.name.clone(),
            Start::Stream(stream) => format!("{}/{}", stream.connection, stream.stream),
            Start::Files(files) => files.path.clone(),
        }
    }

    /// Where its events come from. An event counts once per DAG and source: so files do not start runs again because
    /// the pattern that finds them was changed.
    pub fn source(&self) -> String {
        match self {
            Start::Files(_) => "files".to_owned(),
            other => format!("{}:{}", other.kind(), other.name()),
        }
    }

    /// The keys of `conf` that its events bring. `None`: whoever sends an event decides.
    pub fn conf_keys(&self) -> Option<Vec<&str>> {
        match self {
            Start::Webhook(webhook) => webhook.key.as_deref().map(|key| vec![key]),
            Start::Stream(_) => None,
            Start::Files(_) => Some(FileArrival::CONF_KEYS.to_vec()),
        }
    }

    /// In a few words, for summaries.
    pub fn summary(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }
}

impl FileArrival {
    /// The keys of the `conf` of its runs: where the file is, its bytes, and when it was changed last.
    pub const CONF_KEYS: [&'static str; 3] = ["path", "size", "modified"];
}

impl RedisStream {
    /// The consumer group through which a DAG reads the stream.
    pub fn group_of(&self, dag_id: &str) -> String {
        self.group.clone().unwrap_or_else(|| format!("flow-{dag_id}"))
    }
}

impl Webhook {
    /// The conf of the run that a body starts.
    ///
    /// # Errors
    /// The body is not what becomes a conf.
    pub fn conf(&self, body: &[u8]) -> Result<Map<String, Value>, String> {
        let value: Value = serde_json::from_slice(bytes_without_mark(body))
            .map_err(|error| format!("the body is no JSON: {error}"))?;
        match (&self.key, value) {
            (Some(key), value @ (Value::Object(_) | Value::Array(_))) => {
                Ok([(key.clone(), value)].into_iter().collect())
            }
            (None, Value::Object(conf)) => Ok(conf),
            (Some(_), _) => Err("the body is neither a JSON object nor a list".to_owned()),
            (None, _) => Err("the body is no JSON object".to_owned()),
        }
    }
}

/// What is signed: the time, the event's id where it has one, and the body, with dots between them. An id has no dot and
/// no brace ([`is_event_id`]) and a body begins with a brace or a bracket, so that no signature fits two readings.
pub fn signed_text(timestamp: &str, event_id: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{timestamp}.").into_bytes();
    if let Some(id) = event_id {
        text.extend_from_slice(id.as_bytes());
        text.push(b'.');
    }
    text.extend_from_slice(body);
    text
}

/// Whether a text can be the id of an event: 1 to 200 letters, digits, `_`, `-` and `:`.
pub fn is_event_id(id: &str) -> bool {
    (1..=200).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(key: Option<&str>) -> Webhook {
        serde_json::from_value(json!({ "name": "orders", "secret": "s", "key": key })).unwrap()
    }

    #[test]
    fn bodies_become_conf() {
        assert_eq!(Value::Object(webhook(None).conf(br#"{"a": 1}"#).unwrap()), json!({ "a": 1 }));
        assert_eq!(Value::Object(webhook(Some("all")).conf(b"[1, 2]").unwrap()), json!({ "all": [1, 2] }));
        for (key, body) in
            [(None, "[1]"), (None, "7"), (None, ""), (None, "a=b"), (Some("all"), "7"), (Some("all"), "x")]
        {
            assert!(webhook(key).conf(body.as_bytes()).is_err(), "{key:?} {body}");
        }
    }

    #[test]
    fn no_signature_fits_two_readings() {
        assert_eq!(signed_text("17", None, b"{}"), b"17.{}");
        assert_eq!(signed_text("17", Some("order-4"), b"{}"), b"17.order-4.{}");
        // What would have to be an id for a body to be read as id and body.
        for id in ["", "{\"a\":\"b", "a.b", "[1", " {", "a b"] {
            assert!(!is_event_id(id), "{id}");
        }
        assert!(is_event_id("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
        assert!(!is_event_id(&"x".repeat(201)));
    }

    #[test]
    fn defaults_are_filled_in() {
        let files: FileArrival = serde_json::from_value(json!({ "path": "/in/*.csv" })).unwrap();
        assert_eq!((files.stable_for, files.existing), (Duration::from_secs(10), Existing::Ignore));
        let stream: RedisStream = serde_json::from_value(json!({ "connection": "redis", "stream": "orders" })).unwrap();
        assert_eq!(stream.group_of("load"), "flow-load");
        assert_eq!(Start::Stream(stream).source(), "stream:redis/orders");
    }
}
