//! Operators that ask people. No worker slot is held while they wait.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::Params;
use crate::question::REJECT;
use crate::time::duration_text;

use super::duration_schema;

/// Asks people for a decision, and waits for it without holding a slot.
///
/// A refusal skips the task, and with it what only runs after its success.
///
/// ```toml
/// [tasks.release.approval]
/// subject = "Release {{ params.version }}?"
/// assignees = ["ada", "grace"]
/// timeout = "1d"
/// defaults = ["Reject"]
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The question, one line (a template).
    #[schemars(extend("x-template" = "text"))]
    pub subject: String,
    /// What there is to know about it, in Markdown (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "markdown"))]
    pub body: Option<String>,
    /// What can be chosen.
    #[serde(default = "default_options")]
    #[schemars(length(min = 1))]
    #[schemars(extend("x-template" = "prose"))]
    pub options: Vec<String>,
    /// Whether several options can be chosen at once.
    #[serde(default)]
    pub multiple: bool,
    /// Options that refuse (default: `Reject`, if it is one of the options).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<Vec<String>>,
    /// Whether a refusal fails the task instead of skipping it.
    #[serde(default)]
    pub fail_on_reject: bool,
    /// What else is to be filled in, declared like a DAG's params.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    #[schemars(schema_with = "params_schema")]
    #[schemars(extend("x-template" = "data"))]
    pub params: Params,
    /// Who may answer, by name (default: everybody who is logged in).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assignees: Vec<String>,
    /// How long it waits (default: for ever).
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub timeout: Option<Duration>,
    /// What counts as chosen when the time is over; without it the task fails then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<String>,
}

/// Asks people to fill in a form, and waits for it without holding a slot. The answers are the task's output.
///
/// ```toml
/// [tasks.plan.form]
/// subject = "How is it rolled out?"
/// params = { share = { type = "number", maximum = 1.0, default = 0.1 } }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// What it is about, one line (a template).
    #[schemars(extend("x-template" = "text"))]
    pub subject: String,
    /// What there is to know about it, in Markdown (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "markdown"))]
    pub body: Option<String>,
    /// The fields, declared like a DAG's params.
    #[schemars(schema_with = "params_schema")]
    #[schemars(extend("x-template" = "data"))]
    pub params: Params,
    /// Who may answer, by name (default: everybody who is logged in).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assignees: Vec<String>,
    /// How long it waits (default: for ever).
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    pub timeout: Option<Duration>,
    /// Whether the defaults of the fields count as filled in when the time is over; otherwise the task fails then.
    #[serde(default)]
    pub defaults_on_timeout: bool,
}

impl Approval {
    /// The options that refuse.
    pub fn rejecting(&self) -> Vec<String> {
        match &self.rejects {
            Some(rejects) => rejects.clone(),
            None => self.options.iter().filter(|option| *option == REJECT).cloned().collect(),
        }
    }
}

fn default_options() -> Vec<String> {
    vec!["Approve".to_owned(), REJECT.to_owned()]
}

fn params_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object" })
}
