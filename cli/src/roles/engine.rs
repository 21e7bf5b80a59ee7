//! What every role is built on.

use std::time::{Duration, Instant};

use flow_model::Incarnation;
use flow_queue::{Queue, RedisOptions};
use flow_secrets::Secrets;
use flow_store::{OpenOptions, Store, StoreError};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::secrets;
use crate::config::{Pooling, Settings};
use crate::failure::{Exit, Failure, usage};

/// How often a database that is away is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A store, a queue, and who we are.
pub struct Engine {
    pub settings: Settings,
    pub store: Store,
    pub queue: Queue,
    pub secrets: Secrets,
    pub metrics: PrometheusHandle,
    pub host: String,
    /// Where people see the pages, as far as this process knows.
    pub pages_url: Option<String>,
    pub incarnation: Incarnation,
}

impl Engine {
    /// Connects. With `migrates`, the schema is brought up to date; without, an old one is refused.
    ///
    /// # Errors
    /// The database cannot be reached in time, its schema does not fit, or the queue's URL is not usable.
    pub async fn start(settings: Settings, role: &str, migrates: bool) -> anyhow::Result<Engine> {
        let metrics = PrometheusBuilder::new().install_recorder()?;
        let store =
            wait_for(&settings, || open(&settings, role)).await.map_err(|error| unreachable(&error, &settings))?;
        if store.is_pooled() {
            tracing::info!(
                "a pooler is between Flow and PostgreSQL: nothing is kept in a session between transactions"
            );
        }
        if migrates {
            wait_for(&settings, || store.migrate()).await?;
        } else {
            wait_for(&settings, || store.require_current_schema()).await.map_err(unfit)?;
        }
        let queue = Engine::open_queue(&settings)?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let secrets = secrets::open(&settings, store.clone())?;
        let pages_url = settings.web.public_url.trim_end_matches('/');
        let pages_url = (!pages_url.is_empty()).then(|| pages_url.to_owned());
        let incarnation = Incarnation(rand::random());
        Ok(Engine { settings, store, queue, secrets, metrics, host, pages_url, incarnation })
    }

    /// The configured queue.
    ///
    /// # Errors
    /// Its URL is not understood.
    pub fn open_queue(settings: &Settings) -> anyhow::Result<Queue> {
        let queue = &settings.queue;
        if queue.url == "in-process" {
            return Ok(Queue::in_process());
        }
        if !queue.url.starts_with("redis://") && !queue.url.starts_with("redis+unix:") {
            return Err(usage(format!("`queue.url = \"{}\"` is not understood", queue.url))
                .hint("it is `in-process` or `redis://host:6379`")
                .into());
        }
        Ok(Queue::redis(&queue.url, RedisOptions { prefix: queue.prefix.clone() })?)
    }

    /// Refuses an in-process queue for roles that are processes of their own.
    ///
    /// # Errors
    /// The queue is in this process.
    pub fn require_external_queue(&self, role: &str) -> anyhow::Result<()> {
        if self.queue.is_external() {
            return Ok(());
        }
        Err(usage(format!(
            "a `{role}` on its own needs a queue that other processes can reach, and `queue.url` is `in-process`"
        ))
        .hint("set FLOW__QUEUE__URL=redis://host:6379, or run everything in one process: `flowctl standalone`")
        .into())
    }
}

/// Opens the store for a command, without waiting for a database that is away.
///
/// # Errors
/// It cannot be reached.
pub async fn open_store(settings: &Settings, role: &str) -> anyhow::Result<Store> {
    open(settings, role).await.map_err(|error| unreachable(&error, settings))
}

async fn open(settings: &Settings, role: &str) -> Result<Store, StoreError> {
    let options = OpenOptions {
        connections_max: settings.database.connections_max,
        application_name: format!("flowctl {role}"),
        pooling: match settings.database.pooling {
            Pooling::Detect => flow_store::Pooling::Detect,
            Pooling::Session => flow_store::Pooling::Session,
            Pooling::Transaction => flow_store::Pooling::Transaction,
        },
        ..OpenOptions::default()
    };
    Store::open(&settings.database_url(), options).await
}

/// Tries until the database answers, for as long as a role waits for it at start.
async fn wait_for<T, F: Future<Output = Result<T, StoreError>>>(
    settings: &Settings,
    ask: impl Fn() -> F,
) -> Result<T, StoreError> {
    let started = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_transient() && started.elapsed() < settings.database.startup_timeout => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the database is not there yet; trying again");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            answer => return answer,
        }
    }
}

fn unreachable(error: &StoreError, settings: &Settings) -> anyhow::Error {
    let (exit, hint) = match (error, error.advice()) {
        (StoreError::BadUrl { .. }, _) => (Exit::Usage, "set `database.url` in flow.toml, or FLOW__DATABASE__URL"),
        (_, Some(advice)) => (Exit::Unreachable, advice),
        _ => (Exit::Unreachable, "is the database up, and is `database.url` right? `flowctl config show` prints it"),
    };
    let url = settings.database_url();
    let shown = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://...@{place}"),
        _ => url.clone(),
    };
    Failure::new(exit, format!("cannot open the database `{shown}`: {error}")).hint(hint).into()
}

/// Refuses a schema that does not fit this binary.
pub async fn require_schema(store: &Store) -> anyhow::Result<()> {
    store.require_current_schema().await.map_err(unfit)
}

fn unfit(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Schema { .. } => Failure::new(Exit::Failed, error.to_string()).into(),
        error => error.into(),
    }
}
