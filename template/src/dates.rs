//! Instants in templates: they print and behave like the pendulum values that Airflow passes.

use std::fmt;
use std::sync::Arc;

use flow_model::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Object, ObjectRepr};
use minijinja::{Environment, Error, ErrorKind, State, Value};

/// A date and time with its zone.
#[derive(Debug)]
pub struct DateValue(Zoned);

impl DateValue {
    /// An instant as templates see it, in UTC.
    pub fn value(at: Timestamp) -> Value {
        Value::from_object(DateValue(at.to_jiff().to_zoned(TimeZone::UTC)))
    }
}

impl Object for DateValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = &self.0;
        Some(match key.as_str()? {
            "year" => Value::from(at.year()),
            "month" => Value::from(at.month()),
            "day" => Value::from(at.day()),
            "hour" => Value::from(at.hour()),
            "minute" => Value::from(at.minute()),
            "second" => Value::from(at.second()),
            "microsecond" => Value::from(at.subsec_nanosecond() / 1_000),
            "day_of_week" => Value::from(at.weekday().to_monday_zero_offset()),
            "day_of_year" => Value::from(at.day_of_year()),
            "timezone_name" => Value::from(at.time_zone().iana_name().unwrap_or("UTC")),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let at = &self.0;
        match method {
            "strftime" => {
                let (format,): (&str,) = minijinja::value::from_args(args)?;
                jiff::fmt::strtime::format(format, at).map(Value::from).map_err(invalid)
            }
            "isoformat" => Ok(Value::from(iso(at, 'T'))),
            "date" | "to_date_string" => Ok(Value::from(at.strftime("%Y-%m-%d").to_string())),
            "to_datetime_string" => Ok(Value::from(at.strftime("%Y-%m-%d %H:%M:%S").to_string())),
            "timestamp" => {
                #[expect(clippy::cast_precision_loss, reason = "microseconds of this era fit the mantissa")]
                let seconds = at.timestamp().as_microsecond() as f64 / 1e6;
                Ok(Value::from(seconds))
            }
            "int_timestamp" => Ok(Value::from(at.timestamp().as_second())),
            "weekday" => Ok(Value::from(at.weekday().to_monday_zero_offset())),
            "isoweekday" => Ok(Value::from(at.weekday().to_monday_one_offset())),
            "in_timezone" | "in_tz" | "astimezone" => {
                let (zone,): (&str,) = minijinja::value::from_args(args)?;
                let zone = TimeZone::get(zone).map_err(invalid)?;
                Ok(Value::from_object(DateValue(at.with_time_zone(zone))))
            }
            "add" => shifted(at, args, 1),
            "subtract" => shifted(at, args, -1),
            "start_of" => {
                let (unit,): (&str,) = minijinja::value::from_args(args)?;
                start_of(at, unit)
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&iso(&self.0, ' '))
    }
}

fn iso(at: &Zoned, separator: char) -> String {
    let fraction = if at.subsec_nanosecond() == 0 { "" } else { ".%6f" };
    at.strftime(&format!("%Y-%m-%d{separator}%H:%M:%S{fraction}%:z")).to_string()
}

/// `add(days=1, hours=2)`.
fn shifted(at: &Zoned, args: &[Value], sign: i64) -> Result<Value, Error> {
    let (kwargs,): (Kwargs,) = minijinja::value::from_args(args)?;
    let mut span = jiff::Span::new();
    for unit in kwargs.args() {
        let amount = sign * kwargs.get::<i64>(unit)?;
        span = match unit {
            "years" => span.try_years(amount),
            "months" => span.try_months(amount),
            "weeks" => span.try_weeks(amount),
            "days" => span.try_days(amount),
            "hours" => span.try_hours(amount),
            "minutes" => span.try_minutes(amount),
            "seconds" => span.try_seconds(amount),
            other => {
                let message = format!("`{other}` is no unit; use years, months, weeks, days, hours, minutes, seconds");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        .map_err(invalid)?;
    }
    kwargs.assert_all_used()?;
    Ok(Value::from_object(DateValue(at.checked_add(span).map_err(invalid)?)))
}

fn start_of(at: &Zoned, unit: &str) -> Result<Value, Error> {
    let midnight = at.start_of_day().map_err(invalid)?;
    let start = match unit {
        "day" => midnight,
        "month" => midnight.first_of_month().map_err(invalid)?,
        "year" => midnight.first_of_year().map_err(invalid)?,
        "hour" => at.with().minute(0).second(0).subsec_nanosecond(0).build().map_err(invalid)?,
        other => {
            let message = format!("`{other}` is no unit; use hour, day, month or year");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    Ok(Value::from_object(DateValue(start)))
}

fn invalid(error: jiff::Error) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string())
}

/// Airflow's date filters.
pub(crate) fn add_filters(environment: &mut Environment<'_>) {
    let filters = [
        ("ds", "%Y-%m-%d"),
        ("ds_nodash", "%Y%m%d"),
        ("ts_nodash", "%Y%m%dT%H%M%S"),
        ("ts_nodash_with_tz", "%Y%m%dT%H%M%S%z"),
    ];
    for (name, format) in filters {
        environment.add_filter(name, move |value: Value| date_of(&value).map(|at| at.0.strftime(format).to_string()));
    }
    environment.add_filter("ts", |value: Value| date_of(&value).map(|at| iso(&at.0, 'T')));
}

fn date_of(value: &Value) -> Result<Arc<DateValue>, Error> {
    value
        .downcast_object::<DateValue>()
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "this filter needs a date, such as `logical_date`"))
}

/// `macros`: Airflow's helpers for date texts.
#[derive(Debug)]
pub struct Macros;

impl Object for Macros {
    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "ds_add" => {
                let (ds, days): (&str, i64) = minijinja::value::from_args(args)?;
                let date: jiff::civil::Date = ds.parse().map_err(invalid)?;
                let span = jiff::Span::new().try_days(days).map_err(invalid)?;
                Ok(Value::from(date.checked_add(span).map_err(invalid)?.to_string()))
            }
            "ds_format" => {
                let (ds, from, to): (&str, &str, &str) = minijinja::value::from_args(args)?;
                let time = jiff::fmt::strtime::parse(from, ds).map_err(invalid)?;
                let text = match time.to_datetime() {
                    Ok(at) => at.strftime(to).to_string(),
                    Err(_) => time.to_date().map_err(invalid)?.strftime(to).to_string(),
                };
                Ok(Value::from(text))
            }
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("there is no `macros.{method}`; there are `macros.ds_add` and `macros.ds_format`"),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("macros")
    }
}
