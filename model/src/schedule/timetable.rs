//! Ticks of schedules, and which of them are due.

use std::time::Duration;

use super::cron::CronExpression;
use super::zone::{next_tick, time_zone};
use super::{Schedule, TimeRule};
use crate::Timestamp;
use crate::dag::Catchup;

/// A tick that is at most this late is on time, whatever `catchup` says about missed ones.
pub const ON_TIME: Duration = Duration::from_secs(60);

/// First and last instant at which a schedule may tick, both included; with data intervals, at which an interval may begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// No tick (interval) before.
    pub start: Option<Timestamp>,
    /// No tick (interval) after.
    pub end: Option<Timestamp>,
}

/// What is known when a schedule is looked at.
#[derive(Debug, Clone, Copy)]
pub struct DueQuery {
    /// The planned tick; `None` when nothing was planned yet, or the schedule has changed.
    pub next_tick: Option<Timestamp>,
    /// When the DAG was seen for the first time.
    pub first_seen: Timestamp,
    /// Whether the schedule has ever created a run.
    pub has_run: bool,
    /// Runs that are queued or running.
    pub active_runs: u32,
    /// The present instant.
    pub now: Timestamp,
    /// The DAG's start and end.
    pub bounds: Bounds,
    /// What happens to missed ticks.
    pub catchup: Catchup,
    /// Runs to create at most.
    pub limit: usize,
}

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Ticks to run now, oldest first.
    pub ticks: Vec<Timestamp>,
    /// Whether ticks were dropped because of `catchup`.
    pub has_skipped: bool,
    /// The tick to plan next.
    pub next_tick: Option<Timestamp>,
}

impl TimeRule {
    /// The first instant of the rule strictly after `after`.
    fn next_after(&self, after: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            TimeRule::Cron { expression, timezone } => {
                // Both were checked when the file was read; a zone that a later tz database drops ends the schedule.
                let cron = CronExpression::parse(expression).ok()?;
                next_tick(&cron, &time_zone(timezone).ok()?, after)
            }
            TimeRule::Every { interval } => {
                let step = i64::try_from(interval.as_micros()).ok().filter(|step| *step > 0)?;
                let anchor = anchor.unwrap_or(Timestamp::UNIX_EPOCH).as_micros();
                let passed = (after.as_micros() - anchor).div_euclid(step);
                anchor.checked_add(passed.checked_add(1)?.checked_mul(step)?).map(Timestamp::from_micros)
            }
            TimeRule::At { instants } => instants.get(instants.partition_point(|instant| *instant <= after)).copied(),
        }
    }
}

impl Schedule {
    /// The first tick strictly after `after`, within the bounds. `@once`, `@continuous` and none have no ticks of their own.
    pub fn next_after(&self, after: Timestamp, bounds: Bounds) -> Option<Timestamp> {
        let Schedule::Times { data_intervals, .. } = self else { return None };
        let unbounded = |after| self.next_unbounded(after, bounds.start);
        let just_before = |instant: Timestamp| instant - Duration::from_micros(1);
        let first = bounds.start.filter(|start| after < *start).and_then(|start| unbounded(just_before(start)));
        if !data_intervals {
            let tick = first.or_else(|| unbounded(after))?;
            return bounds.end.is_none_or(|end| tick <= end).then_some(tick);
        }
        // A run is due when its interval ends: at the tick after the one with which the interval begins.
        let tick = match bounds.start {
            Some(start) => {
                let first = unbounded(just_before(start))?;
                unbounded(if after < first && self.begins_before(first) {
                    first
                } else {
                    after.max(just_before(first))
                })?
            }
            None => unbounded(after)?,
        };
        bounds.end.is_none_or(|end| tick <= end || unbounded(end) == Some(tick)).then_some(tick)
    }

    /// The first tick strictly after `after`, whatever the bounds; intervals are counted from `anchor`.
    fn next_unbounded(&self, after: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        let Schedule::Times { rules, .. } = self else { return None };
        rules.iter().filter_map(|rule| rule.next_after(after, anchor)).min()
    }

    /// Whether there is a tick before that one: written instants have a first, all others go back for ever.
    fn begins_before(&self, tick: Timestamp) -> bool {
        let Schedule::Times { rules, .. } = self else { return false };
        rules.iter().any(|rule| match rule {
            TimeRule::Cron { .. } | TimeRule::Every { .. } => true,
            TimeRule::At { instants } => instants.first().is_some_and(|first| *first < tick),
        })
    }

    /// The last tick strictly before `before`, and not before `floor`: found by bisection over [`Schedule::next_after`],
    /// so that the two can never disagree, however many ticks lie between.
    pub fn last_before(&self, before: Timestamp, floor: Timestamp, bounds: Bounds) -> Option<Timestamp> {
        last_before(before, floor, |after| self.next_after(after, bounds))
    }

