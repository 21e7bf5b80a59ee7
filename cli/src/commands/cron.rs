//! `flowctl cron`.

use flow_model::Timestamp;
use flow_model::schedule::{Bounds, CronExpression, Schedule, TimeRule, time_zone};
use serde_json::json;

use crate::args::{CronArgs, Form};
use crate::failure::{Exit, usage};
use crate::output;
use crate::output::say;

/// Says what an expression means and when it fires. Needs no server.
///
/// # Errors
/// The expression, the zone or the time cannot be used.
pub fn run(form: Form, args: &CronArgs) -> anyhow::Result<Exit> {
    let expression = CronExpression::parse(&args.expression).map_err(|error| {
        usage(format!("`{}` is not a cron expression: {}", args.expression, error.message)).hint(error.hint)
    })?;
    let zone = time_zone(&args.timezone).map_err(usage)?;
    let after = match &args.after {
        Some(text) => text
            .parse()
            .map_err(|_| usage(format!("`--after {text}` is not a time")).hint("write it like 2026-01-31T06:00:00Z"))?,
        None => now(),
    };
    let rule = TimeRule::Cron { expression: args.expression.clone(), timezone: args.timezone.clone() };
    let schedule = Schedule::Times { rules: vec![rule], data_intervals: false };
    let times: Vec<Timestamp> = schedule.upcoming(after, Bounds::default(), args.count);
    let words = expression.describe();
    if form == Form::Json {
        let times: Vec<String> = times.iter().map(ToString::to_string).collect();
        output::json(&json!({
            "expression": args.expression, "timezone": args.timezone, "description": words, "times": times,
        }))?;
        return Ok(Exit::Success);
    }
    say!("{words}, {}", args.timezone);
    for time in times {
        let local = time.to_jiff().to_zoned(zone.clone());
        say!("{}  {}", local.strftime("%a %Y-%m-%d %H:%M:%S %Z"), time);
    }
    Ok(Exit::Success)
}

/// The one place where a command asks the host's clock: there is no database to ask.
#[expect(clippy::disallowed_methods, reason = "a command without a store has no other clock")]
fn now() -> Timestamp {
    Timestamp::from_jiff(jiff::Timestamp::now())
}
