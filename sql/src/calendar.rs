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

/// A date of ISO 8601 as PostgreSQL reads it: without a sign before the year, and with `BC` behind those before the year 1,
/// where ISO 8601 has a year zero. `None`: it is written as PostgreSQL reads it already, or is no date.
pub(crate) fn for_postgres(text: &str) -> Option<String> {
    let digits = text.trim().trim_start_matches(['+', '-']);
    let (year, rest) = digits
        .split_once('-')
        .filter(|(year, rest)| year.len() >= 4 && rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let year: u64 = year.parse().ok()?;
    match text.trim().as_bytes()[0] {
        b'-' => Some(format!("{:04}-{rest} BC", year + 1)),
        _ if year == 0 => Some(format!("0001-{rest} BC")),
        b'+' => Some(format!("{year:04}-{rest}")),
        _ => None,
    }
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
        assert_eq!(time(DAY - 1), "23:59:59.999999");
    }

    #[test]
    fn postgres_has_years_before_christ_and_no_signs() {
        for (iso, postgres) in [
            ("-0001-12-31", Some("0002-12-31 BC")),
            ("0000-01-01T08:00:00", Some("0001-01-01T08:00:00 BC")),
            ("+10000-01-01T00:00:00+00:00", Some("10000-01-01T00:00:00+00:00")),
            ("2026-11-24", None),
            ("infinity", None),
            ("-infinity", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(for_postgres(iso).as_deref(), postgres, "{iso}");
        }
    }
}
