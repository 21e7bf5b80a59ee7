//! PostgreSQL.

mod decode;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgColumn, PgConnectOptions, PgConnection, PgDatabaseError, PgErrorPosition, PgPoolOptions};
use sqlx::postgres::{PgQueryResult, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, Column, ConnectOptions as _, Connection as _, Executor, PgPool, Postgres, Row, ValueRef};

use crate::answer::{Answers, CollectError, Reader, collect};
use crate::client::{Observer, Progress, Request};
use crate::error::{chain, refused};
use crate::rewrite::{Rewritten, placeholder, rewrite};
use crate::{Answer, Dialect, Keep, Script, SqlError, Statement};

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the pool may try before it is asked whether anybody listens.
const ASK_AFTER: Duration = Duration::from_millis(100);
/// How long the order to stop a statement may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps until it is given back.
const STATEMENTS_MAX: usize = 16;
/// How many scripts may run at once on one connection: the slots of workers are the limit that people set.
const CONNECTIONS_MAX: u32 = 1_000;

/// Where a server is and how to get in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    pub host: String,
    pub port: u16,
    pub login: Option<String>,
    pub password: Option<String>,
    pub database: Option<String>,
    pub ssl_mode: Option<String>,
    pub ssl_root_cert: Option<String>,
    pub ssl_cert: Option<String>,
    pub ssl_key: Option<String>,
}

impl Options {
    /// # Errors
    /// In words: the TLS mode is none.
    pub fn check(&self) -> Result<(), String> {
        match &self.ssl_mode {
            Some(mode) => mode.parse::<PgSslMode>().map(drop).map_err(|_| {
                format!(
                    "`{mode}` is not an sslmode\nhint: it is disable, allow, prefer, require, verify-ca or verify-full"
                )
            }),
            None => Ok(()),
        }
    }

    fn connect_options(&self) -> PgConnectOptions {
        // What stands in the worker's own environment (PGHOST ...) is not for tasks; the rest is said here.
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .application_name("flowctl")
            // Statements have names while they run: without one, asking for the name of a type would replace them.
            .statement_cache_capacity(STATEMENTS_MAX)
            // What people ask their databases is no business of the role's log.
            .disable_statement_logging();
        if let Some(login) = &self.login {
            options = options.username(login);
        }
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        if let Some(database) = &self.database {
            options = options.database(database);
        }
        if let Some(mode) = self.ssl_mode.as_ref().and_then(|mode| mode.parse().ok()) {
            options = options.ssl_mode(mode);
        }
        if let Some(file) = &self.ssl_root_cert {
            options = options.ssl_root_cert(file);
        }
        if let (Some(cert), Some(key)) = (&self.ssl_cert, &self.ssl_key) {
            options = options.ssl_client_cert(cert).ssl_client_key(key);
        }
        options
    }
}

/// A pool that connects when it is asked.
pub(crate) fn pool(options: &Options) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .idle_timeout(IDLE)
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_release(|connection, _| {
            Box::pin(async move {
                // In a transaction that was left open, it fails; then the connection is not kept.
                let is_forgotten = connection.clear_cached_statements().await.is_ok();
                Ok(is_forgotten && connection.execute("discard all").await.is_ok())
            })
        })
        .connect_lazy_with(options.connect_options())
}

/// Runs a script.
pub(crate) async fn run(
    pool: &PgPool,
    script: &Script<'_>,
    request: &Request<'_>,
    observer: Observer<'_>,
) -> Result<Answer, SqlError> {
    let mut running = Running::start(pool).await?;
    let connection = running.connection.as_mut().expect("it is there until it is given back");
    let answer = in_transaction(connection, script, request, observer).await;
    running.give_back();
    answer
}

async fn in_transaction(
    connection: &mut PgConnection,
    script: &Script<'_>,
    request: &Request<'_>,
    observer: Observer<'_>,
) -> Result<Answer, SqlError> {
    if request.autocommit {
        return statements(connection, script, request, observer).await;
    }
    let lost = |error: sqlx::Error| SqlError::Refused(format!("the transaction failed: {}", chain(&error)));
    connection.execute("begin").await.map_err(lost)?;
    let answer = statements(connection, script, request, observer).await;
    match answer {
        Ok(answer) => {
            // What is deferred is checked now.
            connection.execute("commit").await.map_err(lost)?;
            Ok(answer)
        }
        Err(error) => {
            // If that fails, too, the connection is not kept, and the server rolls back.
            let _ = connection.execute("rollback").await;
            Err(error)
        }
    }
}

async fn statements(
    connection: &mut PgConnection,
    script: &Script<'_>,
    request: &Request<'_>,
    observer: Observer<'_>,
) -> Result<Answer, SqlError> {
    let mut answer = Answer::default();
    let count = script.statements().len();
    for (index, statement) in script.statements().iter().enumerate() {
        observer(Progress::Begins { number: index + 1, of: count, text: script.text_of(statement) });
        let begun = Instant::now();
        let keep = if index + 1 == count { request.keep } else { Keep::Nothing };
        answer = one(connection, script, index, statement, request, keep).await?;
        let Answer { row_count, rows_affected, .. } = answer;
        observer(Progress::Ended { rows: row_count, rows_affected, elapsed: begun.elapsed() });
    }
    Ok(answer)
}

