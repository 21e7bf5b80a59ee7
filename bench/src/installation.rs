//! An installation of Flow with a database, a DAG folder and a state folder of its own, gone when it is dropped.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flow_testbed::{Postgres, Redis, free_port};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::api::Api;
use crate::processes::Group;

/// How long a role may take to answer after it was started.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a role may take to end after TERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How Flow is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// One process, SQLite, queue in the process.
    Embedded,
    /// A process per role, PostgreSQL, Redis.
    PostgresRedis,
}

impl Setup {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Setup::Embedded => "embedded",
            Setup::PostgresRedis => "postgres-redis",
        }
    }

    /// In the order in which they are started; the last one brings DAG files in.
    pub(crate) fn roles(self) -> &'static [&'static str] {
        match self {
            Setup::Embedded => &["standalone"],
            Setup::PostgresRedis => &["web", "worker", "triggerer", "scheduler"],
        }
    }
}

/// What is measured, and where its files go.
pub(crate) struct Place {
    pub(crate) flowctl: PathBuf,
    pub(crate) folder: TempDir,
    concurrency: Option<u32>,
    installations: AtomicU32,
}

impl Place {
    pub(crate) fn new(flowctl: PathBuf, folder: Option<&Path>, concurrency: Option<u32>) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("flow-bench-");
        let folder = match folder {
            Some(folder) => builder.tempdir_in(std::path::absolute(folder)?),
            None => builder.tempdir(),
        };
        let folder = folder.context("cannot create a folder for the installations")?;
        std::fs::create_dir(folder.path().join("logs"))?;
        Ok(Place { flowctl, folder, concurrency, installations: AtomicU32::new(0) })
    }

    /// The newest warnings and errors in the logs of the installation that was made last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let prefix = format!("{}-", self.installations.load(Ordering::SeqCst));
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("logs")) else { return Vec::new() };
        let mut lines = Vec::new();
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let is_bad = |line: &&str| ["WARN", "ERROR", "error", "panicked"].iter().any(|word| line.contains(word));
            let bad: Vec<String> = text.lines().filter(is_bad).map(str::to_owned).collect();
            lines.extend_from_slice(&bad[bad.len().saturating_sub(8)..]);
        }
        lines
    }

    /// All processes of Flow that were started here.
    pub(crate) fn engine(&self) -> Group<'_> {
        Group::Program(&self.flowctl)
    }
}

/// The servers of a set-up, shared by its installations.
pub(crate) struct Servers {
    pub(crate) setup: Setup,
    external: Option<(Postgres, Redis)>,
}

impl Servers {
    pub(crate) fn start(setup: Setup) -> Result<Self> {
        let external = match setup {
            Setup::Embedded => None,
            Setup::PostgresRedis => Some((Postgres::start()?, Redis::start()?)),
        };
        Ok(Servers { setup, external })
    }
}

/// A process of Flow.
struct Role {
    name: &'static str,
    child: Child,
}

/// One installation.
pub(crate) struct Installation<'a> {
    place: &'a Place,
    servers: &'a Servers,
    folder: TempDir,
    number: u32,
    database_url: Option<String>,
    ports: Vec<(&'static str, u16)>,
    roles: Vec<Role>,
}

impl<'a> Installation<'a> {
    /// Makes the folders and the database, with its schema; starts nothing yet.
    pub(crate) fn prepare(place: &'a Place, servers: &'a Servers) -> Result<Self> {
        let number = place.installations.fetch_add(1, Ordering::SeqCst) + 1;
        let folder = tempfile::Builder::new().prefix(&format!("{number}-")).tempdir_in(place.folder.path())?;
        std::fs::create_dir(folder.path().join("dags"))?;
        std::fs::create_dir(folder.path().join("state"))?;
        let database_url = match &servers.external {
            Some((postgres, redis)) => {
                redis.flush_all()?;
                Some(postgres.create_database()?)
            }
            None => None,
        };
        let ports = servers.setup.roles().iter().map(|&role| Ok((role, free_port()?))).collect::<Result<_>>()?;
        let installation = Installation { place, servers, folder, number, database_url, ports, roles: Vec::new() };
        installation.flowctl(&["db", "migrate"])?;
        Ok(installation)
    }

