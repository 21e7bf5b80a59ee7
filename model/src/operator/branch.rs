//! Operators that choose what goes on after them: `branch`, `short_circuit`, `latest_only`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one_or_many;
use crate::Timestamp;

/// Chooses which of the tasks after it go on; the others directly after it are skipped.
///
/// Exactly one of `choose`, `bash`, `weekday` and `between` decides. A join after the branches needs a trigger rule such as
/// `none_failed_min_one_success`.
///
/// ```toml
/// [tasks.size]
/// branch = "{{ 'large' if params.rows > 1000 else 'small' }}"
///
/// [tasks.large]
/// depends_on = ["size"]
/// noop = true
///
/// [tasks.small]
/// depends_on = ["size"]
/// noop = true
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// A template that names the tasks or groups to follow: ids separated by commas or blanks, or a JSON list. Nothing, or
    /// `none`, follows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "value"))]
    pub choose: Option<String>,
    /// A shell script instead: the last line of its output names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "shell"))]
    pub bash: Option<String>,
    /// For `bash`: text that the script reads from its standard input (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub stdin: Option<String>,
    /// Weekdays (`mon`, `tuesday` ...) on which `follow` goes on; on others `otherwise`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "texts_schema")]
    pub weekday: Vec<String>,
    /// A window of the day such as `09:00-17:30`, in which `follow` goes on; outside `otherwise`. `22:00-06:00` goes over
    /// midnight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<String>,
    /// For `weekday` and `between`: the zone that tells the day and the hour.
    #[serde(default = "utc")]
    pub timezone: String,
    /// For `weekday` and `between`: looks at the run's logical date instead of the present.
    #[serde(default)]
    pub use_logical_date: bool,
    /// For `weekday` and `between`: tasks to follow if so.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "texts_schema")]
    pub follow: Vec<String>,
    /// For `weekday` and `between`: tasks to follow if not.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "texts_schema")]
    pub otherwise: Vec<String>,
}

/// Goes on only if a condition holds; else everything after it is skipped.
///
/// ```toml
/// [tasks.enough]
/// short_circuit = "{{ params.rows > 0 }}"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShortCircuit {
    /// The condition (a template): empty, `false`, `0`, `no`, `off` and `none` mean no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "value"))]
    pub condition: Option<String>,
    /// A shell script instead: the last line of its output is the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "shell"))]
    pub bash: Option<String>,
    /// For `bash`: text that the script reads from its standard input (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub stdin: Option<String>,
    /// Skips everything after it, whatever their trigger rules say. With `false` only the tasks directly after it are
    /// skipped, and the trigger rules decide about the rest.
    #[serde(default = "yes")]
    pub ignore_downstream_trigger_rules: bool,
}

/// Goes on only in the newest run of the schedule: what comes after it is skipped while older runs catch up. Runs that a
/// person or another DAG started always go on.
///
/// ```toml
/// [tasks.newest]
/// latest_only = true
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatestOnly {}

impl Branch {
    /// Whether `weekday` and `between` hold at an instant. `None`: neither is set, or one cannot be read.
    pub fn holds(&self, at: Timestamp) -> Option<bool> {
        let zone = crate::schedule::time_zone(&self.timezone).ok()?;
        let local = at.to_jiff().to_zoned(zone);
        if let Some(window) = &self.between {
            let (from, to) = time_window(window)?;
            let time = local.time();
            return Some(if from <= to { from <= time && time < to } else { time >= from || time < to });
        }
        if self.weekday.is_empty() {
            return None;
        }
        let days: Option<Vec<jiff::civil::Weekday>> = self.weekday.iter().map(|name| weekday(name)).collect();
        Some(days?.contains(&local.weekday()))
    }
}

