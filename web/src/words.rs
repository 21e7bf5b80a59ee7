//! Schedules and times as people say them.

use std::time::Duration;

use flow_model::Timestamp;
use flow_model::schedule::{CronExpression, Schedule, TimeRule};
use flow_model::time::duration_text;
use flow_store::read::DagRecord;

/// When a DAG runs, in words.
pub(crate) fn runs_of(dag: &DagRecord) -> String {
    // What starts it from outside is in the summary only.
    match &dag.schedule.schedule {
        Schedule::None if dag.schedule_summary != "none" => "for each event".to_owned(),
        times => schedule(times),
    }
}

fn schedule(schedule: &Schedule) -> String {
    match schedule {
        Schedule::None => "only when triggered".to_owned(),
        Schedule::Once => "once".to_owned(),
        Schedule::Continuous => "again as soon as a run has ended".to_owned(),
        Schedule::Times { rules, .. } => rules.iter().map(rule).collect::<Vec<_>>().join("; and "),
    }
}

fn rule(rule: &TimeRule) -> String {
    match rule {
        TimeRule::Cron { expression, timezone } => {
            let words = CronExpression::parse(expression).map_or_else(|_| expression.clone(), |cron| cron.describe());
            format!("{} ({timezone})", words.trim_end_matches('.'))
        }
        TimeRule::Every { interval } => format!("every {}", duration_text::format(*interval)),
        TimeRule::At { instants } if instants.len() == 1 => format!("at {}", instants[0]),
        TimeRule::At { instants } => format!("at {} fixed instants", instants.len()),
    }
}

/// A length of time for people: `0.42s`, `12s`, `3m 20s`.
pub(crate) fn length(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{:.2}s", duration.as_secs_f64())
    } else {
        duration_text::format(Duration::from_secs(duration.as_secs()))
    }
}

/// An instant for people: `2026-01-01 06:00:00`, in UTC.
pub(crate) fn instant(at: Timestamp) -> String {
    at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Seconds from start to end, for the API.
pub(crate) fn seconds(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<f64> {
    Some(end?.since(start?).as_secs_f64())
}
