//! A standalone in a folder of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::api::Api;
use crate::processes::descendants_with;
use crate::program::{Done, Program};
use crate::role::Role;
use crate::waiting::eventually;

/// One installation on SQLite. Its tasks see `PROBE=<probe>` if their DAG passes [`Standalone::probe`] on.
#[derive(Debug)]
pub struct Standalone {
    // Before the folder, so that it is gone when its folder is removed.
    role: Option<Role>,
    api: Option<Api>,
    program: Program,
    folder: tempfile::TempDir,
}

impl Standalone {
    /// A new installation, not started yet.
    ///
    /// # Panics
    /// The program has not been built, or there is no room.
    pub fn new() -> Standalone {
        let folder = tempfile::Builder::new().prefix("flow-standalone-").tempdir().expect("a folder can be made");
        std::fs::create_dir(folder.path().join("dags")).expect("a folder can be made");
        let program = Program::new(folder.path())
            .unwrap_or_else(|error| panic!("{error:#}"))
            .env("FLOW__STATE__FOLDER", "state")
            .env("FLOW__WORKER__KILL_GRACE", "500ms");
        Standalone { role: None, api: None, program, folder }
    }

    /// The same with an environment variable for it and for its commands.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Standalone {
        self.program = self.program.env(name, value);
        self
    }

    /// The same with a program that is run in another way.
    #[must_use]
    pub fn configured(mut self, change: impl FnOnce(Program) -> Program) -> Standalone {
        self.program = change(self.program);
        self
    }

    /// A new installation with these DAGs (name and text), started.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn with(dags: &[(&str, &str)]) -> Standalone {
        let mut standalone = Standalone::new();
        for (name, text) in dags {
            standalone.write_dag(name, text);
        }
        standalone.start().await;
        standalone
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An environment variable (`NAME=value`) that no other installation's tasks have.
    pub fn probe(&self) -> String {
        format!("PROBE={}", self.folder.path().display())
    }

    /// Live processes of its tasks, if their DAGs set the [`Standalone::probe`].
    pub fn probes(&self) -> Vec<u32> {
        descendants_with(&self.probe())
    }

    /// Writes a DAG file. `@FOLDER@` in it stands for the installation's folder.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write_dag(&self, name: &str, text: &str) {
        let text = text.replace("@FOLDER@", &self.folder.path().display().to_string());
        // As careful people do it: never half a file.
        let path = self.path("dags").join(format!("{name}.toml"));
        let draft = self.path("draft");
        std::fs::write(&draft, text).expect("a file can be written");
        std::fs::rename(draft, path).expect("a file can be moved");
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start(&mut self) {
        let _ = std::fs::remove_file(self.path("state/standalone.json"));
        let args = ["standalone", "--bind", "127.0.0.1:0", "--state", "state", "--dags", "dags"];
        let role = Role::start(&self.program, &args, &self.path("log")).unwrap_or_else(|error| panic!("{error:#}"));
        self.role = Some(role);
        let endpoint = eventually("the standalone writes its endpoint file", async || {
            let text = std::fs::read_to_string(self.path("state/standalone.json")).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        })
        .await;
        let text = |name: &str| endpoint[name].as_str().expect("the endpoint has it").to_owned();
        let api = Api::new(&text("url"), &text("token"));
        eventually("the standalone is ready", async || {
            let (status, _) = api.ask(reqwest::Method::GET, "/readyz", None).await.ok()?;
            (status == 200).then_some(())
        })
        .await;
        self.api = Some(api);
        for entry in std::fs::read_dir(self.path("dags")).expect("the folder can be read").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(dag) = name.strip_suffix(".toml") {
                self.wait_for_dag(dag).await;
            }
        }
    }

    /// Waits until a DAG has been published.
    ///
    /// # Panics
    /// It is not within half a minute.
    pub async fn wait_for_dag(&self, dag: &str) {
        let path = format!("/api/v2/dags/{dag}");
        eventually(&format!("dag `{dag}` is published"), async || {
            self.api().get(&path).await["dag_id"].as_str().map(|_| ())
        })
        .await;
    }

    /// Its API.
    ///
    /// # Panics
    /// It was never started.
    pub fn api(&self) -> &Api {
        self.api.as_ref().expect("the standalone was started")
    }

    /// The program, as it is run for this installation.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The role itself.
    ///
    /// # Panics
    /// It does not run.
    pub fn role(&mut self) -> &mut Role {
        self.role.as_mut().expect("the standalone runs")
    }

    /// Runs `flowctl` beside it.
    pub fn flowctl(&self, args: &[&str]) -> Done {
        self.program.run(args)
    }

    /// Triggers a DAG, and returns the run's id.
    ///
    /// # Panics
    /// It cannot be triggered.
    #[track_caller]
    pub fn trigger(&self, dag: &str) -> String {
        self.flowctl(&["trigger", dag]).expect(0).stdout.trim().to_owned()
    }

    /// Waits for the end of a run, and returns its state.
    ///
    /// # Panics
    /// It does not end.
    pub async fn finished(&self, dag: &str, run: &str) -> String {
        crate::waiting::eventually_within(
            Duration::from_secs(60),
            &format!("run `{run}` of `{dag}` ends"),
            async || {
                let state = self.api().run_state(dag, run).await;
                (state == "success" || state == "failed").then_some(state)
            },
        )
        .await
    }

    /// Waits until a task instance is in a state.
    ///
    /// # Panics
    /// It does not get there.
    pub async fn task_is(&self, dag: &str, run: &str, task: &str, state: &str) {
        eventually(&format!("task `{task}` is {state}"), async || {
            (self.api().task(dag, run, task).await["state"] == state).then_some(())
        })
        .await;
    }

    /// Kills it without a warning.
    pub fn kill(&mut self) {
        if let Some(mut role) = self.role.take() {
            role.kill();
        }
    }

    /// Stops it with TERM, and checks its history.
    ///
    /// # Panics
    /// It does not stop, or its history breaks a rule.
    pub async fn stop_and_audit(&mut self) {
        let mut role = self.role.take().expect("the standalone runs");
        role.stop(Duration::from_secs(30)).await.unwrap_or_else(|error| panic!("{error:#}"));
        let audit = self.flowctl(&["audit", "verify"]).expect(0);
        assert!(audit.stdout.contains(" 0 violations"), "{}", audit.stdout);
    }
}

impl Default for Standalone {
    fn default() -> Self {
        Standalone::new()
    }
}
