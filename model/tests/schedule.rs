//! Schedules against Airflow's own results, and against a slow second implementation.

use std::time::Duration;

use flow_model::Timestamp;
use flow_model::dag::Catchup;
use flow_model::schedule::{Bounds, CronExpression, DueQuery, Schedule, TimeRule};
use jiff::civil::DateTime;
use proptest::prelude::*;

fn cron(expression: &str, timezone: &str) -> Schedule {
    let rule = TimeRule::Cron { expression: expression.to_owned(), timezone: timezone.to_owned() };
    Schedule::Times { rules: vec![rule], data_intervals: false }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next ticks in local time with their offsets.
fn local(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let tz = jiff::tz::TimeZone::get(zone).unwrap();
    cron(expression, zone)
        .upcoming(at(after), Bounds::default(), count)
        .into_iter()
        .map(|tick| tick.to_jiff().to_zoned(tz.clone()).strftime("%m-%d %H:%M%:z").to_string())
        .collect()
}

/// Airflow 3.3.2 with croniter 7 (`airflow.timetables._cron`) gives these.
#[test]
fn changes_of_the_clock_as_in_airflow() {
    let new_york = "America/New_York";
    assert_eq!(local("30 2 * * *", new_york, "2026-03-08T05:00:00Z", 2), ["03-08 03:30-04:00", "03-09 02:30-04:00"]);
    assert_eq!(local("30 1 * * *", new_york, "2026-11-01T04:00:00Z", 2), ["11-01 01:30-05:00", "11-02 01:30-05:00"]);
    assert_eq!(local("*/30 1 * * *", new_york, "2026-11-01T04:00:00Z", 2), ["11-01 01:00-05:00", "11-01 01:30-05:00"]);
    assert_eq!(
        local("0 */2 * * *", "Europe/Berlin", "2026-03-28T22:30:00Z", 3),
        ["03-29 00:00+01:00", "03-29 03:00+02:00", "03-29 04:00+02:00"]
    );
    assert_eq!(
        local("30 * * * *", new_york, "2026-11-01T04:45:00Z", 3),
        ["11-01 01:30-04:00", "11-01 01:30-05:00", "11-01 02:30-05:00"]
    );
    assert_eq!(local("30 * * * *", new_york, "2026-03-08T05:45:00Z", 2), ["03-08 01:30-05:00", "03-08 03:30-04:00"]);
}

/// Samoa left out 30 December 2011 when it changed sides of the date line.
#[test]
fn a_day_that_does_not_exist_keeps_the_step() {
    let apia = |expression: &str, count| local(expression, "Pacific/Apia", "2011-12-30T05:30:00Z", count);
    assert_eq!(
        apia("0 */2 * * *", 5),
        ["12-29 20:00-10:00", "12-29 22:00-10:00", "12-31 00:00+14:00", "12-31 02:00+14:00", "12-31 04:00+14:00"]
    );
    assert_eq!(apia("0 0-23 * * *", 3), apia("0 * * * *", 3));
    assert_eq!(apia("30 22 * * *", 3), ["12-29 22:30-10:00", "12-31 22:30+14:00", "01-01 22:30+14:00"]);
}

#[test]
fn a_full_range_is_a_star() {
    for (full, star) in [
        ("0 0-23 * * *", "0 * * * *"),
        ("30 0-11,12-23 * * *", "30 * * * *"),
        ("0 22-21 * * *", "0 * * * *"),
        ("0-59 * * 1-12 *", "* * * * *"),
        ("0 * * jan-dec *", "0 * * * *"),
    ] {
        for (zone, after) in [
            ("America/New_York", "2026-11-01T04:15:00Z"),
            ("America/New_York", "2026-03-08T05:15:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T13:15:00Z"),
        ] {
            assert_eq!(local(full, zone, after, 12), local(star, zone, after, 12), "{full} in {zone}");
        }
    }
    // Days are no such thing: a restricted day of the week is an alternative to the days of the month.
    let mondays = local("0 0 1-31 * 1", "UTC", "2026-03-01T00:00:00Z", 3);
    assert_eq!(mondays, ["03-02 00:00+00:00", "03-03 00:00+00:00", "03-04 00:00+00:00"]);
}

#[test]
fn a_tick_between_the_two_passes_is_not_lost() {
    // 01:40 of the first pass: the second pass of 01:30 is still to come.
    assert_eq!(local("30 1 * * *", "America/New_York", "2026-11-01T05:40:00Z", 1), ["11-01 01:30-05:00"]);
}

#[test]
fn croniters_dialect() {
    let utc = |expression: &str, count| local(expression, "UTC", "2026-01-15T10:07:00Z", count);
    assert_eq!(utc("0 0 * * 0", 2), ["01-18 00:00+00:00", "01-25 00:00+00:00"]);
    assert_eq!(utc("0 0 * * 7", 1), ["01-18 00:00+00:00"]);
    assert_eq!(utc("0 0 * * 1-5", 3), ["01-16 00:00+00:00", "01-19 00:00+00:00", "01-20 00:00+00:00"]);
    assert_eq!(utc("0 0 13 * 5", 3), ["01-16 00:00+00:00", "01-23 00:00+00:00", "01-30 00:00+00:00"]);
    assert_eq!(
        utc("0 0 * * fri-mon", 4),
        ["01-16 00:00+00:00", "01-17 00:00+00:00", "01-18 00:00+00:00", "01-19 00:00+00:00"]
    );
    assert_eq!(utc("0 22-2 * * *", 6)[..3], ["01-15 22:00+00:00", "01-15 23:00+00:00", "01-16 00:00+00:00"]);
    assert_eq!(utc("5/15 * * * *", 3), ["01-15 10:20+00:00", "01-15 10:35+00:00", "01-15 10:50+00:00"]);
    assert_eq!(utc("0 0 L * *", 1), ["01-31 00:00+00:00"]);
    assert_eq!(utc("0 0 * * L5", 1), ["01-30 00:00+00:00"]);
    assert_eq!(utc("0 0 * * 5#2", 1), ["02-13 00:00+00:00"]);
    assert_eq!(utc("0 0 15W 2 *", 1), ["02-16 00:00+00:00"]);
    assert_eq!(utc("0 0 15W 2 3", 1), ["02-16 00:00+00:00"]);
    assert_eq!(utc("0 0 W15 2 *", 1), ["02-16 00:00+00:00"]);
    assert_eq!(utc("@Daily", 1), ["01-16 00:00+00:00"]);
    assert_eq!(utc("@MIDNIGHT", 1), utc("@midnight", 1));
    assert_eq!(utc("@midnight", 1), ["01-16 00:00+00:00"]);
    assert_eq!(utc("0 0 1 JAN,jul *", 1), ["07-01 00:00+00:00"]);
    assert_eq!(utc("0 0 29 2 *", 1), ["02-29 00:00+00:00"]);
}

#[test]
fn refusals_say_what_to_do() {
    for (expression, message) in [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 0 6 * * *", "6 fields"),
        ("0 0 31 2 *", "never fires"),
        ("61 * * * *", "minute field has 61"),
        ("0 0 * * funday", "day of week field has `funday`"),
        ("*/0 * * * *", "step"),
        ("H * * * *", "different time"),
        ("R * * * *", "random"),
        ("0,,5 * * * *", "empty entry"),
        ("@once", "schedule of its own"),
        ("@fortnightly", "no preset"),
    ] {
        let error = CronExpression::parse(expression).unwrap_err();
        assert!(error.message.contains(message), "{expression}: {}", error.message);
        assert!(!error.hint.is_empty(), "{expression}");
    }
}

#[test]
fn descriptions_are_words() {
    assert_eq!(CronExpression::parse("0 6 * * 1-5").unwrap().describe(), "At 06:00, on Monday to Friday");
}

fn query(now: &str, next_tick: Option<&str>, catchup: Catchup) -> DueQuery {
    DueQuery {
        next_tick: next_tick.map(at),
        first_seen: at("2026-01-01T00:00:00Z"),
        has_run: false,
        active_runs: 0,
        now: at(now),
        bounds: Bounds::default(),
        catchup,
        limit: 100,
    }
}

#[test]
fn missed_ticks_follow_catchup() {
    let hourly = cron("0 * * * *", "UTC");
    let late = |catchup| hourly.due(query("2026-01-10T05:30:00Z", Some("2026-01-10T02:00:00Z"), catchup));
    assert_eq!(late(Catchup::None).ticks, []);
    assert_eq!(late(Catchup::Latest).ticks, [at("2026-01-10T05:00:00Z")]);
    assert_eq!(late(Catchup::All).ticks.len(), 4);
    for catchup in Catchup::ALL {
        assert_eq!(late(*catchup).next_tick, Some(at("2026-01-10T06:00:00Z")), "{catchup}");
    }
    // A tick that is a moment late is not missed.
    let on_time = hourly.due(query("2026-01-10T05:00:01Z", Some("2026-01-10T05:00:00Z"), Catchup::None));
    assert_eq!(on_time.ticks, [at("2026-01-10T05:00:00Z")]);
    // A new DAG starts nothing old, unless it catches up on everything.
    assert_eq!(hourly.due(query("2026-01-10T05:30:00Z", None, Catchup::Latest)).ticks, []);
    assert_eq!(hourly.due(query("2026-01-01T02:30:00Z", None, Catchup::All)).ticks.len(), 3);
}

#[test]
fn ten_years_of_minutes_are_skipped_at_once() {
    let due =
        cron("* * * * *", "UTC").due(query("2036-01-01T00:00:30Z", Some("2026-01-01T00:00:00Z"), Catchup::Latest));
    assert_eq!(due.ticks, [at("2036-01-01T00:00:00Z")]);
    assert!(due.has_skipped);
}

#[test]
fn once_and_continuous() {
    let now = "2026-01-01T01:00:00Z";
    assert_eq!(Schedule::Once.due(query(now, None, Catchup::Latest)).ticks.len(), 1);
    assert_eq!(Schedule::Once.due(DueQuery { has_run: true, ..query(now, None, Catchup::Latest) }).ticks, []);
    assert_eq!(Schedule::Continuous.due(query(now, None, Catchup::Latest)).ticks, [at(now)]);
    let busy = DueQuery { active_runs: 1, ..query(now, None, Catchup::Latest) };
    assert_eq!(Schedule::Continuous.due(busy).ticks, []);
}

#[test]
fn data_intervals_end_at_their_tick() {
    let rule = TimeRule::Cron { expression: "0 0 * * *".to_owned(), timezone: "UTC".to_owned() };
    let daily = Schedule::Times { rules: vec![rule], data_intervals: true };
    let tick = at("2026-03-02T00:00:00Z");
    assert_eq!(daily.data_interval(tick, Bounds::default()), (at("2026-03-01T00:00:00Z"), tick));
    assert_eq!(cron("0 0 * * *", "UTC").data_interval(tick, Bounds::default()), (tick, tick));
}

const ZONES: &[&str] = &[
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Asia/Tehran",
];

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (min..=max).prop_map(|value| value.to_string()),
        1 => (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (1..=7_u32).prop_map(|step| format!("*/{step}")),
        1 => proptest::collection::vec(min..=max, 1..4)
            .prop_map(|values| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    ]
}

fn any_cron() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))
        .prop_map(|(m, h, d, mo, w)| format!("{m} {h} {d} {mo} {w}"))
}

