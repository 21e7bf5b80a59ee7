//! Attempts of sensors: they defer, so that waiting costs no slot.

use std::time::Duration;

use flow_model::deferral::{OnTimeout, Trigger};
use flow_model::operator::sensor::{ExternalTaskSensor, RedisStreamSensor, SqlSensor, Waiting, WeekDay};
use flow_model::schedule::time_zone;
use flow_model::{Deferral, Timestamp};
use flow_sql::{Bound, SqlClient};
use flow_store::WorkOrder;
use jiff::civil;
use serde_json::json;

use super::{Ended, Ending, StopSignal, Workshop, script, secrecy, sql};
use crate::log::AttemptLog;
use crate::operators::{Look, ProcessWork, SensorWork, Statements};

/// Timers are not looked at; their deferrals say so with a pause that never matters.
const NO_POLL: Duration = Duration::from_secs(60);

/// `sleep` in the triggerer.
pub(super) fn sleep(order: &WorkOrder, duration: Duration) -> Ended {
    let trigger = Trigger::Time { at: order.try_started_at + duration };
    Ended::new(Ending::Deferred(Box::new(Deferral::new(trigger, NO_POLL))))
}

pub(super) async fn run(
    workshop: &Workshop,
    order: &WorkOrder,
    work: SensorWork,
    log: &AttemptLog,
    stop: StopSignal,
) -> Ended {
    let SensorWork { look, waiting } = work;
    let now = workshop.store.now();
    let trigger = match look {
        Look::Process(process) => return poke(workshop, order, process, waiting, log, stop).await,
        Look::TimeOfDay { time, timezone } => time_of_day(order.try_started_at, &time, &timezone),
        Look::Instant(text) => instant(&text),
        Look::Delta(delta) => Ok(Trigger::Time { at: after_interval(order) + delta }),
        Look::Day { days, timezone } => day(order.try_started_at, &days, &timezone),
        Look::Entries(sensor) => entries(order, sensor),
        Look::External(sensor) => external(order, sensor),
        Look::Trigger(trigger) => Ok(trigger),
        Look::Row(sensor, query) => match row(workshop, *sensor, &query, log).await {
            Ok(trigger) => Ok(trigger),
            Err(ending) => return Ended::new(ending),
        },
    };
    match trigger {
        Err(why) => Ended::new(Ending::FailedForGood(why)),
        Ok(trigger) => {
            if trigger.fires_at().is_some_and(|at| at <= now) {
                log.system(now, "what it waits for is in the past");
                return Ended::new(Ending::Success);
            }
            log.system(now, &format!("waits {}", trigger.summary()));
            Ended::new(Ending::Deferred(Box::new(deferral(order, trigger, waiting))))
        }
    }
}

fn deferral(order: &WorkOrder, trigger: Trigger, waiting: Waiting) -> Deferral {
    Deferral {
        poll: waiting.poll,
        deadline_at: Some(order.try_started_at + waiting.timeout),
        on_timeout: if waiting.soft_fail { OnTimeout::Skip } else { OnTimeout::Fail },
        soft_fail: waiting.soft_fail,
        ..Deferral::new(trigger, waiting.poll.interval)
    }
}

/// The triggerer gets a query whose values are bound already.
async fn row(workshop: &Workshop, sensor: SqlSensor, query: &Statements, log: &AttemptLog) -> Result<Trigger, Ending> {
    let SqlSensor { connection, parameters, fail_on_empty, query_timeout: timeout, .. } = sensor;
    let over = secrecy::connected(workshop, &connection, log).await?;
    let bound = SqlClient::dialect(&over).and_then(|dialect| query.bind(dialect, &parameters));
    let Bound { text: query, parameters } = bound.map_err(|error| sql::ending(&error))?;
    Ok(Trigger::Sql { connection, query, parameters, fail_on_empty, timeout })
}

