//! `flowctl scheduler`: decides what runs next, and publishes DAG files.

use std::process::ExitCode;

use flow_scheduler::{DagPublisher, PublisherOptions, Scheduler, SchedulerOptions};
use tokio_util::sync::CancellationToken;

use super::{Engine, prepare, probes, shutdown_signal};
use crate::config::Settings;
use crate::slot::Slot;

/// Runs a scheduler until a signal.
///
/// # Errors
/// It cannot start.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    prepare(&settings)?;
    let shutdown = shutdown_signal()?;
    let engine = Engine::start(settings, "scheduler", false).await?;
    engine.require_external_queue("scheduler")?;
    let slot = Slot::take(&engine.settings.state.folder, "scheduler", &engine.host)?;
    probes::start(&engine, &shutdown).await?;
    let publishing = tokio::spawn(publisher(&engine).run(shutdown.clone()));
    serve(&engine, slot.name.clone(), shutdown).await?;
    publishing.await?;
    Ok(ExitCode::SUCCESS)
}

/// The scheduler itself.
pub(super) async fn serve(engine: &Engine, slot: String, shutdown: CancellationToken) -> anyhow::Result<()> {
    let lease = &engine.settings.lease;
    let options = SchedulerOptions {
        poll_interval: engine.settings.scheduler.poll_interval,
        lease: lease.duration,
        lease_grace: lease.grace,
        heartbeat: lease.heartbeat,
        slot,
        host: engine.host.clone(),
        incarnation: engine.incarnation,
    };
    Ok(Scheduler::new(engine.store.clone(), engine.queue.clone(), options).run(shutdown).await?)
}

/// The publisher of the DAG folder.
pub(super) fn publisher(engine: &Engine) -> DagPublisher {
    let dags = &engine.settings.dags;
    let options = PublisherOptions {
        folder: dags.folder.clone(),
        rescan_interval: dags.rescan_interval,
        paused_upon_creation: dags.paused_upon_creation,
    };
    DagPublisher::new(engine.store.clone(), engine.queue.clone(), options)
}