    /// Starts all roles and waits until the web role answers and all of them are known to be alive.
    pub(crate) async fn start(&mut self) -> Result<Api> {
        for &role in self.servers.setup.roles() {
            self.start_role(role)?;
        }
        let api = self.api().await?;
        let begin = Instant::now();
        loop {
            let health = api.get("/api/v2/monitor/health").await?;
            if ["scheduler", "worker"].iter().all(|role| health[*role]["status"] == "healthy") {
                break;
            }
            ensure!(begin.elapsed() < START_TIMEOUT, "not all roles came up: {health}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The pool is not what is measured.
        api.patch("/api/v2/pools/default_pool", &serde_json::json!({ "slots": -1 })).await?;
        Ok(api)
    }

    /// A client, once the web role answers.
    pub(crate) async fn api(&mut self) -> Result<Api> {
        let role = self.servers.setup.roles()[0];
        self.answers(role).await?;
        let token = match self.servers.setup {
            Setup::Embedded => self.endpoint_token().await?,
            Setup::PostgresRedis => self.flowctl(&["tokens", "create", "bench"])?.trim().to_owned(),
        };
        Api::new(&format!("http://127.0.0.1:{}", self.port(role)), &token)
    }

    /// Spawns one role.
    pub(crate) fn start_role(&mut self, role: &'static str) -> Result<()> {
        let log = self.place.folder.path().join("logs").join(format!("{}-{role}.log", self.number));
        let log = File::options().create(true).append(true).open(log)?;
        let probes = if matches!(role, "standalone" | "web") { "FLOW__WEB__BIND" } else { "FLOW__PROBES__BIND" };
        let child = self
            .command(&[role])
            .env(probes, format!("127.0.0.1:{}", self.port(role)))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start `flowctl {role}`"))?;
        self.roles.push(Role { name: role, child });
        Ok(())
    }

    /// Waits until a role answers its liveness probe. Fails at once when the role has ended.
    pub(crate) async fn answers(&mut self, role: &'static str) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/livez", self.port(role));
        let client = reqwest::Client::new();
        let begin = Instant::now();
        loop {
            if let Ok(response) = client.get(&url).send().await
                && response.status().is_success()
            {
                return Ok(());
            }
            for role in &mut self.roles {
                if let Some(status) = role.child.try_wait()? {
                    anyhow::bail!("`flowctl {}` ended with {status}", role.name);
                }
            }
            ensure!(begin.elapsed() < START_TIMEOUT, "`flowctl {role}` did not answer {url}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends all roles, the last started first: TERM, and KILL for those that do not listen.
    pub(crate) fn stop(&mut self) {
        for role in &self.roles {
            let _ = kill_process(Pid::from_child(&role.child), Signal::TERM);
        }
        for mut role in self.roles.drain(..).rev() {
            let begin = Instant::now();
            while begin.elapsed() < STOP_TIMEOUT && matches!(role.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = role.child.kill();
            let _ = role.child.wait();
        }
    }

    /// The process of a role that was started.
    pub(crate) fn pid(&self, role: &str) -> Result<u32> {
        let role = self.roles.iter().find(|started| started.name == role).context("the role was not started")?;
        Ok(role.child.id())
    }

    /// How it is set up.
    pub(crate) fn setup(&self) -> Setup {
        self.servers.setup
    }

    /// The DAG folder.
    pub(crate) fn dags(&self) -> PathBuf {
        self.folder.path().join("dags")
    }

    /// The folder that holds everything, on the same disk as the DAG folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a DAG file.
    pub(crate) fn write_dag(&self, dag_id: &str, text: &str) -> Result<()> {
        let path = self.dags().join(format!("{dag_id}.toml"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Runs SQL in its database, past Flow; returns what a select found, a row per line.
    pub(crate) fn sql(&self, sql: &str) -> Result<String> {
        let mut command = match &self.database_url {
            Some(url) => {
                let mut command = Command::new("psql");
                command.args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", url]);
                command
            }
            None => {
                let mut command = Command::new("python3");
                command.args(["-c", SQLITE_SCRIPT]).arg(self.folder.path().join("state/flow.db"));
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {command:?}"))?;
        child.stdin.take().context("no pipe to the child")?.write_all(sql.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "SQL failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command of `flowctl` to its end and returns what it printed.
    fn flowctl(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words).output().context("failed to start flowctl")?;
        ensure!(
            output.status.success(),
            "`flowctl {}` ended with {}: {}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `flowctl`, configured by its environment alone.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.place.flowctl);
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FLOW__") {
                command.env_remove(name);
            }
        }
        command.env("FLOW__DAGS__FOLDER", self.dags()).env("FLOW__STATE__FOLDER", self.folder.path().join("state"));
        if let (Some(url), Some((_, redis))) = (&self.database_url, &self.servers.external) {
            command.env("FLOW__DATABASE__URL", url).env("FLOW__QUEUE__URL", redis.url());
        }
        if let Some(concurrency) = self.place.concurrency {
            command.env("FLOW__WORKER__CONCURRENCY", concurrency.to_string());
        }
        command
    }

    fn port(&self, role: &str) -> u16 {
        self.ports.iter().find(|(name, _)| *name == role).map_or(0, |(_, port)| *port)
    }

    /// The token that a standalone leaves for commands on the same machine, a moment after it answers.
    async fn endpoint_token(&self) -> Result<String> {
        let path = self.folder.path().join("state/standalone.json");
        let begin = Instant::now();
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if let Ok(endpoint) = serde_json::from_str::<serde_json::Value>(&text)
                && let Some(token) = endpoint["token"].as_str()
            {
                return Ok(token.to_owned());
            }
            ensure!(begin.elapsed() < START_TIMEOUT, "`{}` was not written", path.display());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Installation<'_> {
    fn drop(&mut self) {
        self.stop();
        if let (Some(url), Some((postgres, _))) = (&self.database_url, &self.servers.external)
            && let Some(name) = url.rsplit('/').next()
        {
            let _ = postgres.sql(&format!("drop database if exists {name} with (force)"));
        }
    }
}

/// Runs what it reads from standard input on the database that it is given.
const SQLITE_SCRIPT: &str = r#"
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
sql = sys.stdin.read()
if sql.lstrip().lower().startswith("select"):
    for row in database.execute(sql):
        print("|".join(str(value) for value in row))
else:
    database.executescript(sql)
"#;
