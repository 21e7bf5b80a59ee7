//! What dates and times have: `.year`, `.day_of_week`, `.int_timestamp` ...

use jiff::civil::{Date, Time};
use minijinja::Value;

use super::value::DateValue;
use super::zone::{self, ZoneValue};

pub(super) fn of_date_time(at: &DateValue, name: &str) -> Option<Value> {
    let civil = at.civil();
    if let Some(value) = of_day(civil.date(), name).or_else(|| of_time(civil.time(), name)) {
        return Some(value);
    }
    let offset = at.offset();
    Some(match name {
        "timezone_name" => at.zone().map_or_else(|| Value::from(()), |zone| Value::from(zone::name(zone))),
        "timezone" | "tz" | "tzinfo" => {
            at.zone().map_or_else(|| Value::from(()), |zone| Value::from_object(ZoneValue(zone.clone())))
        }
        "offset" => offset.map_or_else(|| Value::from(()), Value::from),
        "offset_hours" => offset.map_or_else(|| Value::from(()), |seconds| Value::from(f64::from(seconds) / 3600.0)),
        "int_timestamp" => Value::from(at.microseconds().div_euclid(1_000_000)),
        "float_timestamp" => Value::from(at.seconds()),
        "fold" => Value::from(i32::from(at.is_second_pass())),
        _ => return None,
    })
}

pub(super) fn of_day(day: Date, name: &str) -> Option<Value> {
    Some(match name {
        "year" => Value::from(day.year()),
        "month" => Value::from(day.month()),
        "day" => Value::from(day.day()),
        "day_of_week" => Value::from(day.weekday().to_monday_zero_offset()),
        "day_of_year" => Value::from(day.day_of_year()),
        "week_of_year" => Value::from(day.iso_week_date().week()),
        "week_of_month" => Value::from(week_of_month(day)),
        "days_in_month" => Value::from(day.days_in_month()),
        "quarter" => Value::from((day.month() - 1) / 3 + 1),
        _ => return None,
    })
}

/// The week of the month; weeks begin on Monday.
fn week_of_month(day: Date) -> i8 {
    let before = day.first_of_month().weekday().to_monday_zero_offset();
    (day.day() + before - 1) / 7 + 1
}

pub(super) fn of_time(time: Time, name: &str) -> Option<Value> {
    Some(match name {
        "hour" => Value::from(time.hour()),
        "minute" => Value::from(time.minute()),
        "second" => Value::from(time.second()),
        "microsecond" => Value::from(time.subsec_nanosecond() / 1_000),
        _ => return None,
    })
}
