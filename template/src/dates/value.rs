//! A date and time: with a zone, as `logical_date` is, or without, as Python's `datetime` makes them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use flow_model::Timestamp;
use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Error, State, Value};

use super::zone::{self, ZoneValue};
use super::{fields, methods, span};
use crate::arguments::invalid;

/// A date and time. It behaves like the values of pendulum that Airflow passes.
#[derive(Debug, Clone)]
pub struct DateValue(pub(super) At);

/// Where in time.
#[derive(Debug, Clone)]
pub(super) enum At {
    /// An instant, as a clock in a zone shows it.
    Zoned(Zoned),
    /// What a clock shows, nobody knows where.
    Naive(DateTime),
}

impl DateValue {
    /// An instant as templates see it, in UTC.
    pub fn value(at: Timestamp) -> Value {
        Value::from_object(DateValue(At::Zoned(at.to_jiff().to_zoned(TimeZone::UTC))))
    }

    /// The instant, unless the zone is not known.
    pub fn instant(&self) -> Option<jiff::Timestamp> {
        match &self.0 {
            At::Zoned(at) => Some(at.timestamp()),
            At::Naive(_) => None,
        }
    }

    /// What the clock shows.
    pub(super) fn civil(&self) -> DateTime {
        match &self.0 {
            At::Zoned(at) => at.datetime(),
            At::Naive(at) => *at,
        }
    }

    pub(super) fn zone(&self) -> Option<&TimeZone> {
        match &self.0 {
            At::Zoned(at) => Some(at.time_zone()),
            At::Naive(_) => None,
        }
    }

    /// Whether the clock shows this for the second time, because it was put back in between.
    pub(super) fn is_second_pass(&self) -> bool {
        match &self.0 {
            At::Zoned(at) => {
                let ambiguous = at.time_zone().to_ambiguous_timestamp(at.datetime());
                matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Fold { after, .. } if after == at.offset())
            }
            At::Naive(_) => false,
        }
    }

    /// The same zone, another reading of the clock. What the clock skips moves with it, what it shows twice is the second
    /// pass if `is_later` says so.
    pub(super) fn reading(&self, civil: DateTime, is_later: bool) -> Result<DateValue, Error> {
        let at = match self.zone() {
            Some(zone) => At::Zoned(zone::resolve(civil, zone, is_later)?),
            None => At::Naive(civil),
        };
        Ok(DateValue(at))
    }

    /// Microseconds of elapsed time later.
    pub(super) fn later_by(&self, microseconds: i64) -> Result<DateValue, Error> {
        let span = jiff::SignedDuration::from_micros(microseconds);
        let at = match &self.0 {
            At::Zoned(at) => At::Zoned(at.checked_add(span).map_err(invalid)?),
            At::Naive(at) => At::Naive(at.checked_add(span).map_err(invalid)?),
        };
        Ok(DateValue(at))
    }

    pub(super) fn in_zone(&self, zone: TimeZone) -> Result<DateValue, Error> {
        let at = match &self.0 {
            At::Zoned(at) => at.with_time_zone(zone),
            At::Naive(at) => zone::resolve(*at, &zone, true)?,
        };
        Ok(DateValue(At::Zoned(at)))
    }

    /// `2026-03-05T06:30:00+00:00`, with microseconds if there are any.
    pub(super) fn iso(&self, separator: &str) -> String {
        let civil = self.civil();
        let fraction = match civil.subsec_nanosecond() / 1_000 {
            0 => String::new(),
            microseconds => format!(".{microseconds:06}"),
        };
        format!("{}{separator}{}{fraction}{}", civil.date(), civil.strftime("%H:%M:%S"), self.offset_text())
    }

    /// Seconds from UTC, unless the zone is not known.
    pub(super) fn offset(&self) -> Option<i32> {
        match &self.0 {
            At::Zoned(at) => Some(at.offset().seconds()),
            At::Naive(_) => None,
        }
    }

    /// `CET`, unless the zone is not known.
    pub(super) fn zone_abbreviation(&self) -> Option<String> {
        match &self.0 {
            At::Zoned(at) => Some(at.time_zone().to_offset_info(at.timestamp()).abbreviation().to_owned()),
            At::Naive(_) => None,
        }
    }

    /// Whether it is summer time.
    pub(super) fn saves_daylight(&self) -> bool {
        match &self.0 {
            At::Zoned(at) => at.time_zone().to_offset_info(at.timestamp()).dst().is_dst(),
            At::Naive(_) => false,
        }
    }

    /// Microseconds since 1970; without a zone, in UTC.
    pub(super) fn microseconds(&self) -> i64 {
        match &self.0 {
            At::Zoned(at) => at.timestamp().as_microsecond(),
            At::Naive(at) => span::between(DateTime::constant(1970, 1, 1, 0, 0, 0, 0), *at),
        }
    }

    /// Seconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "as Python's `timestamp`")]
    pub(super) fn seconds(&self) -> f64 {
        self.microseconds() as f64 / 1e6
    }

    /// `+01:00`; nothing without a zone.
    pub(super) fn offset_text(&self) -> String {
        match &self.0 {
            At::Zoned(at) => zone::offset_text(at.offset(), ":"),
            At::Naive(_) => String::new(),
        }
    }

    /// As Python's `repr` shows it.
    pub(super) fn repr(&self) -> String {
        let civil = self.civil();
        let fraction = match civil.subsec_nanosecond() / 1_000 {
            0 => String::new(),
            microseconds => format!(", {microseconds}"),
        };
        let zone = self.zone().map(|zone| format!(", tzinfo={}", ZoneValue(zone.clone()).repr())).unwrap_or_default();
        format!(
            "DateTime({}, {}, {}, {}, {}, {}{fraction}{zone})",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second(),
        )
    }
}

impl From<At> for Value {
    fn from(at: At) -> Value {
        Value::from_object(DateValue(at))
    }
}

impl Object for DateValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        fields::of_date_time(self, key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        methods::of_date_time(self, method, args)
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        match (&self.0, &other.downcast_ref::<DateValue>()?.0) {
            (At::Zoned(one), At::Zoned(other)) => Some(one.timestamp().cmp(&other.timestamp())),
            (At::Naive(one), At::Naive(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso(" "))
    }
}
