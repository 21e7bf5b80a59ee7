//! A private PostgreSQL server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::guard::{Guarded, find_program, new_folder, wait_until};

/// A PostgreSQL server on a free loopback port, with fsync on and a data folder of its own.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    server: Mutex<Option<Guarded>>,
    databases: AtomicU32,
}

impl Postgres {
    /// Initialises a data folder and starts the server. As root, it runs as the user `postgres` or `nobody`, because
    /// PostgreSQL refuses to run as root.
    ///
    /// # Errors
    /// PostgreSQL is not installed (the message says how to install it) or does not come up.
    pub fn start() -> Result<Self> {
        let programs = find_programs()?;
        let folder = new_folder("postgres")?;
        let port = crate::free_port()?;
        let data = folder.join("data");
        std::fs::create_dir(&data)?;
        own(&folder)?;
        let initdb = programs.join("initdb").display().to_string();
        let data_text = data.display().to_string();
        let line = as_user(&[
            &initdb,
            "-D",
            &data_text,
            "-U",
            "flow",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]);
        run(Command::new(&line[0]).args(&line[1..]).current_dir(&folder))?;
        let postgres = Postgres { folder, programs, port, server: Mutex::new(None), databases: AtomicU32::new(0) };
        postgres.start_again()?;
        Ok(postgres)
    }

    /// A connection URL (TCP, loopback).
    pub fn url(&self, database: &str) -> String {
        format!("postgres://flow@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an empty database and returns its URL.
    ///
    /// # Errors
    /// The server is not running.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("flow_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.sql(&format!("create database {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs SQL in the database `postgres` and returns the output of `psql`.
    ///
    /// # Errors
    /// The server is not running, or refuses the statement.
    pub fn sql(&self, sql: &str) -> Result<String> {
        psql(&self.programs, &self.url("postgres"), sql)
    }

    /// Everything in a database as SQL, as its backup has it.
    ///
    /// # Errors
    /// The server is not running, or there is no such database.
    pub fn dump(&self, url: &str) -> Result<String> {
        let output = Command::new(self.programs.join("pg_dump")).arg(url).output().context("failed to run pg_dump")?;
        anyhow::ensure!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops it as a crash would: no checkpoint, connections cut.
    ///
    /// # Errors
    /// It was not running.
    pub fn stop_immediate(&self) -> Result<()> {
        let server = self.server.lock().expect("no panic while locked").take().context("PostgreSQL is not running")?;
        server.stop("quit")
    }

    /// Starts it after it was stopped, on the same port and data.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_again(&self) -> Result<()> {
        let log = self.folder.join("log");
        let data = self.folder.join("data").display().to_string();
        let program = self.programs.join("postgres").display().to_string();
        let port = self.port.to_string();
        let sockets = format!("unix_socket_directories={}", self.folder.display());
        let line = as_user(&[
            &program,
            "-D",
            &data,
            "-p",
            &port,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            &sockets,
            "-c",
            "fsync=on",
            "-c",
            "shared_buffers=128MB",
            "-c",
            "max_connections=200",
            "-c",
            "max_wal_size=2GB",
            "-c",
            "log_min_messages=warning",
        ]);
        *self.server.lock().expect("no panic while locked") = Some(Guarded::start(&line, &self.folder, &log)?);
        wait_until("PostgreSQL", &log, || psql(&self.programs, &self.url("postgres"), "select 1").is_ok())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.stop_immediate();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn psql(programs: &Path, url: &str, sql: &str) -> Result<String> {
    let output = Command::new(programs.join("psql"))
        .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", sql, url])
        .output()
        .context("failed to run psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder with `initdb` and `postgres`: Debian keeps them out of `PATH`, one folder per version.
fn find_programs() -> Result<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    let initdb = find_program("initdb", &folders, "postgresql")?;
    Ok(std::fs::canonicalize(initdb)?.parent().context("initdb is in no folder")?.to_path_buf())
}

fn user_instead_of_root() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(if users.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" })
}

/// Gives a folder to the user that servers run as.
pub(crate) fn own(folder: &Path) -> Result<()> {
    match user_instead_of_root() {
        Some(user) => run(Command::new("chown").arg("-R").arg(user).arg(folder)),
        None => Ok(()),
    }
}

/// A command line that runs as that user.
pub(crate) fn as_user(line: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    if let Some(user) = user_instead_of_root() {
        words.extend(["setpriv", "--reuid", user, "--clear-groups"].map(str::to_owned));
    }
    words.extend(line.iter().map(|word| (*word).to_owned()));
    words
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("failed to run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
