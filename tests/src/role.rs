//! A role as a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::processes::send_signal;
use crate::program::Program;

/// A running role; it is killed when this is dropped, and the end of its log printed if a test has failed.
#[derive(Debug)]
pub struct Role {
    child: Child,
    log: PathBuf,
}

impl Role {
    /// Starts `flowctl` with these arguments; its output is appended to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Program, args: &[&str], log: &Path) -> Result<Role> {
        let file = File::options().create(true).append(true).open(log).context("cannot open a log file")?;
        let child = program
            .command(args)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start `flowctl {}`", args.join(" ")))?;
        Ok(Role { child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// It did not end in time, or not with exit code 0.
    pub async fn stop(&mut self, within: Duration) -> Result<()> {
        self.signal(Signal::TERM);
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                anyhow::ensure!(status.success(), "ended with {status}\n{}", self.log_end());
                return Ok(());
            }
            anyhow::ensure!(begin.elapsed() < within, "did not stop within {within:?}\n{}", self.log_end());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let from = bytes.len().saturating_sub(8_000);
        format!("--- end of {}\n{}", self.log.display(), String::from_utf8_lossy(&bytes[from..]))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_end());
        }
        // A stopped process is killed, too; its tasks follow it.
        self.kill();
    }
}
