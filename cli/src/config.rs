//! Configuration: defaults, then `flow.toml`, then `FLOW__SECTION__KEY`, then flags. Unknown keys are refused.

mod layers;

use std::path::PathBuf;
use std::time::Duration;

use flow_model::outside::is_step;
use flow_model::time::duration_text;
use flow_web::{Limits, WebOptions};
use serde::{Deserialize, Serialize};

pub use layers::{Overrides, load};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where everything is remembered.
    pub database: DatabaseSettings,
    /// How roles wake each other.
    pub queue: QueueSettings,
    /// Where DAG files are.
    pub dags: DagsSettings,
    /// The scheduler.
    pub scheduler: SchedulerSettings,
    /// Workers.
    pub worker: WorkerSettings,
    /// Triggerers.
    pub triggerer: TriggererSettings,
    /// The web role.
    pub web: WebSettings,
    /// How long a process counts as alive.
    pub lease: LeaseSettings,
    /// Probes and metrics.
    pub probes: ProbesSettings,
    /// The roles' own logs.
    pub log: LogSettings,
    /// Files that a role keeps on its machine.
    pub state: StateSettings,
    /// Where variables and connections come from, and the keys of those in the store.
    pub secrets: SecretsSettings,
    /// What client commands talk to.
    pub client: ClientSettings,
}

/// `[database]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `postgres://user:password@host/database` or `sqlite:path`; empty: the SQLite file `flow.db` in the state folder.
    pub url: String,
    /// Connections of one process at most; PostgreSQL gets half of them for reading and half for writing.
    pub connections_max: u32,
    /// What is between Flow and PostgreSQL: `transaction` for a pooler that hands out server connections for one
    /// transaction at a time (PgBouncer with `pool_mode = transaction`), `session` for nothing or any other pooler; `detect`
    /// finds PgBouncer by itself.
    pub pooling: Pooling,
    /// How long a role waits for the database at start.
    #[serde(with = "duration_text")]
    pub startup_timeout: Duration,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        DatabaseSettings {
            url: String::new(),
            connections_max: 8,
            pooling: Pooling::Detect,
            startup_timeout: Duration::from_secs(30),
        }
    }
}

/// Whether a pooler is between Flow and PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Find out.
    Detect,
    /// No, or one that keeps sessions.
    Session,
    /// One that keeps transactions only.
    Transaction,
}

/// `[queue]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// `in-process` or `redis://host:port/db`.
    pub url: String,
    /// What the names of all keys and channels in Redis begin with.
    pub prefix: String,
}

impl Default for QueueSettings {
    fn default() -> Self {
        QueueSettings { url: "in-process".to_owned(), prefix: "flow".to_owned() }
    }
}

/// `[dags]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DagsSettings {
    /// The DAG folder.
    pub folder: PathBuf,
    /// It is read again at least this often; changes are seen at once where the file system tells of them.
    #[serde(with = "duration_text")]
    pub rescan_interval: Duration,
    /// Whether new DAGs are paused where their file does not say.
    pub paused_upon_creation: bool,
}

impl Default for DagsSettings {
    fn default() -> Self {
        DagsSettings {
            folder: PathBuf::from("dags"),
            rescan_interval: Duration::from_secs(5),
            paused_upon_creation: false,
        }
    }
}

/// `[scheduler]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerSettings {
    /// It looks at least this often; it is woken when something happens.
    #[serde(with = "duration_text")]
    pub poll_interval: Duration,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        SchedulerSettings { poll_interval: Duration::from_secs(5) }
    }
}

