//! Names of months and days by language, as pendulum has them. `tests/record/locales.py` writes them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::Weekday;
use minijinja::Error;
use serde::Deserialize;

use crate::arguments::invalid;

/// What a language calls things.
#[derive(Debug, Deserialize)]
pub(super) struct Locale {
    months: [String; 12],
    short_months: [String; 12],
    days: [String; 7],
    short_days: [String; 7],
    tiny_days: [String; 7],
    am: String,
    pm: String,
    formats: BTreeMap<String, String>,
    /// What follows most numbers.
    ordinal: String,
    /// What follows the others.
    ordinals: BTreeMap<String, String>,
}

static LOCALES: LazyLock<BTreeMap<String, Locale>> = LazyLock::new(|| {
    // A test reads the file.
    serde_json::from_str(include_str!("../locales/pendulum.json")).unwrap_or_default()
});

/// A language by its name, such as `de`.
///
/// # Errors
/// The language is not known.
pub(super) fn named(name: &str) -> Result<&'static Locale, Error> {
    LOCALES.get(&name.to_lowercase().replace('-', "_")).ok_or_else(|| {
        let known: Vec<&str> = LOCALES.keys().map(String::as_str).collect();
        invalid(format!("there is no language `{name}`; there are {}", known.join(", ")))
    })
}

fn at(names: &[String], number: i8) -> &str {
    usize::try_from(number).ok().and_then(|index| names.get(index)).map_or("", String::as_str)
}

impl Locale {
    pub fn month(&self, month: i8) -> &str {
        at(&self.months, month - 1)
    }

    pub fn short_month(&self, month: i8) -> &str {
        at(&self.short_months, month - 1)
    }

    pub fn weekday(&self, day: Weekday) -> &str {
        at(&self.days, day.to_monday_zero_offset())
    }

    pub fn short_weekday(&self, day: Weekday) -> &str {
        at(&self.short_days, day.to_monday_zero_offset())
    }

    pub fn tiny_weekday(&self, day: Weekday) -> &str {
        at(&self.tiny_days, day.to_monday_zero_offset())
    }

    pub fn day_period(&self, hour: i8) -> &str {
        if hour < 12 { &self.am } else { &self.pm }
    }

    /// The format behind `L`, `LL`, `LT` ...
    pub fn date_format(&self, token: &str) -> &str {
        self.formats.get(token).map_or("", String::as_str)
    }

    /// `1st`.
    pub fn ordinal(&self, number: i64) -> String {
        let digits = number.to_string();
        let suffix = self.ordinals.get(&digits).unwrap_or(&self.ordinal);
        digits + suffix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_there() {
        assert!(LOCALES.len() > 20);
        assert_eq!(named("en").unwrap().ordinal(22), "22nd");
        assert_eq!(named("de").unwrap().month(3), "März");
        assert!(named("tlh").is_err());
    }
}
