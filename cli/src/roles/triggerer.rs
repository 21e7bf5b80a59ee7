//! `flowctl triggerer`: carries what waits.

use std::process::ExitCode;

use flow_store::TriggerRoom;
use flow_triggerer::{StartWatch, Triggerer, TriggererOptions};
use tokio_util::sync::CancellationToken;

use super::{Engine, prepare, probes, shutdown_signal};
use crate::config::Settings;
use crate::slot::Slot;

/// Runs a triggerer until a signal.
///
/// # Errors
/// It cannot start.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    prepare(&settings)?;
    let shutdown = shutdown_signal()?;
    let engine = Engine::start(settings, "triggerer", false).await?;
    engine.require_external_queue("triggerer")?;
    let slot = Slot::take(&engine.settings.state.folder, "triggerer", &engine.host)?;
    probes::start(&engine, &shutdown).await?;
    serve(&engine, slot.name.clone(), shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// The triggerer itself.
pub(super) async fn serve(engine: &Engine, slot: String, shutdown: CancellationToken) -> anyhow::Result<()> {
    let options = TriggererOptions {
        slot,
        host: engine.host.clone(),
        incarnation: engine.incarnation,
        heartbeat: engine.settings.lease.heartbeat,
        lease: engine.settings.lease.duration,
        capacity: TriggerRoom {
            timers: engine.settings.triggerer.timers_max,
            pollers: engine.settings.triggerer.pollers_max,
        },
    };
    let stop = shutdown.child_token();
    let starts =
        StartWatch::new(engine.store.clone(), engine.queue.clone(), engine.secrets.clone(), options.slot.clone());
    let watching = tokio::spawn(starts.run(stop.clone()));
    let triggerer = Triggerer::new(engine.store.clone(), engine.queue.clone(), engine.secrets.clone(), options);
    let result = triggerer.run(shutdown).await;
    stop.cancel();
    watching.await?;
    Ok(result?)
}
