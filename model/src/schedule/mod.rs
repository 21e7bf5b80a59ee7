//! When a DAG runs: one pure function of schedule and instant, shared by the engine, the API, the CLI and the UI.

mod cron;
mod timetable;
mod words;
mod zone;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::time::duration_text;

pub use cron::{CronError, CronExpression};
pub use timetable::{Bounds, Due, DueQuery, ON_TIME};
pub use zone::{ZoneRules, time_zone, zone_rules};

/// A DAG's schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Runs only when triggered.
    None,
    /// Runs once, as soon as it is seen.
    Once,
    /// Starts the next run when the one before has ended.
    Continuous,
    /// Runs at the instants of any of these rules.
    Times {
        /// At least one rule.
        rules: Vec<TimeRule>,
        /// Airflow's data intervals: the run for [a, b) is created at b, with logical date a.
        data_intervals: bool,
    },
}

/// One rule that yields instants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeRule {
    /// A cron expression with 5 fields, read in an IANA zone.
    Cron {
        /// As the author wrote it; presets are kept as `@daily`.
        expression: String,
        /// IANA name.
        timezone: String,
    },
    /// Every so often, counted from the start date (or from the Unix epoch).
    Every {
        /// At least one second.
        #[serde(with = "duration_text")]
        interval: Duration,
    },
    /// Exactly these instants, ascending.
    At {
        /// At least one.
        instants: Vec<Timestamp>,
    },
}