/// A weekday by its English name or its first three letters.
pub fn weekday(name: &str) -> Option<jiff::civil::Weekday> {
    use jiff::civil::Weekday as W;
    const NAMES: [(&str, W); 7] = [
        ("monday", W::Monday),
        ("tuesday", W::Tuesday),
        ("wednesday", W::Wednesday),
        ("thursday", W::Thursday),
        ("friday", W::Friday),
        ("saturday", W::Saturday),
        ("sunday", W::Sunday),
    ];
    let name = name.trim().to_ascii_lowercase();
    NAMES.into_iter().find(|(full, _)| name == *full || name == full[..3]).map(|(_, day)| day)
}

/// A window of the day: `09:00-17:30`.
pub fn time_window(text: &str) -> Option<(jiff::civil::Time, jiff::civil::Time)> {
    let (from, to) = text.split_once('-')?;
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}

/// Whether a rendered condition means yes.
pub fn is_truthy(text: &str) -> bool {
    !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "false" | "0" | "no" | "off" | "none" | "null")
}

/// The ids in the text that a branch chose: a JSON list, or ids separated by commas or blanks.
///
/// # Errors
/// It begins like a list, and is none of texts.
pub fn chosen_ids(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    if matches!(text.to_ascii_lowercase().as_str(), "" | "none" | "null") {
        return Ok(Vec::new());
    }
    if text.starts_with('[') {
        // Templates print lists with single quotes.
        return serde_json::from_str::<Vec<String>>(text)
            .or_else(|_| serde_json::from_str(&text.replace('\'', "\"")))
            .map_err(|error| format!("`{text}` is not a list of task ids: {error}"));
    }
    Ok(text.split([',', ' ', '\t', '\n']).filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn yes() -> bool {
    true
}

fn texts_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(weekday: &[&str], between: Option<&str>, timezone: &str) -> Branch {
        Branch {
            choose: None,
            bash: None,
            stdin: None,
            weekday: weekday.iter().map(|&day| day.to_owned()).collect(),
            between: between.map(str::to_owned),
            timezone: timezone.to_owned(),
            use_logical_date: false,
            follow: Vec::new(),
            otherwise: Vec::new(),
        }
    }

    #[test]
    fn the_zone_tells_the_weekday() {
        let sunday_evening: Timestamp = "2026-01-04T23:30:00Z".parse().unwrap();
        assert_eq!(branch(&["mon"], None, "UTC").holds(sunday_evening), Some(false));
        assert_eq!(branch(&["Monday"], None, "Europe/Stockholm").holds(sunday_evening), Some(true));
        assert_eq!(branch(&["someday"], None, "UTC").holds(sunday_evening), None);
    }

    #[test]
    fn a_window_holds_its_start_but_not_its_end_and_may_go_over_midnight() {
        let at = |time: &str| format!("2026-01-04T{time}Z").parse().unwrap();
        let day = branch(&[], Some("09:00-17:30"), "UTC");
        assert_eq!(
            ["08:59:59", "09:00:00", "17:30:00"].map(|time| day.holds(at(time))),
            [Some(false), Some(true), Some(false)]
        );
        let night = branch(&[], Some("22:00-06:00"), "UTC");
        assert_eq!(
            ["23:00:00", "05:59:00", "12:00:00"].map(|time| night.holds(at(time))),
            [Some(true), Some(true), Some(false)]
        );
    }

    #[test]
    fn choices_are_read_as_people_and_programs_write_them() {
        assert_eq!(chosen_ids(" a, b\tc ").unwrap(), ["a", "b", "c"]);
        assert_eq!(chosen_ids(r#"["a", "g.b"]"#).unwrap(), ["a", "g.b"]);
        assert_eq!(chosen_ids("['a']").unwrap(), ["a"]);
        assert_eq!(chosen_ids("None").unwrap(), [""; 0]);
        assert!(chosen_ids("[1]").is_err());
    }

    #[test]
    fn conditions_are_read_as_people_write_them() {
        assert!(["yes", "1", "True", "anything"].into_iter().all(is_truthy));
        assert!(!["", " ", "False", "0", "None", "no"].into_iter().any(is_truthy));
    }
}
