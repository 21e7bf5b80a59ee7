//! Connecting to PostgreSQL, directly or through a pooler.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Row};

use super::{Losses, OpenOptions, Pools, without_password};
use crate::error::{Result, StoreError};

/// What is between us and PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// Find out: PgBouncer refuses or ignores what a session is opened with.
    #[default]
    Detect,
    /// Nothing, or a pooler that gives each of our connections a server connection of its own.
    Session,
    /// A pooler that hands out server connections for one transaction at a time, such as PgBouncer with
    /// `pool_mode = transaction`.
    Transaction,
}

/// How transactions begin in PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    pub(crate) write: &'static str,
    /// None: a statement that only reads needs no transaction.
    pub(crate) read: Option<&'static str>,
    pub(crate) snapshot: Option<&'static str>,
}

/// Each connection is one session: what a session is opened with holds, and so do its prepared statements.
const DIRECT: Begin =
    Begin { write: "begin", read: None, snapshot: Some("begin isolation level repeatable read read only") };

/// Opens the transaction, forgets the statements that whoever had the server connection before has prepared under the
/// names that ours will have, and says what a session of our own would have been opened with. One round trip.
macro_rules! pooled {
    ($begin:literal $(, $more:literal)*) => {
        concat!(
            $begin,
            "; deallocate all; set local lock_timeout = '10s'; set local idle_in_transaction_session_timeout = '10s'",
            "; set local jit = off",
            $($more),*
        )
    };
}

/// Nothing outlives a transaction. The plans are made anew each time, but the ways without an index stay closed.
const POOLED: Begin = Begin {
    write: pooled!(
        "begin",
        "; set local enable_seqscan = off; set local enable_hashjoin = off",
        "; set local enable_mergejoin = off; set local enable_material = off"
    ),
    read: Some(pooled!("begin read only")),
    snapshot: Some(pooled!("begin isolation level repeatable read read only")),
};

/// What a session is opened with. A process that is paused inside a transaction must not hold its locks for ever (a split
/// brain otherwise).
const SESSION: [(&str, &str); 3] =
    [("idle_in_transaction_session_timeout", "10s"), ("lock_timeout", "10s"), ("jit", "off")];

/// How transactions are planned. A session keeps the plans that it makes while tables are small, and in a new database
/// nobody has analysed them yet: it would go on scanning, or comparing everything with everything, when they have become
/// large. Each statement of a transaction has its index, so the ways without one are closed from the start.
const BY_INDEX_ONLY: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off"), ("enable_material", "off")];

pub(super) async fn open(url: &str, options: &OpenOptions, losses: &Losses) -> Result<Pools> {
    let plain = PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::BadUrl { url: without_password(url), why: error.to_string() })?
        .application_name(&options.application_name);
    // One connection outside the pools first: a pool only says that it has waited in vain, this one says why.
    let is_pooled = within(options.acquire_timeout, is_pooled(&plain, options.pooling)).await?;
    let (reading, writing, begin) = if is_pooled {
        let options = pooled(plain);
        (options.clone(), options, POOLED)
    } else {
        let options = plain.options(SESSION);
        (options.clone(), options.options(BY_INDEX_ONLY), DIRECT)
    };
    let write = pool(options, losses).min_connections(1).connect_with(writing).await.map_err(connecting)?;
    let read = pool(options, losses).connect_lazy_with(reading);
    Ok(Pools::Postgres { write, read, begin, is_pooled })
}

/// Options that a pooler lets through. Statements are not kept: the next transaction may be on another server connection.
fn pooled(plain: PgConnectOptions) -> PgConnectOptions {
    plain.extra_float_digits(None).statement_cache_capacity(0)
}

fn pool(options: &OpenOptions, losses: &Losses) -> PgPoolOptions {
    let losses = losses.clone();
    PgPoolOptions::new()
        .max_connections(options.connections_max.div_ceil(2).max(2))
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let losses = losses.clone();
            Box::pin(async move { losses.check(connection, meta).await })
        })
}

async fn is_pooled(plain: &PgConnectOptions, pooling: Pooling) -> Result<bool, sqlx::Error> {
    let mut connection = match PgConnection::connect_with(&plain.clone().options(SESSION)).await {
        Err(error) if pooling != Pooling::Session && refuses_options(&error) => {
            PgConnection::connect_with(&pooled(plain.clone())).await?.close().await?;
            return Ok(true);
        }
        connection => connection?,
    };
    // A pooler that ignores the options opens sessions without them.
    let row = sqlx::raw_sql("show lock_timeout").fetch_one(&mut connection).await?;
    let is_ours = row.try_get::<&str, _>(0)? == "10s";
    connection.close().await?;
    Ok(match pooling {
        Pooling::Detect => !is_ours,
        Pooling::Session => false,
        Pooling::Transaction => true,
    })
}

/// PgBouncer names the first parameter of the start-up packet that it does not know.
fn refuses_options(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("startup parameter"))
}

async fn within<T>(timeout: Duration, asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T> {
    tokio::time::timeout(timeout, asked).await.map_err(|_| connecting(sqlx::Error::PoolTimedOut))?.map_err(connecting)
}

fn connecting(source: sqlx::Error) -> StoreError {
    StoreError::Database { doing: "connect to PostgreSQL", source }
}

/// Brings the schema up to date: under an advisory lock of the session, or, where there is no session, of one transaction
/// around everything.
pub(crate) async fn migrate(
    pool: &PgPool,
    begin: Begin,
    is_pooled: bool,
    migrator: &'static sqlx::migrate::Migrator,
) -> Result<()> {
    if !is_pooled {
        return migrator.run(pool).await.map_err(StoreError::Migrate);
    }
    let failed = |source| StoreError::Database { doing: "migrate the database", source };
    let mut open = pool.begin_with(begin.write).await.map_err(failed)?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *open).await.map_err(failed)?;
    let inside = sqlx::migrate::Migrator {
        migrations: migrator.migrations.clone(),
        locking: false,
        ..sqlx::migrate::Migrator::DEFAULT
    };
    inside.run_direct(None, &mut *open, false).await.map_err(StoreError::Migrate)?;
    open.commit().await.map_err(failed)
}

/// The key of the advisory lock around migrations.
const MIGRATION_LOCK: i64 = 0x666c_6f77_6d69_6772;
