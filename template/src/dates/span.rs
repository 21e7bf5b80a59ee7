//! Lengths of time: `macros.timedelta(...)`, and the time between two dates.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::value::DateValue;
use crate::arguments::{Arguments, invalid};

pub(super) const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;
const SECOND: i64 = 1_000_000;

/// A length of time in microseconds, and between what.
#[derive(Debug, Clone)]
pub(crate) struct SpanValue {
    pub microseconds: i64,
    pub ends: Option<Ends>,
}

/// What a length of time lies between.
#[derive(Debug, Clone)]
pub(crate) enum Ends {
    Times(DateValue, DateValue),
    Days(Date, Date),
}

impl SpanValue {
    pub fn of(microseconds: i64) -> SpanValue {
        SpanValue { microseconds, ends: None }
    }

    /// From one date and time to another: both with a zone, or both without.
    ///
    /// # Errors
    /// Only one of them has a zone.
    pub fn between(start: &DateValue, end: &DateValue) -> Result<SpanValue, Error> {
        let microseconds = match (start.instant(), end.instant()) {
            (Some(start), Some(end)) => end.as_microsecond() - start.as_microsecond(),
            (None, None) => between(start.civil(), end.civil()),
            _ => return Err(invalid("one of the dates has a time zone, and the other has none")),
        };
        // Python's own dates are apart by a plain `timedelta`.
        let ends = start.instant().map(|_| Ends::Times(start.clone(), end.clone()));
        Ok(SpanValue { microseconds, ends })
    }

    /// From one day to another.
    pub fn between_days(start: Date, end: Date) -> SpanValue {
        let microseconds =
            between(start.to_datetime(jiff::civil::Time::midnight()), end.to_datetime(jiff::civil::Time::midnight()));
        SpanValue { microseconds, ends: Some(Ends::Days(start, end)) }
    }

    /// `macros.timedelta(days=1, hours=2)`.
    ///
    /// # Errors
    /// The arguments are wrong, or the length is out of range.
    pub fn from_arguments(args: &[Value]) -> Result<Value, Error> {
        const UNITS: [(&str, i64); 7] = [
            ("days", DAY),
            ("seconds", SECOND),
            ("microseconds", 1),
            ("milliseconds", 1_000),
            ("minutes", MINUTE),
            ("hours", HOUR),
            ("weeks", 7 * DAY),
        ];
        let names = UNITS.map(|(name, _)| name);
        let arguments = Arguments::bind("macros.timedelta", &names, args)?;
        let mut microseconds = 0_i64;
        for (index, (_, size)) in UNITS.iter().enumerate() {
            let Some(amount) = arguments.value(index) else { continue };
            let length = if amount.is_integer() {
                arguments.integer(index)?.and_then(|amount| amount.checked_mul(*size))
            } else {
                #[expect(clippy::cast_precision_loss, reason = "units are small numbers")]
                arguments.number(index)?.and_then(|amount| rounded(amount * *size as f64))
            };
            let sum = length.and_then(|length| microseconds.checked_add(length));
            microseconds = sum.ok_or_else(|| invalid("`macros.timedelta` is too long"))?;
        }
        Ok(Value::from_object(SpanValue::of(microseconds)))
    }

    #[expect(clippy::cast_precision_loss, reason = "as Python's `total_seconds`")]
    fn in_unit(&self, unit: i64) -> f64 {
        self.microseconds as f64 / unit as f64
    }

    /// The parts that Python keeps: days, seconds, microseconds; only days may be negative.
    fn python_parts(&self) -> (i64, i64, i64) {
        let rest = self.microseconds.rem_euclid(DAY);
        (self.microseconds.div_euclid(DAY), rest / SECOND, rest % SECOND)
    }

    /// The parts of the time between two dates: whole ones of each unit, all with the sign of the whole.
    fn parts(&self) -> Parts {
        self.signed_parts(self.microseconds.signum())
    }

    /// The same, whichever date is the later one.
    pub(super) fn absolute_parts(&self) -> Parts {
        self.signed_parts(1)
    }

