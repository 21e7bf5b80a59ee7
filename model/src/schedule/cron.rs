//! Cron expressions in Airflow's dialect (croniter): 5 fields, names, ranges that wrap around, `L`, `W`, `#`, 7 = Sunday.
//!
//! The crate `croner` does the matching; this module turns croniter's spellings into its own, and refuses with a reason
//! what cannot be meant.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

use super::words;

/// A checked cron expression.
#[derive(Debug, Clone)]
pub struct CronExpression {
    text: String,
    cron: Cron,
    /// The five fields, normalised.
    fields: Vec<String>,
    covers_every_hour: bool,
}

/// Why a cron expression was refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, CronError> {
    Err(CronError { message: message.into(), hint: hint.into() })
}

/// The presets of Airflow that stand for a cron expression.
const PRESETS: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: MONTHS },
    Field { name: "day of week", min: 0, max: 7, names: WEEKDAYS },
];
const DAY_OF_MONTH: usize = 2;
const DAY_OF_WEEK: usize = 4;

impl CronExpression {
    /// Reads an expression or a preset.
    ///
    /// # Errors
    /// Says which field is wrong and what to write, or that the expression never fires.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        let expanded = expand_preset(text)?;
        let words: Vec<&str> = expanded.split_whitespace().collect();
        match words.len() {
            5 => {}
            6 => {
                return refuse(
                    format!("`{text}` has 6 fields"),
                    "write 5 fields (minute hour day-of-month month day-of-week); for less than a minute use `every = \"10s\"`",
                );
            }
            count => {
                return refuse(
                    format!("`{text}` has {count} field{}, a cron expression has 5", if count == 1 { "" } else { "s" }),
                    "minute hour day-of-month month day-of-week, such as `0 6 * * 1-5`",
                );
            }
        }
        let mut fields: Vec<String> = Vec::with_capacity(5);
        for (position, word) in words.iter().enumerate() {
            let field = normalise(&FIELDS[position], position, word)?;
            fields.push(if is_full_range(&FIELDS[position], &field) { "*".to_owned() } else { field });
        }
        // croniter: with a nearest weekday (`15W`) the day of week does not widen the rule.
        if fields[DAY_OF_MONTH].contains('W') {
            fields[DAY_OF_WEEK] = "*".to_owned();
        }
        let normalised = fields.join(" ");
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .sloppy_ranges(true)
            .build()
            .parse(&normalised)
            .map_err(|error| CronError {
                message: format!("`{text}` is not a cron expression: {}", lower_first(&error.to_string())),
                hint: "see docs/dag-file.md, or try `flowctl cron '0 6 * * 1-5'`".to_owned(),
            })?;
        let covers_every_hour = fields[1] == "*";
        let expression = CronExpression { text: text.to_owned(), cron, fields, covers_every_hour };
        if expression.next_civil(jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0)).is_none() {
            return refuse(
                format!("`{text}` never fires: there is no such date"),
                "check the day of month against the month",
            );
        }
        Ok(expression)
    }

    /// As the author wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In English words; as it was written where there are none.
    pub fn describe(&self) -> String {
        words::describe(&self.fields).unwrap_or_else(|| self.text.clone())
    }

    /// Whether the hour field is `*`: such a schedule follows elapsed time over changes of the clock.
    pub(super) const fn covers_every_hour(&self) -> bool {
        self.covers_every_hour
    }

    /// The first matching local time strictly after `after`.
    pub(super) fn next_civil(&self, after: DateTime) -> Option<DateTime> {
        self.cron.find_next_occurrence(&after, false).ok()
    }
}

impl PartialEq for CronExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for CronExpression {
    type Err = CronError;
    fn from_str(text: &str) -> Result<Self, CronError> {
        CronExpression::parse(text)
    }
}

fn expand_preset(text: &str) -> Result<&str, CronError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let lower = text.to_ascii_lowercase();
    if let Some((_, cron)) = PRESETS.iter().find(|(name, _)| *name == lower) {
        return Ok(cron);
    }
    match lower.as_str() {
        "@once" | "@continuous" | "@none" => refuse(
            format!("`{text}` is a schedule of its own, not a cron expression"),
            format!("write `schedule = \"{text}\"`"),
        ),
        _ => refuse(
            format!("there is no preset `{text}`"),
            format!("use one of: {}", PRESETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")),
        ),
    }
}

