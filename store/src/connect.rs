//! Opening the store.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use flow_model::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgConnection, PgPool, SqlitePool};

use crate::clock::{Clock, ManualClock, Synced, boot_micros, wall_micros};
use crate::error::{Result, StoreError};
use crate::versions::VersionCache;

/// Everything the engine remembers. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    clock: Clock,
    versions: VersionCache,
}

pub(crate) enum Pools {
    Postgres {
        /// For transactions: short statements about few rows.
        write: PgPool,
        /// For everything that only reads, such as pages.
        read: PgPool,
    },
    Sqlite {
        /// One connection: SQLite has one writer, and queueing for it here is fairer than its busy handler.
        write: SqlitePool,
        read: SqlitePool,
    },
}

/// Which database is behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// PostgreSQL 15 or newer.
    Postgres,
    /// A SQLite file.
    Sqlite,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Connections at most, half of them for transactions and half for reading (PostgreSQL); or reading connections
    /// (SQLite, which has one writer).
    pub connections_max: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// A clock for tests instead of the database's.
    pub clock: Option<ManualClock>,
    /// The name that the database's session list shows.
    pub application_name: String,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            connections_max: 8,
            acquire_timeout: Duration::from_secs(10),
            clock: None,
            application_name: "flowctl".to_owned(),
        }
    }
}

impl Store {
    /// Connects to `postgres://...` or `sqlite:<path>`; a SQLite file is created where it is missing. The schema is
    /// not touched: see [`Store::migrate`].
    ///
    /// # Errors
    /// The URL is not understood, or the database cannot be reached.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Store> {
        let pools = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url, &options).await?
        } else if let Some(path) = url.strip_prefix("sqlite:") {
            open_sqlite(path.trim_start_matches("//"), &options).await?
        } else {
            return Err(StoreError::BadUrl {
                url: without_password(url),
                why: "it must start with `postgres://` or `sqlite:`".to_owned(),
            });
        };
        let clock = match options.clock {
            Some(manual) => Clock::Manual(manual),
            None => Clock::Database(Arc::new(Synced::new())),
        };
        let store = Store { inner: Arc::new(Inner { pools, clock, versions: VersionCache::default() }) };
        store.sync_clock().await?;
        Ok(store)
    }

    /// Which database it is.
    pub fn kind(&self) -> StoreKind {
        match self.pools() {
            Pools::Postgres { .. } => StoreKind::Postgres,
            Pools::Sqlite { .. } => StoreKind::Sqlite,
        }
    }

    /// The present instant by the database's clock; never goes back within one process.
    pub fn now(&self) -> Timestamp {
        match &self.inner.clock {
            Clock::Manual(manual) => manual.now(),
            Clock::Database(synced) => synced.now(),
        }
    }

    /// Measures the distance to the database's clock again if the last measurement is old. Loops call it now and then.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn sync_clock(&self) -> Result<()> {
        let Clock::Database(synced) = &self.inner.clock else { return Ok(()) };
        if !synced.is_stale() {
            return Ok(());
        }
        let before = boot_micros();
        let database = match self.pools() {
            Pools::Postgres { write, .. } => {
                sqlx::query_scalar::<_, i64>("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
                    .fetch_one(write)
                    .await
                    .map_err(|source| StoreError::Database { doing: "read the database's clock", source })?
            }
            Pools::Sqlite { .. } => wall_micros(),
        };
        synced.measured(before, database, boot_micros());
        Ok(())
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn ping(&self) -> Result<()> {
        crate::transaction::reading!(self, "reach the database", |tx| {
            sqlx::query("select 1").execute(&mut *tx).await?;
        })
    }

    /// Closes all connections; a SQLite file is checkpointed.
    pub async fn close(&self) {
        match self.pools() {
            Pools::Postgres { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pools::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
        }
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.inner.pools
    }

    pub(crate) fn versions(&self) -> &VersionCache {
        &self.inner.versions
    }
}

/// How transactions are planned. A session keeps the plans that it makes while tables are small, and in a new database
/// nobody has analysed them yet: it would go on scanning, or comparing everything with everything, when they have become
/// large. Each statement of a transaction has its index, so the ways without one are closed from the start.
const BY_INDEX_ONLY: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off"), ("enable_material", "off")];

async fn open_postgres(url: &str, options: &OpenOptions) -> Result<Pools> {
    let connect = PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::BadUrl { url: without_password(url), why: error.to_string() })?
        .application_name(&options.application_name)
        // A process that is paused inside a transaction must not hold its locks for ever (a split brain otherwise).
        .options([("idle_in_transaction_session_timeout", "10s"), ("lock_timeout", "10s"), ("jit", "off")]);
    // One connection outside the pools first: a pool only says that it has waited in vain, this one says why.
    let connecting = |source| StoreError::Database { doing: "connect to PostgreSQL", source };
    let probe = tokio::time::timeout(options.acquire_timeout, PgConnection::connect_with(&connect));
    let probe = probe.await.map_err(|_| connecting(sqlx::Error::PoolTimedOut))?.map_err(connecting)?;
    probe.close().await.map_err(connecting)?;
    let pool = || {
        PgPoolOptions::new()
            .max_connections(options.connections_max.div_ceil(2).max(2))
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
    };
    let write =
        pool().min_connections(1).connect_with(connect.clone().options(BY_INDEX_ONLY)).await.map_err(connecting)?;
    let read = pool().connect_lazy_with(connect);
    Ok(Pools::Postgres { write, read })
}

async fn open_sqlite(path: &str, options: &OpenOptions) -> Result<Pools> {
    if path.is_empty() || path == ":memory:" {
        return Err(StoreError::BadUrl {
            url: format!("sqlite:{path}"),
            why: "it must name a file, such as `sqlite:flow.db`".to_owned(),
        });
    }
    if let Some(folder) = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::Database {
            doing: "create the folder of the SQLite file",
            source: sqlx::Error::Io(error),
        })?;
    }
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: a commit that was acknowledged survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(256)
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", "4000");
    let opening = |source| StoreError::Database { doing: "open the SQLite file", source };
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(connect.clone())
        .await
        .map_err(opening)?;
    let read = SqlitePoolOptions::new()
        .max_connections(options.connections_max.clamp(1, 4))
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .idle_timeout(Duration::from_secs(60))
        .connect_lazy_with(connect);
    Ok(Pools::Sqlite { write, read })
}

/// A URL for messages: the password, if any, is left out.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let name = user.split(':').next().unwrap_or("");
    format!("{scheme}://{name}:***@{host}")
}