/// One look by a process of its own. Not yet: the slot is given back until the next one.
async fn poke(
    workshop: &Workshop,
    order: &WorkOrder,
    work: ProcessWork,
    waiting: Waiting,
    log: &AttemptLog,
    stop: StopSignal,
) -> Ended {
    let ended = script::run(workshop, order, work, log, stop).await;
    let looks = 1 + looks_before(order);
    let Ending::Failed(why) = &ended.kind else { return ended };
    let now = workshop.store.now();
    // A timeout, or a program that does not exist, is no answer to the question; and what has said yes is not asked again, although it
    // has left what cannot be kept.
    if ended.exit_code.is_none_or(|code| code == 0) {
        return if waiting.soft_fail { Ended::new(Ending::Skipped(why.clone())) } else { ended };
    }
    let at = now + waiting.poll.pause_after(looks);
    let end = order.try_started_at + waiting.timeout;
    if at >= end {
        let why = format!("timed out: it was not there after {looks} looks ({why})");
        let kind = if waiting.soft_fail { Ending::Skipped(why) } else { Ending::FailedForGood(why) };
        return Ended::new(kind);
    }
    log.system(now, &format!("not yet ({why}); looks again at {at}"));
    let times = if looks == 1 { "one look".to_owned() } else { format!("{looks} looks") };
    let reason = format!("{times}, until {end} at most; the last found: {why}");
    Ended::new(Ending::Rescheduled { at, resume: Some(json!({ "looks": looks })), reason: Some(reason) })
}

fn looks_before(order: &WorkOrder) -> u32 {
    let looks = order.resume.as_ref().and_then(|resume| resume["looks"].as_u64()).unwrap_or(0);
    u32::try_from(looks).unwrap_or(u32::MAX - 1)
}

fn time_of_day(start: Timestamp, time: &str, timezone: &str) -> Result<Trigger, String> {
    let wanted: civil::Time =
        time.trim().parse().map_err(|_| format!("`{time}` is not a time of day\nhint: for instance 06:30"))?;
    let zone = time_zone(timezone)?;
    let today = start.to_jiff().to_zoned(zone.clone()).date();
    let at = today.to_datetime(wanted).to_zoned(zone).map_err(|error| format!("`{time}` is no instant: {error}"))?;
    Ok(Trigger::Time { at: Timestamp::from_jiff(at.timestamp()) })
}

fn instant(text: &str) -> Result<Trigger, String> {
    Ok(Trigger::Time { at: read_instant(text)? })
}

/// Without an offset it is UTC, as Airflow's are.
fn read_instant(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    let at = match parsed {
        Ok(at) => at,
        Err(_) => text
            .parse::<civil::DateTime>()
            .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC))
            .map(|at| at.timestamp())
            .map_err(|_| format!("`{text}` is not an instant\nhint: for instance 2026-01-31T06:00:00+01:00"))?,
    };
    Ok(Timestamp::from_jiff(at))
}

/// What is added while the run goes counts, also for a later try of the sensor.
fn entries(order: &WorkOrder, sensor: RedisStreamSensor) -> Result<Trigger, String> {
    let after = match &sensor.after {
        Some(after) => entry_before(after.trim())?,
        None => last_id_before(order.run_started_at.unwrap_or(order.run_after)),
    };
    Ok(Trigger::RedisStream { connection: sensor.connection, stream: sensor.stream, after, count: sensor.count })
}

/// The id of the last entry that does not count: as it was written, or the last one that could be before an instant.
fn entry_before(after: &str) -> Result<String, String> {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let is_id = after.split_once('-').map_or_else(|| is_number(after), |(ms, seq)| is_number(ms) && is_number(seq));
    if is_id {
        return Ok(after.to_owned());
    }
    read_instant(after).map(last_id_before).map_err(|_| {
        format!("`after` is `{after}`, neither an entry's id nor an instant\nhint: for instance 0, 1706680800000-0 or {{{{ data_interval_start }}}}")
    })
}

/// Ids are milliseconds and a number: <https://redis.io/docs/latest/develop/data-types/streams/#entry-ids>.
fn last_id_before(at: Timestamp) -> String {
    match at.as_micros().div_euclid(1_000) {
        ..=0 => "0".to_owned(),
        ms => format!("{}-{}", ms - 1, u64::MAX),
    }
}

