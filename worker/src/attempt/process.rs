//! Runs a process under the warden: reads what it writes, and waits for its end or brings it about.

use std::time::Duration;

use flow_model::limits::LOG_LINE_BYTES_MAX;
use flow_model::log::Stream;
use flow_store::{Store, WorkOrder};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::folder::AttemptFolder;
use super::launch::start;
use super::{Ended, Ending, Stop, StopSignal, Workshop, stopped, timed_out, timeout_reason};
use crate::artifacts;
use crate::log::{AttemptLog, LineSplitter};
use crate::operators::ProcessWork;
use crate::warden::{Child, Exit};

/// How long output is still read after the process and all its descendants have gone.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes in what a process writes, while it writes it.
pub(super) trait Listener: Sync {
    /// Bytes of standard output, however they are cut.
    fn bytes(&self, bytes: &[u8]);

    /// A line; `cut` bytes of it have been left out.
    fn line(&self, stream: Stream, text: &str, cut: u64);

    /// Bytes that a line of standard output may have before it is cut.
    fn stdout_line_bytes_max(&self) -> usize {
        LOG_LINE_BYTES_MAX
    }

    /// Comes to an end, with the reason, when the process has said something for which it must be stopped.
    fn refused(&self) -> impl Future<Output = String> + Send {
        std::future::pending()
    }
}

/// How a process came to its end.
pub(super) enum End {
    Exited { code: Option<i32>, signal: Option<i32> },
    Stopped(Stop),
    TimedOut(String),
    Refused(String),
    WardenGone,
}

/// The folder of an attempt.
pub(super) fn folder(workshop: &Workshop, order: &WorkOrder) -> Result<AttemptFolder, Ending> {
    create_folder(workshop, &marker(order))
}

/// Another one, for what the attempt runs before.
pub(super) fn folder_beside(workshop: &Workshop, order: &WorkOrder, what: &str) -> Result<AttemptFolder, Ending> {
    create_folder(workshop, &format!("{}-{what}", marker(order)))
}

fn create_folder(workshop: &Workshop, name: &str) -> Result<AttemptFolder, Ending> {
    AttemptFolder::create(&workshop.folder, name).map_err(|error| {
        let folder = workshop.folder.display();
        Ending::Lost(format!("cannot create a folder for the attempt in `{folder}`: {error}"))
    })
}

/// What the attempt's processes carry in their environment.
fn marker(order: &WorkOrder) -> String {
    format!("{:x}-{:x}", order.task_instance.0, order.claim.0)
}

/// Starts the process and follows it to its end.
///
/// # Errors
/// It could not be started.
pub(super) async fn execute(
    workshop: &Workshop,
    order: &WorkOrder,
    work: ProcessWork,
    folder: &AttemptFolder,
    log: &AttemptLog,
    stop: StopSignal,
    listener: &impl Listener,
) -> Result<End, Ended> {
    let marker = marker(order);
    let timeout = work.timeout;
    let (child, stdout, stderr) = start(workshop, order, work, folder, &marker).await.map_err(Ended::from)?;
    flow_model::crash_point!("worker.process_started");
    let (done, is_done) = tokio::sync::watch::channel(false);
    let supervising = async {
        let end = supervise(workshop, timeout, child, &marker, log, stop, listener.refused()).await;
        let _ = done.send(true);
        end
    };
    let stdout_lines = LineSplitter::with_limit(listener.stdout_line_bytes_max());
    let (end, (), ()) = tokio::join!(
        supervising,
        read(stdout, stdout_lines, is_done.clone(), |bytes, splitter| {
            listener.bytes(bytes);
            let line = |text: &str, cut| listener.line(Stream::Stdout, text, cut);
            if bytes.is_empty() { splitter.finish(line) } else { splitter.push(bytes, line) }
        }),
        read(stderr, LineSplitter::default(), is_done, |bytes, splitter| {
            let line = |text: &str, cut| listener.line(Stream::Stderr, text, cut);
            if bytes.is_empty() { splitter.finish(line) } else { splitter.push(bytes, line) }
        }),
    );
    Ok(end)
}

/// Keeps the files that the try leaves for people, once it has ended by itself.
pub(super) async fn keep_artifacts(
    workshop: &Workshop,
    order: &WorkOrder,
    folder: &AttemptFolder,
    log: &AttemptLog,
    stop: &mut StopSignal,
    ended: Ended,
) -> Ended {
    if matches!(ended.kind, Ending::Stopped(_) | Ending::Lost(_) | Ending::Rescheduled { .. }) {
        return ended;
    }
    match artifacts::keep(
        &workshop.store,
        workshop.artifact_limits,
        order,
        (&folder.artifacts(), folder.owner()),
        log,
        stop,
    )
    .await
    {
        Ok(()) => ended,
        Err(stop) => Ended::new(Ending::Stopped(stop)),
    }
}

/// Waits for the end of the process, or brings it about.
async fn supervise(
    workshop: &Workshop,
    timeout: Option<Duration>,
    mut child: Child,
    marker: &str,
    log: &AttemptLog,
    mut stop: StopSignal,
    refused: impl Future<Output = String>,
) -> End {
    let end = tokio::select! {
        exit = child.wait() => return exited(exit, &child, marker, log, &workshop.store).await,
        stop = stopped(&mut stop) => End::Stopped(stop),
        () = timed_out(timeout) => End::TimedOut(timeout_reason(timeout)),
        why = refused => End::Refused(why),
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
    mut splitter: LineSplitter,
    mut is_done: tokio::sync::watch::Receiver<bool>,
    mut each: impl FnMut(&[u8], &mut LineSplitter),
) {
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