/// One field in croner's spelling.
fn normalise(field: &Field, position: usize, word: &str) -> Result<String, CronError> {
    if word.is_empty() || word.split(',').any(str::is_empty) {
        return refuse(
            format!("the {} field `{word}` has an empty entry", field.name),
            "separate values with one comma",
        );
    }
    let items: Result<Vec<String>, CronError> =
        word.split(',').map(|item| normalise_item(field, position, &item.to_ascii_lowercase())).collect();
    Ok(items?.join(","))
}

fn normalise_item(field: &Field, position: usize, item: &str) -> Result<String, CronError> {
    if item.starts_with('h') && field.names.is_empty() || item == "h" {
        return refuse(
            format!("the {} field uses `H`, which means a different time on each machine", field.name),
            "write the value that you want",
        );
    }
    if item == "r" || item.starts_with("r(") {
        return refuse(format!("the {} field uses `R` (random)", field.name), "write the value that you want");
    }
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    if let Some(step) = step
        && !step.parse::<u32>().is_ok_and(|step| step > 0)
    {
        return refuse(
            format!("the {} field has the step `/{step}`", field.name),
            "a step is a number of 1 or more, such as `*/5`",
        );
    }
    if range == "*" || range == "?" {
        return Ok(with_step("*", step));
    }
    if let Some(day) = range.strip_prefix('w').filter(|_| position == DAY_OF_MONTH)
        && day.parse::<u8>().is_ok()
    {
        return Ok(format!("{day}W"));
    }
    if position == DAY_OF_MONTH && (range == "l" || range == "lw" || range.ends_with('w')) {
        return Ok(range.to_ascii_uppercase());
    }
    if position == DAY_OF_WEEK {
        if let Some(day) = range.strip_prefix('l').filter(|day| !day.is_empty()) {
            return Ok(format!("{}L", value(field, day)? % 7));
        }
        if let Some(day) = range.strip_suffix('l').filter(|day| !day.is_empty()) {
            return Ok(format!("{}L", value(field, day)? % 7));
        }
        if let Some((day, nth)) = range.split_once('#') {
            return Ok(format!("{}#{}", value(field, day)? % 7, nth.to_ascii_uppercase()));
        }
    }
    match range.split_once('-') {
        None => Ok(with_step(&value(field, range)?.to_string(), step)),
        Some((from, to)) => {
            let (from, to) = (value(field, from)?, value(field, to)?);
            if from <= to {
                Ok(with_step(&format!("{from}-{to}"), step))
            } else {
                Ok(wrap_around(field, from, to, step))
            }
        }
    }
}

/// Whether a field names all its values without a star (`0-23`, `0-11,12-23`): it means the same. Not of days, where a restricted
/// field makes the other one an alternative (croniter keeps them apart, too).
fn is_full_range(field: &Field, written: &str) -> bool {
    let bounds = |item: &str| -> Option<(u32, u32)> {
        let (from, to) = item.split_once('-').unwrap_or((item, item));
        Some((from.parse().ok()?, to.parse().ok()?))
    };
    if field.name.starts_with("day") {
        return false;
    }
    let Some(ranges) = written.split(',').map(bounds).collect::<Option<Vec<_>>>() else { return false };
    (field.min..=field.max).all(|value| ranges.iter().any(|&(from, to)| (from..=to).contains(&value)))
}

fn with_step(range: &str, step: Option<&str>) -> String {
    step.map_or_else(|| range.to_owned(), |step| format!("{range}/{step}"))
}

/// `22-2` and `fri-mon`: the values from the first one on, over the end of the field, to the second.
fn wrap_around(field: &Field, from: u32, to: u32, step: Option<&str>) -> String {
    let step = step.and_then(|step| step.parse().ok()).unwrap_or(1_usize);
    // Sunday is both 0 and 7.
    let last = if field.names == WEEKDAYS { 6 } else { field.max };
    (from..=last).chain(field.min..=to).step_by(step).map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}

fn value(field: &Field, text: &str) -> Result<u32, CronError> {
    if let Some(position) = field.names.iter().position(|name| *name == text) {
        return Ok(position as u32 + field.min);
    }
    match text.parse::<u32>() {
        Ok(value) if (field.min..=field.max).contains(&value) => Ok(value),
        Ok(value) => refuse(
            format!("the {} field has {value}, which is out of its range", field.name),
            format!("use {} to {}", field.min, field.max),
        ),
        Err(_) => refuse(
            format!("the {} field has `{text}`, which it does not know", field.name),
            match field.names {
                [] => format!("use a number from {} to {}", field.min, field.max),
                names => format!("use a number from {} to {}, or a name: {}", field.min, field.max, names.join(", ")),
            },
        ),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
