//! `macros.dateutil.relativedelta.relativedelta(months=1, day=1)`: moves a date, and sets parts of it.

use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, DateTime, Time};
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, Value};

use super::day::DayValue;
use super::units::{self, Shift};
use super::value::{At, DateValue};
use crate::arguments::{Arguments, invalid};

const NAMES: [&str; 18] = [
    "dt1",
    "dt2",
    "years",
    "months",
    "days",
    "leapdays",
    "weeks",
    "hours",
    "minutes",
    "seconds",
    "microseconds",
    "year",
    "month",
    "day",
    "weekday",
    "hour",
    "minute",
    "second",
];

/// A move by the calendar.
#[derive(Debug, Clone)]
pub(crate) struct RelativeValue {
    shift: Shift,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    weekday: Option<i64>,
    hour: Option<i64>,
    minute: Option<i64>,
    second: Option<i64>,
}

impl RelativeValue {
    /// # Errors
    /// The arguments are wrong.
    pub fn from_arguments(args: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::bind("relativedelta", &NAMES, args)?;
        if arguments.has(0) || arguments.has(1) || arguments.has(5) {
            return Err(invalid("`relativedelta` takes names, such as `months=1`; between two dates write `a - b`"));
        }
        let whole = |index| arguments.integer(index).map(|amount: Option<i64>| amount.unwrap_or(0));
        let too_far = || invalid("`relativedelta` moves too far");
        let times = |amount: i64, size: i64| amount.checked_mul(size).ok_or_else(too_far);
        let sum = |amounts: [i64; 2]| amounts[0].checked_add(amounts[1]).ok_or_else(too_far);
        let time = sum([
            sum([times(whole(7)?, 3_600_000_000)?, times(whole(8)?, 60_000_000)?])?,
            sum([times(whole(9)?, 1_000_000)?, whole(10)?])?,
        ])?;
        Ok(Value::from_object(RelativeValue {
            shift: Shift {
                months: sum([times(whole(2)?, 12)?, whole(3)?])?,
                days: sum([times(whole(6)?, 7)?, whole(4)?])?,
                microseconds: time,
            },
            year: arguments.integer(11)?,
            month: arguments.integer(12)?,
            day: arguments.integer(13)?,
            weekday: arguments.integer(14)?,
            hour: arguments.integer(15)?,
            minute: arguments.integer(16)?,
            second: arguments.integer(17)?,
        }))
    }

    pub fn negative(&self) -> RelativeValue {
        RelativeValue { shift: self.signed(-1), ..self.clone() }
    }

    fn signed(&self, sign: i64) -> Shift {
        let Shift { months, days, microseconds } = self.shift;
        Shift { months: months * sign, days: days * sign, microseconds: microseconds * sign }
    }

    /// A date moved: first by years and months, then what is set is set, then by the rest, then to the day of the week.
    pub fn apply(&self, at: &DateValue, sign: i64) -> Result<DateValue, Error> {
        let civil = self.civil(at.civil(), sign)?;
        at.reading(civil, at.is_second_pass())
    }

    /// A day moved: with a time of the day if there is any in the move.
    pub fn apply_to_day(&self, day: Date, sign: i64) -> Result<Value, Error> {
        let moved = self.civil(day.to_datetime(Time::midnight()), sign)?;
        let has_time =
            [self.hour, self.minute, self.second].iter().any(Option::is_some) || self.shift.microseconds != 0;
        Ok(if has_time { Value::from(At::Naive(moved)) } else { DayValue::value(moved.date()) })
    }

    fn civil(&self, at: DateTime, sign: i64) -> Result<DateTime, Error> {
        let Shift { months, days, microseconds } = self.signed(sign);
        let year = small::<i16>(self.year, at.year())?;
        let month = small::<i8>(self.month, at.month())?;
        let first = Date::new(year, month, 1).map_err(invalid)?;
        let first = Shift { months, ..Shift::default() }.apply(first.to_datetime(Time::midnight()))?.date();
        let day = small::<i8>(self.day, at.day())?.min(first.days_in_month());
        let date = Date::new(first.year(), first.month(), day).map_err(invalid)?;
        let (hour, minute) = (small::<i8>(self.hour, at.hour())?, small::<i8>(self.minute, at.minute())?);
        let time =
            Time::new(hour, minute, small::<i8>(self.second, at.second())?, at.subsec_nanosecond()).map_err(invalid)?;
        let moved = Shift { months: 0, days, microseconds }.apply(date.to_datetime(time))?;
        let Some(weekday) = self.weekday else { return Ok(moved) };
        let weekday = units::weekday(&Value::from(weekday))?;
        let ahead = i64::from(moved.date().weekday().until(weekday));
        Ok(units::moved(moved.date(), ahead)?.to_datetime(moved.time()))
    }
}

fn small<T: TryFrom<i64>>(wanted: Option<i64>, current: T) -> Result<T, Error> {
    let Some(number) = wanted else { return Ok(current) };
    T::try_from(number).map_err(|_| invalid(format!("`relativedelta`: {number} is out of range")))
}

impl Object for RelativeValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shift { months, days, microseconds } = self.shift;
        write!(f, "relativedelta(months={months:+}, days={days:+}, microseconds={microseconds:+})")
    }
}
