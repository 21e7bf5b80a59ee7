//! What dates and times can do: `.add(days=1)`, `.start_of("month")`, `.format("YYYY-MM-DD")` ...

use jiff::civil::{Date, DateTime, Time};
use minijinja::{Error, ErrorKind, Value};

use super::day::{DayValue, TimeValue};
use super::span::SpanValue;
use super::units::{self, Occurrence, Shift, Unit};
use super::value::{At, DateValue};
use super::{formats, humans, pendulum_format, zone};
use crate::arguments::{Arguments, invalid};

/// What every date answers to; the check of names in templates asks for it.
pub(crate) const METHODS: &str = "add astimezone at ctime date diff diff_for_humans dst end_of first_of format get_offset \
    in_timezone in_tz int_timestamp is_dst is_leap_year is_long_year is_same_day is_utc isocalendar isoformat isoweekday \
    last_of naive next nth_of on previous replace set start_of strftime subtract time timestamp to_atom_string \
    to_cookie_string to_date_string to_datetime_string to_day_datetime_string to_formatted_date_string to_iso8601_string \
    to_rfc1036_string to_rfc1123_string to_rfc2822_string to_rfc3339_string to_rfc822_string to_rfc850_string \
    to_rss_string to_time_string to_w3c_string toordinal tzname utcoffset weekday";

pub(super) fn of_date_time(at: &DateValue, method: &str, args: &[Value]) -> Result<Value, Error> {
    let value = |at: DateValue| Value::from_object(at);
    match method {
        "add" => shifted(at, Shift::of(method, args, 1)?).map(value),
        "subtract" => shifted(at, Shift::of(method, args, -1)?).map(value),
        "start_of" | "end_of" => {
            let arguments = Arguments::bind(method, &["unit"], args)?;
            let unit = Unit::named(arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?)?;
            let (start, end) = unit.around(at.civil())?;
            at.reading(if method == "start_of" { start } else { end }, at.is_second_pass()).map(value)
        }
        "next" | "previous" if Arguments::bind(method, &["day_of_week", "keep_time"], args)?.is_true(1) => {
            let day = other_day(at.civil().date(), method, args)?;
            let days = if method == "next" { 1 } else { -1 };
            let mut at = at.clone();
            // Day by day: a time that the clock skips on the way stays moved.
            while at.civil().date() != day {
                at = shifted(&at, Shift { days, ..Shift::default() })?;
            }
            Ok(value(at))
        }
        "first_of" | "last_of" | "nth_of" | "next" | "previous" => {
            let day = other_day(at.civil().date(), method, args)?;
            at.reading(day.to_datetime(Time::midnight()), at.is_second_pass()).map(value)
        }
        "replace" | "set" | "on" | "at" => replaced(at, method, args).map(value),
        "in_timezone" | "in_tz" | "astimezone" => {
            let arguments = Arguments::bind(method, &["tz"], args)?;
            let zone = arguments.value(0).map_or_else(|| Ok(jiff::tz::TimeZone::UTC), zone::of)?;
            at.in_zone(zone).map(value)
        }
        "diff" => {
            let arguments = Arguments::bind(method, &["dt", "abs"], args)?;
            let other = date_time(arguments.required(0)?)?;
            let span = SpanValue::between(at, other)?;
            let absolute = !arguments.has(1) || arguments.is_true(1);
            let span = if absolute && span.microseconds < 0 { SpanValue::between(other, at)? } else { span };
            Ok(Value::from_object(span))
        }
        "diff_for_humans" => {
            let arguments = Arguments::bind(method, &["other", "absolute"], args)?;
            let other = date_time(arguments.required(0)?)?;
            humans::difference(at, other, arguments.is_true(1)).map(Value::from)
        }
        "is_same_day" => {
            let arguments = Arguments::bind(method, &["dt"], args)?;
            Ok(Value::from(date_time(arguments.required(0)?)?.civil().date() == at.civil().date()))
        }
        "isoformat" => isoformat(at, args),
        "format" => {
            let arguments = Arguments::bind(method, &["fmt", "locale"], args)?;
            let format = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
            pendulum_format::format(at, format, arguments.text(1)?.unwrap_or("en")).map(Value::from)
        }
        "strftime" => {
            let arguments = Arguments::bind(method, &["format"], args)?;
            let format = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
            formats::strftime(at, format).map(Value::from)
        }
        _ => without_arguments(at, method, args),
    }
}

