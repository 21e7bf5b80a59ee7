//! Formats with percent signs, as Python's `strftime` and `strptime` know them.

use jiff::civil::{DateTime, Time};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use minijinja::Error;

use super::value::{At, DateValue};
use super::zone;
use crate::arguments::invalid;

/// Writes a date by a format, as Python does in the C locale.
///
/// # Errors
/// The format has something that is not known.
pub(crate) fn strftime(at: &DateValue, format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let flags = after.trim_start_matches(['-', '_', '0', '^', '#', ':']);
        let flag_count = after.len() - flags.len();
        let Some(conversion) = flags.chars().next() else {
            return Err(invalid(format!("the format `{format}` ends within a field; write `%%` for a percent sign")));
        };
        let end = flag_count + conversion.len_utf8();
        out.push_str(&field(at, &after[..flag_count], conversion)?);
        rest = &after[end..];
    }
    out.push_str(rest);
    Ok(out)
}

fn field(at: &DateValue, flags: &str, conversion: char) -> Result<String, Error> {
    let civil = at.civil();
    let jiffs = |field: &str| match &at.0 {
        At::Zoned(at) => strtime::format(field, at).map_err(invalid),
        At::Naive(at) => strtime::format(field, *at).map_err(invalid),
    };
    Ok(match (flags, conversion) {
        ("", '%') => "%".to_owned(),
        ("", 'f') => format!("{:06}", civil.subsec_nanosecond() / 1_000),
        ("", 'c') => strftime(at, "%a %b %e %H:%M:%S %Y")?,
        ("", 'x') => strftime(at, "%m/%d/%y")?,
        ("", 'X') => strftime(at, "%H:%M:%S")?,
        ("", 'r') => strftime(at, "%I:%M:%S %p")?,
        ("", 's') => at.microseconds().div_euclid(1_000_000).to_string(),
        ("" | ":", 'z') => {
            let separator = if flags == ":" { ":" } else { "" };
            at.offset().map_or(Ok(String::new()), |seconds| {
                jiff::tz::Offset::from_seconds(seconds)
                    .map(|offset| zone::offset_text(offset, separator))
                    .map_err(invalid)
            })?
        }
        ("", 'Z') => at.zone_abbreviation().unwrap_or_default(),
        (
            _,
            'a' | 'A' | 'b' | 'B' | 'C' | 'd' | 'D' | 'e' | 'F' | 'g' | 'G' | 'h' | 'H' | 'I' | 'j' | 'k' | 'l' | 'm'
            | 'M' | 'n' | 'p' | 'P' | 'r' | 'R' | 'S' | 't' | 'T' | 'u' | 'U' | 'V' | 'w' | 'W' | 'y' | 'Y',
        ) => jiffs(&format!("%{flags}{conversion}"))?,
        _ => {
            return Err(invalid(format!(
                "`%{flags}{conversion}` is no field of a date; write `%%` for a percent sign"
            )));
        }
    })
}

/// Reads a date by a format.
///
/// # Errors
/// The text is not written like that.
pub(crate) fn strptime(text: &str, format: &str) -> Result<DateValue, Error> {
    let wrong = |error: jiff::Error| invalid(format!("`{text}` is not written like `{format}`: {error}"));
    let parsed = strtime::parse(format, text).map_err(wrong)?;
    if let (Some(offset), Ok(civil)) = (parsed.offset(), parsed.to_datetime()) {
        let zoned = zone::resolve(civil, &TimeZone::fixed(offset), true)?;
        return Ok(DateValue(At::Zoned(zoned)));
    }
    if let Ok(civil) = parsed.to_datetime() {
        return Ok(DateValue(At::Naive(civil)));
    }
    let date = match parsed.to_date() {
        Ok(date) => date,
        // As Python: the first day of what is given.
        Err(error) => match (parsed.year(), parsed.month(), parsed.day()) {
            (None, None, None) if parsed.hour().is_none() => return Err(wrong(error)),
            (year, month, day) => {
                jiff::civil::Date::new(year.unwrap_or(1900), month.unwrap_or(1), day.unwrap_or(1)).map_err(wrong)?
            }
        },
    };
    let hour = parsed.hour().unwrap_or(0);
    let time = Time::new(
        hour,
        parsed.minute().unwrap_or(0),
        parsed.second().unwrap_or(0),
        parsed.subsec_nanosecond().unwrap_or(0),
    );
    Ok(DateValue(At::Naive(DateTime::from_parts(date, time.map_err(wrong)?))))
}
