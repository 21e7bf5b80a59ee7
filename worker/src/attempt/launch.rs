//! Starts an attempt's process: its program is found or put in place, its streams are opened, the warden is asked.

use std::os::fd::OwnedFd;
use std::path::Path;

use flow_model::dag::Overlap;
use flow_store::WorkOrder;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;

use super::Workshop;
use super::executable;
use super::folder::AttemptFolder;
use crate::environment::find_program;
use crate::operators::{ProcessWork, Program, ScriptFile};
use crate::warden::{Child, Launch, LaunchError};

/// Why a process could not be started.
pub(super) enum StartError {
    /// The task's own doing: the program or folder does not exist ...
    Task(String),
    /// The machine's or the store's.
    Infrastructure(String),
}

/// Starts the process and hands out the ends of its standard output and standard error.
pub(super) async fn start(
    workshop: &Workshop,
    order: &WorkOrder,
    work: ProcessWork,
    folder: &AttemptFolder,
    marker: &str,
) -> Result<(Child, Receiver, Receiver), StartError> {
    let infrastructure =
        |what: &str, error: &dyn std::fmt::Display| StartError::Infrastructure(format!("cannot {what}: {error}"));
    let (program, mut args) = resolve(workshop, order, work.program, folder).await?;
    args.extend(work.args);
    let env = workshop.environment.of_attempt(order, &folder.xcom_file(), &folder.artifacts(), work.env);
    let cwd = match work.cwd {
        Some(cwd) if !Path::new(&cwd).is_dir() => {
            return Err(StartError::Task(format!("the working directory `{cwd}` does not exist on this worker")));
        }
        Some(cwd) => cwd,
        None => folder.path().to_string_lossy().into_owned(),
    };
    let program = find_program(&program, &cwd, &env).map_err(StartError::Task)?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| infrastructure("create a pipe", &error));
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    let stdin = work.stdin.map(|text| stdin_of(&text)).transpose().map_err(|e| infrastructure("pass stdin", &e))?;
    let receiver = |end: OwnedFd| Receiver::from_owned_fd(end).map_err(|error| infrastructure("read a pipe", &error));
    let (stdout, stderr) = (receiver(stdout)?, receiver(stderr)?);
    let launched = program.clone();
    let launch = Launch {
        program,
        args,
        env,
        cwd,
        marker: marker.to_owned(),
        is_fenced: order.task().overlap == Overlap::Forbid,
        stdin,
        stdout: stdout_end,
        stderr: stderr_end,
    };
    let warden = workshop.wardens.get().map_err(|error| infrastructure("start the warden process", &error))?;
    let child = warden.spawn(launch).await.map_err(|error| match error {
        LaunchError::Refused { .. } => StartError::Task(match executable::diagnosis(Path::new(&launched)) {
            Some(why) => format!("cannot start `{launched}`: {why}"),
            None => error.to_string(),
        }),
        LaunchError::WardenGone => StartError::Infrastructure(error.to_string()),
    })?;
    Ok((child, stdout, stderr))
}

/// The program to start and its first arguments; scripts are put in place.
async fn resolve(
    workshop: &Workshop,
    order: &WorkOrder,
    program: Program,
    folder: &AttemptFolder,
) -> Result<(String, Vec<String>), StartError> {
    let written = |written: std::io::Result<std::path::PathBuf>| {
        written
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(|error| StartError::Infrastructure(format!("cannot write the script: {error}")))
    };
    match program {
        Program::Named(program) => Ok((program, Vec::new())),
        Program::Plugin { name } => Ok((plugin(workshop, order, &name, folder).await?, Vec::new())),
        Program::BashCode(code) => Ok(("bash".to_owned(), vec!["-c".to_owned(), code, "bash".to_owned()])),
        Program::Script { interpreter, file: ScriptFile::Inline { name, text } } => {
            Ok((interpreter, vec![written(folder.write(&name, text.as_bytes()))?]))
        }
        Program::Script { interpreter, file: ScriptFile::Published { path } } => {
            let content = published(workshop, order, &path).await?.ok_or_else(|| {
                StartError::Task(format!("the script `{path}` was not published with this version of the DAG"))
            })?;
            Ok((interpreter, vec![written(folder.write(&path, &content))?]))
        }
    }
}

/// The content of a file that was published with the DAG's version.
pub(super) async fn published(
    workshop: &Workshop,
    order: &WorkOrder,
    path: &str,
) -> Result<Option<Vec<u8>>, StartError> {
    let Some(hash) = order.graph.dag.files.get(path) else { return Ok(None) };
    let content = workshop.store.dag_file(hash).await;
    content.map(Some).map_err(|error| StartError::Infrastructure(format!("cannot read the script `{path}`: {error}")))
}

/// The path of a plugin's executable: what was published with the DAG comes before what the worker has.
async fn plugin(
    workshop: &Workshop,
    order: &WorkOrder,
    name: &str,
    folder: &AttemptFolder,
) -> Result<String, StartError> {
    if name.starts_with('/') {
        return Ok(name.to_owned());
    }
    let path = format!("plugins/{name}");
    if let Some(content) = published(workshop, order, &path).await? {
        let written = folder.write_program(&path, &content);
        return written
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(|error| StartError::Infrastructure(format!("cannot write the plugin `{name}`: {error}")));
    }
    let Some(installed) = &workshop.plugins_folder else {
        return Err(StartError::Task(format!(
            "the plugin `{name}` was not published with this version of the DAG, and this worker has no plugins of its own\nhint: put the executable into `plugins/` beside the DAG file, or set `worker.plugins_folder`"
        )));
    };
    let installed = installed.join(name);
    if !installed.exists() {
        return Err(StartError::Task(format!(
            "there is no plugin `{name}`: it was not published with this version of the DAG, and `{}` does not exist on this worker\nhint: put the executable into one of the two places",
            installed.display()
        )));
    }
    Ok(installed.to_string_lossy().into_owned())
}

/// A file in memory that holds the text: unlike a pipe it needs nobody to write to it while the process reads.
fn stdin_of(text: &str) -> std::io::Result<OwnedFd> {
    use std::io::{Seek, SeekFrom, Write};
    let descriptor = rustix::fs::memfd_create("stdin", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(text.as_bytes())?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file.into())
}
