//! A transaction as a value, over either database, so that the steps of an operation are ordinary functions.

use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, PgConnection, Pool, Postgres, SqlSafeStr, Sqlite, SqliteConnection};

use crate::connect::{Losses, Pools, Store};
use crate::error::{Abort, Result, StoreError, is_conflict, is_connection_lost};
use crate::query::{Query, Statement};

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

/// What an operation talks to its database through.
pub(crate) enum Transaction {
    Postgres(Session<Postgres>),
    Sqlite(Session<Sqlite>),
}

/// A connection as it is, on which each statement stands for itself, or a transaction on it.
pub(crate) enum Session<DB: Database> {
    Plain(PoolConnection<DB>),
    Open(sqlx::Transaction<'static, DB>),
}

/// The connection behind a transaction.
pub(crate) enum Connection<'t> {
    Postgres(&'t mut PgConnection),
    Sqlite(&'t mut SqliteConnection),
}

/// What an operation does in its transaction. `'env` is how long what it borrows lives; that it outlives `'t` is what lets a
/// closure that borrows be called again with each new transaction.
pub(crate) struct Steps<'env, 't, T> {
    future: Pin<Box<dyn Future<Output = Result<T, Abort>> + Send + 't>>,
    borrows: PhantomData<&'t &'env ()>,
}

/// The steps of an operation, as an `async move` block has them.
pub(crate) fn steps<'env: 't, 't, T>(future: impl Future<Output = Result<T, Abort>> + Send + 't) -> Steps<'env, 't, T> {
    Steps { future: Box::pin(future), borrows: PhantomData }
}

/// The only step of an operation: one statement.
pub(crate) fn step<'env: 't, 't, T>(
    statement: impl Future<Output = sqlx::Result<T>> + Send + 't,
) -> Steps<'env, 't, T> {
    steps(async move { Ok(statement.await?) })
}

/// How an operation uses its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything or nothing.
    Write,
    /// Statements that only read, each for itself, unless a pooler needs a transaction.
    Read,
    /// Statements that only read, all in one snapshot of the database.
    Snapshot,
}

impl Store {
    /// Runs an operation in a transaction. It is committed when the steps end with `Ok`, early or not, and rolled back when
    /// they end with an error. After conflicts, and when the connection was lost before the commit, they are run again, so
    /// they must have no effects outside the database.
    ///
    /// # Errors
    /// What the steps say, or that the operation `doing` failed.
    pub(crate) async fn transaction<'env, T: Send>(
        &self,
        doing: &'static str,
        body: impl for<'t> Fn(&'t mut Transaction) -> Steps<'env, 't, T> + Sync,
    ) -> Result<T> {
        self.run(doing, Mode::Write, body).await
    }

    /// Runs steps that only read, without an explicit transaction where none is needed.
    ///
    /// # Errors
    /// As [`Store::transaction`].
    pub(crate) async fn reading<'env, T: Send>(
        &self,
        doing: &'static str,
        body: impl for<'t> Fn(&'t mut Transaction) -> Steps<'env, 't, T> + Sync,
    ) -> Result<T> {
        self.run(doing, Mode::Read, body).await
    }

    /// Runs steps that only read, all in one snapshot of the database.
    ///
    /// # Errors
    /// As [`Store::transaction`].
    pub(crate) async fn snapshot<'env, T: Send>(
        &self,
        doing: &'static str,
        body: impl for<'t> Fn(&'t mut Transaction) -> Steps<'env, 't, T> + Sync,
    ) -> Result<T> {
        self.run(doing, Mode::Snapshot, body).await
    }

    async fn run<'env, T: Send>(
        &self,
        doing: &'static str,
        mode: Mode,
        body: impl for<'t> Fn(&'t mut Transaction) -> Steps<'env, 't, T> + Sync,
    ) -> Result<T> {
        let mut tries = Tries::default();
        loop {
            match self.attempt(mode, &body).await {
                Ok(out) => return Ok(out),
                Err(abort) => tries.again(doing, abort, self.losses()).await?,
            }
        }
    }

    async fn attempt<'env, T: Send>(
        &self,
        mode: Mode,
        body: &(impl for<'t> Fn(&'t mut Transaction) -> Steps<'env, 't, T> + Sync),
    ) -> Result<T, Abort> {
        let mut tx = Transaction::begin(self.pools(), mode).await?;
        let out = body(&mut tx).future.await?;
        if mode == Mode::Write {
            tx.commit().await.map_err(Abort::Commit)?;
        }
        Ok(out)
    }
}

impl Transaction {
    async fn begin(pools: &Pools, mode: Mode) -> Result<Transaction, sqlx::Error> {
        match pools {
            Pools::Postgres { write, read, begin, .. } => {
                let (pool, statement) = match mode {
                    Mode::Write => (write, Some(begin.write)),
                    Mode::Read => (read, begin.read),
                    Mode::Snapshot => (read, begin.snapshot),
                };
                Ok(Transaction::Postgres(Session::begin(pool, statement).await?))
            }
            Pools::Sqlite { write, read } => {
                let (pool, statement) = match mode {
                    // IMMEDIATE: a transaction that reads first and writes later would fail at once when another writer came
                    // in between.
                    Mode::Write => (write, Some("begin immediate")),
                    Mode::Read => (read, None),
                    Mode::Snapshot => (read, Some("begin")),
                };
                Ok(Transaction::Sqlite(Session::begin(pool, statement).await?))
            }
        }
    }