/// `[worker]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Queues it serves.
    pub queues: Vec<String>,
    /// Attempts it runs at once.
    pub concurrency: u32,
    /// How long attempts may go on after TERM, before they are killed and given back.
    #[serde(with = "duration_text")]
    pub drain_timeout: Duration,
    /// Between TERM and KILL for a task's processes.
    #[serde(with = "duration_text")]
    pub kill_grace: Duration,
    /// Files that a try may leave in `$FLOW_ARTIFACTS`.
    pub artifacts_max: usize,
    /// Bytes of one of them.
    pub artifact_bytes_max: u64,
    /// Bytes of all of them together.
    pub artifacts_bytes_max: u64,
    /// Where plugins are looked for that are not published with their DAG; empty: nowhere.
    pub plugins_folder: PathBuf,
    /// The user that tasks' processes run as, by name or as `uid:gid`; the worker must be root. Empty: the worker's own.
    pub run_as: String,
    /// A Python environment that no task has used for so long is removed.
    #[serde(with = "duration_text")]
    pub python_environments_max_age: Duration,
    /// Bytes of all Python environments together; beyond, those that were not used for the longest time are removed.
    pub python_environments_bytes_max: u64,
    /// How long building a Python environment may take.
    #[serde(with = "duration_text")]
    pub python_build_timeout: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            queues: vec!["default".to_owned()],
            concurrency: 32,
            drain_timeout: Duration::from_secs(20),
            kill_grace: Duration::from_secs(5),
            artifacts_max: 100,
            artifact_bytes_max: 16 << 20,
            artifacts_bytes_max: 64 << 20,
            plugins_folder: PathBuf::new(),
            run_as: String::new(),
            python_environments_max_age: Duration::from_secs(30 * 86_400),
            python_environments_bytes_max: 10 << 30,
            python_build_timeout: Duration::from_secs(15 * 60),
        }
    }
}

/// `[triggerer]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggererSettings {
    /// Triggers that fire at an instant, carried at once.
    pub timers_max: usize,
    /// Triggers that have to be looked at, carried at once.
    pub pollers_max: usize,
}

impl Default for TriggererSettings {
    fn default() -> Self {
        TriggererSettings { timers_max: 200_000, pollers_max: 10_000 }
    }
}

/// `[web]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSettings {
    /// Address and port.
    pub bind: String,
    /// Scheme, host and port under which browsers see the pages, if a proxy shows them.
    pub public_url: String,
    /// Addresses and networks of proxies whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<String>,
    /// For the header of a request, and between two requests of one connection.
    #[serde(with = "duration_text")]
    pub header_timeout: Duration,
    /// For a client to take what is ready for it.
    #[serde(with = "duration_text")]
    pub send_timeout: Duration,
    /// Open connections.
    pub connections_max: usize,
    /// Requests that are answered at once for one principal.
    pub requests_per_principal_max: usize,
    /// Streams that one principal follows at once.
    pub streams_per_principal_max: usize,
}

impl Default for WebSettings {
    fn default() -> Self {
        let limits = Limits::default();
        WebSettings {
            bind: "127.0.0.1:8080".to_owned(),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            header_timeout: limits.header_timeout,
            send_timeout: limits.send_timeout,
            connections_max: limits.connections,
            requests_per_principal_max: limits.requests_per_principal,
            streams_per_principal_max: limits.streams_per_principal,
        }
    }
}

impl WebSettings {
    /// As the web role takes them.
    ///
    /// # Errors
    /// In words: a value that cannot be used, with its key.
    pub fn options(&self) -> Result<WebOptions, String> {
        let limits = Limits {
            header_timeout: self.header_timeout,
            send_timeout: self.send_timeout,
            connections: self.connections_max,
            requests_per_principal: self.requests_per_principal_max,
            streams_per_principal: self.streams_per_principal_max,
        };
        for (key, timeout) in [("header_timeout", limits.header_timeout), ("send_timeout", limits.send_timeout)] {
            if timeout.is_zero() {
                return Err(format!("`web.{key}` must be longer than zero"));
            }
        }
        if [limits.connections, limits.requests_per_principal, limits.streams_per_principal].contains(&0) {
            return Err("`web.connections_max`, `web.requests_per_principal_max` and `web.streams_per_principal_max` must be at least 1".to_owned());
        }
        let public_origin = (!self.public_url.is_empty()).then(|| self.public_url.parse()).transpose();
        let trusted_proxies = self.trusted_proxies.iter().map(|text| text.parse()).collect();
        Ok(WebOptions {
            public_origin: public_origin.map_err(|why| format!("`web.public_url`: {why}"))?,
            trusted_proxies: Result::map_err(trusted_proxies, |why: String| format!("`web.trusted_proxies`: {why}"))?,
            limits,
        })
    }
}

/// `[lease]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseSettings {
    /// How often a process says that it is alive.
    #[serde(with = "duration_text")]
    pub heartbeat: Duration,
    /// How long it counts as alive without saying so.
    #[serde(with = "duration_text")]
    pub duration: Duration,
    /// What is added before it is declared dead.
    #[serde(with = "duration_text")]
    pub grace: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        LeaseSettings {
            heartbeat: Duration::from_secs(5),
            duration: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// `[probes]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbesSettings {
    /// Address and port of `/livez`, `/readyz` and `/metrics` of every role; port 0 takes a free one; empty: none.
    pub bind: String,
}

