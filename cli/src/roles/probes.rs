//! Probes and metrics, apart from the pages that everybody reaches.

use std::net::SocketAddr;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::web::{bind, web_state};

/// Serves `/livez`, `/readyz` and `/metrics` beside a role, unless no address is configured for them. Returns where.
///
/// # Errors
/// The address is not usable.
pub async fn start(engine: &Engine, shutdown: &CancellationToken) -> anyhow::Result<Option<SocketAddr>> {
    let address = &engine.settings.probes.bind;
    if address.is_empty() {
        return Ok(None);
    }
    let listener = bind(address, "probes.bind").await.context("cannot serve probes and metrics")?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "probes and metrics are served");
    let (state, shutdown) = (web_state(engine), shutdown.clone());
    tokio::spawn(async move {
        if let Err(error) = flow_web::serve_probes(listener, state, shutdown).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "probes and metrics are not served any more");
        }
    });
    Ok(Some(address))
}
