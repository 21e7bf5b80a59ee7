//! The warden's side: a plain blocking program with two threads, one for orders and one that reaps.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{DumpableBehavior, WaitOptions, getpid, set_child_subreaper, set_dumpable_behavior, umask, wait};

use super::tree;
use super::wire::{self, Order, Report, Spawn};

/// Runs the warden on the socket that is its standard input, until the worker closes it. Standard output is only held
/// open: it carries the worker's lock file, which is so released when the last process of the worker's tree is gone.
/// Tasks make files with the mask that is given.
///
/// # Errors
/// It was not started by a worker, or the socket failed.
pub fn run(task_umask: u32) -> io::Result<()> {
    // What it passes on to tasks is nothing that other tasks may read.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    umask(Mode::from_raw_mode(task_umask));
    // Service managers send TERM to every process of a unit; the worker decides when the tasks end.
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _handlers = signals.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()].map(signal)
    });
    set_child_subreaper(Some(getpid()))?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let warden = Arc::new(Warden {
        reports: Mutex::new(socket.try_clone()?),
        tasks: Mutex::default(),
        has_children: Condvar::new(),
    });
    let reaper = Arc::clone(&warden);
    std::thread::Builder::new().name("reaper".to_owned()).spawn(move || reaper.reap())?;
    let result = warden.obey(&socket);
    warden.kill_everything();
    result
}

struct Warden {
    reports: Mutex<UnixStream>,
    tasks: Mutex<HashMap<i32, Task>>,
    has_children: Condvar,
}

/// A task that runs, by its first process.
#[derive(Clone)]
struct Task {
    id: u64,
    marker: String,
    is_fenced: bool,
}

impl Warden {
    /// Carries out orders until the worker is gone.
    fn obey(self: &Arc<Self>, socket: &UnixStream) -> io::Result<()> {
        let mut inbox = Inbox::default();
        let mut fence: Option<Instant> = None;
        loop {
            if !wait_readable(socket, fence)? {
                self.kill_fenced();
                fence = None;
                continue;
            }
            if !inbox.receive(socket)? {
                return Ok(());
            }
            while let Some(order) = inbox.next_order()? {
                match order {
                    Order::Spawn(spawn) => self.spawn(&spawn, &mut inbox.descriptors),
                    Order::Kill { id, grace_ms } => self.kill_later(id, Duration::from_millis(grace_ms)),
                    Order::Renew { for_ms } => fence = Some(Instant::now() + Duration::from_millis(for_ms)),
                }
            }
        }
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<i32, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, report: &Report) {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        // A worker that does not listen any more is gone, which the other direction of the socket will tell.
        let _ = wire::write(&*reports, report);
    }

    fn spawn(&self, spawn: &Spawn, descriptors: &mut VecDeque<OwnedFd>) {
        let mut stream = || descriptors.pop_front().map_or_else(Stdio::null, Stdio::from);
        let (stdout, stderr) = (stream(), stream());
        let stdin = if spawn.has_stdin { stream() } else { Stdio::null() };
        let mut command = Command::new(&spawn.program);
        command
            .args(&spawn.args)
            .env_clear()
            .envs(spawn.env.iter().map(|(name, value)| (name, value)))
            .env(super::MARKER_VARIABLE, &spawn.marker)
            .current_dir(&spawn.cwd)
            .process_group(0)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        if let Some((uid, gid)) = spawn.run_as {
            // As root, this also leaves root's other groups.
            command.uid(uid).gid(gid);
        }
        // Locked over the spawn, so that the reaper finds even a process that ends at once.
        let mut tasks = self.tasks();
        let report = match command.spawn() {
            Ok(child) => {
                let pid = child.id();
                let task = Task { id: spawn.id, marker: spawn.marker.clone(), is_fenced: spawn.is_fenced };
                tasks.insert(pid.cast_signed(), task);
                self.has_children.notify_one();
                Report::Started { id: spawn.id, pid }
            }
            Err(error) => Report::Refused { id: spawn.id, error: error.to_string() },
        };
        self.report(&report);
    }

