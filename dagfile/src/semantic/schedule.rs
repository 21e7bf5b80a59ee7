//! Schedules, zones and dates.

use std::time::Duration;

use flow_model::Timestamp;
use flow_model::schedule::{Bounds, CronExpression, Schedule, TimeRule, time_zone};
use flow_model::start::Start;
use flow_model::time::duration_text;
use jiff::tz::TimeZone;

use super::starts;
use crate::diagnostic::Problems;
use crate::tree::{Kind, Node};
use crate::walk::meant;

/// A usable zone and its name.
pub(super) struct Zone {
    name: String,
    zone: TimeZone,
}

/// Reads a zone; a bad one is noted and taken as UTC.
pub(super) fn zone(node: Option<&Node>, default: &str, problems: &mut Problems) -> Zone {
    let name = node.and_then(Node::text).unwrap_or(default);
    match time_zone(name) {
        Ok(zone) => Zone { name: name.to_owned(), zone },
        Err(why) => {
            let (message, hint) = why.split_once("; ").unwrap_or((&why, "use an IANA name such as `Europe/Stockholm`"));
            problems.add(node.map_or(0..0, |node| node.span.clone()), message).hint(hint);
            Zone { name: "UTC".to_owned(), zone: TimeZone::UTC }
        }
    }
}

/// Reads when the DAG runs, and what starts it from outside; `None` if it is not usable.
pub(super) fn read(node: Option<&Node>, zone: &Zone, problems: &mut Problems) -> Option<(Schedule, Vec<Start>)> {
    let Some(node) = node else { return Some((Schedule::None, Vec::new())) };
    match node.text().map(str::to_ascii_lowercase).as_deref() {
        Some("none") => return Some((Schedule::None, Vec::new())),
        Some("@once") => return Some((Schedule::Once, Vec::new())),
        Some("@continuous") => return Some((Schedule::Continuous, Vec::new())),
        _ => {}
    }
    let mut rules = Vec::new();
    let mut starts = Vec::new();
    let mut data_intervals = false;
    let mut is_good = true;
    for item in node.items() {
        match &item.kind {
            Kind::Text(text) => is_good &= push(&mut rules, cron(item, text, zone, problems)),
            Kind::Table(_) => {
                data_intervals |= matches!(item.get("data_intervals").map(|node| &node.kind), Some(Kind::Bool(true)));
                is_good &= starts::read(item, &mut starts, problems);
                is_good &= table(item, zone, &mut rules, problems);
            }
            _ => is_good = false,
        }
    }
    let schedule = if rules.is_empty() { Schedule::None } else { Schedule::Times { rules, data_intervals } };
    (is_good && !(schedule == Schedule::None && starts.is_empty())).then_some((schedule, starts))
}

fn push(rules: &mut Vec<TimeRule>, rule: Option<TimeRule>) -> bool {
    let is_some = rule.is_some();
    rules.extend(rule);
    is_some
}

/// `{ cron = ..., timezone = ... }`, `{ every = ... }`, `{ at = ... }`.
fn table(node: &Node, zone: &Zone, rules: &mut Vec<TimeRule>, problems: &mut Problems) -> bool {
    let own_zone = node.get("timezone").map(|name| self::zone(Some(name), "UTC", problems));
    let zone = own_zone.as_ref().unwrap_or(zone);
    let mut is_good = true;
    if let Some(crons) = node.get("cron") {
        for item in crons.items() {
            is_good &= item.text().is_some_and(|text| push(rules, cron(item, text, zone, problems)));
        }
    }
    if let Some(every) = node.get("every") {
        is_good &= push(rules, interval(every, problems));
    }
    if let Some(at) = node.get("at") {
        let mut instants: Vec<Timestamp> =
            at.items().iter().filter_map(|item| date(Some(item), zone, problems)).collect();
        is_good &= instants.len() == at.items().len();
        instants.sort();
        instants.dedup();
        rules.push(TimeRule::At { instants });
    }
    if !starts::is_one(node) && node.get("cron").is_none() && node.get("every").is_none() && node.get("at").is_none() {
        // A misspelt key has been complained about.
        let known = ["cron", "every", "at", "webhook", "stream", "files"];
        if !node.entries().iter().any(|entry| meant(&entry.key, &known).is_some()) {
            problems.add(node.span.clone(), "this schedule says nothing about when").hint(
                "give it `cron`, `every` or `at`, or what starts it: `webhook`, `stream` or `files`; leave `schedule` out for a DAG that only runs when it is triggered",
            );
        }
        is_good = false;
    }
    is_good
}

