//! Dates from numbers and texts.

use std::str::FromStr;

use flow_model::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use minijinja::{Error, Value};

use super::day::{DayValue, TimeValue};
use super::relative::RelativeValue;
use super::span::SpanValue;
use super::value::{At, DateValue};
use super::zone::{self, ZoneValue};
use super::{formats, units};
use crate::arguments::{Arguments, invalid};

impl DateValue {
    /// An instant, in UTC.
    pub(crate) fn at(at: Timestamp) -> DateValue {
        DateValue(At::Zoned(at.to_jiff().to_zoned(TimeZone::UTC)))
    }

    /// An instant in a zone of the tests.
    #[cfg(test)]
    pub(crate) fn in_zone_named(at: Timestamp, name: &str) -> Value {
        zone::named(name).and_then(|zone| DateValue::at(at).in_zone(zone)).map_or(Value::UNDEFINED, Value::from_object)
    }

    /// What its clock shows.
    pub(crate) fn reading_of_clock(&self) -> DateTime {
        self.civil()
    }
}

/// `macros.datetime(2026, 3, 5, 6, 30)`; without `tzinfo` it has no time zone.
///
/// # Errors
/// There is no such date.
pub(crate) fn datetime(args: &[Value]) -> Result<Value, Error> {
    const NAMES: [&str; 9] = ["year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo", "fold"];
    let arguments = Arguments::bind("macros.datetime", &NAMES, args)?;
    let part = |index: usize, is_needed: bool| match arguments.integer(index)? {
        Some(number) => Ok(number),
        None if is_needed => Err(arguments.wrong(index, "a whole number")),
        None => Ok(0),
    };
    let out_of_range = |_| invalid("`macros.datetime`: a number is out of range");
    let small = |index, is_needed| part(index, is_needed).and_then(|number| i8::try_from(number).map_err(out_of_range));
    let year = i16::try_from(part(0, true)?).map_err(out_of_range)?;
    let date = Date::new(year, small(1, true)?, small(2, true)?).map_err(invalid)?;
    let nanoseconds = i32::try_from(part(6, false)?.saturating_mul(1_000)).map_err(out_of_range)?;
    let time = Time::new(small(3, false)?, small(4, false)?, small(5, false)?, nanoseconds).map_err(invalid)?;
    let civil = date.to_datetime(time);
    Ok(Value::from(match arguments.value(7) {
        Some(zone) => At::Zoned(zone::resolve(civil, &zone::of(zone)?, arguments.is_true(8))?),
        None => At::Naive(civil),
    }))
}

/// `macros.timedelta(days=1)`.
///
/// # Errors
/// The arguments are wrong.
pub(crate) fn timedelta(args: &[Value]) -> Result<Value, Error> {
    SpanValue::from_arguments(args)
}

/// `macros.dateutil.relativedelta.relativedelta(months=1)`.
///
/// # Errors
/// The arguments are wrong.
pub(crate) fn relativedelta(args: &[Value]) -> Result<Value, Error> {
    RelativeValue::from_arguments(args)
}

/// A time zone by its name.
///
/// # Errors
/// There is none.
pub(crate) fn zone(value: &Value) -> Result<Value, Error> {
    zone::of(value).map(|zone| Value::from_object(ZoneValue(zone)))
}

/// A date in a zone; without one, what a clock in UTC shows.
///
/// # Errors
/// There is no such zone.
pub(crate) fn in_zone_or_naive(at: &DateValue, zone: Option<&Value>) -> Result<Value, Error> {
    match zone {
        Some(zone) => at.in_zone(zone::of(zone)?).map(Value::from_object),
        None => Ok(Value::from(At::Naive(at.civil()))),
    }
}

