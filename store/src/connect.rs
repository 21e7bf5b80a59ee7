//! Opening the store.

mod losses;
pub(crate) mod postgres;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use flow_model::Timestamp;
use sqlx::{PgPool, SqlitePool};

use crate::clock::{Clock, ManualClock, Synced, boot_micros, wall_micros};
use crate::error::{Result, StoreError};
use crate::transaction::{step, steps};
use crate::versions::VersionCache;

pub(crate) use losses::Losses;
pub use postgres::Pooling;

/// Everything the engine remembers. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    losses: Losses,
    clock: Clock,
    versions: VersionCache,
}

pub(crate) enum Pools {
    Postgres {
        /// For transactions: short statements about few rows.
        write: PgPool,
        /// For everything that only reads, such as pages.
        read: PgPool,
        /// How transactions begin.
        begin: postgres::Begin,
        /// Whether a pooler in between keeps no session for us.
        is_pooled: bool,
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
    /// What is between us and PostgreSQL.
    pub pooling: Pooling,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            connections_max: 8,
            acquire_timeout: Duration::from_secs(10),
            clock: None,
            application_name: "flowctl".to_owned(),
            pooling: Pooling::Detect,
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
        let losses = Losses::new();
        let pools = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            postgres::open(url, &options, &losses).await?
        } else if let Some(path) = url.strip_prefix("sqlite:") {
            sqlite::open(path.trim_start_matches("//"), &options).await?
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
        let store = Store { inner: Arc::new(Inner { pools, losses, clock, versions: VersionCache::default() }) };
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
        let database = match self.kind() {
            StoreKind::Postgres => {
                self.reading("read the database's clock", |tx| {
                    step(tx.query(tx.choose(DATABASE_CLOCK, "select 0")).scalar::<i64>())
                })
                .await?
            }
            StoreKind::Sqlite => wall_micros(),
        };
        synced.measured(before, database, boot_micros());
        Ok(())
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn ping(&self) -> Result<()> {
        self.reading("reach the database", |tx| {
            steps(async move {
                tx.query("select 1").execute().await?;
                Ok(())
            })
        })
        .await
    }

    /// Answers when something can be written: what a database that is full, read-only or a standby answers to reading
    /// says nothing about that. A row is written and taken back, and the commit makes the disk take it.
    ///
    /// # Errors
    /// The database cannot be reached, or does not take writes.
    pub async fn check_writes(&self) -> Result<()> {
        let name = &format!("\u{1}probe {}", rand::random::<u64>());
        self.transaction("write to the database", |tx| {
            steps(async move {
                tx.query(
                    "insert into import_error (file_path, rendered, diagnostics, seen_at) values ($1, '', '[]', 0)",
                )
                .bind(name)
                .execute()
                .await?;
                tx.query("delete from import_error where file_path = $1").bind(name).execute().await?;
                Ok(())
            })
        })
        .await
    }

    /// Whether a pooler is between us and PostgreSQL that keeps no session for us.
    pub fn is_pooled(&self) -> bool {
        matches!(self.pools(), Pools::Postgres { is_pooled: true, .. })
    }

    /// Closes all connections; a SQLite file is checkpointed.
    pub async fn close(&self) {
        match self.pools() {
            Pools::Postgres { write, read, .. } => {
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

    pub(crate) fn losses(&self) -> &Losses {
        &self.inner.losses
    }

    pub(crate) fn versions(&self) -> &VersionCache {
        &self.inner.versions
    }
}

/// PostgreSQL's clock in microseconds.
const DATABASE_CLOCK: &str = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";

/// A URL for messages: the password, if any, is left out.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let name = user.split(':').next().unwrap_or("");
    format!("{scheme}://{name}:***@{host}")
}