fn cron(node: &Node, text: &str, zone: &Zone, problems: &mut Problems) -> Option<TimeRule> {
    if ["none", "@once", "@continuous"].contains(&text.to_ascii_lowercase().as_str()) {
        problems
            .add(node.span.clone(), format!("`{text}` cannot be combined with other schedules"))
            .hint(format!("write it alone: `schedule = \"{text}\"`"));
        return None;
    }
    if text == "@none" {
        problems
            .add(node.span.clone(), "there is no preset `@none`")
            .hint("write `schedule = \"none\"`, or leave `schedule` out");
        return None;
    }
    if let Err(error) = CronExpression::parse(text) {
        let message = if error.message.contains(text) {
            error.message
        } else {
            format!("`{text}` is not a schedule: {}", error.message)
        };
        problems.add(node.span.clone(), message).hint(error.hint);
        return None;
    }
    Some(TimeRule::Cron { expression: text.to_owned(), timezone: zone.name.clone() })
}

fn interval(node: &Node, problems: &mut Problems) -> Option<TimeRule> {
    // Numbers below one and texts that are no durations have been complained about.
    let interval = match &node.kind {
        Kind::Text(text) => duration_text::parse(text).ok()?,
        Kind::Integer(seconds) => Duration::from_secs(u64::try_from(*seconds).ok()?),
        Kind::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok()?,
        _ => return None,
    };
    if interval < Duration::from_secs(1) {
        node.text()?;
        problems
            .add(node.span.clone(), "`every` must be at least one second")
            .hint("for work that never stops, use `schedule = \"@continuous\"`");
        return None;
    }
    Some(TimeRule::Every { interval })
}

/// Between which dates the DAG runs.
pub(super) fn bounds(root: &Node, zone: &Zone, problems: &mut Problems) -> (Option<Timestamp>, Option<Timestamp>) {
    let start_date = date(root.get("start_date"), zone, problems);
    let end_date = date(root.get("end_date"), zone, problems);
    if let (Some(start), Some(end)) = (start_date, end_date)
        && end < start
    {
        let span = root.get("end_date").map_or(0..0, |node| node.span.clone());
        problems.add(span, "`end_date` is before `start_date`").hint(format!("the DAG starts at {start}"));
    }
    (start_date, end_date)
}

/// Reads a date; one without an offset is read in the zone.
fn date(node: Option<&Node>, zone: &Zone, problems: &mut Problems) -> Option<Timestamp> {
    let node = node?;
    let text = match &node.kind {
        Kind::Date(date) => date.to_string(),
        Kind::Text(text) => text.clone(),
        _ => return None,
    };
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_jiff(instant));
    }
    let local = text.parse::<jiff::civil::DateTime>().and_then(|civil| civil.to_zoned(zone.zone.clone()));
    match local {
        Ok(zoned) => Some(Timestamp::from_jiff(zoned.timestamp())),
        Err(_) => {
            problems
                .add(node.span.clone(), format!("`{text}` is not a date"))
                .hint("write it like 2026-01-31, 2026-01-31T06:00:00 or 2026-01-31T06:00:00+01:00");
            None
        }
    }
}

/// Schedules that are fine and will never run.
pub(super) fn warn(
    root: &Node,
    schedule: &Schedule,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    warnings: &mut Problems,
) {
    let Schedule::Times { .. } = schedule else { return };
    let bounds = Bounds { start, end };
    if schedule.next_after(start.unwrap_or(Timestamp::UNIX_EPOCH) - Duration::from_secs(1), bounds).is_none() {
        let span = root.get("schedule").map_or(0..0, |node| node.span.clone());
        warnings
            .add(span, "this schedule has no tick between `start_date` and `end_date`")
            .label("this never runs")
            .hint("check the three against each other: a date without a time is midnight");
    }
}
