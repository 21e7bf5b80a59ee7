//! How far two dates are apart, in words: `3 days before`.

use minijinja::Error;

use super::span::SpanValue;
use super::value::DateValue;

/// `at` as seen from `other`, as pendulum says it in English.
pub(super) fn difference(at: &DateValue, other: &DateValue, is_absolute: bool) -> Result<String, Error> {
    let span = SpanValue::between(at, other)?;
    let text = length(&SpanValue::between(at, other)?);
    Ok(match (is_absolute, span.microseconds < 0) {
        (true, _) => text,
        (false, true) => format!("{text} after"),
        (false, false) => format!("{text} before"),
    })
}

/// The length of time until `end`, counted from `start`, in the past or in the future.
pub(crate) fn from_now(at: &DateValue, now: &DateValue) -> Result<String, Error> {
    let span = SpanValue::between(at, now)?;
    let text = length(&span);
    Ok(if span.microseconds < 0 { format!("in {text}") } else { format!("{text} ago") })
}

fn length(span: &SpanValue) -> String {
    let parts = span.absolute_parts();
    let days = parts.weeks * 7 + parts.remaining_days;
    let (count, unit) = if parts.years > 0 {
        (parts.years + i64::from(parts.months > 6), "year")
    } else if parts.months == 11 && days > 15 {
        (1, "year")
    } else if parts.months > 0 {
        (parts.months + i64::from(days >= 27), "month")
    } else if parts.weeks > 0 {
        (parts.weeks + i64::from(parts.remaining_days > 3), "week")
    } else if parts.remaining_days > 0 {
        (parts.remaining_days + i64::from(parts.hours >= 22), "day")
    } else if parts.hours > 0 {
        (parts.hours, "hour")
    } else if parts.minutes > 0 {
        (parts.minutes, "minute")
    } else if parts.remaining_seconds > 10 {
        (parts.remaining_seconds, "second")
    } else {
        return "a few seconds".to_owned();
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
