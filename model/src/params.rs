//! Typed parameters of a DAG: their declaration, and the check of what a trigger passes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One declared parameter: a JSON Schema with an optional default, as in Airflow's `Param`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// The value when a trigger passes none. Without a default the parameter is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// JSON Schema keywords: `type`, `enum`, `minimum`, `pattern`, `title`, `description` ...
    #[serde(flatten)]
    pub schema: Map<String, Value>,
}
