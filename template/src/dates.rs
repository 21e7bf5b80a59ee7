//! Dates in templates. They print and behave like the pendulum values that Airflow passes; `macros.datetime` and
//! `macros.timedelta` like Python's.

mod arithmetic;
mod construct;
mod day;
mod fields;
mod formats;
mod humans;
mod locales;
mod methods;
mod pendulum_format;
mod relative;
mod span;
mod units;
mod value;
mod zone;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, Value};

pub(crate) use arithmetic::{are_comparable, arithmetic, negative};
pub(crate) use construct::{
    combine, datetime, day_later, from_iso, from_seconds, in_zone_or_naive, parse, relativedelta, timedelta, zone,
};
pub(crate) use formats::{strftime, strptime};
pub(crate) use humans::from_now;
pub use value::DateValue;

use crate::arguments::invalid;
use day::{DayValue, TimeValue};
use span::SpanValue;
use zone::ZoneValue;

/// Whether every date has a method of this name.
pub fn is_method_of_dates(name: &str) -> bool {
    methods::METHODS.split_whitespace().any(|method| method == name)
}

/// How Python's `repr` shows a date or a length of time; nothing for anything else.
pub(crate) fn repr(value: &Value) -> Option<String> {
    if let Some(at) = value.downcast_object_ref::<DateValue>() {
        return Some(at.repr());
    }
    if let Some(day) = value.downcast_object_ref::<DayValue>() {
        return Some(day.repr());
    }
    if let Some(time) = value.downcast_object_ref::<TimeValue>() {
        return Some(time.repr());
    }
    if let Some(span) = value.downcast_object_ref::<SpanValue>() {
        return Some(span.repr());
    }
    value.downcast_object_ref::<ZoneValue>().map(ZoneValue::repr)
}

/// A date by a format of its own: with percent signs, or pendulum's; nothing for anything else.
pub(crate) fn formatted(value: &Value, format: &str) -> Option<Result<String, Error>> {
    let day = value.downcast_object_ref::<DayValue>().map(|day| day.at_midnight());
    let at = value.downcast_object_ref::<DateValue>().or(day.as_ref())?;
    Some(if format.contains('%') { formats::strftime(at, format) } else { pendulum_format::format(at, format, "en") })
}

/// Seconds since 1970.
pub(crate) fn seconds(at: &DateValue) -> f64 {
    at.seconds()
}

/// Microseconds since 1970.
pub(crate) fn microseconds(at: &DateValue) -> i64 {
    at.microseconds()
}

/// `3 days before`.
pub(crate) fn difference(at: &DateValue, since: &DateValue) -> Result<String, Error> {
    humans::difference(at, since, false)
}

/// What a value is, in an author's words.
pub(crate) fn kind(value: &Value) -> &'static str {
    if let Some(at) = value.downcast_object_ref::<DateValue>() {
        return if at.zone().is_some() { "a date with a time zone" } else { "a date without a time zone" };
    }
    if value.downcast_object_ref::<DayValue>().is_some() {
        return "a day";
    }
    if value.downcast_object_ref::<SpanValue>().is_some() {
        return "a length of time";
    }
    match value.kind() {
        ValueKind::None => "none",
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String => "a text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a table",
        _ => "a value",
    }
}

/// Airflow's date filters.
pub(crate) fn add_filters(environment: &mut Environment<'_>) {
    for (name, format) in [("ds", "%Y-%m-%d"), ("ds_nodash", "%Y%m%d"), ("ts_nodash", "%Y%m%dT%H%M%S")] {
        environment.add_filter(name, move |value: Value| match optional_date(&value)? {
            Some(at) => formats::strftime(at, format).map(Value::from),
            None => Ok(Value::from(())),
        });
    }
    environment.add_filter("ts", |value: Value| {
        Ok::<_, Error>(optional_date(&value)?.map_or_else(|| Value::from(()), |at| Value::from(at.iso("T"))))
    });
    environment.add_filter("ts_nodash_with_tz", |value: Value| {
        // Only what separates: the minus of an offset stays.
        let compact = |at: &DateValue| {
            let text = at.iso("T");
            let (day, time) = text.split_once('T').unwrap_or((&text, ""));
            Value::from(format!("{}T{}", day.replace('-', ""), time.replace(':', "")))
        };
        Ok::<_, Error>(optional_date(&value)?.map_or_else(|| Value::from(()), compact))
    });
}

/// A date; none stays none, as in Airflow.
fn optional_date(value: &Value) -> Result<Option<&DateValue>, Error> {
    if value.is_none() {
        return Ok(None);
    }
    let date = value.downcast_object_ref::<DateValue>();
    date.map(Some)
        .ok_or_else(|| invalid(format!("this filter needs a date, such as `logical_date`, not {}", kind(value))))
}
