//! The only place where local times become instants.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::cron::CronExpression;
use crate::Timestamp;

/// How far the search for the next fixed-hour tick reaches around a change of the clock. No zone has ever moved its
/// clock by more than this for daylight saving.
const CLOCK_CHANGE_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(3);

/// Ticks of an expression whose hour field is `*` are at most this far apart within one stretch of matching days.
const SAME_STRETCH_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// An IANA zone by name.
///
/// # Errors
/// The zone does not exist; the text says so and names a near one if there is one.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let wanted = name.to_ascii_lowercase();
    let near = jiff::tz::db()
        .available()
        .map(|known| known.to_string())
        .map(|known| {
            let lower = known.to_ascii_lowercase();
            let has_same_city = lower.rsplit('/').next() == wanted.rsplit('/').next();
            let likeness = if has_same_city || (wanted.len() > 3 && lower.contains(&wanted)) {
                1.0
            } else {
                strsim::jaro_winkler(&lower, &wanted)
            };
            (likeness, known)
        })
        .filter(|(likeness, _)| *likeness > 0.92)
        .max_by(|(left, first), (right, second)| left.total_cmp(right).then(second.cmp(first)))
        .map(|(_, known)| known);
    Err(match near {
        Some(near) => format!("there is no time zone `{name}`; did you mean `{near}`?"),
        None => format!("there is no time zone `{name}`; use an IANA name such as `Europe/Stockholm` or `UTC`"),
    })
}

/// The first tick of a cron expression strictly after an instant.
///
/// Daylight saving as in Airflow: a fixed-hour time that a gap swallows runs later by the length of the gap, one that
/// exists twice runs at its second pass; an expression whose hour field is `*` follows elapsed time.
pub(super) fn next_tick(cron: &CronExpression, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let local = zone.to_datetime(after.to_jiff());
    if cron.covers_every_hour() {
        let next = cron.next_civil(local)?;
        let elapsed = local.duration_until(next);
        // Further ahead is another day: there the wall clock counts, or a change of the clock on the way would shift it.
        return if elapsed <= SAME_STRETCH_MAX {
            after.to_jiff().checked_add(elapsed).ok().map(Timestamp::from_jiff)
        } else {
            zone.to_ambiguous_timestamp(next).compatible().ok().map(Timestamp::from_jiff).filter(|tick| *tick > after)
        };
    }
    // Around a change of the clock local times and instants are not in the same order: look at all that could be next.
    let mut civil = local.checked_sub(CLOCK_CHANGE_MAX).ok()?;
    let mut best: Option<Timestamp> = None;
    loop {
        civil = cron.next_civil(civil)?;
        if let Some(best) = best
            && later_pass(zone, civil.checked_sub(CLOCK_CHANGE_MAX).ok()?)? > best
        {
            return Some(best);
        }
        let tick = later_pass(zone, civil)?;
        if tick > after && best.is_none_or(|best| tick < best) {
            best = Some(tick);
        }
    }
}

fn later_pass(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).later().ok().map(Timestamp::from_jiff)
}
