//! `flowctl worker`: runs task attempts.

use std::fs::Permissions;
use std::hash::{Hash, Hasher};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use flow_worker::{ArtifactLimits, EnvironmentOptions, RunAs, Worker, WorkerOptions};
use rustix::process::geteuid;
use tokio_util::sync::CancellationToken;

use super::{Engine, prepare, probes, shutdown_signal};
use crate::config::Settings;
use crate::failure::usage;
use crate::hardening;
use crate::slot::Slot;

/// Runs a worker until a signal; then it drains.
///
/// # Errors
/// It cannot start.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    prepare(&settings)?;
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
    let run_as = run_as(&settings.worker.run_as)?;
    let attempts = attempts_folder(settings, run_as.is_some())?;
    // Another user may not pass through the state folder, so environments stand beside the attempts then.
    let environments = match &run_as {
        Some(_) => attempts.join("python"),
        None => std::path::absolute(&settings.state.folder).context("cannot find the state folder")?.join("python"),
    };
    let folder = attempts.join(slot.number.to_string());
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::set_permissions(&folder, Permissions::from_mode(FOLDER_MODE)))
        .with_context(|| format!("cannot create the folder `{}` for attempts", folder.display()))?;
    let program =
        std::env::current_exe().context("cannot find the program itself, which the warden is started from")?;
    let options = WorkerOptions {
        slot: slot.name.clone(),
        host: engine.host.clone(),
        pages_url: engine.pages_url.clone(),
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
        environments: EnvironmentOptions {
            folder: environments,
            max_age: settings.worker.python_environments_max_age,
            bytes_max: settings.worker.python_environments_bytes_max,
            build_timeout: settings.worker.python_build_timeout,
        },
        plugins_folder: plugins_folder(&settings.worker.plugins_folder)?,
        folder,
        run_as,
        warden_command: [
            program.to_string_lossy().as_ref(),
            "warden",
            "--umask",
            &hardening::original_umask().to_string(),
        ]
        .map(str::to_owned)
        .to_vec(),
        held: Some(OwnedFd::from(slot.file.try_clone()?)),
    };
    Ok(Worker::new(engine.store.clone(), engine.queue.clone(), engine.secrets.clone(), options).run(shutdown).await?)
}

/// Others may pass through to a folder whose name they know, but see none.
const FOLDER_MODE: u32 = 0o711;

/// The user that tasks run as, as configured.
fn run_as(setting: &str) -> anyhow::Result<Option<RunAs>> {
    if setting.is_empty() {
        return Ok(None);
    }
    if !geteuid().is_root() {
        return Err(usage(format!("`worker.run_as = \"{setting}\"` needs a worker that runs as root"))
            .hint("start it as root, or leave the setting out: tasks run as the worker's own user then")
            .into());
    }
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    Ok(Some(RunAs::find(setting, &passwd).map_err(|why| usage(format!("`worker.run_as`: {why}")))?))
}

/// Where attempts get their folders: in the state folder, or, for another user who may not pass through that, in a folder for
/// this state folder among the temporary files.
fn attempts_folder(settings: &Settings, is_for_others: bool) -> anyhow::Result<PathBuf> {
    let state = std::path::absolute(&settings.state.folder).context("cannot find the state folder")?;
    if !is_for_others {
        return Ok(state.join("attempts"));
    }
    let mut hasher = std::hash::DefaultHasher::new();
    state.hash(&mut hasher);
    let folder = std::env::temp_dir().join(format!("flow-attempts-{:016x}", hasher.finish()));
    let failed = || format!("cannot use the folder `{}` for attempts", folder.display());
    match std::fs::DirBuilder::new().mode(FOLDER_MODE).create(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.with_context(failed)?,
    }
    let metadata = folder.symlink_metadata().with_context(failed)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        anyhow::bail!("{}: somebody else has made it", failed());
    }
    std::fs::set_permissions(&folder, Permissions::from_mode(FOLDER_MODE)).with_context(failed)?;
    Ok(folder)
}

fn plugins_folder(setting: &Path) -> anyhow::Result<Option<PathBuf>> {
    if setting.as_os_str().is_empty() {
        return Ok(None);
    }
    std::path::absolute(setting).map(Some).context("cannot find the folder `worker.plugins_folder`")
}