    fn signed_parts(&self, sign: i64) -> Parts {
        let (months, days, rest) = match &self.ends {
            Some(Ends::Times(start, end)) => calendar_parts(start, end),
            Some(Ends::Days(start, end)) => {
                let (first, last) = if start <= end { (*start, *end) } else { (*end, *start) };
                let midnight = jiff::civil::Time::midnight();
                whole_months(first.to_datetime(midnight), last.to_datetime(midnight))
            }
            None => (0, self.microseconds.abs() / DAY, self.microseconds.abs() % DAY),
        };
        Parts {
            years: sign * (months / 12),
            months: sign * (months % 12),
            weeks: sign * (days / 7),
            remaining_days: sign * (days % 7),
            hours: sign * (rest / HOUR),
            minutes: sign * (rest / MINUTE % 60),
            remaining_seconds: sign * (rest / SECOND % 60),
            microseconds: sign * (rest % SECOND),
        }
    }

    /// `1 week 2 days 3 hours`.
    pub fn in_words(&self, separator: &str) -> String {
        let parts = self.parts();
        let words: Vec<String> = [
            (parts.years, "year"),
            (parts.months, "month"),
            (parts.weeks, "week"),
            (parts.remaining_days, "day"),
            (parts.hours, "hour"),
            (parts.minutes, "minute"),
            (parts.remaining_seconds, "second"),
        ]
        .into_iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if count.abs() == 1 { "" } else { "s" }))
        .collect();
        match (words.is_empty(), parts.microseconds) {
            (false, _) => words.join(separator),
            (true, 0) => "0 microseconds".to_owned(),
            #[expect(clippy::cast_precision_loss, reason = "less than a second")]
            (true, rest) => format!("{:.2} second", rest.abs() as f64 / 1e6),
        }
    }

    /// As Python's `repr` shows it.
    pub fn repr(&self) -> String {
        if self.ends.is_some() {
            return self.to_string();
        }
        let (days, seconds, microseconds) = self.python_parts();
        let parts: Vec<String> = [("days", days), ("seconds", seconds), ("microseconds", microseconds)]
            .into_iter()
            .filter(|(_, amount)| *amount != 0)
            .map(|(unit, amount)| format!("{unit}={amount}"))
            .collect();
        format!("datetime.timedelta({})", if parts.is_empty() { "0".to_owned() } else { parts.join(", ") })
    }

    fn field(&self, name: &str) -> Option<Value> {
        let (days, seconds, microseconds) = self.python_parts();
        if self.ends.is_none() {
            return Some(Value::from(match name {
                "days" => days,
                "seconds" => seconds,
                "microseconds" => microseconds,
                _ => return None,
            }));
        }
        let parts = self.parts();
        Some(match name {
            "years" => Value::from(parts.years),
            "months" => Value::from(parts.months),
            "weeks" => Value::from(parts.weeks),
            "days" => Value::from(self.microseconds / DAY),
            "remaining_days" => Value::from(parts.remaining_days),
            "hours" => Value::from(parts.hours),
            "minutes" => Value::from(parts.minutes),
            "remaining_seconds" => Value::from(parts.remaining_seconds),
            "seconds" => Value::from(self.microseconds % DAY / SECOND),
            "microseconds" => Value::from(self.microseconds % SECOND),
            "invert" => Value::from(self.microseconds < 0),
            "start" | "end" => match self.ends.as_ref()? {
                Ends::Times(start, end) => Value::from_object(if name == "start" { start } else { end }.clone()),
                Ends::Days(start, end) => super::day::DayValue::value(if name == "start" { *start } else { *end }),
            },
            _ => return None,
        })
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method == "in_words" {
            let arguments = Arguments::bind(method, &["locale", "separator"], args)?;
            if arguments.text(0)?.is_some_and(|locale| locale != "en") {
                return Err(invalid("`in_words` speaks English only"));
            }
            return Ok(Value::from(self.in_words(arguments.text(1)?.unwrap_or(" "))));
        }
        Arguments::bind(method, &[], args)?;
        if method == "total_seconds" {
            return Ok(Value::from(self.in_unit(SECOND)));
        }
        let unknown = || Error::new(ErrorKind::UnknownMethod, format!("a length of time has no method `{method}`"));
        if self.ends.is_none() {
            return Err(unknown());
        }
        let parts = self.parts();
        let days = self.calendar_days();
        Ok(match method {
            "total_minutes" => Value::from(self.in_unit(MINUTE)),
            "total_hours" => Value::from(self.in_unit(HOUR)),
            "total_days" => Value::from(self.in_unit(DAY)),
            "total_weeks" => Value::from(self.in_unit(DAY) / 7.0),
            "in_years" => Value::from(parts.years),
            "in_months" => Value::from(parts.years * 12 + parts.months),
            "in_weeks" => Value::from(days / 7),
            "in_days" => Value::from(days),
            "in_hours" => Value::from(self.microseconds / HOUR),
            "in_minutes" => Value::from(self.microseconds / MINUTE),
            "in_seconds" => Value::from(self.microseconds / SECOND),
            "as_timedelta" | "as_duration" => Value::from_object(SpanValue::of(self.microseconds)),
            _ => return Err(unknown()),
        })
    }

    /// Whole days.
    fn calendar_days(&self) -> i64 {
        self.microseconds / DAY
    }
}

