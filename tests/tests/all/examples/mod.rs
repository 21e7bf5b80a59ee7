//! Every example that is shipped or printed in the documentation, run to its end in both homes: alone on SQLite, and on
//! PostgreSQL and Redis with a process for each role.

mod documented;
mod shipped;

use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_testbed::{Redis, shared_postgres};
use flow_tests::{Api, Cluster, Done, Program, Role, Standalone, eventually, eventually_within};

/// An installation of either kind.
pub enum Home {
    Alone(Box<Standalone>),
    OnServers(Box<Servers>),
}

pub struct Servers {
    cluster: Cluster,
    api: Api,
    roles: Vec<Role>,
    // Stopped after the roles, which want it.
    _redis: Redis,
}

impl Home {
    /// `flowctl standalone`. `prepare` writes the DAGs into the folder that it is given.
    pub async fn alone(prepare: impl FnOnce(&Path), configure: impl FnOnce(Program) -> Program) -> Home {
        let mut standalone = Standalone::new().configured(configure);
        prepare(standalone.folder());
        standalone.start().await;
        Home::Alone(Box::new(standalone))
    }

    /// A process for each role.
    pub async fn on_servers(prepare: impl FnOnce(&Path), configure: impl FnOnce(Program) -> Program) -> Home {
        let redis = Redis::start().expect("Redis starts");
        let database = shared_postgres().create_database().expect("a database");
        let cluster = Cluster::new(&database, &redis.url()).expect("an installation").configured(configure);
        prepare(cluster.folder());
        let roles = ["scheduler", "web", "worker", "triggerer"];
        let roles = roles.map(|role| cluster.start(role, &[role]).expect("a role starts")).into();
        let api = cluster.api().expect("a token");
        let home = Home::OnServers(Box::new(Servers { cluster, api, roles, _redis: redis }));
        for dag in home.dags() {
            let path = format!("/api/v2/dags/{dag}");
            let what = format!("`{dag}` is published");
            eventually(&what, async || (!home.api().get(&path).await.is_null()).then_some(())).await;
        }
        home
    }

    pub fn api(&self) -> &Api {
        match self {
            Home::Alone(standalone) => standalone.api(),
            Home::OnServers(servers) => &servers.api,
        }
    }

    pub fn folder(&self) -> &Path {
        match self {
            Home::Alone(standalone) => standalone.folder(),
            Home::OnServers(servers) => servers.cluster.folder(),
        }
    }

    /// Runs a command beside it.
    pub fn flowctl(&self, args: &[&str]) -> Done {
        match self {
            Home::Alone(standalone) => standalone.flowctl(args),
            Home::OnServers(servers) => {
                let program = servers.cluster.program().clone().env("FLOW__CLIENT__URL", servers.api.url());
                program.env("FLOW__CLIENT__TOKEN", servers.api.token()).run(args)
            }
        }
    }

    /// The DAGs in its folder.
    fn dags(&self) -> Vec<String> {
        let (mut folders, mut dags) = (vec![self.folder().join("dags")], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("the folder can be read").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                }
                dags.extend(entry.file_name().to_str().and_then(|name| name.strip_suffix(".toml")).map(str::to_owned));
            }
        }
        dags.sort();
        dags
    }

    /// Waits for the end of a run.
    #[track_caller]
    pub fn ends<'a>(&'a self, dag: &'a str, run: &'a str) -> impl Future<Output = String> + 'a {
        let what = format!("run `{run}` of `{dag}` ends");
        async move {
            eventually_within(Duration::from_secs(90), &what, async || {
                let state = self.api().run_state(dag, run).await;
                (state == "success" || state == "failed").then_some(state)
            })
            .await
        }
    }

    /// What `flowctl` shows of a run and of the logs of its failed tasks, for the message of a test that fails.
    pub fn shown(&self, dag: &str, run: &str) -> String {
        let tasks = self.flowctl(&["runs", "show", dag, run]).stdout;
        let failed = tasks.lines().filter(|line| line.contains("failed")).filter_map(|line| line.split(' ').next());
        let logs = failed.map(|task| self.flowctl(&["tasks", "logs", dag, task, "--run", run]).stdout);
        format!("{tasks}\n{}", logs.collect::<String>())
    }

    /// Stops everything, and checks the history.
    pub async fn stop_and_audit(self) {
        match self {
            Home::Alone(mut standalone) => standalone.stop_and_audit().await,
            Home::OnServers(servers) => {
                let Servers { cluster, roles, .. } = *servers;
                for mut role in roles {
                    role.stop(Duration::from_secs(20)).await.unwrap_or_else(|error| panic!("{error:#}"));
                }
                let audit = cluster.program().run(&["audit", "verify"]).expect(0);
                assert!(audit.stdout.contains(" 0 violations"), "{}", audit.stdout);
            }
        }
    }
}

/// A file or folder of the repository.
pub(super) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