fn without_arguments(at: &DateValue, method: &str, args: &[Value]) -> Result<Value, Error> {
    let none = || Value::from(());
    let value = match method {
        "date" => DayValue::value(at.civil().date()),
        "time" => Value::from_object(TimeValue(at.civil().time())),
        "naive" => Value::from(At::Naive(at.civil())),
        "timestamp" => Value::from(at.seconds()),
        "int_timestamp" => Value::from(at.microseconds().div_euclid(1_000_000)),
        "get_offset" => at.offset().map_or_else(none, Value::from),
        "utcoffset" => {
            at.offset().map_or_else(none, |seconds| Value::from_object(SpanValue::of(i64::from(seconds) * 1_000_000)))
        }
        "tzname" => at.zone_abbreviation().map_or_else(none, Value::from),
        "is_utc" => Value::from(at.offset() == Some(0)),
        "is_dst" => Value::from(at.saves_daylight()),
        "dst" => Value::from_object(SpanValue::of(i64::from(at.saves_daylight()) * 3_600_000_000)),
        "ctime" => Value::from(formats::strftime(at, "%a %b %e %H:%M:%S %Y")?),
        "to_iso8601_string" => {
            let text = at.iso("T");
            Value::from(if at.zone().is_some_and(|zone| zone::name(zone) == "UTC") {
                text.replace("+00:00", "Z")
            } else {
                text
            })
        }
        "to_rfc3339_string" => Value::from(at.iso("T")),
        _ => match named_format(method) {
            Some(format) => Value::from(pendulum_format::format(at, format, "en")?),
            None => return of_day(at.civil().date(), method, args).map_err(|error| unknown(error, "date", method)),
        },
    };
    Arguments::bind(method, &[], args)?;
    Ok(value)
}

/// The format behind the name of a method.
fn named_format(method: &str) -> Option<&'static str> {
    Some(match method {
        "to_time_string" => "HH:mm:ss",
        "to_datetime_string" => "YYYY-MM-DD HH:mm:ss",
        "to_day_datetime_string" => "ddd, MMM D, YYYY h:mm A",
        "to_atom_string" | "to_w3c_string" => "YYYY-MM-DDTHH:mm:ssZ",
        "to_cookie_string" => "dddd, DD-MMM-YYYY HH:mm:ss zz",
        "to_rfc822_string" | "to_rfc1036_string" => "ddd, DD MMM YY HH:mm:ss ZZ",
        "to_rfc850_string" => "dddd, DD-MMM-YY HH:mm:ss zz",
        "to_rfc1123_string" | "to_rfc2822_string" | "to_rss_string" => "ddd, DD MMM YYYY HH:mm:ss ZZ",
        _ => return None,
    })
}

fn unknown(error: Error, what: &str, method: &str) -> Error {
    if error.kind() == ErrorKind::UnknownMethod {
        return Error::new(ErrorKind::UnknownMethod, format!("a {what} has no method `{method}`"));
    }
    error
}

