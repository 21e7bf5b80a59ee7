//! Carries what waits, so that waiting costs no worker slot. Knows nothing of processes and operators.

use std::time::Duration;

use flow_model::{Incarnation, ProcessId};
use flow_queue::{Bell, Queue};
use flow_store::{Heartbeat, NewProcess, ProcessKind, Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How a triggerer works.
#[derive(Debug, Clone)]
pub struct TriggererOptions {
    /// A name that it keeps over restarts.
    pub slot: String,
    /// The machine it runs on.
    pub host: String,
    /// Minted at this start.
    pub incarnation: Incarnation,
    /// How often it says that it is alive.
    pub heartbeat: Duration,
    /// How long it counts as alive without a heartbeat.
    pub lease: Duration,
}

/// A triggerer. No operator defers its task yet, so it registers, says that it is alive, and listens.
pub struct Triggerer {
    store: Store,
    queue: Queue,
    options: TriggererOptions,
}

impl Triggerer {
    /// A triggerer on a store and a queue.
    pub fn new(store: Store, queue: Queue, options: TriggererOptions) -> Self {
        Triggerer { store, queue, options }
    }

    /// Works until `shutdown`.
    ///
    /// # Errors
    /// It cannot register at start.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let mut process = self.register().await?;
        let mut bell = self.queue.listen(Bell::Triggerers);
        tracing::info!(process.id = process.0, "triggerer is up");
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.options.heartbeat) => {}
                () = bell.rang() => {}
                () = shutdown.cancelled() => break,
            }
            match self.beat(process).await {
                Ok(still) => process = still,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "could not renew the lease"),
            }
        }
        if let Err(error) = self.store.retire_process(self.store.now(), process).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "could not sign off");
        }
        tracing::info!("triggerer stopped");
        Ok(())
    }

    async fn beat(&self, process: ProcessId) -> Result<ProcessId, StoreError> {
        self.store.sync_clock().await?;
        match self.store.heartbeat(self.store.now(), process, self.options.lease).await? {
            Heartbeat::Alive { .. } => Ok(process),
            Heartbeat::Dead => self.register().await,
        }
    }

    async fn register(&self) -> Result<ProcessId, StoreError> {
        let TriggererOptions { slot, host, incarnation, lease, .. } = &self.options;
        let new = NewProcess::this(ProcessKind::Triggerer, slot, host, *incarnation, *lease);
        Ok(self.store.register_process(self.store.now(), &new).await?.0)
    }
}
