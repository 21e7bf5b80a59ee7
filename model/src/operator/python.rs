//! The `python` operator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{default_skip_on_exit_code, exit_codes_schema, one_or_many};

/// Runs Python code in a process of its own: a function (`call`), a script beside the DAG file, or text (`code`). All of
/// them may `import flow`, which knows params, XComs and connections.
///
/// ```toml
/// [tasks.mean]
/// python = """
/// import statistics, flow
/// flow.push("return_value", statistics.mean([3, 1, flow.params["last"]]))
/// """
///
/// [tasks.orders.python]
/// call = "sales.load:orders"
/// with = { day = "{{ ds }}", source = ["a.csv", "b.csv"] }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Python {
    /// Python source text. It is not a template: values come in through the module `flow`, `args` and the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "python"))]
    pub code: Option<String>,
    /// A script file beside the DAG file, instead of `code`. It is published with the DAG, and so is what it imports of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// A function instead, `package.module:function`. It gets the values of `with` and what it asks for by Airflow's names;
    /// what it returns is the task's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The function's arguments by name; every text inside is a template.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(extend("x-template" = "value"))]
    pub with: Map<String, Value>,
    /// Arguments for code or a script: `sys.argv[1:]` (templates).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub args: Vec<String>,
    /// Text that it reads from its standard input (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub stdin: Option<String>,
    /// The interpreter: a name to look up in `PATH`, or a path (for a virtual environment). Python 3.9 or newer.
    #[serde(default = "default_python")]
    pub interpreter: String,
    /// Packages that it needs: a list as `pip` knows them (`["pandas==2.2", "requests<3"]`), or the path of a file of them. Each
    /// worker builds an environment for them once. A script may name them itself, in a block `# /// script` (PEP 723).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
    /// Versions of Python that it runs with: `>=3.11,<3.13`. It is for tasks with `requirements`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// Exit codes that mean "skipped" (Airflow: 99).
    #[serde(default = "default_skip_on_exit_code", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "exit_codes_schema")]
    pub skip_on_exit_code: Vec<i32>,
}

/// Packages that Python code needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Requirements {
    /// Requirements, one in each text.
    List(Vec<String>),
    /// The path of a file of them, relative to the DAG file.
    File(String),
}

fn default_python() -> String {
    "python3".to_owned()
}
