//! Starts an attempt's process: its program is found or put in place, its streams are opened, the warden is asked.

use std::os::fd::OwnedFd;
use std::path::Path;

use flow_model::dag::Overlap;
use flow_store::WorkOrder;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;

use super::executable;
use super::folder::AttemptFolder;
use super::{Ended, Ending, Workshop};
use super::{published, python};
use crate::environment::find_program;
use crate::operators::{ProcessWork, Program, PythonCode, ScriptFile};
use crate::warden::{Child, Launch, LaunchError};

/// Why a process could not be started.
pub(super) enum StartError {
    /// The task's own doing: the program or folder does not exist ...
    Task(String),
    /// The machine's or the store's.
    Infrastructure(String),
}

impl From<StartError> for Ended {
    fn from(error: StartError) -> Self {
        Ended::new(match error {
            StartError::Task(why) => Ending::Failed(why),
            StartError::Infrastructure(why) => Ending::Lost(why),
        })
    }
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
    let home = published::place(workshop, order, folder).await?;
    let Resolved { program, mut args, env: own } = resolve(workshop, order, work.program, folder, &home).await?;
    args.extend(work.args);
    let mut env = workshop.environment.of_attempt(order, &folder.xcom_file(), &folder.artifacts(), work.env);
    env.extend(own);
    let cwd = match work.cwd {
        Some(cwd) if !Path::new(&cwd).is_dir() => {
            return Err(StartError::Task(format!("the working directory `{cwd}` does not exist on this worker")));
        }
        Some(cwd) => cwd,
        None => home.to_string_lossy().into_owned(),
    };
    let program = find_program(&program, &cwd, &env).map_err(StartError::Task)?;
    if let Some(user) = &workshop.run_as {
        folder.give_to(user).map_err(|error| infrastructure("give the attempt's folder to its user", &error))?;
    }
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
        run_as: workshop.run_as.clone(),
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

/// What is started.
struct Resolved {
    program: String,
    /// The first arguments.
    args: Vec<String>,
    /// Variables besides the task's own.
    env: Vec<(String, String)>,
}

impl Resolved {
    fn new(program: impl Into<String>, args: Vec<String>) -> Self {
        Resolved { program: program.into(), args, env: Vec::new() }
    }
}

/// The program to start and its first arguments; scripts are put in place.
async fn resolve(
    workshop: &Workshop,
    order: &WorkOrder,
    program: Program,
    folder: &AttemptFolder,
    home: &Path,
) -> Result<Resolved, StartError> {
    match program {
        Program::Named(program) => Ok(Resolved::new(program, Vec::new())),
        Program::Plugin { name } => Ok(Resolved::new(plugin(workshop, order, &name, folder).await?, Vec::new())),
        Program::BashCode(code) => Ok(Resolved::new("bash", vec!["-c".to_owned(), code, "bash".to_owned()])),
        Program::Script { interpreter, file } => {
            let (path, _) = script(workshop, order, file, folder).await?;
            Ok(Resolved::new(interpreter, vec![path]))
        }
        Program::Python(python) => {
            let written = python::write(folder).map_err(|error| {
                StartError::Infrastructure(format!("cannot write what starts Python code: {error}"))
            })?;
            let (kind, path, shown) = match python.code {
                PythonCode::Call(target) => ("call", target, String::new()),
                PythonCode::Script(file) => {
                    let kind = if matches!(file, ScriptFile::Inline { .. }) { "code" } else { "script" };
                    let (path, shown) = script(workshop, order, file, folder).await?;
                    (kind, path, shown)
                }
            };
            let text = |path: &Path| path.to_string_lossy().into_owned();
            let args = vec![text(&written), kind.to_owned(), text(folder.path()), text(home), shown, path];
            let env = vec![("FLOW_SOCKET".to_owned(), text(&folder.socket()))];
            Ok(Resolved { program: python.interpreter, args, env })
        }
    }
}

/// Puts a script in place. Returns its path, and how people know it.
async fn script(
    workshop: &Workshop,
    order: &WorkOrder,
    file: ScriptFile,
    folder: &AttemptFolder,
) -> Result<(String, String), StartError> {
    let (written, shown) = match file {
        // Beside the task's own things it would be a module that others could import by mistake.
        ScriptFile::Inline { name, text } => (folder.write(&format!(".code/{name}"), text.as_bytes()), name),
        ScriptFile::Rendered { path, text } => {
            (folder.write(&published::place_of(order, &path), text.as_bytes()), path)
        }
        ScriptFile::Published { path } => {
            let content = published::published(workshop, order, &path).await?.ok_or_else(|| {
                StartError::Task(format!("the script `{path}` was not published with this version of the DAG"))
            })?;
            (folder.write(&published::place_of(order, &path), &content), path)
        }
    };
    let path = written.map_err(|error| StartError::Infrastructure(format!("cannot write the script: {error}")))?;
    Ok((path.to_string_lossy().into_owned(), shown))
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
    if let Some(content) = published::published(workshop, order, &path).await? {
        let written = folder.write_program(&published::place_of(order, &path), &content);
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
