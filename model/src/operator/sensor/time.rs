//! Sensors that wait for an instant. They need no look at all: a timer fires.

use std::time::Duration;

use super::sensor;
use crate::state::named_enum;

sensor!(
    /// Waits until a time of day, on the day on which the try starts; succeeds at once when it is past.
    ///
    /// ```toml
    /// [tasks.morning]
    /// time_sensor = { target_time = "06:30", timezone = "Europe/Stockholm" }
    /// ```
    TimeSensor {
        /// The time, `HH:MM` or `HH:MM:SS` (a template).
        #[schemars(extend("x-template" = "text"))]
        target_time: String,
        /// IANA name of the zone in which the time is meant.
        #[serde(default = "utc")]
        timezone: String,
    }
);

sensor!(
    /// Waits until an instant.
    ///
    /// ```toml
    /// [tasks.due]
    /// date_time_sensor = "{{ data_interval_end.add(hours=2) }}"
    /// ```
    DateTimeSensor {
        /// The instant, such as `2026-01-31T06:00:00+01:00` or `{{ data_interval_end }}` (a template). Without an offset it
        /// is UTC.
        #[schemars(extend("x-template" = "text"))]
        target_time: String,
    }
);

sensor!(
    /// Waits for a while after the end of the run's data interval, or after the run was due where it has none.
    ///
    /// ```toml
    /// [tasks.settled]
    /// time_delta_sensor = "45m"
    /// ```
    TimeDeltaSensor {
        /// How long after it.
        #[serde(with = "crate::time::duration_text")]
        #[schemars(schema_with = "crate::operator::duration_schema")]
        delta: Duration,
    }
);

named_enum!(
    /// A day of the week.
    WeekDay {
        /// Monday.
        Monday = "monday",
        /// Tuesday.
        Tuesday = "tuesday",
        /// Wednesday.
        Wednesday = "wednesday",
        /// Thursday.
        Thursday = "thursday",
        /// Friday.
        Friday = "friday",
        /// Saturday.
        Saturday = "saturday",
        /// Sunday.
        Sunday = "sunday",
    }
);

sensor!(
    /// Waits until a day of the week; succeeds at once on that day.
    ///
    /// ```toml
    /// [tasks.weekday]
    /// day_of_week_sensor = ["monday", "tuesday", "wednesday", "thursday", "friday"]
    /// ```
    DayOfWeekSensor {
        /// The days.
        #[schemars(length(min = 1))]
        week_day: Vec<WeekDay>,
        /// IANA name of the zone whose midnight begins the day.
        #[serde(default = "utc")]
        timezone: String,
    }
);

fn utc() -> String {
    "UTC".to_owned()
}
