//! The roles: each is put together here from the store, the queue and the crate that does the work.

mod engine;
mod probes;
mod scheduler;
pub mod secrets;
mod standalone;
mod triggerer;
mod web;
mod worker;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::{hardening, telemetry};

pub use engine::{Engine, open_store, require_schema};
pub use scheduler::run as scheduler;
pub use standalone::{Endpoint, endpoint_path, run as standalone};
pub use triggerer::run as triggerer;
pub use web::run as web;
pub use worker::run as worker;

/// How long a login link can be used.
pub const LOGIN_LINK_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What shells report for a program that Ctrl-C ended.
const KILLED: i32 = 130;

/// What comes before everything else: the role's log, and a state folder that is nobody else's.
fn prepare(settings: &Settings) -> anyhow::Result<()> {
    telemetry::start(&settings.log)?;
    hardening::close_state_folder(&settings.state.folder)
}

/// A token that is cancelled by TERM or Ctrl-C. The second signal ends the process at once.
fn shutdown_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping; a second signal ends the process at once");
        cancelled.cancel();
        next().await;
        std::process::exit(KILLED);
    });
    Ok(token)
}