    /// Waits for children for ever.
    fn reap(&self) {
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => {
                    let root = pid.as_raw_nonzero().get();
                    let mut tasks = self.tasks();
                    // An orphan that had been left to the warden is nobody's result.
                    let Some(task) = tasks.remove(&root) else { continue };
                    let leftovers = leftovers(root, &task, &tasks);
                    drop(tasks);
                    self.report(&Report::Exited {
                        id: task.id,
                        code: status.exit_status(),
                        signal: status.terminating_signal(),
                        leftovers,
                    });
                }
                Ok(None) => {}
                Err(_) => {
                    let tasks = self.tasks();
                    if tasks.is_empty() {
                        drop(self.has_children.wait_timeout(tasks, Duration::from_secs(1)));
                    }
                }
            }
        }
    }

    /// TERM now, KILL after the grace, without holding up other orders.
    fn kill_later(self: &Arc<Self>, id: u64, grace: Duration) {
        let warden = Arc::clone(self);
        let killing = std::thread::Builder::new().name("kill".to_owned()).spawn(move || {
            let found = warden.tasks().iter().find(|(_, task)| task.id == id).map(|(pid, task)| (*pid, task.clone()));
            let Some((root, task)) = found else { return };
            let tree = tree_of(root, &task);
            tree.terminate();
            let deadline = Instant::now() + grace;
            while Instant::now() < deadline {
                if !warden.tasks().contains_key(&root) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            tree.kill();
        });
        if let Err(error) = killing {
            eprintln!("warden: cannot start a thread to kill a task: {error}");
        }
    }

    fn kill_fenced(&self) {
        let fenced: Vec<(i32, Task)> =
            self.tasks().iter().filter(|(_, task)| task.is_fenced).map(|(pid, task)| (*pid, task.clone())).collect();
        for (root, task) in fenced {
            tree_of(root, &task).kill();
        }
    }

    fn kill_everything(&self) {
        let all: Vec<(i32, Task)> = self.tasks().iter().map(|(pid, task)| (*pid, task.clone())).collect();
        for (root, task) in all {
            tree_of(root, &task).kill();
        }
        // Orphans without a marker belong to nobody who lives.
        for _ in 0..100 {
            let orphans = tree::own_children();
            if orphans.is_empty() {
                return;
            }
            orphans.into_iter().for_each(tree::kill_one);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn tree_of(root: i32, task: &Task) -> tree::Tree<'_> {
    tree::Tree { root, marker: &task.marker, below: Some(std::process::id().cast_signed()) }
}

/// Kills what a task that has ended left running, and returns how many processes that were. Costs two system calls when
/// there is nothing.
fn leftovers(root: i32, task: &Task, others: &HashMap<i32, Task>) -> u32 {
    let tree = tree_of(root, task);
    let known: HashSet<i32> = others.keys().copied().collect();
    let has_orphans =
        tree::own_children().into_iter().any(|pid| !known.contains(&pid) && tree::has_marker(pid, &task.marker));
    if tree.has_group() || has_orphans { tree.kill() } else { 0 }
}

/// Waits until there is something to read; false when the deadline came first.
fn wait_readable(socket: &UnixStream, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) }
        });
        let mut waits = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut waits, timeout.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Bytes and file descriptors that have arrived.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Reads what is there; false at the end of the stream.
    fn receive(&mut self, socket: &UnixStream) -> io::Result<bool> {
        let mut chunk = [0; 64 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = match recvmsg(socket, &mut [IoSliceMut::new(&mut chunk)], &mut control, RecvFlags::CMSG_CLOEXEC)
        {
            Ok(received) => received,
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(received.bytes > 0)
    }

    fn next_order(&mut self) -> io::Result<Option<Order>> {
        let Some(length) = self.bytes.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize) else {
            return Ok(None);
        };
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        let order = serde_json::from_slice(&self.bytes[4..4 + length])?;
        self.bytes.drain(..4 + length);
        Ok(Some(order))
    }
}
