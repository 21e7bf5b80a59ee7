//! The `plugin` operator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Runs an executable that speaks Flow's plugin protocol: JSON lines on its standard input and output.
///
/// ```toml
/// [tasks.statistics.plugin]
/// name = "statistics"
/// with = { numbers = "{{ params.numbers }}" }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// The executable: a file in `plugins/` beside the DAG file, or in the workers' `plugins_folder`; or an absolute path.
    pub name: String,
    /// What it is told; every text inside is a template.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(extend("x-template" = "value"))]
    pub with: Map<String, Value>,
}

impl Plugin {
    /// Where the executable stands beside the DAG file, if it is published with the DAG. `None`: it is named by its
    /// absolute path, so it has to be on the worker.
    pub fn published_path(&self) -> Option<String> {
        (!self.name.starts_with('/')).then(|| format!("plugins/{}", self.name))
    }
}
