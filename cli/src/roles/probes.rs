//! Probes and metrics of the roles that serve no pages.

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::web::{bind, web_state};

/// Serves `/livez`, `/readyz` and `/metrics` beside a role, if an address is configured for them.
///
/// # Errors
/// The address is not usable.
pub async fn start(engine: &Engine, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let address = &engine.settings.probes.bind;
    if address.is_empty() {
        return Ok(());
    }
    let listener = bind(address, "probes.bind").await.context("cannot serve probes and metrics")?;
    let (state, shutdown) = (web_state(engine), shutdown.clone());
    tokio::spawn(async move {
        if let Err(error) = flow_web::serve_probes(listener, state, shutdown).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "probes and metrics are not served any more");
        }
    });
    Ok(())
}
