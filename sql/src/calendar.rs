//! Dates and times as ISO 8601, for every year that a database may know.

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// `2026-11-24` from days since 1970-01-01 (the Gregorian calendar, extended to all years).
pub(crate) fn date(days: i64) -> String {
    // Years begin in March: then the leap day is the last one.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // ISO 8601 has the year zero, which is 1 BC, and signs for years that have not four digits.
    match year {
        0..=9_999 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:+05}-{month:02}-{day:02}"),
    }
}

/// `08:00:00`, with a fraction only where there is one.
pub(crate) fn time(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match micros % 1_000_000 {
        0 => clock,
        fraction => format!("{clock}.{fraction:06}"),
    }
}

/// `2026-11-24T08:00:00` from microseconds since 1970.
pub(crate) fn date_time(micros: i64) -> String {
    format!("{}T{}", date(micros.div_euclid(DAY)), time(micros.rem_euclid(DAY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(20_781), "2026-11-24");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(-719_528), "0000-01-01");
        assert_eq!(date(-719_529), "-0001-12-31");
        assert_eq!(date(2_932_897), "+10000-01-01");
        assert_eq!(date_time(-1), "1969-12-31T23:59:59.999999");
        assert_eq!(date_time(86_400_000_000 + 3_600_000_000), "1970-01-02T01:00:00");
    }
}
