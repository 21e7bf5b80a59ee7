//! The worker's side of the warden.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::tree::Tree;
use super::wire::{self, Order, Report, Spawn};
use crate::environment::TaskEnvironment;
use crate::run_as::RunAs;

/// A running warden. Cheap to clone; when the last clone is dropped, it kills what still runs and goes.
#[derive(Clone)]
pub struct Warden {
    inner: Arc<Inner>,
}

struct Inner {
    socket: UnixStream,
    /// One message at a time.
    sending: tokio::sync::Mutex<()>,
    tasks: Arc<Tasks>,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Tasks {
    /// `None` once the warden is gone.
    waiting: Mutex<Option<HashMap<u64, Waiting>>>,
}

struct Waiting {
    started: Option<oneshot::Sender<Result<u32, String>>>,
    exited: oneshot::Sender<Exit>,
}

/// A process to start.
pub struct Launch {
    /// Absolute path of the program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: String,
    /// The user that it runs as; the warden's own without one.
    pub run_as: Option<RunAs>,
    /// Marks every process of the attempt.
    pub marker: String,
    /// Whether it must be killed when the worker's lease is not renewed in time.
    pub is_fenced: bool,
    /// Its standard input; empty without one.
    pub stdin: Option<OwnedFd>,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended, and nothing of its tree is left.
    Ended {
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Processes that it had left running, and that were killed.
        leftovers: u32,
    },
    /// The warden died, and everything with it.
    WardenGone,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The system refused.
    #[error("cannot start `{program}`: {why}")]
    Refused {
        /// The program.
        program: String,
        /// What the system said.
        why: String,
    },
    /// The warden is gone.
    #[error("the warden process is gone")]
    WardenGone,
}

impl Warden {
    /// Starts a warden. `command` is the program with its arguments that calls [`super::run`]. `held` is kept open until
    /// the warden has gone (a lock file).
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(command: &[String], held: Option<OwnedFd>) -> io::Result<Warden> {
        let (ours, theirs) = StdUnixStream::pair()?;
        let (program, args) = command.split_first().ok_or_else(|| io::Error::other("no warden command"))?;
        let mut child = Command::new(program)
            .args(args)
            // It is every task's parent, whose environment they can look at.
            .env_clear()
            .envs(TaskEnvironment::inherited().variables().iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(held.map_or_else(Stdio::null, Stdio::from))
            // A terminal's Ctrl-C is meant for the worker, which drains.
            .process_group(0)
            .spawn()?;
        // Somebody has to reap it when it goes before the worker does.
        std::thread::Builder::new().name("warden-wait".to_owned()).spawn(move || child.wait())?;
        ours.set_nonblocking(true)?;
        let tasks = Arc::new(Tasks { waiting: Mutex::new(Some(HashMap::new())) });
        let reports = ours.try_clone()?;
        let listener = Arc::clone(&tasks);
        // O_NONBLOCK belongs to the open socket, not to the descriptor, so the reading side polls before it reads.
        std::thread::Builder::new().name("warden-reports".to_owned()).spawn(move || {
            let mut reports = Polled(reports);
            while let Ok(Some(report)) = wire::read::<Report>(&mut reports) {
                listener.deliver(report);
            }
            listener.close();
        })?;
        let socket = UnixStream::from_std(ours)?;
        let sending = tokio::sync::Mutex::new(());
        Ok(Warden { inner: Arc::new(Inner { socket, sending, tasks, next_id: AtomicU64::new(1) }) })
    }

    /// Whether it has died; a new one must be started then.
    pub fn is_gone(&self) -> bool {
        self.inner.tasks.lock().is_none()
    }

    /// Starts a process.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn spawn(&self, launch: Launch) -> Result<Child, LaunchError> {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let (started_tx, started) = oneshot::channel();
        let (exited_tx, exited) = oneshot::channel();
        match self.inner.tasks.lock().as_mut() {
            Some(waiting) => waiting.insert(id, Waiting { started: Some(started_tx), exited: exited_tx }),
            None => return Err(LaunchError::WardenGone),
        };
        let order = Order::Spawn(Spawn {
            id,
            program: launch.program.clone(),
            args: launch.args,
            env: launch.env,
            cwd: launch.cwd,
            run_as: launch.run_as.map(|user| (user.uid, user.gid)),
            marker: launch.marker,
            has_stdin: launch.stdin.is_some(),
            is_fenced: launch.is_fenced,
        });
        let mut descriptors = vec![launch.stdout.as_fd(), launch.stderr.as_fd()];
        descriptors.extend(launch.stdin.as_ref().map(AsFd::as_fd));
        self.send(&order, &descriptors).await.map_err(|_| LaunchError::WardenGone)?;
        match started.await {
            Ok(Ok(pid)) => Ok(Child { id, pid, exited, warden: self.clone() }),
            Ok(Err(why)) => Err(LaunchError::Refused { program: launch.program, why }),
            Err(_) => Err(LaunchError::WardenGone),
        }
    }

    /// Tells the warden that the lease was renewed: tasks that must not overlap may go on for that long.
    pub async fn renew(&self, valid_for: Duration) {
        let for_ms = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
        let _ = self.send(&Order::Renew { for_ms }, &[]).await;
    }

    async fn send(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let frame = wire::frame(order);
        let _one_at_a_time = self.inner.sending.lock().await;
        let mut sent = self.send_some(&frame, descriptors).await?;
        while sent < frame.len() {
            sent += self.send_some(&frame[sent..], &[]).await?;
        }
        Ok(())
    }

    async fn send_some(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let socket = &self.inner.socket;
        socket
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty() {
                    control.push(SendAncillaryMessage::ScmRights(descriptors));
                }
                Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
            })
            .await
    }
}

/// A started process.
pub struct Child {
    id: u64,
    /// Its process id.
    pub pid: u32,
    exited: oneshot::Receiver<Exit>,
    warden: Warden,
}

impl Child {
    /// Waits for its end. Safe to drop and call again.
    pub async fn wait(&mut self) -> Exit {
        (&mut self.exited).await.unwrap_or(Exit::WardenGone)
    }

    /// Asks for its end: TERM to its group now, KILL to the whole tree after the grace. Then [`Child::wait`] returns.
    pub async fn kill(&self, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let _ = self.warden.send(&Order::Kill { id: self.id, grace_ms }, &[]).await;
    }
}

impl Tasks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HashMap<u64, Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, report: Report) {
        let mut guard = self.lock();
        let Some(waiting) = guard.as_mut() else { return };
        match report {
            Report::Started { id, pid } => {
                if let Some(started) = waiting.get_mut(&id).and_then(|task| task.started.take()) {
                    let _ = started.send(Ok(pid));
                }
            }
            Report::Refused { id, error } => {
                if let Some(started) = waiting.remove(&id).and_then(|task| task.started) {
                    let _ = started.send(Err(error));
                }
            }
            Report::Exited { id, code, signal, leftovers } => {
                if let Some(task) = waiting.remove(&id) {
                    let _ = task.exited.send(Exit::Ended { code, signal, leftovers });
                }
            }
        }
    }

    fn close(&self) {
        *self.lock() = None;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The thread that reads reports holds the socket, too: closing this descriptor alone would tell the warden nothing.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

/// Kills what a warden that died has left of a task. Blocks.
pub fn kill_orphans(pid: u32, marker: &str) {
    Tree { root: pid.cast_signed(), marker, below: None }.kill();
}

/// Blocking reads on a socket that is non-blocking.
struct Polled(StdUnixStream);

impl io::Read for Polled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                other => return other,
            }
        }
    }
}
