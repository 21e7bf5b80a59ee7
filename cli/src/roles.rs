//! The roles: each is put together here from the store, the queue and the crate that does the work.

mod engine;
mod probes;
mod scheduler;
mod standalone;
mod triggerer;
mod web;
mod worker;

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

pub use engine::{Engine, open_store, require_schema};
pub use scheduler::run as scheduler;
pub use standalone::{Endpoint, endpoint_path, run as standalone};
pub use triggerer::run as triggerer;
pub use web::run as web;
pub use worker::run as worker;

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
        std::process::exit(i32::from(130_u8));
    });
    Ok(token)
}

/// What a role that has ended tells the shell.
fn ended() -> ExitCode {
    ExitCode::SUCCESS
}