    /// A statement, to which its values are bound next.
    pub(crate) fn query<'t, 'q>(&'t mut self, statement: impl Into<Statement>) -> Query<'t, 'q> {
        let text = statement.into().text_for(self);
        Query::new(self.connection(), text)
    }

    /// `postgres` on PostgreSQL, `sqlite` on SQLite.
    pub(crate) fn choose(&self, postgres: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Transaction::Postgres(_) => postgres,
            Transaction::Sqlite(_) => sqlite,
        }
    }

    fn connection(&mut self) -> Connection<'_> {
        match self {
            Transaction::Postgres(session) => Connection::Postgres(session.connection()),
            Transaction::Sqlite(session) => Connection::Sqlite(session.connection()),
        }
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Transaction::Postgres(session) => session.commit().await,
            Transaction::Sqlite(session) => session.commit().await,
        }
    }
}

impl<DB: Database> Session<DB> {
    /// Begins with a statement, if there has to be one.
    async fn begin(pool: &Pool<DB>, statement: Option<&'static str>) -> Result<Self, sqlx::Error> {
        Ok(match statement {
            Some(statement) => Session::Open(pool.begin_with(statement.into_sql_str()).await?),
            None => Session::Plain(pool.acquire().await?),
        })
    }

    fn connection(&mut self) -> &mut DB::Connection {
        match self {
            Session::Plain(connection) => connection,
            Session::Open(open) => open,
        }
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Session::Plain(_) => Ok(()),
            Session::Open(open) => open.commit().await,
        }
    }
}

/// How often an operation was tried, and why again.
#[derive(Default)]
struct Tries {
    conflicts: u32,
    losses: u32,
}

impl Tries {
    /// Returns after a pause when the operation is to be tried again: it has certainly not happened.
    ///
    /// # Errors
    /// It is not to be tried again, because of this.
    async fn again(&mut self, doing: &'static str, abort: Abort, losses: &Losses) -> Result<(), StoreError> {
        let (source, may_have_happened) = match abort {
            Abort::Domain(error) => return Err(error),
            Abort::Sql(sqlx::Error::ColumnDecode { index, source }) => {
                let why = format!("column {index}: {source}");
                return Err(StoreError::Corrupt { what: "row", why });
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::OpenOptions;

    async fn stores() -> (flow_testbed::Postgres, tempfile::TempDir, [Store; 2]) {
        let server = flow_testbed::Postgres::start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let sqlite = format!("sqlite:{}", folder.path().join("flow.db").display());
        let mut stores = Vec::new();
        for url in [server.create_database().unwrap(), sqlite] {
            let store = Store::open(&url, OpenOptions::default()).await.unwrap();
            store.migrate().await.unwrap();
            stores.push(store);
        }
        (server, folder, stores.try_into().unwrap_or_else(|_| unreachable!("two were made")))
    }

    async fn add_pool(tx: &mut Transaction, name: &str) -> Result<(), Abort> {
        tx.query("insert into pool (name, slots) values ($1, 1)").bind(name).execute().await?;
        Ok(())
    }

    async fn pools(store: &Store) -> Vec<String> {
        let names = store.reading("list pools", |tx| step(tx.query("select name from pool order by name").scalars()));
        names.await.unwrap()
    }

    #[tokio::test]
    async fn an_early_ok_commits_and_an_error_rolls_back() {
        let (_server, _folder, stores) = stores().await;
        for store in &stores {
            for is_early in [true, false] {
                let name = &format!("early {is_early}");
                store
                    .transaction("add pools", |tx| {
                        steps(async move {
                            add_pool(tx, name).await?;
                            if is_early {
                                return Ok(());
                            }
                            add_pool(tx, "late").await
                        })
                    })
                    .await
                    .unwrap();
            }
            let refused = store
                .transaction("add a pool", |tx| {
                    steps(async move {
                        add_pool(tx, "of a refused operation").await?;
                        Err::<(), _>(StoreError::Conflict("refused".to_owned()).into())
                    })
                })
                .await;
            assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
            let broken = store
                .transaction("add a pool", |tx| {
                    steps(async move {
                        add_pool(tx, "of a broken operation").await?;
                        tx.query("select 1 from nowhere").execute().await?;
                        Ok(())
                    })
                })
                .await;
            assert!(matches!(broken, Err(StoreError::Database { doing: "add a pool", .. })), "{broken:?}");
            assert_eq!(pools(store).await, ["default_pool", "early false", "early true", "late"]);
        }
    }

    #[tokio::test]
    async fn a_row_that_is_not_understood_is_named() {
        #[derive(Debug, sqlx::FromRow)]
        struct StateRow {
            #[expect(dead_code, reason = "reading it is what fails")]
            state: crate::rows::Named<flow_model::TaskState>,
        }
        let (_server, _folder, stores) = stores().await;
        for store in &stores {
            let read = store
                .reading("read a state", |tx| {
                    step(tx.query("select cast('dancing' as text) as state").one::<StateRow>())
                })
                .await;
            let error = read.unwrap_err().to_string();
            assert!(
                error.contains("that this flowctl cannot read") && error.contains("`dancing` is not one of"),
                "{error}"
            );
        }
    }
}
