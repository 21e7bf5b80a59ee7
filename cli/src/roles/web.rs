//! `flowctl web`: pages and the REST API.

use std::process::ExitCode;

use flow_web::WebState;
use tokio::net::TcpListener;

use super::{Engine, prepare, probes, shutdown_signal};
use crate::config::Settings;
use crate::failure::{Exit, Failure, usage};

/// Runs the web role until a signal.
///
/// # Errors
/// It cannot start.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    prepare(&settings)?;
    let shutdown = shutdown_signal()?;
    let listener = bind(&settings.web.bind, "web.bind").await?;
    let engine = Engine::start(settings, "web", false).await?;
    engine.require_external_queue("web")?;
    probes::start(&engine, &shutdown).await?;
    tracing::info!(address = %listener.local_addr()?, "web role is up");
    flow_web::serve(listener, web_state(&engine), shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// What the web role works with.
pub(super) fn web_state(engine: &Engine) -> WebState {
    WebState {
        store: engine.store.clone(),
        queue: engine.queue.clone(),
        secrets: engine.secrets.clone(),
        metrics: engine.metrics.clone(),
        version: env!("CARGO_PKG_VERSION"),
        dags_folder: std::path::absolute(&engine.settings.dags.folder).ok(),
        options: engine.settings.web.options().expect("settings are checked when they are loaded"),
    }
}

/// Listens on an address.
pub(super) async fn bind(address: &str, key: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let message = format!("cannot listen on `{address}`: another process already does");
            Err(Failure::new(Exit::Failed, message)
                .hint(format!("stop it, or set `{key}` to another port (port 0 takes a free one)"))
                .into())
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            Err(usage(format!("`{key} = \"{address}\"` is not an address and port"))
                .hint("write it like `127.0.0.1:8080`")
                .into())
        }
        Err(error) => Err(Failure::new(Exit::Failed, format!("cannot listen on `{address}`: {error}")).into()),
    }
}