/// Whether a field of the generated forms matches a value.
fn matches(field: &str, min: i8, value: i8) -> bool {
    field.split(',').any(|item| match (item.split_once('/'), item.split_once('-')) {
        (Some((_, step)), _) => (value - min) % step.parse::<i8>().unwrap() == 0,
        (None, Some((from, to))) => (from.parse().unwrap()..=to.parse::<i8>().unwrap()).contains(&value),
        (None, None) => item == "*" || item.parse::<i8>() == Ok(value),
    })
}

/// A second implementation: minute by minute, field by field.
fn oracle(expression: &str, after: DateTime) -> Option<DateTime> {
    let fields: Vec<&str> = expression.split(' ').collect();
    let mut minute = after.with().second(0).subsec_nanosecond(0).build().unwrap();
    for _ in 0..60 * 24 * 9 {
        minute = minute.checked_add(jiff::ToSpan::minutes(1)).unwrap();
        let day = matches(fields[2], 1, minute.day());
        let weekday = matches(fields[4], 0, minute.weekday().to_sunday_zero_offset());
        let on_day = match (fields[2] == "*", fields[4] == "*") {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        if matches(fields[0], 0, minute.minute())
            && matches(fields[1], 0, minute.hour())
            && matches(fields[3], 1, minute.month())
            && on_day
        {
            return Some(minute);
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn agrees_with_a_slow_second_implementation(expression in any_cron(), start in 1_767_225_600_i64..1_830_000_000) {
        let after = Timestamp::from_micros(start * 1_000_000);
        let found = cron(&expression, "UTC").next_after(after, Bounds::default());
        let local = after.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).datetime();
        if let Some(expected) = oracle(&expression, local) {
            let expected = expected.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
            prop_assert_eq!(found, Some(Timestamp::from_jiff(expected)), "{}", expression);
        }
    }

    #[test]
    fn ticks_strictly_increase_over_changes_of_the_clock(
        expression in any_cron(), zone in 0..ZONES.len(), start in 1_767_225_600_i64..1_830_000_000,
    ) {
        let schedule = cron(&expression, ZONES[zone]);
        let ticks = schedule.upcoming(Timestamp::from_micros(start * 1_000_000), Bounds::default(), 40);
        for pair in ticks.windows(2) {
            prop_assert!(pair[0] < pair[1], "{} {}: {} {}", expression, ZONES[zone], pair[0], pair[1]);
            // The way back finds the same tick.
            prop_assert_eq!(schedule.last_before(pair[1], pair[0], Bounds::default()), Some(pair[0]));
        }
    }

    #[test]
    fn an_interval_neither_repeats_nor_leaves_out(seconds in 1_u64..1_000_000, start in 0_i64..2_000_000_000) {
        let schedule = Schedule::Times {
            rules: vec![TimeRule::Every { interval: Duration::from_secs(seconds) }],
            data_intervals: false,
        };
        let bounds = Bounds { start: Some(Timestamp::from_micros(start * 1_000_000)), end: None };
        let ticks = schedule.upcoming(Timestamp::UNIX_EPOCH, bounds, 4);
        prop_assert_eq!(ticks[0], bounds.start.unwrap());
        for pair in ticks.windows(2) {
            prop_assert_eq!(pair[1].since(pair[0]), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn looking_often_or_rarely_creates_the_same_runs(expression in any_cron(), looks in proptest::collection::vec(1_i64..40_000, 1..12)) {
        let schedule = cron(&expression, "Europe/Berlin");
        let begin = at("2026-03-20T00:00:00Z");
        let mut state = query("2026-03-20T00:00:00Z", None, Catchup::All);
        state.first_seen = begin;
        state.limit = 100_000;
        let mut ticks = Vec::new();
        for seconds in looks {
            state.now = state.now + Duration::from_secs(seconds.unsigned_abs());
            let due = schedule.due(state);
            ticks.extend(due.ticks);
            state.next_tick = due.next_tick;
        }
        let expected = schedule.upcoming(begin - Duration::from_micros(1), Bounds { start: None, end: Some(state.now) }, 100_000);
            prop_assert_eq!(ticks, expected);
    }
}
