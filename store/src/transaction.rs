//! One transaction, written once for both databases.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, SqlSafeStr, Transaction};

use crate::connect::Losses;
use crate::error::{Abort, StoreError, is_conflict, is_connection_lost};

/// Conflicts (deadlock, serialization failure, busy) after which an operation gives up.
const CONFLICT_RETRIES_MAX: u32 = 5;

/// Lost connections after which an operation gives up.
const LOSS_RETRIES_MAX: u32 = 5;

/// The pause before the second attempt after a lost connection; it doubles each time.
const LOSS_PAUSE: Duration = Duration::from_millis(50);

/// A pause before trying a conflicting transaction again: a little longer each time, and different for each process.
pub(crate) fn conflict_pause(attempt: u32) -> Duration {
    Duration::from_micros(500 + u64::from(rand::random::<u16>() % 2_000) * u64::from(attempt))
}

/// Begins a transaction with a statement.
pub(crate) async fn begin<DB: Database>(
    pool: &Pool<DB>,
    statement: &'static str,
) -> Result<Transaction<'static, DB>, sqlx::Error> {
    pool.begin_with(statement.into_sql_str()).await
}

/// What is read on: a connection as it is, or a transaction on it.
pub(crate) enum Reading<DB: Database> {
    Plain(PoolConnection<DB>),
    Transaction(Transaction<'static, DB>),
}

impl<DB: Database> Reading<DB> {
    /// Begins with a statement, if there has to be one.
    pub(crate) async fn begin(pool: &Pool<DB>, statement: Option<&'static str>) -> Result<Self, sqlx::Error> {
        Ok(match statement {
            Some(statement) => Reading::Transaction(begin(pool, statement).await?),
            None => Reading::Plain(pool.acquire().await?),
        })
    }

    pub(crate) fn connection(&mut self) -> &mut DB::Connection {
        match self {
            Reading::Plain(connection) => connection,
            Reading::Transaction(open) => open,
        }
    }
}

/// How often an operation was tried, and why again.
#[derive(Default)]
pub(crate) struct Tries {
    conflicts: u32,
    losses: u32,
}

impl Tries {
    /// Returns after a pause when the operation is to be tried again: it has certainly not happened.
    ///
    /// # Errors
    /// It is not to be tried again, because of this.
    pub(crate) async fn again(&mut self, doing: &'static str, abort: Abort, losses: &Losses) -> Result<(), StoreError> {
        let (source, may_have_happened) = match abort {
            Abort::Domain(error) => return Err(error),
            Abort::Sql(source) => (source, false),
            Abort::Commit(source) => (source, true),
        };
        if is_connection_lost(&source) {
            losses.note();
            if !may_have_happened && self.losses < LOSS_RETRIES_MAX {
                self.losses += 1;
                let pause = if self.losses == 1 { Duration::ZERO } else { LOSS_PAUSE * (1 << self.losses) };
                tokio::time::sleep(pause).await;
                return Ok(());
            }
        } else if is_conflict(&source) && self.conflicts < CONFLICT_RETRIES_MAX {
            self.conflicts += 1;
            tokio::time::sleep(conflict_pause(self.conflicts)).await;
            return Ok(());
        }
        Err(StoreError::Database { doing, source })
    }
}

/// Runs a body in a transaction and commits. The body is expanded once for each database, with `$tx` bound to a
/// `&mut PgConnection` or `&mut SqliteConnection`; `?` in it takes `sqlx::Error` and `StoreError`. After conflicts, and
/// when the connection was lost before the commit, it is tried again, so the body must not have effects outside the
/// database.
macro_rules! transaction {
    ($store:expr, $doing:literal, |$tx:ident| $body:block) => {{
        let mut tries = $crate::transaction::Tries::default();
        loop {
            let result: std::result::Result<_, $crate::error::Abort> = match $store.pools() {
                $crate::connect::Pools::Postgres { write: pool, begin, .. } => {
                    $crate::transaction::write_with!(pool, begin.write, |$tx| $body)
                }
                // IMMEDIATE: a transaction that reads first and writes later would fail at once when another writer
                // came in between.
                $crate::connect::Pools::Sqlite { write: pool, .. } => {
                    $crate::transaction::write_with!(pool, "begin immediate", |$tx| $body)
                }
            };
            match result {
                Ok(out) => break Ok(out),
                Err(abort) => {
                    if let Err(error) = tries.again($doing, abort, $store.losses()).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}

/// The part of [`transaction!`] that is the same for each kind of pool.
macro_rules! write_with {
    ($pool:expr, $begin:expr, |$tx:ident| $body:block) => {
        async {
            let mut open = $crate::transaction::begin($pool, $begin).await?;
            let out = {
                #[allow(unused_variables, reason = "not every body names its connection")]
                let $tx = &mut *open;
                $body
            };
            open.commit().await.map_err($crate::error::Abort::Commit)?;
            Ok(out)
        }
        .await
    };
}

/// Runs a body that only reads, on one connection without an explicit transaction (unless a pooler needs one). When the
/// connection was lost, it is tried again.
macro_rules! reading {
    ($store:expr, $doing:literal, |$tx:ident| $body:block) => {
        $crate::transaction::read_with!($store, $doing, read, None, |$tx| $body)
    };
}

/// Runs a body that only reads, all of it in one snapshot of the database.
macro_rules! snapshot {
    ($store:expr, $doing:literal, |$tx:ident| $body:block) => {
        $crate::transaction::read_with!($store, $doing, snapshot, Some("begin"), |$tx| $body)
    };
}

/// What [`reading!`] and [`snapshot!`] share: `$kind` names how it begins in PostgreSQL, `$sqlite` says it for SQLite.
macro_rules! read_with {
    ($store:expr, $doing:literal, $kind:ident, $sqlite:expr, |$tx:ident| $body:block) => {{
        let mut tries = $crate::transaction::Tries::default();
        loop {
            let result: std::result::Result<_, $crate::error::Abort> = match $store.pools() {
                $crate::connect::Pools::Postgres { read: pool, begin, .. } => {
                    $crate::transaction::read_on!(pool, begin.$kind, |$tx| $body)
                }
                $crate::connect::Pools::Sqlite { read: pool, .. } => {
                    $crate::transaction::read_on!(pool, $sqlite, |$tx| $body)
                }
            };
            match result {
                Ok(out) => break Ok(out),
                Err(abort) => {
                    if let Err(error) = tries.again($doing, abort, $store.losses()).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}

/// The part of [`read_with!`] that is the same for each kind of pool.
macro_rules! read_on {
    ($pool:expr, $begin:expr, |$tx:ident| $body:block) => {
        async {
            let mut open = $crate::transaction::Reading::begin($pool, $begin).await?;
            let $tx = open.connection();
            Ok($body)
        }
        .await
    };
}

pub(crate) use {read_on, read_with, reading, snapshot, transaction, write_with};