/// Seconds since 1970, in UTC.
///
/// # Errors
/// They are out of range.
pub(crate) fn from_seconds(seconds: f64) -> Result<DateValue, Error> {
    let microseconds = super::span::rounded(seconds * 1e6).ok_or_else(|| invalid("the timestamp is out of range"))?;
    let at = jiff::Timestamp::from_microsecond(microseconds).map_err(invalid)?;
    Ok(DateValue(At::Zoned(at.to_zoned(TimeZone::UTC))))
}

/// A day and a time of the day.
///
/// # Errors
/// They are something else.
pub(crate) fn combine(day: &Value, time: &Value) -> Result<Value, Error> {
    let date = match (day.downcast_object_ref::<DayValue>(), day.downcast_object_ref::<DateValue>()) {
        (Some(day), _) => day.0,
        (_, Some(at)) => at.civil().date(),
        _ => return Err(invalid("`macros.datetime.combine` needs a day, such as `logical_date.date()`")),
    };
    let time = time.downcast_object_ref::<TimeValue>();
    let time = time.ok_or_else(|| invalid("`macros.datetime.combine` needs a time, such as `logical_date.time()`"))?;
    Ok(Value::from(At::Naive(date.to_datetime(time.0))))
}

/// `2026-03-05`, `2026-03-05T06:30:00+01:00` ...
///
/// # Errors
/// It is no date.
pub(crate) fn from_iso(text: &str) -> Result<DateValue, Error> {
    let wrong = || invalid(format!("`{text}` is no date in the form of ISO 8601"));
    let pieces = jiff::fmt::temporal::DateTimeParser::new();
    if let Ok(at) = jiff::Timestamp::from_str(text) {
        let offset = match text.ends_with(['Z', 'z']) {
            true => jiff::tz::Offset::UTC,
            false => jiff::fmt::temporal::Pieces::parse(text)
                .ok()
                .and_then(|pieces| pieces.to_numeric_offset())
                .ok_or_else(wrong)?,
        };
        let zone = if offset.seconds() == 0 { TimeZone::UTC } else { TimeZone::fixed(offset) };
        return Ok(DateValue(At::Zoned(at.to_zoned(zone))));
    }
    pieces.parse_datetime(text).map(|civil| DateValue(At::Naive(civil))).map_err(|_| wrong())
}

/// A date as `dateutil.parser.parse` reads it: ISO 8601, and what is common besides that means one thing only.
///
/// # Errors
/// It is no date, or it could be more than one.
pub(crate) fn parse(text: &str) -> Result<DateValue, Error> {
    const FORMATS: [&str; 14] = [
        "%Y%m%d",
        "%Y%m%dT%H%M%S",
        "%Y%m%dT%H%M%S%z",
        "%Y/%m/%d",
        "%Y/%m/%d %H:%M:%S",
        "%Y/%m/%d %H:%M",
        "%Y-%m-%d %H:%M",
        "%d %B %Y",
        "%B %d, %Y",
        "%B %d %Y",
        "%d %b %Y",
        "%b %d, %Y",
        "%b %d %Y",
        "%a %b %d %H:%M:%S %Y",
    ];
    let text = text.trim();
    if let Ok(at) = from_iso(text) {
        return Ok(at);
    }
    if let Ok(at) = jiff::fmt::rfc2822::parse(text) {
        return Ok(DateValue(At::Zoned(at)));
    }
    FORMATS.into_iter().find_map(|format| formats::strptime(text, format).ok()).ok_or_else(|| {
        let hint = "hint: say how it is written: `macros.datetime.strptime(text, \"%d.%m.%Y\")`";
        invalid(format!("`{text}` is no date that can mean one thing only\n{hint}"))
    })
}

/// `YYYY-MM-DD`, days later.
///
/// # Errors
/// It is no day.
pub(crate) fn day_later(day: &str, days: i64) -> Result<String, Error> {
    let date: Date = day.parse().map_err(|_| invalid(format!("`{day}` is no day: `YYYY-MM-DD` is needed")))?;
    units::moved(date, days).map(|day| day.to_string())
}
