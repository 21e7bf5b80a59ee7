//! Units of the calendar: where they begin and end, and how to move by them.

use jiff::civil::{Date, DateTime, Time, Weekday};
use minijinja::{Error, Value};

use crate::arguments::{Arguments, invalid};

/// Something that dates can be rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
}

impl Unit {
    /// # Errors
    /// There is no such unit.
    pub fn named(name: &str) -> Result<Unit, Error> {
        Ok(match name {
            "second" => Unit::Second,
            "minute" => Unit::Minute,
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            "week" => Unit::Week,
            "month" => Unit::Month,
            "quarter" => Unit::Quarter,
            "year" => Unit::Year,
            "decade" => Unit::Decade,
            "century" => Unit::Century,
            other => {
                let units = "second, minute, hour, day, week, month, quarter, year, decade, century";
                return Err(invalid(format!("`{other}` is no unit; there are {units}")));
            }
        })
    }

    /// The first and the last moment of the unit around a moment. Weeks begin on Monday.
    pub fn around(self, at: DateTime) -> Result<(DateTime, DateTime), Error> {
        let last = Time::constant(23, 59, 59, 999_999_000);
        let of_day = |first: Date, end: Date| (first.to_datetime(Time::midnight()), end.to_datetime(last));
        let of_time = |hour, minute, second, end: [i8; 3]| {
            let (date, time) = (at.date(), |h, m, s, n| Time::new(h, m, s, n).map_err(invalid));
            Ok::<_, Error>((
                date.to_datetime(time(hour, minute, second, 0)?),
                date.to_datetime(time(end[0], end[1], end[2], 999_999_000)?),
            ))
        };
        Ok(match self {
            Unit::Second => of_time(at.hour(), at.minute(), at.second(), [at.hour(), at.minute(), at.second()])?,
            Unit::Minute => of_time(at.hour(), at.minute(), 0, [at.hour(), at.minute(), 59])?,
            Unit::Hour => of_time(at.hour(), 0, 0, [at.hour(), 59, 59])?,
            Unit::Day => of_day(at.date(), at.date()),
            _ => {
                let (first, end) = self.days(at.date())?;
                of_day(first, end)
            }
        })
    }

    /// The first and the last day of the unit around a day.
    pub fn days(self, day: Date) -> Result<(Date, Date), Error> {
        let years = |first: i16, count: i16| Ok::<_, Error>((date(first, 1, 1)?, date(first + count - 1, 12, 31)?));
        Ok(match self {
            Unit::Second | Unit::Minute | Unit::Hour | Unit::Day => (day, day),
            Unit::Week => {
                let first = moved(day, -i64::from(day.weekday().to_monday_zero_offset()))?;
                (first, moved(first, 6)?)
            }
            Unit::Month => (day.first_of_month(), day.last_of_month()),
            Unit::Quarter => {
                let first = date(day.year(), (day.month() - 1) / 3 * 3 + 1, 1)?;
                (first, date(day.year(), first.month() + 2, 1)?.last_of_month())
            }
            Unit::Year => years(day.year(), 1)?,
            Unit::Decade => years(day.year() - day.year().rem_euclid(10), 10)?,
            Unit::Century => years(day.year() - (day.year() - 1).rem_euclid(100), 100)?,
        })
    }
}

fn date(year: i16, month: i8, day: i8) -> Result<Date, Error> {
    Date::new(year, month, day).map_err(invalid)
}

/// Days later.
pub(super) fn moved(day: Date, days: i64) -> Result<Date, Error> {
    day.checked_add(jiff::Span::new().try_days(days).map_err(invalid)?).map_err(invalid)
}

/// Which day of a month, quarter or year is meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Occurrence {
    First,
    Last,
    Nth(i64),
}

/// `first_of("month")`, `last_of("quarter", 4)`, `nth_of("year", 2, 0)`: a day of the week within a unit.
pub(super) fn day_of(day: Date, unit: &str, occurrence: Occurrence, weekday: Option<Weekday>) -> Result<Date, Error> {
    if !["month", "quarter", "year"].contains(&unit) {
        return Err(invalid(format!("`{unit}` is no unit here; there are month, quarter, year")));
    }
    let (first, last) = Unit::named(unit)?.days(day)?;
    let Some(weekday) = weekday else {
        return Ok(if matches!(occurrence, Occurrence::Last) { last } else { first });
    };
    let first_one = moved(first, i64::from(first.weekday().until(weekday)))?;
    match occurrence {
        Occurrence::First => Ok(first_one),
        Occurrence::Last => moved(last, -i64::from(last.weekday().since(weekday))),
        Occurrence::Nth(nth) => {
            let found = moved(first_one, (nth - 1).saturating_mul(7))?;
            if nth >= 1 && found <= last {
                return Ok(found);
            }
            Err(invalid(format!("there is no {nth}. {weekday:?} in this {unit}")))
        }
    }
}

/// A day of the week by its number: 0 is Monday.
pub(super) fn weekday(value: &Value) -> Result<Weekday, Error> {
    i8::try_from(value.clone())
        .ok()
        .and_then(|number| Weekday::from_monday_zero_offset(number).ok())
        .ok_or_else(|| invalid("a day of the week is a number from 0 (Monday) to 6 (Sunday)"))
}

/// `days=1, hours=2`: how far to move.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shift {
    pub months: i64,
    pub days: i64,
    pub microseconds: i64,
}

impl Shift {
    /// The arguments of `add` and `subtract`.
    pub fn of(method: &str, args: &[Value], sign: i64) -> Result<Shift, Error> {
        const UNITS: [&str; 8] = ["years", "months", "weeks", "days", "hours", "minutes", "seconds", "microseconds"];
        let arguments = Arguments::bind(method, &UNITS, args)?;
        let too_far = || invalid(format!("`{method}` moves too far"));
        let whole = |index| arguments.integer(index).map(|amount: Option<i64>| amount.unwrap_or(0));
        let product = |amount: i64, size: i64| amount.checked_mul(size * sign).ok_or_else(too_far);
        let sum = |one: i64, other: i64| one.checked_add(other).ok_or_else(too_far);
        #[expect(clippy::cast_possible_truncation, reason = "seconds that do not fit are refused below")]
        let seconds = match arguments.number(6)?.unwrap_or(0.0) * 1e6 {
            microseconds if microseconds.abs() < 9e18 => microseconds.round() as i64,
            _ => return Err(too_far()),
        };
        Ok(Shift {
            months: sum(product(whole(0)?, 12)?, product(whole(1)?, 1)?)?,
            days: sum(product(whole(2)?, 7)?, product(whole(3)?, 1)?)?,
            microseconds: sum(
                sum(product(whole(4)?, 3_600_000_000)?, product(whole(5)?, 60_000_000)?)?,
                sum(product(seconds, 1)?, product(whole(7)?, 1)?)?,
            )?,
        })
    }

    /// Whether it moves by units that are not always equally long.
    pub fn is_by_calendar(self) -> bool {
        self.months != 0 || self.days != 0
    }

    /// Moves what a calendar and a clock show. The day is at most the last of its month.
    pub fn apply(self, at: DateTime) -> Result<DateTime, Error> {
        // One after the other: they may have different signs.
        let months = jiff::Span::new().try_months(self.months).map_err(invalid)?;
        let days = jiff::Span::new().try_days(self.days).map_err(invalid)?;
        at.checked_add(months)
            .and_then(|at| at.checked_add(days))
            .and_then(|at| at.checked_add(jiff::SignedDuration::from_micros(self.microseconds)))
            .map_err(invalid)
    }
}
