//! Attempts that run a process.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use flow_model::dag::Overlap;
use flow_model::log::Stream;
use flow_store::{Store, WorkOrder};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::folder::AttemptFolder;
use super::{Ended, Ending, Stop, StopSignal, Workshop, stopped, timed_out, timeout_reason};
use crate::artifacts;
use crate::environment::find_program;
use crate::log::{AttemptLog, LineSplitter};
use crate::operators::{ProcessWork, Program, ScriptFile};
use crate::output::{OutputCapture, read_xcom_file};
use crate::warden::{Child, Exit, Launch, LaunchError};

/// How long output is still read after the process and all its descendants have gone.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a process could not be started.
enum StartError {
    /// The task's own doing: the program or folder does not exist ...
    Task(String),
    /// The machine's or the store's.
    Infrastructure(String),
}

pub(super) async fn run(
    workshop: &Workshop,
    order: &WorkOrder,
    work: ProcessWork,
    log: &AttemptLog,
    stop: StopSignal,
) -> Ended {
    let marker = format!("{:x}-{:x}", order.task_instance.0, order.claim.0);
    let folder = match AttemptFolder::create(&workshop.folder, &marker) {
        Ok(folder) => folder,
        Err(error) => {
            let folder = workshop.folder.display();
            return Ended::new(Ending::Lost(format!("cannot create a folder for the attempt in `{folder}`: {error}")));
        }
    };
    let skip_on_exit_code = work.skip_on_exit_code.clone();
    let capture = Mutex::new(OutputCapture::new(order.task().output));
    let started = start(workshop, order, work, &folder, &marker).await;
    let (child, stdout, stderr) = match started {
        Ok(started) => started,
        Err(StartError::Task(why)) => return Ended::new(Ending::Failed(why)),
        Err(StartError::Infrastructure(why)) => return Ended::new(Ending::Lost(why)),
    };
    flow_model::crash_point!("worker.process_started");
    let (done, is_done) = tokio::sync::watch::channel(false);
    let now = || workshop.store.now();
    let mut stop_of_files = stop.clone();
    let supervising = async {
        let ending = supervise(workshop, order, child, &marker, log, stop).await;
        let _ = done.send(true);
        ending
    };
    let (end, (), ()) = tokio::join!(
        supervising,
        read(stdout, is_done.clone(), |bytes, splitter| {
            let mut capture = capture.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            capture.bytes(bytes);
            let mut line = |text: &str, cut| {
                capture.line(text);
                log.line(now(), Stream::Stdout, text, cut);
            };
            if bytes.is_empty() { splitter.finish(&mut line) } else { splitter.push(bytes, &mut line) }
        }),
        read(stderr, is_done, |bytes, splitter| {
            let line = |text: &str, cut| log.line(now(), Stream::Stderr, text, cut);
            if bytes.is_empty() { splitter.finish(line) } else { splitter.push(bytes, line) }
        }),
    );
    let capture = capture.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let ended = conclude(end, &skip_on_exit_code, capture, &folder);
    if matches!(ended.kind, Ending::Stopped(_) | Ending::Lost(_)) {
        return ended;
    }
    let (limits, files) = (workshop.artifact_limits, folder.artifacts());
    match artifacts::keep(&workshop.store, limits, order, &files, log, &mut stop_of_files).await {
        Ok(()) => ended,
        Err(stop) => Ended::new(Ending::Stopped(stop)),
    }
}

/// How the process came to its end.
enum End {
    Exited { code: Option<i32>, signal: Option<i32> },
    Stopped(Stop),
    TimedOut(String),
    WardenGone,
}