pub(super) fn of_day(day: Date, method: &str, args: &[Value]) -> Result<Value, Error> {
    let midnight = || DateValue(At::Naive(day.to_datetime(Time::midnight())));
    match method {
        "add" | "subtract" => {
            let shift = Shift::of(method, args, if method == "add" { 1 } else { -1 })?;
            if shift.microseconds != 0 {
                return Err(invalid("a day moves by years, months, weeks and days"));
            }
            Ok(DayValue::value(shift.apply(midnight().civil())?.date()))
        }
        "start_of" | "end_of" => {
            let arguments = Arguments::bind(method, &["unit"], args)?;
            let (start, end) =
                Unit::named(arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?)?.days(day)?;
            Ok(DayValue::value(if method == "start_of" { start } else { end }))
        }
        "first_of" | "last_of" | "nth_of" | "next" | "previous" => other_day(day, method, args).map(DayValue::value),
        "replace" | "set" => {
            let arguments = Arguments::bind(method, &["year", "month", "day"], args)?;
            with_day(day, &arguments).map(DayValue::value)
        }
        "diff" => {
            let arguments = Arguments::bind(method, &["dt", "abs"], args)?;
            let other =
                arguments.required(0)?.downcast_object_ref::<DayValue>().ok_or_else(|| arguments.wrong(0, "a day"))?.0;
            let is_swapped = (!arguments.has(1) || arguments.is_true(1)) && other < day;
            let (start, end) = if is_swapped { (other, day) } else { (day, other) };
            Ok(Value::from_object(SpanValue::between_days(start, end)))
        }
        "format" | "strftime" => of_date_time(&midnight(), method, args),
        _ => {
            let value = match method {
                "weekday" => Value::from(day.weekday().to_monday_zero_offset()),
                "isoweekday" => Value::from(day.weekday().to_monday_one_offset()),
                "isocalendar" => isocalendar(day),
                "toordinal" => Value::from(ordinal(day)),
                "isoformat" | "to_date_string" => Value::from(day.to_string()),
                "to_formatted_date_string" => Value::from(pendulum_format::format(&midnight(), "MMM DD, YYYY", "en")?),
                "ctime" => Value::from(formats::strftime(&midnight(), "%a %b %e %H:%M:%S %Y")?),
                "is_leap_year" => Value::from(day.in_leap_year()),
                "is_long_year" => {
                    Value::from(Date::new(day.year(), 12, 28).map_err(invalid)?.iso_week_date().week() == 53)
                }
                _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("a day has no method `{method}`"))),
            };
            Arguments::bind(method, &[], args)?;
            Ok(value)
        }
    }
}

pub(super) fn of_time(time: Time, method: &str, args: &[Value]) -> Result<Value, Error> {
    let at = || DateValue(At::Naive(DateTime::from_parts(Date::constant(1900, 1, 1), time)));
    match method {
        "strftime" | "format" => of_date_time(&at(), method, args),
        "isoformat" => {
            Arguments::bind(method, &[], args)?;
            Ok(Value::from(TimeValue(time).text()))
        }
        "replace" => {
            let arguments = Arguments::bind(method, &["hour", "minute", "second", "microsecond"], args)?;
            with_time(time, &arguments, 0).map(|time| Value::from_object(TimeValue(time)))
        }
        _ => Err(Error::new(ErrorKind::UnknownMethod, format!("a time of the day has no method `{method}`"))),
    }
}

/// Moves by elapsed time, or by what the calendar and the clock show if days, months or years are among it.
pub(super) fn shifted(at: &DateValue, shift: Shift) -> Result<DateValue, Error> {
    if shift.is_by_calendar() { at.reading(shift.apply(at.civil())?, true) } else { at.later_by(shift.microseconds) }
}

fn replaced(at: &DateValue, method: &str, args: &[Value]) -> Result<DateValue, Error> {
    const NAMES: [&str; 9] = ["year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo", "fold"];
    let civil = at.civil();
    match method {
        "on" => {
            let arguments = Arguments::bind(method, &NAMES[..3], args)?;
            return at.reading(with_day(civil.date(), &arguments)?.to_datetime(civil.time()), at.is_second_pass());
        }
        "at" => {
            let arguments = Arguments::bind(method, &NAMES[3..7], args)?;
            arguments.required(0)?;
            return at
                .reading(civil.date().to_datetime(with_time(Time::midnight(), &arguments, 0)?), at.is_second_pass());
        }
        _ => {}
    }
    let names = if method == "set" {
        ["year", "month", "day", "hour", "minute", "second", "microsecond", "tz", "fold"]
    } else {
        NAMES
    };
    let arguments = Arguments::bind(method, &names, args)?;
    let reading = with_day(civil.date(), &arguments)?.to_datetime(with_time(civil.time(), &arguments, 3)?);
    let is_later = arguments.integer(8)?.map_or_else(|| at.is_second_pass(), |fold| fold != 0);
    if !arguments.has(7) {
        return at.reading(reading, is_later);
    }
    Ok(DateValue(match arguments.value(7) {
        Some(zone) => At::Zoned(zone::resolve(reading, &zone::of(zone)?, is_later)?),
        None => At::Naive(reading),
    }))
}