async fn one(
    connection: &mut PgConnection,
    script: &Script<'_>,
    index: usize,
    statement: &Statement,
    request: &Request<'_>,
    keep: Keep,
) -> Result<Answer, SqlError> {
    let rewritten = rewrite(script, statement, |index| placeholder(Dialect::Postgres, index + 1));
    let (rewritten, values) = if rewritten.names.is_empty() {
        (rewritten, Vec::new())
    } else {
        let types =
            values::types(connection, &rewritten).await.map_err(|error| failed(script, index, &rewritten, &error))?;
        let values = rewritten
            .names
            .iter()
            .zip(&types)
            .map(|(name, place)| {
                values::text(&request.parameters[name], place)
                    .map_err(|why| SqlError::Request(format!("the parameter `:{name}` {why}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        (rewrite(script, statement, |index| types[index].placeholder(index + 1)), values)
    };
    let mut query = sqlx::query::<Postgres>(AssertSqlSafe(rewritten.text.clone()));
    for value in values {
        query = query.bind(value);
    }
    let answer = collect(connection.fetch_many(query), &PostgresReader, keep, Answers::One).await;
    answer.map_err(|error| match error {
        CollectError::Row(error) => error,
        CollectError::Database(error) => failed(script, index, &rewritten, &error),
    })
}

fn failed(script: &Script<'_>, index: usize, rewritten: &Rewritten, error: &sqlx::Error) -> SqlError {
    let Some(database) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return refused(script, index, None, error, Vec::new());
    };
    let place = match database.position() {
        Some(PgErrorPosition::Original(character)) => Some(rewritten.source_of(character.saturating_sub(1))),
        _ => None,
    };
    let details = [("detail", database.detail()), ("hint", database.hint())];
    refused(script, index, place, error, details.into_iter().filter_map(|(name, text)| Some((name, text?))).collect())
}

/// Comes to an end if nobody listens: the pool would go on trying, and nothing would be said meanwhile. Where a connection
/// is to be had at once, nobody is asked.
async fn refusal(options: &PgConnectOptions) -> sqlx::Error {
    if options.get_socket().is_none() && !options.get_host().starts_with('/') {
        tokio::time::sleep(ASK_AFTER).await;
        let asked = tokio::net::TcpStream::connect((options.get_host(), options.get_port())).await;
        if let Err(error) = asked
            && error.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return sqlx::Error::Io(error);
        }
    }
    std::future::pending().await
}

/// The pool tries again and again while nobody listens, and then says only that its time is over.
async fn why_unreachable(options: &PgConnectOptions) -> sqlx::Error {
    match tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
    }
}

/// A connection in use. Dropped before it is given back, it tells the server to stop, and is not used again.
struct Running {
    connection: Option<PoolConnection<Postgres>>,
    server_process: i32,
    options: Arc<PgConnectOptions>,
}

impl Running {
    async fn start(pool: &PgPool) -> Result<Self, SqlError> {
        let unreachable = |error: sqlx::Error| {
            let options = pool.connect_options();
            SqlError::Unreachable(format!(
                "cannot connect to PostgreSQL at {}:{}: {}",
                options.get_host(),
                options.get_port(),
                chain(&error)
            ))
        };
        let options = pool.connect_options();
        let acquired = tokio::select! {
            acquired = pool.acquire() => acquired,
            refused = refusal(&options) => Err(refused),
        };
        let mut connection = match acquired {
            Ok(connection) => connection,
            Err(sqlx::Error::PoolTimedOut) => return Err(unreachable(why_unreachable(&pool.connect_options()).await)),
            Err(error) => return Err(unreachable(error)),
        };
        let server_process = sqlx::query_scalar("select pg_backend_pid()");
        let server_process = server_process.fetch_one(&mut *connection).await.map_err(unreachable)?;
        Ok(Running { connection: Some(connection), server_process, options: pool.connect_options() })
    }

    fn give_back(mut self) {
        self.connection = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let connection = connection.detach();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (options, server_process) = (Arc::clone(&self.options), self.server_process);
        runtime.spawn(async move {
            // Our own connection stays open until then, so the number cannot mean another process by now.
            let cancel = async {
                let mut other = PgConnection::connect_with(&options).await?;
                sqlx::query("select pg_cancel_backend($1)").bind(server_process).execute(&mut other).await?;
                other.close().await
            };
            // If it does not work, the statement ends when it wants to tell us something.
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancel).await;
            drop(connection);
        });
    }
}

struct PostgresReader;

impl Reader<Postgres> for PostgresReader {
    fn check(&self, column: &PgColumn) -> Result<(), String> {
        if decode::is_known(column.type_info()) {
            return Ok(());
        }
        let name = column.name();
        Err(format!(
            "the column `{name}` has the type {}, which has no place in JSON\nhint: turn it into text: {name}::text",
            column.type_info()
        ))
    }

    fn value(&self, row: &PgRow, index: usize) -> Result<serde_json::Value, BoxDynError> {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            return Ok(serde_json::Value::Null);
        }
        decode::value(row.column(index).type_info(), value.as_bytes()?)
    }

    fn affected(&self, result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }
}
