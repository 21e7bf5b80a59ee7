//! The command line.

mod secrets;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use toml::Value;

use crate::config::Overrides;

pub use secrets::{ConnectionArgs, ConnectionsCommand, SecretsCommand, VariablesCommand};

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

#[derive(Debug, Args)]
pub struct StateArgs {
    /// Folder for locks and attempts [default: .flow]
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StandaloneArgs {
    /// DAG folder [default: dags]
    #[arg(long, value_name = "FOLDER")]
    pub dags: Option<PathBuf>,
    /// Address and port of the web UI [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<String>,
    /// Attempts at once [default: 32]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub struct SchedulerArgs {
    /// DAG folder [default: dags]
    #[arg(long, value_name = "FOLDER")]
    pub dags: Option<PathBuf>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Queues it serves [default: default]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub queues: Vec<String>,
    /// Attempts at once [default: 32]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub struct WebArgs {
    /// Address and port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<String>,
    /// DAG folder, to show where files are [default: dags]
    #[arg(long, value_name = "FOLDER")]
    pub dags: Option<PathBuf>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// The DAG
    pub dag: String,
    /// Configuration of the run: a JSON object, or @file
    #[arg(long, value_name = "JSON")]
    pub conf: Option<String>,
    /// One param, checked against its declaration; wins over --conf
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub params: Vec<String>,
    /// Logical date [default: now]; `none` for a run without one
    #[arg(long, value_name = "TIME")]
    pub logical_date: Option<String>,
    /// Where the data interval of the run begins [default: the last complete one before the logical date]
    #[arg(long, value_name = "TIME", requires = "data_interval_end")]
    pub data_interval_start: Option<String>,
    /// Where it ends
    #[arg(long, value_name = "TIME", requires = "data_interval_start")]
    pub data_interval_end: Option<String>,
    /// Id of the run [default: manual__<time>]
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// A note for people
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Wait for the end of the run; the exit code tells its result
    #[arg(long)]
    pub wait: bool,
    /// Wait, and print every move of its tasks
    #[arg(long)]
    pub follow: bool,
}

#[derive(Debug, Subcommand)]
pub enum DagsCommand {
    /// List DAGs
    List {
        /// Only ids that contain this text
        pattern: Option<String>,
        /// Only paused ones
        #[arg(long)]
        paused: bool,
    },
    /// Show a DAG
    Show {
        /// The DAG
        dag: String,
        /// Print its TOML source
        #[arg(long)]
        source: bool,
    },
    /// Check DAG files without a server: all errors, with line, column and hint
    Check {
        /// Files or folders [default: the DAG folder]
        paths: Vec<PathBuf>,
    },
    /// Say when a DAG runs next
    Next {
        /// The DAG
        dag: String,
        /// How many times
        #[arg(short = 'n', long, default_value_t = 5)]
        count: usize,
    },
    /// Pause a DAG: nothing new of it starts
    Pause {
        /// The DAG
        dag: String,
    },
    /// Let a paused DAG run again
    Unpause {
        /// The DAG
        dag: String,
    },
    /// Explain what can stand in a DAG file: its keys, and every operator
    Reference {
        /// `dag`, `schedule`, `task_group`, `task`, `notifier`, `sensor`, or an operator [default: list them all]
        name: Option<String>,
    },
    /// Print the JSON Schema of DAG files, for editors
    Schema,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List runs, newest first
    List {
        /// The DAG [default: all]
        dag: Option<String>,
        /// Only runs in this state
        #[arg(long)]
        state: Option<String>,
        /// Only runs that are in their state for this reason: cancelled, marked, dagrun_timeout, cleared
        #[arg(long)]
        reason: Option<String>,
        /// How many at most
        #[arg(short = 'n', long, default_value_t = 25)]
        limit: usize,
    },
    /// Show a run and its tasks
    Show {
        /// The DAG
        dag: String,
        /// The run [default: the newest]
        run: Option<String>,
    },
    /// End a run now: what runs is killed, the rest is skipped. Teardowns of what was set up still run; a second cancel ends
    /// them, too
    Cancel {
        /// The DAG
        dag: String,
        /// The run [default: the newest]
        run: Option<String>,
    },
}

/// Which run.
#[derive(Debug, Args)]
pub struct RunArg {
    /// The run [default: the newest]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// Which instance of a mapped task.
#[derive(Debug, Args)]
pub struct InstanceArg {
    /// This instance of a mapped task
    #[arg(long, value_name = "N")]
    pub map_index: Option<i64>,
}

#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List the task instances of a run
    List {
        /// The DAG
        dag: String,
        /// Only those of these tasks, or of the tasks in these groups [default: all]
        tasks: Vec<String>,
        #[command(flatten)]
        run: RunArg,
        /// Only those in this state; may be repeated
        #[arg(long)]
        state: Vec<String>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: usize,
    },
    /// Print the log of a task
    Logs {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
        /// The try [default: the newest]
        #[arg(long = "try", value_name = "N", default_value_t = 0)]
        try_number: u32,
        /// Go on until the try has ended
        #[arg(short, long)]
        follow: bool,
        /// Print the time and stream of every line
        #[arg(long)]
        timestamps: bool,
    },
    /// Run tasks again
    Clear {
        /// The DAG
        dag: String,
        /// The tasks, or groups of tasks [default: all]
        tasks: Vec<String>,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
        /// Only those that failed
        #[arg(long)]
        only_failed: bool,
        /// Also everything before them
        #[arg(long)]
        upstream: bool,
        /// Also everything after them
        #[arg(long)]
        downstream: bool,
        /// Only say what would be cleared
        #[arg(long)]
        dry_run: bool,
    },
    /// Give a task a state
    Mark {
        /// The DAG
        dag: String,
        /// The task, or a group of tasks
        task: String,
        /// success, failed or skipped
        #[arg(value_parser = ["success", "failed", "skipped"])]
        state: String,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
        /// Also everything before it
        #[arg(long)]
        upstream: bool,
        /// Also everything after it
        #[arg(long)]
        downstream: bool,
        /// Only say what would be marked
        #[arg(long)]
        dry_run: bool,
    },
    /// Say why a task is where it is
    Explain {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
    },
}

#[derive(Debug, Args)]
pub struct CronArgs {
    /// The expression: 5 fields, or a preset such as @daily
    pub expression: String,
    /// IANA time zone
    #[arg(long, default_value = "UTC")]
    pub timezone: String,
    /// Count from this instant [default: now]
    #[arg(long, value_name = "TIME")]
    pub after: Option<String>,
    /// How many times
    #[arg(short = 'n', long, default_value_t = 5)]
    pub count: usize,
}

#[derive(Debug, Subcommand)]
pub enum PoolsCommand {
    /// List pools and how full they are
    List,
    /// Create a pool, or change its slots
    Set {
        /// Its name
        name: String,
        /// Its slots; -1 is unlimited
        #[arg(allow_negative_numbers = true)]
        slots: i64,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Bring the schema up to this version
    Migrate,
    /// Show which migrations the database has
    Status,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every run's history
    Verify {
        /// Only runs created since this instant
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Make a token and print it: it cannot be seen again
    Create {
        /// Whose it is
        name: String,
        /// How long it is valid, e.g. 90d [default: for ever]
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// List tokens
    List,
    /// Revoke the tokens of a name
    Revoke {
        /// Whose they are
        name: String,
        /// Only those of this kind: api, session (a browser), local (a standalone's own), login_link [default: all]
        #[arg(long)]
        kind: Option<flow_model::TokenKind>,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every key with its value in force
    Show,
}

#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List open questions
    List {
        /// Only those of this DAG
        dag: Option<String>,
        /// Also those that are answered
        #[arg(long)]
        all: bool,
    },
    /// Answer a question
    Answer {
        /// The DAG
        dag: String,
        /// The task that asks
        task: String,
        /// What is chosen, e.g. `Approve`
        #[arg(value_name = "CHOICE")]
        options: Vec<String>,
        /// What is filled in
        #[arg(short, long = "param", value_name = "KEY=VALUE")]
        params: Vec<String>,
        /// Of this instance of a mapped task
        #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
}

#[derive(Debug, Args)]
pub struct CallbacksArgs {
    /// The DAG
    pub dag: String,
    #[command(flatten)]
    pub run: RunArg,
}

#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
    /// List the files of a run
    List {
        /// The DAG
        dag: String,
        /// Only those of this task
        task: Option<String>,
        #[command(flatten)]
        run: RunArg,
    },
    /// Download a file
    Get {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        name: String,
        /// The try that left it [default: the newest]
        #[arg(long = "try", value_name = "N")]
        try_number: Option<u32>,
        /// Of this instance of a mapped task
        #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        /// Where to; `-` is stdout [default: its name in this folder]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        run: RunArg,
    },
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` is stdin
    pub file: String,
    /// What happens to those that exist already; with `fail` nothing is set if there are any
    #[arg(long, short = 'a', value_enum, default_value_t, value_name = "ACTION")]
    pub action_on_existing_key: OnExisting,
}

/// What an import does with what exists already, as Airflow calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnExisting {
    /// It is set anew
    #[default]
    Overwrite,
    /// It stays as it is
    Skip,
    /// Nothing at all is set
    Fail,
}

#[derive(Debug, Subcommand)]
pub enum XcomsCommand {
    /// List the values of a run
    List {
        /// The DAG
        dag: String,
        /// Only those of this task
        task: Option<String>,
        #[command(flatten)]
        run: RunArg,
    },
    /// Print a value: text as it is, anything else as JSON
    Get {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        #[arg(default_value = "return_value")]
        key: String,
        /// Of this instance of a mapped task
        #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
    /// Set a value of a task that has succeeded
    Set {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        key: String,
        /// Its value: JSON, or text
        value: String,
        /// Of this instance of a mapped task
        #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
    /// Delete a value
    Delete {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        key: String,
        /// Of this instance of a mapped task
        #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
    /// Print the values of a run as JSON, for `import`
    Export {
        /// The DAG
        dag: String,
        /// Only those of this task
        task: Option<String>,
        #[command(flatten)]
        run: RunArg,
    },
    /// Set the values of a run from a file that `export` has written
    Import {
        /// The DAG
        dag: String,
        #[command(flatten)]
        import: ImportArgs,
        #[command(flatten)]
        run: RunArg,
    },
}

#[derive(Debug, Subcommand)]
pub enum XcomCommand {
    /// Leave a value for other tasks (inside a task's process)
    Push {
        /// Its name
        key: String,
        /// Its value: JSON, or text
        value: String,
    },
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
