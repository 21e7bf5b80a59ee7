//! Logs of the roles: readable on a terminal, JSON elsewhere, always on stderr.
//!
//! They hold what Flow's own crates say, which keep secrets out of it. What the libraries below say (drivers, HTTP, mail)
//! can repeat what was sent and received, past the masking, so it is left out unless somebody asks for it by name.

mod json;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, LogSettings};
use crate::failure::usage;

/// Sets up logging for a role.
///
/// # Errors
/// The level is not understood.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives(&settings.level)).map_err(|error| {
        usage(format!("`log.level = \"{}\"` is not a log level: {error}", settings.level))
            .hint("use error, warn, info, debug or trace, or a list such as `info,flow_worker=debug`")
    })?;
    let is_readable = match settings.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if is_readable {
        lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed()
    } else {
        lines.event_format(json::JsonLines).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(flow_sql::notices()).init();
    Ok(())
}

/// The setting as directives: a level alone is about Flow's own crates. Of libraries only statements of Flow's own database
/// that are slow are shown (they hold no values); notices of databases are never.
fn directives(level: &str) -> String {
    let items = level.split(',').map(str::trim).filter(|item| !item.is_empty());
    let items = items.map(|item| if item.contains(['=', '[']) { item.to_owned() } else { format!("flow={item}") });
    let given = items.collect::<Vec<_>>().join(",");
    format!("off,sqlx::query=warn,{given},{}=off", flow_sql::NOTICE_TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_heard_only_when_they_are_named() {
        let (own, notices) = ("off,sqlx::query=warn", "sqlx::postgres::notice=off");
        assert_eq!(directives("debug"), format!("{own},flow=debug,{notices}"));
        assert_eq!(directives("info, hyper=trace"), format!("{own},flow=info,hyper=trace,{notices}"));
        assert!(EnvFilter::try_new(directives("loud")).is_err());
    }
}
