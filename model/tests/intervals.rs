//! Data intervals: `start_date` and `end_date` bound the beginnings of intervals, whatever the schedule and whatever `catchup` says.

use std::time::Duration;

use flow_model::Timestamp;
use flow_model::dag::Catchup;
use flow_model::schedule::{Bounds, DueQuery, Schedule, TimeRule};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cron(expression: &str) -> TimeRule {
    TimeRule::Cron { expression: expression.to_owned(), timezone: "Europe/Stockholm".to_owned() }
}

fn every(seconds: u64) -> TimeRule {
    TimeRule::Every { interval: Duration::from_secs(seconds) }
}

fn schedule(rules: Vec<TimeRule>, data_intervals: bool) -> Schedule {
    Schedule::Times { rules, data_intervals }
}

fn query(now: Timestamp, bounds: Bounds, catchup: Catchup) -> DueQuery {
    DueQuery {
        next_tick: None,
        first_seen: at("2026-03-01T00:00:00Z"),
        has_run: false,
        active_runs: 0,
        now,
        bounds,
        catchup,
        limit: 100_000,
    }
}

/// Airflow 3.3.2, `CronDataIntervalTimetable` and `DeltaDataIntervalTimetable`, with catch-up.
#[test]
fn the_first_run_is_of_the_interval_that_begins_at_the_start_date() {
    let bounds = Bounds { start: Some(at("2026-03-05T00:00:00Z")), end: Some(at("2026-03-07T00:00:00Z")) };
    let utc = TimeRule::Cron { expression: "@daily".to_owned(), timezone: "UTC".to_owned() };
    for rules in [vec![utc.clone()], vec![every(86_400)], vec![utc, every(86_400)]] {
        let schedule = schedule(rules, true);
        let due = schedule.due(query(at("2026-03-20T00:00:00Z"), bounds, Catchup::All));
        let intervals: Vec<(Timestamp, Timestamp)> =
            due.ticks.iter().map(|tick| schedule.data_interval(*tick, bounds)).collect();
        let day = |day: u32| at(&format!("2026-03-{day:02}T00:00:00Z"));
        assert_eq!(intervals, [(day(5), day(6)), (day(6), day(7)), (day(7), day(8))], "{schedule:?}");
        assert_eq!(due.next_tick, None);
    }
}

#[test]
fn a_manual_run_gets_the_last_complete_interval() {
    let daily = schedule(vec![cron("0 0 * * *")], true);
    let (start, end) = daily.manual_interval(at("2026-03-05T12:00:00Z"), Bounds::default());
    assert_eq!((start, end), (at("2026-03-03T23:00:00Z"), at("2026-03-04T23:00:00Z")));
    // One that ends at that very moment is complete.
    assert_eq!(daily.manual_interval(end, Bounds::default()), (start, end));
    let anchored = Bounds { start: Some(at("2026-03-01T00:10:00Z")), end: None };
    let hourly = schedule(vec![every(3_600)], true);
    assert_eq!(
        hourly.manual_interval(at("2026-03-05T12:00:00Z"), anchored),
        (at("2026-03-05T10:10:00Z"), at("2026-03-05T11:10:00Z"))
    );
    let now = at("2026-03-05T12:00:00Z");
    for without in [schedule(vec![cron("0 0 * * *")], false), Schedule::None, Schedule::Once] {
        assert_eq!(without.manual_interval(now, Bounds::default()), (now, now));
    }
}

#[test]
fn written_instants_have_an_interval_from_the_start_date_on() {
    let instants = vec![at("2026-03-05T00:00:00Z"), at("2026-03-09T00:00:00Z")];
    let written = schedule(vec![TimeRule::At { instants: instants.clone() }], true);
    let bounds = Bounds { start: Some(at("2026-03-01T00:00:00Z")), end: None };
    let due = written.due(query(at("2026-03-20T00:00:00Z"), bounds, Catchup::All));
    let intervals: Vec<_> = due.ticks.iter().map(|tick| written.data_interval(*tick, bounds)).collect();
    assert_eq!(intervals, [(bounds.start.unwrap(), instants[0]), (instants[0], instants[1])]);
}

fn rules() -> impl Strategy<Value = Vec<TimeRule>> {
    let all = vec![
        cron("0 */5 * * *"),
        cron("30 6 * * 1-5"),
        cron("0 0 * * *"),
        cron("15 * * * *"),
        every(5_400),
        every(40_000),
    ];
    subsequence(all, 1..=3)
}

/// A moment in March 2026, in whole minutes.
fn moment() -> impl Strategy<Value = Timestamp> {
    (0_u64..40_000).prop_map(|minutes| at("2026-03-01T00:00:00Z") + Duration::from_secs(minutes * 60))
}

fn cases(default: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(default)) }
}

proptest! {
    #![proptest_config(cases(20))]

    /// Against a list of all ticks, and the pairs of neighbours in it whose first lies within the bounds.
    #[test]
    fn bounds_are_about_the_beginning(rules in rules(), start in moment(), length in 0_u64..20_000, now in moment(),
        catchup in select(Catchup::ALL)) {
        let bounds = Bounds { start: Some(start), end: Some(start + Duration::from_secs(length * 60)) };
        // Without an end the intervals of `every` are counted from the same start.
        let anchor = Bounds { start: Some(start), end: None };
        let all = schedule(rules.clone(), false).upcoming(start - Duration::from_micros(1), Bounds { end: Some(now), ..anchor }, 4_000);
        let expected: Vec<(Timestamp, Timestamp)> = all
            .windows(2)
            .map(|pair| (pair[0], pair[1]))
            .filter(|(begin, end)| Some(*begin) <= bounds.end && *end <= now)
            .collect();
        let schedule = schedule(rules, true);
        // Looked at from the beginning on, every twenty hours.
        let mut state = query(start.min(now), bounds, catchup);
        let mut found = Vec::new();
        loop {
            let due = schedule.due(state);
            found.extend(due.ticks.iter().map(|tick| schedule.data_interval(*tick, bounds)));
            state.next_tick = due.next_tick;
            // After the last interval there is nothing to look for.
            if state.now >= now || (due.next_tick.is_none() && !found.is_empty()) {
                break;
            }
            state.now = (state.now + Duration::from_secs(72_000)).min(now);
        }
        if catchup == Catchup::All {
            prop_assert_eq!(&found, &expected);
        }
        prop_assert!(found.iter().all(|interval| expected.contains(interval)), "{found:?} {expected:?}");
        prop_assert!(found.is_sorted());
    }

    #[test]
    fn the_interval_of_a_manual_run_is_one_of_the_schedule(rules in rules(), start in moment(), asked in moment()) {
        let anchor = Bounds { start: Some(start), end: None };
        let intervals = schedule(rules.clone(), true);
        let (begin, end) = intervals.manual_interval(asked, anchor);
        prop_assert!(begin < end && end <= asked);
        let ticks = schedule(rules, false);
        if begin >= start {
            prop_assert_eq!(ticks.next_after(begin, anchor), Some(end));
            prop_assert!(ticks.next_after(end, anchor).unwrap() > asked);
        }
    }
}
