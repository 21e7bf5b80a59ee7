//! Sensors: tasks that wait for something. They hold no worker slot while they wait.

mod command;
mod external_task;
mod file;
mod http;
mod redis;
mod sql;
mod time;

use std::time::Duration;

use crate::deferral::Poll;
use crate::state::named_enum;

pub use command::CommandSensor;
pub use external_task::ExternalTaskSensor;
pub use file::FileSensor;
pub use http::{HttpSensor, ResponseCheck};
pub use redis::{RedisKeySensor, RedisStreamSensor};
pub use sql::SqlSensor;
pub use time::{DateTimeSensor, DayOfWeekSensor, TimeDeltaSensor, TimeSensor, WeekDay};

named_enum!(
    /// How Airflow's sensors wait. All mean the same here: no sensor holds a worker slot while it waits.
    Mode {
        /// Airflow: holds a slot all the time.
        Poke = "poke",
        /// Airflow: gives the slot back between two looks.
        Reschedule = "reschedule",
        /// Airflow: waits in the triggerer.
        Deferrable = "deferrable",
    }
);

/// What all sensors have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How often to look.
    pub poll: Poll,
    /// How long at most, over all looks of the try.
    pub timeout: Duration,
    /// Whether a failure, or the end of the time, skips the task instead of failing it.
    pub soft_fail: bool,
}

/// Declares a sensor: its own keys, and those that all have.
macro_rules! sensor {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Time between two looks.
            #[serde(default = "crate::operator::sensor::default_poke_interval", with = "crate::time::duration_text")]
            #[schemars(schema_with = "crate::operator::duration_schema")]
            pub poke_interval: std::time::Duration,
            /// How long it waits at most, over all looks of a try; then it fails without another try.
            #[serde(default = "crate::operator::sensor::default_timeout", with = "crate::time::duration_text")]
            #[schemars(schema_with = "crate::operator::duration_schema")]
            pub timeout: std::time::Duration,
            /// Whether a failure, or the end of the time, skips the task instead of failing it.
            #[serde(default)]
            pub soft_fail: bool,
            /// Doubles the time between two looks after each, up to `max_wait`.
            #[serde(default)]
            pub exponential_backoff: bool,
            /// The longest time between two looks.
            #[serde(default, with = "crate::time::duration_text::option", skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "crate::operator::duration_schema")]
            pub max_wait: Option<std::time::Duration>,
            /// For files that come from Airflow: every mode means that no worker slot is held.
            #[serde(default = "crate::operator::sensor::default_mode")]
            pub mode: crate::operator::sensor::Mode,
            /// For files that come from Airflow: every sensor waits in the triggerer, whatever this says.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub deferrable: Option<bool>,
        }

        impl $name {
            /// How it waits.
            pub fn waiting(&self) -> crate::operator::sensor::Waiting {
                crate::operator::sensor::Waiting {
                    poll: crate::deferral::Poll {
                        interval: self.poke_interval,
                        exponential_backoff: self.exponential_backoff,
                        max_wait: self.max_wait,
                    },
                    timeout: self.timeout,
                    soft_fail: self.soft_fail,
                }
            }
        }
    };
}
pub(crate) use sensor;

pub(crate) fn default_poke_interval() -> Duration {
    Duration::from_secs(60)
}

pub(crate) fn default_timeout() -> Duration {
    Duration::from_secs(7 * 24 * 3_600)
}

pub(crate) const fn default_mode() -> Mode {
    Mode::Deferrable
}
