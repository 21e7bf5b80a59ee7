//! The command line.

mod left;
mod roles;
mod runs;
mod secrets;
mod system;
mod tasks;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use toml::Value;

use crate::config::Overrides;

pub use left::{ApprovalsCommand, ArtifactsCommand, CallbacksArgs, ImportArgs, OnExisting, XcomCommand, XcomsCommand};
pub use roles::{SchedulerArgs, StandaloneArgs, StateArgs, WebArgs, WorkerArgs};
pub use runs::{DagsCommand, RunsCommand, TriggerArgs};
pub use secrets::{ConnectionArgs, ConnectionsCommand, SecretsCommand, VariablesCommand};
pub use system::{AuditCommand, ConfigCommand, CronArgs, DbCommand, PoolsCommand, TokensCommand};
pub use tasks::TasksCommand;

/// Flow: DAG orchestration in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "flowctl",
    version,
    max_term_width = 110,
    after_help = "Start here:\n  flowctl init                  a DAG folder with a first DAG in it\n  flowctl standalone            everything on this machine: SQLite, scheduler, worker, web UI\n  flowctl trigger <dag> --wait  run a DAG now and wait for its result\n\nExit codes: 0 success, 1 failure (or a failed run), 2 usage, 3 not found, 4 unreachable, 5 denied"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file [default: flow.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "FLOW_CONFIG", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Set one configuration key, e.g. `--set worker.concurrency=8`
    #[arg(long, global = true, value_name = "KEY=VALUE", help_heading = "Global options")]
    pub set: Vec<String>,
    /// Form of the output
    #[arg(short, long, global = true, value_enum, default_value_t = Form::Table, help_heading = "Global options")]
    pub output: Form,
    /// Web role to talk to [default: the local standalone]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub url: Option<String>,
    /// Token for it; better given as FLOW__CLIENT__TOKEN
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true, help_heading = "Global options")]
    pub token: Option<String>,
}

/// Reads a whole number, in the words of whoever types it.
///
/// # Errors
/// It is none, or not one that is possible here.
pub(crate) fn whole_number<T: TryFrom<i128>>(text: &str) -> Result<T, String> {
    let number: i128 = text.trim().parse().map_err(|_| "write a whole number, such as 4".to_owned())?;
    T::try_from(number).map_err(|_| "the number is too large or too small".to_owned())
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// For programs: fields are named as in Airflow's REST API.
    Json,
    /// For `dags check` in GitHub's workflows, which show what it finds beside the lines.
    Github,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a DAG folder with a first DAG in it
    Init,
    /// Run everything on this machine: scheduler, worker, triggerer and web UI
    Standalone(StandaloneArgs),
    /// Run a scheduler
    Scheduler(SchedulerArgs),
    /// Run a worker
    Worker(WorkerArgs),
    /// Run a triggerer
    Triggerer(StateArgs),
    /// Run the web role: pages, REST API
    Web(WebArgs),
    /// Run a DAG now
    Trigger(TriggerArgs),
    /// DAGs: list, show, check, next, pause, unpause
    #[command(subcommand)]
    Dags(DagsCommand),
    /// DAG runs: list, show, cancel
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Task instances: list, logs, clear, mark, explain
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Say what a cron expression means, and when it fires next
    Cron(CronArgs),
    /// Pools: list, set
    #[command(subcommand)]
    Pools(PoolsCommand),
    /// The database: migrate, status
    #[command(subcommand)]
    Db(DbCommand),
    /// Check the history against the rules of the protocol
    #[command(subcommand)]
    Audit(AuditCommand),
    /// API tokens: create, list, revoke
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Print a one-time link that logs a browser in
    Login,
    /// Look for what is wrong with this installation
    Doctor,
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Questions that tasks ask people: list, answer
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Files that tasks have left: list, get
    #[command(subcommand)]
    Artifacts(ArtifactsCommand),
    /// Values that tasks have left: list, get, set, delete, export, import
    #[command(subcommand)]
    Xcoms(XcomsCommand),
    /// List the callbacks of a run, and what became of them
    Callbacks(CallbacksArgs),
    /// Variables that templates read: list, get, set, delete, export, import
    #[command(subcommand)]
    Variables(VariablesCommand),
    /// Connections to other systems: list, get, set, delete, export, import
    #[command(subcommand)]
    Connections(ConnectionsCommand),
    /// The keys of variables and connections: generate-key, status, rotate
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// XComs from inside a task
    #[command(subcommand)]
    Xcom(XcomCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Hold the processes of a worker's tasks (started by the worker itself)
    #[command(hide = true)]
    Warden {
        /// The mask with which tasks make files
        #[arg(long, value_name = "NUMBER")]
        umask: u32,
    },
}

impl Command {
    /// Whether it runs until a signal, and holds the engine's secrets all the while.
    pub fn is_role(&self) -> bool {
        matches!(
            self,
            Command::Standalone(_)
                | Command::Scheduler(_)
                | Command::Worker(_)
                | Command::Triggerer(_)
                | Command::Web(_)
        )
    }

    /// Whether the files that it makes are the engine's: other commands leave files for the one who calls them.
    pub fn writes_for_the_engine(&self) -> bool {
        !matches!(self, Command::Artifacts(_) | Command::Xcom(_) | Command::Completions { .. })
    }
}

impl Global {
    /// The settings that global flags stand for.
    pub fn overrides(&self) -> anyhow::Result<Overrides> {
        let mut overrides = Overrides::new();
        for pair in &self.set {
            let (key, text) = pair
                .split_once('=')
                .ok_or_else(|| crate::failure::usage(format!("`--set {pair}` is not `key=value`")))?;
            // TOML where it is TOML, text otherwise: `--set web.bind=0.0.0.0:80` needs no quotes.
            let value = format!("value = {text}")
                .parse::<toml::Table>()
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| Value::String(text.to_owned()));
            overrides.push((key.to_owned(), value));
        }
        push(&mut overrides, "client.url", self.url.clone());
        push(&mut overrides, "client.token", self.token.clone());
        Ok(overrides)
    }
}

impl Command {
    /// The settings that a role's flags stand for.
    pub fn overrides(&self) -> Overrides {
        let mut overrides = Overrides::new();
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        match self {
            Command::Standalone(args) => {
                push(&mut overrides, "dags.folder", path(&args.dags));
                push(&mut overrides, "web.bind", args.bind.clone());
                push(&mut overrides, "worker.concurrency", args.concurrency.map(i64::from));
                push_state(&mut overrides, &args.state);
            }
            Command::Scheduler(args) => {
                push(&mut overrides, "dags.folder", path(&args.dags));
                push_state(&mut overrides, &args.state);
            }
            Command::Worker(args) => {
                push(&mut overrides, "worker.queues", Some(args.queues.clone()).filter(|queues| !queues.is_empty()));
                push(&mut overrides, "worker.concurrency", args.concurrency.map(i64::from));
                push_state(&mut overrides, &args.state);
            }
            Command::Triggerer(args) => push_state(&mut overrides, args),
            Command::Web(args) => {
                push(&mut overrides, "web.bind", args.bind.clone());
                push(&mut overrides, "dags.folder", path(&args.dags));
                push_state(&mut overrides, &args.state);
            }
            _ => {}
        }
        overrides
    }
}

fn push<V: Into<Value>>(overrides: &mut Overrides, key: &str, value: Option<V>) {
    overrides.extend(value.map(|value| (key.to_owned(), value.into())));
}

fn push_state(overrides: &mut Overrides, state: &StateArgs) {
    if let Some(folder) = &state.state {
        push(overrides, "state.folder", Some(folder.to_string_lossy().into_owned()));
    }
}