fn after_interval(order: &WorkOrder) -> Timestamp {
    order.data_interval.map_or(order.run_after, |(_, end)| end)
}

fn day(start: Timestamp, days: &[WeekDay], timezone: &str) -> Result<Trigger, String> {
    let zone = time_zone(timezone)?;
    let today = start.to_jiff().to_zoned(zone.clone()).date();
    let wanted = |date: &civil::Date| days.contains(&week_day(date.weekday()));
    if wanted(&today) {
        return Ok(Trigger::Time { at: start });
    }
    let next = today.series(jiff::Span::new().days(1)).take(8).find(wanted).ok_or("`week_day` names no day")?;
    let at = next.to_zoned(zone).map_err(|error| format!("`{next}` does not begin: {error}"))?;
    Ok(Trigger::Time { at: Timestamp::from_jiff(at.timestamp()) })
}

const fn week_day(day: civil::Weekday) -> WeekDay {
    match day {
        civil::Weekday::Monday => WeekDay::Monday,
        civil::Weekday::Tuesday => WeekDay::Tuesday,
        civil::Weekday::Wednesday => WeekDay::Wednesday,
        civil::Weekday::Thursday => WeekDay::Thursday,
        civil::Weekday::Friday => WeekDay::Friday,
        civil::Weekday::Saturday => WeekDay::Saturday,
        civil::Weekday::Sunday => WeekDay::Sunday,
    }
}

fn external(order: &WorkOrder, sensor: ExternalTaskSensor) -> Result<Trigger, String> {
    let logical_date = match &sensor.external_logical_date {
        Some(at) => read_instant(at)?,
        None => {
            let own = order.logical_date.ok_or("its run has no logical date, so there is no run of the other DAG that belongs to it\nhint: trigger it with a logical date, or say `external_logical_date`")?;
            own - sensor.execution_delta.unwrap_or_default()
        }
    };
    let mut task_ids = sensor.external_task_ids;
    task_ids.extend(sensor.external_task_id);
    Ok(Trigger::ExternalTask {
        dag_id: sensor.external_dag_id,
        task_ids,
        task_group_id: sensor.external_task_group_id,
        logical_date,
        allowed_states: sensor.allowed_states,
        failed_states: sensor.failed_states,
        skipped_states: sensor.skipped_states,
        check_existence: sensor.check_existence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn fires(trigger: Result<Trigger, String>) -> String {
        trigger.unwrap().fires_at().unwrap().to_string()
    }

    #[test]
    fn times_of_day_are_those_of_the_zone() {
        let start = at("2026-03-05T23:30:00Z");
        assert_eq!(fires(time_of_day(start, "06:30", "UTC")), "2026-03-05T06:30:00+00:00");
        // It is the 6th already in Stockholm.
        assert_eq!(fires(time_of_day(start, "06:30:15", "Europe/Stockholm")), "2026-03-06T05:30:15+00:00");
        assert!(time_of_day(start, "25:00", "UTC").unwrap_err().contains("hint: "));
        assert!(time_of_day(start, "06:30", "Mars/Base").is_err());
    }

    #[test]
    fn instants_without_an_offset_are_utc() {
        assert_eq!(fires(instant("2026-03-05T06:00:00+01:00")), "2026-03-05T05:00:00+00:00");
        assert_eq!(fires(instant(" 2026-03-05T06:00:00 ")), "2026-03-05T06:00:00+00:00");
        assert_eq!(fires(instant("2026-03-05")), "2026-03-05T00:00:00+00:00");
        assert!(instant("tomorrow").is_err());
    }

    #[test]
    fn a_day_begins_at_midnight_of_its_zone() {
        // A Thursday.
        let start = at("2026-03-05T10:00:00Z");
        assert_eq!(fires(day(start, &[WeekDay::Thursday], "UTC")), "2026-03-05T10:00:00+00:00");
        assert_eq!(fires(day(start, &[WeekDay::Monday, WeekDay::Saturday], "UTC")), "2026-03-07T00:00:00+00:00");
        assert_eq!(fires(day(start, &[WeekDay::Wednesday], "Europe/Stockholm")), "2026-03-10T23:00:00+00:00");
    }
}
