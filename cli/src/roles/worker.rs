//! `flowctl worker`: runs task attempts.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use flow_worker::{ArtifactLimits, Worker, WorkerOptions};
use tokio_util::sync::CancellationToken;

use super::{Engine, probes, shutdown_signal};
use crate::config::Settings;
use crate::slot::Slot;
use crate::telemetry;

/// Runs a worker until a signal; then it drains.
///
/// # Errors
/// It cannot start.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings.log)?;
    let shutdown = shutdown_signal()?;
    let engine = Engine::start(settings, "worker", false).await?;
    engine.require_external_queue("worker")?;
    let slot = Slot::take(&engine.settings.state.folder, "worker", &engine.host)?;
    probes::start(&engine, &shutdown).await?;
    serve(&engine, &slot, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// The worker itself.
pub(super) async fn serve(engine: &Engine, slot: &Slot, shutdown: CancellationToken) -> anyhow::Result<()> {
    let settings = &engine.settings;
    let state = std::path::absolute(&settings.state.folder).context("cannot find the state folder")?;
    let folder = state.join("attempts").join(slot.number.to_string());
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create the folder `{}` for attempts", folder.display()))?;
    let program =
        std::env::current_exe().context("cannot find the program itself, which the warden is started from")?;
    let options = WorkerOptions {
        slot: slot.name.clone(),
        host: engine.host.clone(),
        incarnation: engine.incarnation,
        queues: settings.worker.queues.clone(),
        concurrency: settings.worker.concurrency,
        heartbeat: settings.lease.heartbeat,
        lease: settings.lease.duration,
        drain_timeout: settings.worker.drain_timeout,
        kill_grace: settings.worker.kill_grace,
        artifact_limits: ArtifactLimits {
            files: settings.worker.artifacts_max,
            file_bytes: settings.worker.artifact_bytes_max,
            total_bytes: settings.worker.artifacts_bytes_max,
        },
        plugins_folder: plugins_folder(&settings.worker.plugins_folder)?,
        folder,
        warden_command: vec![program.to_string_lossy().into_owned(), "warden".to_owned()],
        held: Some(OwnedFd::from(slot.file.try_clone()?)),
    };
    Ok(Worker::new(engine.store.clone(), engine.queue.clone(), engine.secrets.clone(), options).run(shutdown).await?)
}

fn plugins_folder(setting: &Path) -> anyhow::Result<Option<PathBuf>> {
    if setting.as_os_str().is_empty() {
        return Ok(None);
    }
    std::path::absolute(setting).map(Some).context("cannot find the folder `worker.plugins_folder`")
}
