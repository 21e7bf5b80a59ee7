//! Formats with letters, as pendulum's `format` knows them: `YYYY-MM-DD HH:mm:ss`.

use minijinja::Error;

use super::locales::{self, Locale};
use super::value::DateValue;
use super::zone;

/// Tokens, longer ones before those that they begin with.
const TOKENS: [&str; 51] = [
    "YYYY", "YY", "Y", "Qo", "Q", "MMMM", "MMM", "MM", "Mo", "M", "DDDD", "DDDo", "DDD", "DD", "Do", "D", "dddd",
    "ddd", "dd", "do", "d", "eo", "e", "E", "wo", "w", "Wo", "W", "HH", "H", "hh", "h", "mm", "m", "ss", "s", "SSSSSS",
    "SSSSS", "SSSS", "SSS", "SS", "S", "X", "x", "A", "a", "zz", "z", "ZZ", "Z", "L",
];

/// Writes a date by a format. `[text]` and `\x` stand for themselves.
///
/// # Errors
/// The language is not known.
pub(super) fn format(at: &DateValue, format: &str, locale: &str) -> Result<String, Error> {
    let locale = locales::named(locale)?;
    Ok(written(at, format, locale))
}

fn written(at: &DateValue, format: &str, locale: &Locale) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some((literal, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            && !literal.contains('[')
        {
            out.push_str(literal);
            rest = after;
            continue;
        }
        if let Some(escaped) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) {
            out.push(escaped);
            rest = &rest[1 + escaped.len_utf8()..];
            continue;
        }
        if let Some(localized) =
            ["LTS", "LT", "LLLL", "LLL", "LL", "L"].into_iter().find(|token| rest.starts_with(token))
        {
            out.push_str(&written(at, locale.date_format(localized), locale));
            rest = &rest[localized.len()..];
            continue;
        }
        match TOKENS.into_iter().find(|token| rest.starts_with(token)) {
            Some(token) => {
                out.push_str(&token_text(at, token, locale));
                rest = &rest[token.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

fn token_text(at: &DateValue, token: &str, locale: &Locale) -> String {
    let civil = at.civil();
    let (year, month, day) = (civil.year(), civil.month(), civil.day());
    let weekday = civil.weekday();
    let hour = match civil.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let microsecond = civil.subsec_nanosecond() / 1_000;
    let quarter = (month - 1) / 3 + 1;
    let ordinal = |number: i64| locale.ordinal(number);
    match token {
        "YYYY" | "Y" => year.to_string(),
        "YY" => year.to_string().chars().skip(2).collect(),
        "Q" => quarter.to_string(),
        "Qo" => ordinal(quarter.into()),
        "MMMM" => locale.month(month).to_owned(),
        "MMM" => locale.short_month(month).to_owned(),
        "MM" => format!("{month:02}"),
        "M" => month.to_string(),
        "Mo" => ordinal(month.into()),
        "DDDD" => format!("{:03}", civil.day_of_year()),
        "DDD" => civil.day_of_year().to_string(),
        "DDDo" => ordinal(civil.day_of_year().into()),
        "DD" => format!("{day:02}"),
        "D" => day.to_string(),
        "Do" => ordinal(day.into()),
        "dddd" => locale.weekday(weekday).to_owned(),
        "ddd" => locale.short_weekday(weekday).to_owned(),
        "dd" => locale.tiny_weekday(weekday).to_owned(),
        "d" => weekday.to_sunday_zero_offset().to_string(),
        "do" => ordinal(weekday.to_sunday_zero_offset().into()),
        "E" => weekday.to_monday_one_offset().to_string(),
        "wo" | "Wo" => ordinal(civil.date().iso_week_date().week().into()),
        "HH" => format!("{:02}", civil.hour()),
        "H" => civil.hour().to_string(),
        "hh" => format!("{hour:02}"),
        "h" => hour.to_string(),
        "mm" => format!("{:02}", civil.minute()),
        "m" => civil.minute().to_string(),
        "ss" => format!("{:02}", civil.second()),
        "s" => civil.second().to_string(),
        "X" => at.microseconds().div_euclid(1_000_000).to_string(),
        "x" => at.microseconds().div_euclid(1_000).to_string(),
        "A" => locale.day_period(civil.hour()).to_owned(),
        "a" => locale.day_period(civil.hour()).to_lowercase(),
        "z" => at.zone().map(zone::name).unwrap_or_default(),
        "zz" => at.zone_abbreviation().unwrap_or_default(),
        "Z" => at.offset_text(),
        "ZZ" => at.offset_text().replace(':', ""),
        fraction if fraction.starts_with('S') => format!("{microsecond:06}")[..fraction.len()].to_owned(),
        other => other.to_owned(),
    }
}
