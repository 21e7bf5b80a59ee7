//! Dates and lengths of time with `+`, `-`, `*`, `/`, `//` and `%`.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::day::{DayValue, TimeValue};
use super::relative::RelativeValue;
use super::span::{self, DAY, SpanValue};
use super::units;
use super::value::DateValue;
use crate::arguments::invalid;

/// A value that takes part in arithmetic of dates.
enum Operand<'a> {
    Date(&'a DateValue),
    Day(&'a DayValue),
    Span(&'a SpanValue),
    Relative(&'a RelativeValue),
    Other(&'a Value),
}

impl<'a> Operand<'a> {
    fn of(value: &'a Value) -> Operand<'a> {
        if let Some(date) = value.downcast_object_ref() {
            return Operand::Date(date);
        }
        if let Some(day) = value.downcast_object_ref() {
            return Operand::Day(day);
        }
        if let Some(span) = value.downcast_object_ref() {
            return Operand::Span(span);
        }
        value.downcast_object_ref().map_or(Operand::Other(value), Operand::Relative)
    }
}

/// The result, if dates or lengths of time take part; nothing if they do not, so that the engine knows what to do.
pub(crate) fn arithmetic(operator: &str, left: &Value, right: &Value) -> Option<Result<Value, Error>> {
    use Operand::{Date, Day, Other, Relative, Span};
    if left.is_undefined() || right.is_undefined() {
        return None;
    }
    let object = |value: Result<DateValue, Error>| value.map(Value::from_object);
    let span = |microseconds: Option<i64>| {
        let of = |microseconds| Value::from_object(SpanValue::of(microseconds));
        microseconds.map(of).ok_or_else(|| invalid("the length of time is out of range"))
    };
    Some(match (Operand::of(left), operator, Operand::of(right)) {
        (Other(_), _, Other(_)) => return None,
        (Date(at), "+", Span(length)) | (Span(length), "+", Date(at)) => object(at.later_by(length.microseconds)),
        (Date(at), "-", Span(length)) => object(at.later_by(-length.microseconds)),
        (Date(end), "-", Date(start)) => SpanValue::between(start, end).map(Value::from_object),
        (Day(day), "+", Span(length)) | (Span(length), "+", Day(day)) => {
            units::moved(day.0, length.microseconds.div_euclid(DAY)).map(DayValue::value)
        }
        (Day(day), "-", Span(length)) => units::moved(day.0, -length.microseconds.div_euclid(DAY)).map(DayValue::value),
        (Day(end), "-", Day(start)) => Ok(Value::from_object(SpanValue::between_days(start.0, end.0))),
        (Date(at), "+", Relative(by)) | (Relative(by), "+", Date(at)) => object(by.apply(at, 1)),
        (Date(at), "-", Relative(by)) => object(by.apply(at, -1)),
        (Day(day), "+", Relative(by)) | (Relative(by), "+", Day(day)) => by.apply_to_day(day.0, 1),
        (Day(day), "-", Relative(by)) => by.apply_to_day(day.0, -1),
        (Span(one), "+", Span(other)) => span(one.microseconds.checked_add(other.microseconds)),
        (Span(one), "-", Span(other)) => span(one.microseconds.checked_sub(other.microseconds)),
        (Span(_), "/" | "//" | "%", Span(by)) if by.microseconds == 0 => {
            Err(invalid("division by a length of time of 0"))
        }
        #[expect(clippy::cast_precision_loss, reason = "as Python divides them")]
        (Span(one), "/", Span(by)) => Ok(Value::from(one.microseconds as f64 / by.microseconds as f64)),
        (Span(one), "//", Span(by)) => Ok(Value::from(floored(one.microseconds, by.microseconds))),
        (Span(one), "%", Span(by)) => {
            span(Some(one.microseconds - floored(one.microseconds, by.microseconds) * by.microseconds))
        }
        (Span(length), "*", Other(by)) | (Other(by), "*", Span(length)) => {
            scaled(length, by).map_or_else(|| Err(unsupported(operator, left, right)), span)
        }
        (Span(length), "/" | "//", Other(by)) => divided(length, operator, by).map_or_else(
            || Err(unsupported(operator, left, right)),
            |length| length.and_then(|length| span(Some(length))),
        ),
        _ => Err(unsupported(operator, left, right)),
    })
}

/// A length of time in the other direction.
pub(crate) fn negative(operand: &Value) -> Option<Result<Value, Error>> {
    if let Some(relative) = operand.downcast_object_ref::<RelativeValue>() {
        return Some(Ok(Value::from_object(relative.negative())));
    }
    let length = operand.downcast_object_ref::<SpanValue>()?;
    Some(Ok(Value::from_object(SpanValue::of(-length.microseconds))))
}

fn floored(one: i64, by: i64) -> i64 {
    let quotient = one / by;
    if one % by != 0 && (one < 0) != (by < 0) { quotient - 1 } else { quotient }
}

#[expect(clippy::cast_precision_loss, reason = "as Python multiplies them")]
fn scaled(length: &SpanValue, by: &Value) -> Option<Option<i64>> {
    if by.kind() != ValueKind::Number {
        return None;
    }
    if by.is_integer() {
        return Some(i64::try_from(by.clone()).ok().and_then(|by| length.microseconds.checked_mul(by)));
    }
    let by = f64::try_from(by.clone()).ok()?;
    Some(span::rounded(length.microseconds as f64 * by))
}

#[expect(clippy::cast_precision_loss, reason = "as Python divides them")]
fn divided(length: &SpanValue, operator: &str, by: &Value) -> Option<Result<i64, Error>> {
    if by.kind() != ValueKind::Number {
        return None;
    }
    let number = f64::try_from(by.clone()).ok()?;
    if number == 0.0 {
        return Some(Err(invalid("division by 0")));
    }
    if operator == "//" {
        let by = i64::try_from(by.clone()).ok().filter(|_| by.is_integer())?;
        return Some(Ok(floored(length.microseconds, by)));
    }
    span::rounded(length.microseconds as f64 / number).map(Ok)
}

/// `days=1` of `add` as a length of time is not what `+` wants: it names what it got.
fn unsupported(operator: &str, left: &Value, right: &Value) -> Error {
    let hint = match (Operand::of(left), operator, Operand::of(right)) {
        (Operand::Date(_) | Operand::Day(_), "+" | "-", Operand::Other(_)) => {
            "\nhint: a length of time is `macros.timedelta(days=1)`; or write `.add(days=1)`"
        }
        _ => "",
    };
    Error::new(
        ErrorKind::InvalidOperation,
        format!("`{operator}` does not work between {} and {}{hint}", super::kind(left), super::kind(right)),
    )
}

/// Python orders dates with dates, and those with a time zone not with those without one.
pub(crate) fn are_comparable(left: &Value, right: &Value) -> bool {
    match (Operand::of(left), Operand::of(right)) {
        (Operand::Date(one), Operand::Date(other)) => one.zone().is_some() == other.zone().is_some(),
        (Operand::Day(_), Operand::Day(_)) | (Operand::Span(_), Operand::Span(_)) => true,
        (Operand::Other(one), Operand::Other(other)) => {
            one.downcast_object_ref::<TimeValue>().is_some() == other.downcast_object_ref::<TimeValue>().is_some()
        }
        _ => false,
    }
}
