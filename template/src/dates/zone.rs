//! Time zones, and what clocks in them show.

use std::fmt;
use std::sync::Arc;

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Error, Value};

use crate::arguments::invalid;

/// A time zone, such as `logical_date.timezone`.
#[derive(Debug)]
pub(crate) struct ZoneValue(pub TimeZone);

impl ZoneValue {
    pub fn repr(&self) -> String {
        match self.0.iana_name() {
            Some(name) => format!("Timezone('{name}')"),
            None => match self.0.to_fixed_offset() {
                Ok(offset) if offset.seconds() != 0 => format!("FixedTimezone({}, name=\"{self}\")", offset.seconds()),
                _ => "Timezone('UTC')".to_owned(),
            },
        }
    }
}

impl fmt::Display for ZoneValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(&self.0))
    }
}

impl Object for ZoneValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str()? == "name").then(|| Value::from(name(&self.0)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(&self.0))
    }
}

/// `Europe/Stockholm`, or `+01:00` of a zone without a name.
pub(super) fn name(zone: &TimeZone) -> String {
    match (zone.iana_name(), zone.to_fixed_offset()) {
        (Some(name), _) => name.to_owned(),
        (None, Ok(offset)) if offset.seconds() != 0 => offset_text(offset, ":"),
        _ => "UTC".to_owned(),
    }
}

/// `+01:00`.
pub(super) fn offset_text(offset: Offset, separator: &str) -> String {
    let seconds = offset.seconds();
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let rest = match seconds % 60 {
        0 => String::new(),
        rest => format!("{separator}{rest:02}"),
    };
    format!("{sign}{:02}{separator}{:02}{rest}", seconds / 3600, seconds / 60 % 60)
}

/// A zone by its name, as a zone of another date, or as hours from UTC.
///
/// # Errors
/// There is no such zone.
pub(super) fn of(value: &Value) -> Result<TimeZone, Error> {
    if let Some(zone) = value.downcast_object_ref::<ZoneValue>() {
        return Ok(zone.0.clone());
    }
    if let Some(name) = value.as_str() {
        return named(name);
    }
    match (value.kind(), i32::try_from(value.clone())) {
        (ValueKind::Number, Ok(hours)) => {
            Offset::from_seconds(hours.saturating_mul(3600)).map(TimeZone::fixed).map_err(invalid)
        }
        _ => Err(invalid("a time zone is a name, such as \"Europe/Stockholm\"")),
    }
}

/// A zone by its name, or by its offset (`+01:00`).
///
/// # Errors
/// There is no such zone.
pub(super) fn named(name: &str) -> Result<TimeZone, Error> {
    if name.starts_with(['+', '-']) {
        // As Python writes offsets in dates.
        return format!("2026-01-01T00:00:00{name}[{name}]")
            .parse::<Zoned>()
            .map(|at| at.time_zone().clone())
            .map_err(invalid);
    }
    flow_model::schedule::time_zone(name).map_err(invalid)
}

/// The instant at which a clock shows something. What it skips moves with it; what it shows twice is the second pass if
/// `is_later` says so.
///
/// # Errors
/// It is out of range.
pub(super) fn resolve(civil: DateTime, zone: &TimeZone, is_later: bool) -> Result<Zoned, Error> {
    let ambiguous = zone.clone().into_ambiguous_zoned(civil);
    if is_later { ambiguous.later() } else { ambiguous.earlier() }.map_err(invalid)
}
