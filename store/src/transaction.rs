//! One transaction, written once for both databases.
//!
//! A connection goes back to its pool only when its transaction has ended as asked. Otherwise nobody knows what state it
//! is in (SQLite ends a transaction by itself when the disk is full, a server may have gone away), so it is closed, and
//! the pool makes a new one.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Database, SqlSafeStr, Transaction};

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

/// A connection of a pool, which is closed instead of given back unless somebody says that it is in order.
pub(crate) struct Held<DB: Database> {
    connection: PoolConnection<DB>,
    is_in_order: bool,
}

impl<DB: Database> Held<DB> {
    pub(crate) fn new(connection: PoolConnection<DB>) -> Self {
        Held { connection, is_in_order: false }
    }

    /// Begins a transaction on it with a statement.
    pub(crate) fn begin(
        &mut self,
        statement: &'static str,
    ) -> impl Future<Output = Result<Transaction<'_, DB>, sqlx::Error>> + Send {
        // Owned: the compiler cannot see otherwise that the future may be sent to another thread.
        self.connection.begin_with(statement.into_sql_str())
    }

    /// Says whether it may be used again.
    pub(crate) fn judge(&mut self, is_in_order: bool) {
        self.is_in_order = is_in_order;
    }
}

impl<DB: Database> Drop for Held<DB> {
    fn drop(&mut self) {
        if !self.is_in_order {
            self.connection.close_on_drop();
        }
    }
}

impl<DB: Database> Deref for Held<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Held<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

/// Commits, or rolls back what was aborted. The second value says whether the connection is in order afterwards.
pub(crate) async fn end<DB: Database, T>(
    open: Transaction<'_, DB>,
    result: Result<T, Abort>,
) -> (Result<T, Abort>, bool) {
    match result {
        Ok(out) => match open.commit().await {
            Ok(()) => (Ok(out), true),
            Err(error) => (Err(Abort::Commit(error)), false),
        },
        Err(abort) => {
            let is_in_order = open.rollback().await.is_ok();
            (Err(abort), is_in_order)
        }
    }
}

/// What is read on: a connection as it is, or a transaction on it.
pub(crate) enum Reading<'c, DB: Database> {
    Plain(&'c mut DB::Connection),
    Transaction(Transaction<'c, DB>),
}

impl<'c, DB: Database> Reading<'c, DB> {
    /// Begins with a statement, if there has to be one.
    pub(crate) async fn begin(held: &'c mut Held<DB>, statement: Option<&'static str>) -> Result<Self, sqlx::Error> {
        match statement {
            Some(statement) => Ok(Reading::Transaction(held.begin(statement).await?)),
            None => {
                // Whoever gives up half way leaves nothing behind that the driver does not clear away.
                held.judge(true);
                Ok(Reading::Plain(&mut **held))
            }
        }
    }

    pub(crate) fn connection(&mut self) -> &mut DB::Connection {
        match self {
            Reading::Plain(connection) => connection,
            Reading::Transaction(open) => open,
        }
    }
}

/// Whether a connection is in order after a body that only reads. A read-only transaction is rolled back by the driver
/// when it is given back.
pub(crate) fn is_in_order<T>(result: &Result<T, Abort>) -> bool {
    match result {
        Ok(_) | Err(Abort::Domain(_)) => true,
        Err(Abort::Sql(error) | Abort::Commit(error)) => matches!(
            error,
            sqlx::Error::RowNotFound
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::Encode(_)
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::ColumnIndexOutOfBounds { .. }
        ),
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
            let mut held = $crate::transaction::Held::new($pool.acquire().await?);
            let mut open = held.begin($begin).await?;
            let result: std::result::Result<_, $crate::error::Abort> = async {
                #[allow(unused_variables, reason = "not every body names its connection")]
                let $tx = &mut *open;
                Ok($body)
            }
            .await;
            let (result, is_in_order) = $crate::transaction::end(open, result).await;
            held.judge(is_in_order);
            result
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
            let mut held = $crate::transaction::Held::new($pool.acquire().await?);
            let mut open = $crate::transaction::Reading::begin(&mut held, $begin).await?;
            let result: std::result::Result<_, $crate::error::Abort> = async {
                let $tx = open.connection();
                Ok($body)
            }
            .await;
            drop(open);
            held.judge($crate::transaction::is_in_order(&result));
            result
        }
        .await
    };
}

pub(crate) use {read_on, read_with, reading, snapshot, transaction, write_with};