fn conclude(end: End, skip_on_exit_code: &[i32], capture: OutputCapture, folder: &AttemptFolder) -> Ended {
    let (code, signal) = match end {
        End::Exited { code, signal } => (code, signal),
        End::Stopped(stop) => return Ended::new(Ending::Stopped(stop)),
        End::TimedOut(reason) => return Ended::new(Ending::Failed(reason)),
        End::WardenGone => return Ended::new(Ending::Lost("the warden process died".to_owned())),
    };
    let kind = match (code, signal) {
        (Some(0), _) => Ending::Success,
        (Some(code), _) if skip_on_exit_code.contains(&code) => Ending::Skipped(format!("exit code {code}")),
        (Some(code), _) => Ending::Failed(format!("exit code {code}")),
        (None, Some(9)) => Ending::Failed("killed by signal 9 (KILL): out of memory, or killed by somebody".to_owned()),
        (None, signal) => Ending::Failed(format!("killed by signal {}", signal.unwrap_or_default())),
    };
    let mut ended = Ended { kind, exit_code: code, xcoms: Vec::new(), skips: Vec::new() };
    if matches!(ended.kind, Ending::Success) {
        match read_xcom_file(&folder.xcom_file()).and_then(|named| Ok((named, capture.finish()?))) {
            Ok((mut xcoms, output)) => {
                // A value that the task names `return_value` itself wins over its output.
                xcoms.extend(output.filter(|output| !xcoms.iter().any(|xcom| xcom.key == output.key)));
                ended.xcoms = xcoms;
            }
            Err(why) => ended.kind = Ending::Failed(why),
        }
    }
    ended
}

/// Waits for the end of the process, or brings it about.
async fn supervise(
    workshop: &Workshop,
    order: &WorkOrder,
    mut child: Child,
    marker: &str,
    log: &AttemptLog,
    mut stop: StopSignal,
) -> End {
    let timeout = order.task().execution_timeout;
    let end = tokio::select! {
        exit = child.wait() => return exited(exit, &child, marker, log, &workshop.store).await,
        stop = stopped(&mut stop) => End::Stopped(stop),
        () = timed_out(timeout) => End::TimedOut(timeout_reason(timeout)),
    };
    child.kill(workshop.kill_grace).await;
    match exited(child.wait().await, &child, marker, log, &workshop.store).await {
        End::WardenGone => End::WardenGone,
        _ => end,
    }
}

async fn exited(exit: Exit, child: &Child, marker: &str, log: &AttemptLog, store: &Store) -> End {
    match exit {
        Exit::Ended { code, signal, leftovers } => {
            if leftovers > 0 {
                log.system(store.now(), &format!("killed {leftovers} processes that the task had left running"));
            }
            End::Exited { code, signal }
        }
        Exit::WardenGone => {
            let (pid, marker) = (child.pid, marker.to_owned());
            let _ = tokio::task::spawn_blocking(move || crate::warden::kill_orphans(pid, &marker)).await;
            End::WardenGone
        }
    }
}

/// Reads a stream to its end, and hands an empty slice to `each` there.
async fn read(
    mut from: Receiver,
    mut is_done: tokio::sync::watch::Receiver<bool>,
    mut each: impl FnMut(&[u8], &mut LineSplitter),
) {
    let mut splitter = LineSplitter::default();
    let mut buffer = vec![0; 16 * 1024];
    let abandoned = async {
        let _ = is_done.wait_for(|done| *done).await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::pin!(abandoned);
    loop {
        let length = tokio::select! {
            length = from.read(&mut buffer) => length.unwrap_or(0),
            // Something outside the tree holds the stream open: it was handed to a service, for instance.
            () = &mut abandoned => 0,
        };
        if length == 0 {
            break;
        }
        each(&buffer[..length], &mut splitter);
        if length == buffer.len() && buffer.len() < 256 * 1024 {
            buffer.resize(buffer.len() * 4, 0);
        }
    }
    each(&[], &mut splitter);
}

async fn start(
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
        LaunchError::Refused { .. } => StartError::Task(error.to_string()),
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
        Program::BashCode(code) => Ok(("bash".to_owned(), vec!["-c".to_owned(), code, "bash".to_owned()])),
        Program::Script { interpreter, file: ScriptFile::Inline { name, text } } => {
            Ok((interpreter, vec![written(folder.write(&name, text.as_bytes()))?]))
        }
        Program::Script { interpreter, file: ScriptFile::Published { path } } => {
            let hash = order.graph.dag.files.get(&path).ok_or_else(|| {
                StartError::Task(format!("the script `{path}` was not published with this version of the DAG"))
            })?;
            let content = workshop
                .store
                .dag_file(hash)
                .await
                .map_err(|error| StartError::Infrastructure(format!("cannot read the script `{path}`: {error}")))?;
            Ok((interpreter, vec![written(folder.write(&path, &content))?]))
        }
    }
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
