//! Dates in the words of a language, by the patterns of CLDR, as Babel writes them: `EEEE, d MMMM yyyy`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::DateTime;
use minijinja::Error;
use serde::Deserialize;

use crate::arguments::invalid;
use crate::dates::DateValue;

/// Names by width: `wide`, `abbreviated`, `narrow`, `short`.
type Widths = BTreeMap<String, Vec<String>>;

/// What a language calls things. `tests/record/locales.py` writes them.
#[derive(Debug, Deserialize)]
struct Language {
    /// By context: `format`, `stand-alone`.
    months: BTreeMap<String, Widths>,
    days: BTreeMap<String, Widths>,
    am: String,
    pm: String,
    date_formats: BTreeMap<String, String>,
    time_formats: BTreeMap<String, String>,
    datetime_formats: BTreeMap<String, String>,
}

static LANGUAGES: LazyLock<BTreeMap<String, Language>> = LazyLock::new(|| {
    // A test reads the file.
    serde_json::from_str(include_str!("../locales/cldr.json")).unwrap_or_default()
});

/// Writes a date by a pattern, or by its name (`short`, `medium`).
///
/// # Errors
/// The language or a letter of the pattern is not known.
pub(super) fn format(at: &DateValue, pattern: &str, locale: &str) -> Result<String, Error> {
    let locale = locale.replace('-', "_");
    let name = locale.split('.').next().unwrap_or(&locale);
    // A country without words of its own has those of its language.
    let known = LANGUAGES.get(name).or_else(|| LANGUAGES.get(name.split('_').next().unwrap_or(name)));
    let language = known.ok_or_else(|| {
        let known: Vec<&str> = LANGUAGES.keys().map(String::as_str).collect();
        invalid(format!("there is no language `{name}`; there are {}", known.join(", ")))
    })?;
    let civil = at.reading_of_clock();
    if let (Some(date), Some(time), Some(both)) =
        (language.date_formats.get(pattern), language.time_formats.get(pattern), language.datetime_formats.get(pattern))
    {
        let text = both.replace("'", "").replace("{0}", &written(civil, time, language)?);
        return Ok(text.replace("{1}", &written(civil, date, language)?));
    }
    written(civil, pattern, language)
}

fn written(at: DateTime, pattern: &str, language: &Language) -> Result<String, Error> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("''") {
            out.push('\'');
            rest = after;
        } else if let Some(quoted) = rest.strip_prefix('\'') {
            let (literal, after) = quoted.split_once('\'').unwrap_or((quoted, ""));
            out.push_str(literal);
            rest = after;
        } else if first.is_ascii_alphabetic() {
            let after = rest.trim_start_matches(first);
            let width = rest.len() - after.len();
            out.push_str(&field(at, first, width, language)?);
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(out)
}

fn field(at: DateTime, letter: char, width: usize, language: &Language) -> Result<String, Error> {
    let padded = |number: i64| format!("{number:0>width$}");
    let unknown = || {
        let field = letter.to_string().repeat(width);
        invalid(format!("`{field}` is no field of a pattern here; put text in quotes: `'{field}'`"))
    };
    let name = |names: &BTreeMap<String, Widths>, context: &str, width: &str, index: i8| {
        let names = names.get(context).and_then(|widths| widths.get(width));
        names.zip(usize::try_from(index).ok()).and_then(|(names, index)| names.get(index)).cloned().ok_or_else(unknown)
    };
    let widths = |width| match width {
        3 => Some("abbreviated"),
        4 => Some("wide"),
        5 => Some("narrow"),
        6 => Some("short"),
        _ => None,
    };
    let hour = i64::from(at.hour());
    let weekday = at.weekday().to_monday_zero_offset();
    let context = if matches!(letter, 'L' | 'c') { "stand-alone" } else { "format" };
    Ok(match (letter, width) {
        ('y', 2) => format!("{:02}", at.year() % 100),
        ('y' | 'u', _) => padded(at.year().into()),
        ('Q' | 'q', 1 | 2) => padded(i64::from((at.month() - 1) / 3 + 1)),
        ('M' | 'L', 1 | 2) => padded(at.month().into()),
        ('M' | 'L', 3..=5) => name(&language.months, context, widths(width).ok_or_else(unknown)?, at.month() - 1)?,
        ('d', 1 | 2) => padded(at.day().into()),
        ('D', 1..=3) => padded(at.day_of_year().into()),
        ('E', 1..=6) => name(&language.days, context, widths(width.max(3)).ok_or_else(unknown)?, weekday)?,
        ('e' | 'c', 3..=6) => name(&language.days, context, widths(width).ok_or_else(unknown)?, weekday)?,
        ('a', 1..=3) => if hour < 12 { &language.am } else { &language.pm }.clone(),
        ('h', 1 | 2) => padded(if hour % 12 == 0 { 12 } else { hour % 12 }),
        ('H', 1 | 2) => padded(hour),
        ('K', 1 | 2) => padded(hour % 12),
        ('k', 1 | 2) => padded(if hour == 0 { 24 } else { hour }),
        ('m', 1 | 2) => padded(at.minute().into()),
        ('s', 1 | 2) => padded(at.second().into()),
        ('S', 1..=6) => format!("{:06}", at.subsec_nanosecond() / 1_000)[..width].to_owned(),
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_there() {
        assert!(LANGUAGES.len() > 50);
        assert!(LANGUAGES.values().all(|language| language.months["format"]["wide"].len() == 12));
    }
}