    /// The last tick strictly before `before`, whatever the bounds.
    fn previous_unbounded(&self, before: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        [1, 8, 32, 367, 3_700].into_iter().find_map(|days| {
            let floor = before - Duration::from_secs(days * 86_400);
            last_before(before, floor, |after| self.next_unbounded(after, anchor))
        })
    }

    /// The next `count` ticks after an instant.
    pub fn upcoming(&self, after: Timestamp, bounds: Bounds, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after, bounds), |tick| self.next_after(*tick, bounds))
            .take(count)
            .collect()
    }

    /// The data interval of the run that is created at `tick`: the time since the tick before, or nothing at all
    /// (Airflow's `create_cron_data_intervals`). The logical date is its start.
    pub fn data_interval(&self, tick: Timestamp, bounds: Bounds) -> (Timestamp, Timestamp) {
        let Schedule::Times { data_intervals: true, .. } = self else { return (tick, tick) };
        let start = self.previous_unbounded(tick, bounds.start).or(bounds.start).unwrap_or(tick);
        (start.min(tick), tick)
    }

    /// The data interval of a run that somebody starts with a logical date: the last complete one before it, or nothing at all.
    pub fn manual_interval(&self, logical_date: Timestamp, bounds: Bounds) -> (Timestamp, Timestamp) {
        let just_after = logical_date + Duration::from_micros(1);
        match self {
            Schedule::Times { data_intervals: true, .. } => match self.previous_unbounded(just_after, bounds.start) {
                Some(end) => self.data_interval(end, Bounds { end: None, ..bounds }),
                None => (logical_date, logical_date),
            },
            _ => (logical_date, logical_date),
        }
    }

    /// What is due now. Pure, so that the engine, previews and simulations agree.
    pub fn due(&self, query: DueQuery) -> Due {
        match self {
            Schedule::None => Due::default(),
            Schedule::Once => once(query),
            Schedule::Continuous => continuous(query),
            Schedule::Times { .. } => self.due_ticks(query),
        }
    }

    fn due_ticks(&self, query: DueQuery) -> Due {
        let bounds = query.bounds;
        let just_before = |instant: Timestamp| instant - Duration::from_micros(1);
        let planned = query.next_tick.or_else(|| match (query.catchup, bounds.start) {
            (Catchup::All, Some(start)) => self.next_after(just_before(start), bounds),
            (Catchup::All, None) => self.next_after(just_before(query.first_seen), bounds),
            // Nothing old starts because a file has appeared or changed.
            (Catchup::None | Catchup::Latest, _) => self.next_after(just_before(query.now), bounds),
        });
        let Some(first) = planned else { return Due::default() };
        if first > query.now {
            return Due { next_tick: Some(first), ..Due::default() };
        }
        let mut ticks = Vec::new();
        let mut has_skipped = false;
        let mut from = first;
        if query.catchup != Catchup::All {
            let after_now = query.now + Duration::from_micros(1);
            let latest = self.last_before(after_now, first, bounds).unwrap_or(first);
            let is_late = latest < query.now - ON_TIME;
            has_skipped = latest > first || (is_late && query.catchup == Catchup::None);
            if is_late && query.catchup == Catchup::None {
                return Due { ticks, has_skipped, next_tick: self.next_after(latest, bounds) };
            }
            from = latest;
        }
        let mut next = Some(from);
        while let Some(tick) = next.filter(|tick| *tick <= query.now && ticks.len() < query.limit) {
            ticks.push(tick);
            next = self.next_after(tick, bounds);
        }
        Due { ticks, has_skipped, next_tick: next }
    }
}

/// The last tick strictly before `before`, and not before `floor`, by bisection over what comes next.
fn last_before(
    before: Timestamp,
    floor: Timestamp,
    next_after: impl Fn(Timestamp) -> Option<Timestamp>,
) -> Option<Timestamp> {
    let is_before = |from: i64| next_after(Timestamp::from_micros(from)).filter(|tick| *tick < before);
    let (mut low, mut high) = (floor.as_micros() - 1, before.as_micros());
    let mut found = is_before(low)?;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match is_before(middle) {
            Some(tick) => (low, found) = (middle, tick),
            None => high = middle,
        }
    }
    Some(found)
}

fn once(query: DueQuery) -> Due {
    let tick = query.bounds.start.unwrap_or(query.first_seen);
    if query.has_run || query.bounds.end.is_some_and(|end| tick > end) {
        Due::default()
    } else if tick > query.now || query.limit == 0 {
        Due { next_tick: Some(tick), ..Due::default() }
    } else {
        Due { ticks: vec![tick], ..Due::default() }
    }
}

fn continuous(query: DueQuery) -> Due {
    let start = query.bounds.start.unwrap_or(query.first_seen);
    if query.active_runs > 0 || query.bounds.end.is_some_and(|end| query.now > end) {
        Due::default()
    } else if start > query.now || query.limit == 0 {
        Due { next_tick: Some(start), ..Due::default() }
    } else {
        Due { ticks: vec![query.now], ..Due::default() }
    }
}
