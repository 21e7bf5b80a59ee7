//! A sensor that waits for files.

use std::time::Duration;

use super::sensor;

sensor!(
    /// Waits for a file on the machine of the triggerer. The paths found become the XCom.
    ///
    /// ```toml
    /// [tasks.arrived]
    /// file_sensor = { filepath = "/data/in/{{ ds }}/*.csv", min_age = "30s", timeout = "6h" }
    /// ```
    FileSensor {
        /// A path, or a pattern with `*`, `?`, `[abc]` and `**` (a template).
        #[schemars(extend("x-template" = "path"))]
        filepath: String,
        /// Whether a folder counts only once a file is in it or below it.
        #[serde(default)]
        recursive: bool,
        /// Files smaller than so many bytes do not count.
        #[serde(default)]
        min_size: u64,
        /// Files that were changed less long ago do not count: somebody may still be writing them.
        #[serde(default, with = "crate::time::duration_text::option", skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "crate::operator::duration_schema")]
        min_age: Option<Duration>,
    }
);
