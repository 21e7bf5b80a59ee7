//! Logs of the roles: readable on a terminal, JSON elsewhere, always on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};
use crate::failure::usage;

/// Sets up logging for a role.
///
/// # Errors
/// The level is not understood.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{},sqlx=warn,hyper=warn,h2=warn", settings.level)).map_err(|error| {
        usage(format!("`log.level = \"{}\"` is not a log level: {error}", settings.level))
            .hint("use error, warn, info, debug or trace, or a list such as `info,flow_worker=debug`")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let is_readable = match settings.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if is_readable {
        builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
    } else {
        builder.json().flatten_event(true).init();
    }
    Ok(())
}
