//! A sensor that waits for a row in a database.

use std::time::Duration;

use serde_json::{Map, Value};

use super::sensor;

sensor!(
    /// Asks a database until the first value of the first row is neither empty, zero, nor false (as Airflow's `SqlSensor`).
    /// The row becomes the XCom.
    ///
    /// ```toml
    /// [tasks.loaded.sql_sensor]
    /// connection = "warehouse"
    /// query = "select count(*) from loads where day = {{ ds }} and done"
    /// ```
    SqlSensor {
        /// The connection's name.
        connection: String,
        /// The query (a template, whose values are bound). `:name` in it stands for one of the `parameters`.
        #[schemars(extend("x-template" = "sql"))]
        query: String,
        /// The values of `:name` in the query; every text inside is a template. They are kept while the sensor waits, so
        /// they must not hold secrets; nor may values in the query.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        #[schemars(extend("x-template" = "value"))]
        parameters: Map<String, Value>,
        /// Whether no row at all fails the task; otherwise it means: not yet.
        #[serde(default)]
        fail_on_empty: bool,
        /// How long one query may take.
        #[serde(default = "default_query_timeout", with = "crate::time::duration_text")]
        #[schemars(schema_with = "crate::operator::duration_schema")]
        query_timeout: Duration,
    }
);

fn default_query_timeout() -> Duration {
    Duration::from_secs(30)
}