/// Whole ones of each unit.
pub(super) struct Parts {
    pub years: i64,
    pub months: i64,
    pub weeks: i64,
    pub remaining_days: i64,
    pub hours: i64,
    pub minutes: i64,
    pub remaining_seconds: i64,
    pub microseconds: i64,
}

pub(super) fn between(start: DateTime, end: DateTime) -> i64 {
    let span = end.duration_since(start);
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Rounded to a whole number, halves to the even one, if it fits.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit is left out first")]
pub(super) fn rounded(number: f64) -> Option<i64> {
    (number.abs() < 9e18).then(|| number.round_ties_even() as i64)
}

/// Months, days and microseconds between two dates: in one zone as its clocks show it, else in UTC.
fn calendar_parts(start: &DateValue, end: &DateValue) -> (i64, i64, i64) {
    let (first, last) = if start.instant() <= end.instant() { (start, end) } else { (end, start) };
    let is_one_zone = first.zone() == last.zone() && first.civil().date() != last.civil().date();
    let civil = |at: &DateValue| match at.instant() {
        Some(instant) if !is_one_zone => jiff::tz::Offset::UTC.to_datetime(instant),
        _ => at.civil(),
    };
    whole_months(civil(first), civil(last))
}

/// Whole months from one reading to a later one, then whole days, then the rest.
fn whole_months(first: DateTime, last: DateTime) -> (i64, i64, i64) {
    let mut days = i64::from(last.day()) - i64::from(first.day());
    let mut rest =
        between(DateTime::from_parts(first.date(), first.time()), DateTime::from_parts(first.date(), last.time()));
    let mut months =
        (i64::from(last.year()) - i64::from(first.year())) * 12 + i64::from(last.month()) - i64::from(first.month());
    if rest < 0 {
        rest += DAY;
        days -= 1;
    }
    if days < 0 {
        let before = last.date().first_of_month().yesterday().map_or(30, |day| i64::from(day.days_in_month()));
        let here = i64::from(last.date().days_in_month());
        match days.cmp(&(here - before)) {
            Ordering::Less => days += before.max(i64::from(first.day())),
            Ordering::Equal => {
                days = 0;
                months += 1;
            }
            Ordering::Greater => days += before,
        }
        months -= 1;
    }
    (months, days, rest)
}

impl fmt::Display for SpanValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ends {
            Some(Ends::Times(start, end)) => {
                return write!(f, "<Interval [{} -> {}]>", start.iso(" "), end.iso(" "));
            }
            Some(Ends::Days(start, end)) => return write!(f, "<Interval [{start} -> {end}]>"),
            None => {}
        }
        let (days, seconds, microseconds) = self.python_parts();
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if microseconds != 0 {
            write!(f, ".{microseconds:06}")?;
        }
        Ok(())
    }
}

impl Object for SpanValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.microseconds != 0
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.field(key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        self.method(method, args)
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.microseconds.cmp(&other.downcast_ref::<SpanValue>()?.microseconds))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
