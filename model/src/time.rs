//! Instants in UTC with microsecond precision, as both databases store them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Prints and serialises as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The epoch itself.
    pub const UNIX_EPOCH: Timestamp = Timestamp(0);

    /// An instant from microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The same instant as jiff's type (for zone arithmetic). Saturates at jiff's year 9999.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    /// From jiff's type, truncated to microseconds.
    pub fn from_jiff(instant: jiff::Timestamp) -> Self {
        Timestamp(instant.as_microsecond())
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Airflow writes `+00:00`; with a fraction only where there is one.
        let zoned = self.to_jiff().to_zoned(jiff::tz::TimeZone::UTC);
        if self.0 % 1_000_000 == 0 {
            write!(f, "{}", zoned.strftime("%Y-%m-%dT%H:%M:%S+00:00"))
        } else {
            write!(f, "{}", zoned.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00"))
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    /// RFC 3339, or a plain date or date-time, which is read as UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Timestamp::from_jiff(instant));
        }
        let civil: jiff::civil::DateTime = text.parse()?;
        Ok(Timestamp::from_jiff(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Durations as text such as `90s`, `1h 30m`, `2d`, `500ms` or ISO 8601 (`PT5M`), as DAG files and configuration write them.
/// A number is one of seconds.
pub mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    /// Seconds, with a fraction if need be.
    fn from_seconds(seconds: f64) -> Result<Duration, String> {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("`{seconds}` seconds are no duration: it must be zero or more"))
    }

    /// As people write it. (An untagged enum would not know the numbers of a `serde_json` that keeps their digits.)
    fn from_json(value: &Value) -> Result<Duration, String> {
        match value {
            Value::String(text) => parse(text),
            Value::Number(number) => match number.as_u64() {
                Some(seconds) => Ok(Duration::from_secs(seconds)),
                None => from_seconds(number.as_f64().unwrap_or(f64::NAN)),
            },
            _ => Err("a duration is text such as `30s`, or a number of seconds".to_owned()),
        }
    }

    /// Reads a duration. Days are 24 hours; months and years are refused because their length varies.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let span: jiff::Span = text.trim().parse().map_err(|_| {
            format!("`{text}` is not a duration; write a number and a unit, such as `30s`, `5m`, `1h 30m` or `2d`")
        })?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err(format!("`{text}` uses months or years, whose length varies; use days, such as `30d`"));
        }
        let signed = span
            .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
            .map_err(|error| format!("`{text}` is not a usable duration: {error}"))?;
        Duration::try_from(signed).map_err(|_| format!("`{text}` is negative; a duration must be zero or more"))
    }

    /// Writes a duration so that [`parse`] reads it back, e.g. `1h 30m`.
    pub fn format(duration: Duration) -> String {
        let total = duration.as_secs();
        let (days, hours, minutes, seconds) = (total / 86_400, total / 3_600 % 24, total / 60 % 60, total % 60);
        let micros = duration.subsec_micros();
        let mut parts = Vec::new();
        for (amount, unit) in [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")] {
            if amount > 0 {
                parts.push(format!("{amount}{unit}"));
            }
        }
        if !micros.is_multiple_of(1_000) {
            parts.push(format!("{micros}us"));
        } else if micros > 0 {
            parts.push(format!("{}ms", micros / 1_000));
        }
        if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
    }

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// Only the serialiser's own.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*duration))
    }

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// It is neither the text of a duration nor a number of seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        from_json(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }

    /// The same for optional durations.
    pub mod option {
        use super::{Deserialize, Deserializer, Duration, Serializer};

        /// For `#[serde(with)]`.
        ///
        /// # Errors
        /// Only the serialiser's own.
        pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => serializer.serialize_str(&super::format(*duration)),
                None => serializer.serialize_none(),
            }
        }

        /// For `#[serde(with)]`.
        ///
        /// # Errors
        /// It is neither the text of a duration nor a number of seconds.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            let written = Option::<super::Value>::deserialize(deserializer)?;
            written.as_ref().map(super::from_json).transpose().map_err(serde::de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_airflow_and_reads_back() {
        let whole: Timestamp = "2026-01-01T06:00:00Z".parse().unwrap();
        assert_eq!(whole.to_string(), "2026-01-01T06:00:00+00:00");
        let fine = Timestamp::from_micros(whole.as_micros() + 42);
        assert_eq!(fine.to_string(), "2026-01-01T06:00:00.000042+00:00");
        assert_eq!(fine.to_string().parse::<Timestamp>().unwrap(), fine);
        assert_eq!("2026-01-01".parse::<Timestamp>().unwrap().to_string(), "2026-01-01T00:00:00+00:00");
    }

    #[test]
    fn a_number_is_one_of_seconds() {
        let read = |json: &str| duration_text::deserialize(&mut serde_json::Deserializer::from_str(json));
        for (json, millis) in [("10", 10_000), ("0", 0), ("1.5", 1_500), ("\"10s\"", 10_000)] {
            assert_eq!(read(json).unwrap(), Duration::from_millis(millis), "{json}");
        }
        for json in ["-1", "1e300", "true", "\"10\"", "[1]", "null"] {
            assert!(read(json).is_err(), "{json}");
        }
        let optional = |json: &str| duration_text::option::deserialize(&mut serde_json::Deserializer::from_str(json));
        assert_eq!(optional("null").unwrap(), None);
        assert_eq!(optional("7").unwrap(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn durations_read_and_write() {
        for (text, seconds) in [("30s", 30), ("1h 30m", 5_400), ("2d", 172_800), ("PT5M", 300), ("90m", 5_400)] {
            let duration = duration_text::parse(text).unwrap();
            assert_eq!(duration.as_secs(), seconds, "{text}");
            assert_eq!(duration_text::parse(&duration_text::format(duration)).unwrap(), duration);
        }
        assert!(duration_text::parse("soon").unwrap_err().contains("30s"));
        assert!(duration_text::parse("-5s").unwrap_err().contains("negative"));
        assert!(duration_text::parse("1 month").unwrap_err().contains("days"));
    }
}
