//! Roles as processes of their own, on PostgreSQL and Redis.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::api::Api;
use crate::program::Program;
use crate::role::Role;

/// An installation on servers; which roles run is up to the test.
#[derive(Debug)]
pub struct Cluster {
    program: Program,
    folder: tempfile::TempDir,
    web_address: String,
}

impl Cluster {
    /// A new installation: its schema is created, nothing runs yet. Leases are short.
    ///
    /// # Errors
    /// The program has not been built, or the servers cannot be reached.
    pub fn new(database_url: &str, queue_url: &str) -> Result<Cluster> {
        let folder = tempfile::Builder::new().prefix("flow-cluster-").tempdir()?;
        std::fs::create_dir(folder.path().join("dags"))?;
        let program = Program::new(folder.path())?
            .env("FLOW__DATABASE__URL", database_url)
            .env("FLOW__DATABASE__CONNECTIONS_MAX", "6")
            .env("FLOW__QUEUE__URL", queue_url)
            .env("FLOW__STATE__FOLDER", "state")
            .env("FLOW__DAGS__FOLDER", "dags")
            .env("FLOW__LEASE__HEARTBEAT", "500ms")
            .env("FLOW__LEASE__DURATION", "3s")
            .env("FLOW__LEASE__GRACE", "500ms")
            .env("FLOW__WORKER__KILL_GRACE", "500ms");
        let done = program.run(&["db", "migrate"]);
        anyhow::ensure!(done.code == 0, "cannot create the schema: {}", done.stderr);
        let web_address = format!("127.0.0.1:{}", flow_testbed::free_port()?);
        Ok(Cluster { program, folder, web_address })
    }

    /// Changes how the program is run from now on.
    #[must_use]
    pub fn configured(mut self, change: impl FnOnce(Program) -> Program) -> Cluster {
        self.program = change(self.program);
        self
    }

    /// The program, as it is run for this installation.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Host and port of its web role.
    pub fn web_address(&self) -> &str {
        &self.web_address
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder, for a look at what is in it.
    pub fn keep_folder(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Writes a DAG file. `@FOLDER@` in it stands for the installation's folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_dag(&self, name: &str, text: &str) -> Result<()> {
        let text = text.replace("@FOLDER@", &self.folder.path().display().to_string());
        let draft = self.path(&format!("draft-{name}"));
        std::fs::write(&draft, text)?;
        std::fs::rename(draft, self.path("dags").join(format!("{name}.toml"))).context("cannot move a file")
    }

    /// Starts a role; its log is `<name>.log` in the folder.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, name: &str, args: &[&str]) -> Result<Role> {
        self.start_with(name, args, &[])
    }

    /// As [`Cluster::start`], with further environment variables.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_with(&self, name: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Role> {
        let mut program = self.program.clone().env("FLOW__WEB__BIND", self.web_address.clone());
        for (name, value) in env {
            program = program.env(name, *value);
        }
        Role::start(&program, args, &self.path(&format!("{name}.log")))
    }

    /// The API of the web role, which must be started with [`Cluster::start`], with a new token.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn api(&self) -> Result<Api> {
        let done = self.program.run(&["tokens", "create", "tests"]);
        anyhow::ensure!(done.code == 0, "cannot create a token: {}", done.stderr);
        Ok(Api::new(&format!("http://{}", self.web_address), done.stdout.trim()))
    }
}
