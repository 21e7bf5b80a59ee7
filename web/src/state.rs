//! What every handler can reach.

use std::path::PathBuf;
use std::sync::Arc;

use flow_queue::{Bell, Queue};
use flow_secrets::Secrets;
use flow_store::Store;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::health::Readiness;
use crate::options::WebOptions;
use crate::shares::Shares;

/// What the web role works with.
#[derive(Clone)]
pub struct WebState {
    /// The store.
    pub store: Store,
    /// The queue, for its bells.
    pub queue: Queue,
    /// Variables and connections, and the keys to encrypt them with.
    pub secrets: Secrets,
    /// Renders the metrics of this process.
    pub metrics: PrometheusHandle,
    /// The version shown to people and programs.
    pub version: &'static str,
    /// The DAG folder, where this process knows it; shown to people.
    pub dags_folder: Option<PathBuf>,
    /// What the installation decides about requests.
    pub options: WebOptions,
}

/// The state of the router. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    web: Arc<WebState>,
    /// Ends streams.
    pub(crate) shutdown: CancellationToken,
    /// Requests under way.
    pub(crate) requests: Shares,
    /// Streams under way.
    pub(crate) streams: Shares,
    /// What the last probe found.
    pub(crate) readiness: Readiness,
}

impl App {
    pub(crate) fn new(web: WebState, shutdown: CancellationToken) -> App {
        App {
            web: Arc::new(web),
            shutdown,
            requests: Shares::default(),
            streams: Shares::default(),
            readiness: Readiness::default(),
        }
    }

    /// Rings bells after something was changed. A queue that cannot be reached only makes others look later.
    pub(crate) async fn ring(&self, bells: &[Bell]) {
        for &bell in bells {
            if let Err(error) = self.queue.ring(bell).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not ring a bell");
            }
        }
    }
}

impl std::ops::Deref for App {
    type Target = WebState;
    fn deref(&self) -> &WebState {
        &self.web
    }
}
