//! Messages: `webhook`, `slack`, `email`. They are operators, and notifiers of callbacks.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::one_or_many;
use crate::time::duration_text;

/// Sends a JSON message to a URL.
///
/// ```toml
/// [tasks.tell.webhook]
/// connection = "pager"
/// url = "alerts"
/// json = { text = "{{ dag.dag_id }} is done", severity = "low" }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to (a template); with a `connection` the path there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-template" = "url"))]
    pub url: String,
    /// A connection of type `http`, which has the host and with what it lets us in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Request headers (values are templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub headers: BTreeMap<String, String>,
    /// The message; every text inside is a template. Without it: what happened, in Airflow's names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "value"))]
    pub json: Option<Value>,
    /// The name of a variable with a key: the message is signed with it, as `POST /hooks/<name>` wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How long the whole exchange may take.
    #[serde(default = "default_timeout", with = "duration_text")]
    #[schemars(schema_with = "super::duration_schema")]
    pub timeout: Duration,
}

/// Sends a message to a Slack channel, by an incoming webhook.
///
/// ```toml
/// [tasks.tell]
/// slack = "{{ dag.dag_id }} is done for {{ ds }}"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// A connection of type `slack` whose password is the address of the incoming webhook.
    #[serde(default = "default_slack_connection")]
    pub connection: String,
    /// The message in Slack's markup (a template; what values hold is never markup).
    #[schemars(extend("x-template" = "markup"))]
    pub text: String,
}

/// Sends an e-mail over SMTP.
///
/// ```toml
/// [tasks.tell.email]
/// to = "ops@example.org"
/// subject = "Report of {{ ds }}"
/// text = "It holds {{ params.rows }} rows."
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// A connection of type `smtp`: host, port, login, password; `extra` has `from`, and `tls`: `starttls` (the default),
    /// `tls` or `none`.
    #[serde(default = "default_smtp_connection")]
    pub connection: String,
    /// Who gets it (templates).
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "addresses_schema")]
    #[schemars(extend("x-template" = "addresses"))]
    pub to: Vec<String>,
    /// Who gets a copy (templates).
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "addresses_schema")]
    #[schemars(extend("x-template" = "addresses"))]
    pub cc: Vec<String>,
    /// Who gets a copy that the others do not see (templates).
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "addresses_schema")]
    #[schemars(extend("x-template" = "addresses"))]
    pub bcc: Vec<String>,
    /// Who it is from (a template), if it is not the connection's `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "addresses"))]
    pub from: Option<String>,
    /// The subject (a template).
    #[schemars(extend("x-template" = "text"))]
    pub subject: String,
    /// The message (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub text: Option<String>,
    /// The message as HTML (a template; what values hold is never HTML).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "markup"))]
    pub html: Option<String>,
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}
fn default_slack_connection() -> String {
    "slack_default".to_owned()
}
fn default_smtp_connection() -> String {
    "smtp_default".to_owned()
}

fn addresses_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }]
    })
}