fn small<T: TryFrom<i64>>(arguments: &Arguments<'_>, index: usize, current: T) -> Result<T, Error> {
    match arguments.integer(index)? {
        Some(number) => T::try_from(number).map_err(|_| arguments.wrong(index, "a smaller number")),
        None => Ok(current),
    }
}

fn with_day(day: Date, arguments: &Arguments<'_>) -> Result<Date, Error> {
    let (year, month) = (small(arguments, 0, day.year())?, small(arguments, 1, day.month())?);
    Date::new(year, month, small(arguments, 2, day.day())?).map_err(invalid)
}

fn with_time(time: Time, arguments: &Arguments<'_>, first: usize) -> Result<Time, Error> {
    let (hour, minute) = (small(arguments, first, time.hour())?, small(arguments, first + 1, time.minute())?);
    let second = small(arguments, first + 2, time.second())?;
    let microsecond: i32 = small(arguments, first + 3, time.subsec_nanosecond() / 1_000)?;
    Time::new(hour, minute, second, microsecond.saturating_mul(1_000)).map_err(invalid)
}

fn other_day(day: Date, method: &str, args: &[Value]) -> Result<Date, Error> {
    match method {
        "next" | "previous" => {
            let arguments = Arguments::bind(method, &["day_of_week", "keep_time"], args)?;
            let wanted = arguments.value(0).map_or_else(|| Ok(day.weekday()), units::weekday)?;
            day.nth_weekday(if method == "next" { 1 } else { -1 }, wanted).map_err(invalid)
        }
        "nth_of" => {
            let arguments = Arguments::bind(method, &["unit", "nth", "day_of_week"], args)?;
            let unit = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
            let nth = arguments.integer(1)?.ok_or_else(|| arguments.wrong(1, "a whole number"))?;
            let weekday = units::weekday(arguments.required(2)?)?;
            units::day_of(day, unit, Occurrence::Nth(nth), Some(weekday))
        }
        _ => {
            let arguments = Arguments::bind(method, &["unit", "day_of_week"], args)?;
            let unit = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
            let weekday = arguments.value(1).map(units::weekday).transpose()?;
            units::day_of(day, unit, if method == "first_of" { Occurrence::First } else { Occurrence::Last }, weekday)
        }
    }
}

fn isoformat(at: &DateValue, args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("isoformat", &["sep", "timespec"], args)?;
    let separator = arguments.text(0)?.unwrap_or("T");
    let format = match arguments.text(1)?.unwrap_or("auto") {
        "auto" => return Ok(Value::from(at.iso(separator))),
        "hours" => "%H",
        "minutes" => "%H:%M",
        "seconds" => "%H:%M:%S",
        "milliseconds" => "%H:%M:%S.%3f",
        "microseconds" => "%H:%M:%S.%6f",
        other => return Err(invalid(format!("`{other}` is no timespec"))),
    };
    let civil = at.civil();
    Ok(Value::from(format!("{}{separator}{}{}", civil.date(), civil.strftime(format), at.offset_text())))
}

fn isocalendar(day: Date) -> Value {
    let week = day.iso_week_date();
    let parts = [Value::from(week.year()), Value::from(week.week()), Value::from(day.weekday().to_monday_one_offset())];
    Value::from(minijinja::value::Tuple::from(parts.to_vec()))
}

/// Days since the first of January of the year 1, which is 1.
fn ordinal(day: Date) -> i64 {
    let first = Date::constant(1, 1, 1);
    i64::from(first.until(day).map_or(0, |span| span.get_days())) + 1
}

pub(super) fn date_time(value: &Value) -> Result<&DateValue, Error> {
    value
        .downcast_object_ref::<DateValue>()
        .ok_or_else(|| invalid("a date with a time is needed here, such as `logical_date`"))
}