impl Default for ProbesSettings {
    fn default() -> Self {
        ProbesSettings { bind: "127.0.0.1:0".to_owned() }
    }
}

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `auto` (readable on a terminal, JSON otherwise), `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a list of filters.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// `[state]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateSettings {
    /// Locks, attempts' folders, and how to reach a local standalone.
    pub folder: PathBuf,
}

impl Default for StateSettings {
    fn default() -> Self {
        StateSettings { folder: PathBuf::from(".flow") }
    }
}

/// `[secrets]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsSettings {
    /// The keys of what the store keeps: `<id>:<base64>`, separated by commas; the first encrypts. Empty: `keys_file`.
    pub keys: String,
    /// A file of keys, one a line. Empty: `secrets.key` in the state folder.
    pub keys_file: PathBuf,
    /// A folder with `variables/<key>` and `connections/<conn_id>`; empty: none.
    pub folder: PathBuf,
    /// Vault's address; empty: there is none.
    pub vault_url: String,
    /// Its token; empty: `vault_token_file`.
    pub vault_token: String,
    /// A file with its token, read for every request.
    pub vault_token_file: PathBuf,
    /// The mount of its key-value engine, version 2.
    pub vault_mount: String,
    /// Its namespace; empty: none.
    pub vault_namespace: String,
    /// Where variables are below the mount; empty: it has none.
    pub vault_variables_path: String,
    /// Where connections are below the mount; empty: it has none.
    pub vault_connections_path: String,
}

impl Default for SecretsSettings {
    fn default() -> Self {
        SecretsSettings {
            keys: String::new(),
            keys_file: PathBuf::new(),
            folder: PathBuf::new(),
            vault_url: String::new(),
            vault_token: String::new(),
            vault_token_file: PathBuf::new(),
            vault_mount: "secret".to_owned(),
            vault_namespace: String::new(),
            vault_variables_path: "variables".to_owned(),
            vault_connections_path: "connections".to_owned(),
        }
    }
}

/// `[client]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// The web role; empty: the local standalone.
    pub url: String,
    /// The token; empty: the local standalone's.
    pub token: String,
}

impl Settings {
    /// The database's URL.
    pub fn database_url(&self) -> String {
        if self.database.url.is_empty() {
            format!("sqlite:{}", self.state.folder.join("flow.db").display())
        } else {
            self.database.url.clone()
        }
    }

    /// Refuses settings that contradict each other.
    fn check(&self) -> Result<(), String> {
        self.web.options()?;
        let lease = &self.lease;
        if lease.duration < lease.heartbeat * 4 {
            return Err(format!(
                "`lease.duration` ({}) must be at least four times `lease.heartbeat` ({}), or one slow heartbeat kills tasks",
                duration_text::format(lease.duration),
                duration_text::format(lease.heartbeat)
            ));
        }
        let secrets = &self.secrets;
        if !secrets.vault_url.is_empty()
            && secrets.vault_token.is_empty()
            && secrets.vault_token_file.as_os_str().is_empty()
        {
            return Err("`secrets.vault_url` is set, and neither `secrets.vault_token` nor `secrets.vault_token_file`"
                .to_owned());
        }
        if lease.heartbeat.is_zero() {
            return Err("`lease.heartbeat` must be longer than zero".to_owned());
        }
        if self.worker.concurrency == 0 {
            return Err("`worker.concurrency` must be at least 1".to_owned());
        }
        if self.triggerer.timers_max == 0 || self.triggerer.pollers_max == 0 {
            return Err("`triggerer.timers_max` and `triggerer.pollers_max` must be at least 1".to_owned());
        }
        if self.worker.queues.is_empty() {
            return Err("`worker.queues` must name at least one queue".to_owned());
        }
        if let Some(name) = self.worker.queues.iter().find(|name| name.is_empty() || is_step(name)) {
            return Err(format!("`worker.queues`: `{name}` is not usable as the name of a queue"));
        }
        if self.database.connections_max < 2 {
            return Err("`database.connections_max` must be at least 2".to_owned());
        }
        Ok(())
    }
}
