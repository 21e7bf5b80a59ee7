//! A sensor whose look is a program of its own.

use super::sensor;

sensor!(
    /// Runs a shell script on a worker until it ends with exit code 0; between two looks it holds no slot.
    ///
    /// ```toml
    /// [tasks.mounted]
    /// command_sensor = { command = "mountpoint -q /srv/sales", poke_interval = "30s" }
    /// ```
    CommandSensor {
        /// The script, run by `bash` (a template, with the same rules as `bash`).
        #[schemars(extend("x-template" = "shell"))]
        command: String,
        /// Text that the script reads from its standard input (a template).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-template" = "text"))]
        stdin: Option<String>,
        /// Exit codes that mean "skipped" (Airflow: 99). Any other code than 0 means: not yet.
        #[serde(default = "crate::operator::default_skip_on_exit_code", deserialize_with = "crate::operator::one_or_many")]
        #[schemars(schema_with = "crate::operator::exit_codes_schema")]
        skip_on_exit_code: Vec<i32>,
    }
);
