//! `sql`: statements for a database.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::named_enum;
use crate::time::duration_text;

named_enum!(
    /// What of the last statement's answer becomes the XCom.
    Fetch {
        /// All rows, as a list of tables.
        Rows = "rows",
        /// The first row, as a table.
        First = "first",
        /// How many rows there are, or were changed.
        Count = "count",
        /// Nothing.
        Nothing = "nothing",
    }
);

/// Runs SQL on PostgreSQL, SQLite, MySQL or MariaDB. Values never become a part of the SQL: a template's values are bound where
/// they stand, names are written `{{ ... | identifier }}`, and `:name` stands for one of the `parameters`.
///
/// ```toml
/// [tasks.orders.sql]
/// connection = "warehouse"
/// query = "select id, amount from orders where day = {{ ds }} and region = :region"
/// parameters = { region = "eu" }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// The connection's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Instead of a connection: the whole path of a SQLite file on the worker (a template), or `:memory:` for a database that
    /// lives as long as the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "path"))]
    pub sqlite: Option<String>,
    /// One or several statements, separated by `;` (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "sql"))]
    pub query: Option<String>,
    /// A file beside the DAG file that holds them, instead of `query`. It is published with the DAG, and a template, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Whether every brace is the template's, or none. Without it those are that name something that templates know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<bool>,
    /// The values of `:name` in the query; every text inside is a template.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(extend("x-template" = "value"))]
    pub parameters: Map<String, Value>,
    /// Commits each statement by itself; otherwise all of them are one transaction.
    #[serde(default)]
    pub autocommit: bool,
    /// What of the last statement's answer becomes the XCom.
    #[serde(default = "all_rows")]
    pub fetch: Fetch,
    /// Rows that are fetched at most; more fails the task.
    #[serde(default = "default_max_rows")]
    pub max_rows: u32,
    /// How long it may take; then the database is told to stop.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::duration_schema")]
    pub timeout: Option<Duration>,
}

const fn all_rows() -> Fetch {
    Fetch::Rows
}

const fn default_max_rows() -> u32 {
    1_000
}
