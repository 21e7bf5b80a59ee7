//! MySQL and MariaDB.

mod decode;

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::mysql::{MySqlColumn, MySqlConnectOptions, MySqlConnection, MySqlQueryResult, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor, MySql};

use crate::answer::{Answers, CollectError, Reader, collect};
use crate::client::{Observer, Progress, Request};
use crate::error::{chain, refused};
use crate::parameter::{Bound, bound};
use crate::rewrite::{placeholder, rewrite};
use crate::{Answer, Dialect, Keep, Script, SqlError, Statement};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the order to stop a statement may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a server is and how to get in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    pub host: String,
    pub port: u16,
    pub login: Option<String>,
    pub password: Option<String>,
    pub database: Option<String>,
    pub ssl_mode: Option<String>,
    pub ssl_ca: Option<String>,
}

impl Options {
    /// # Errors
    /// In words: the TLS mode is none.
    pub fn check(&self) -> Result<(), String> {
        match &self.ssl_mode {
            Some(mode) => mode.parse::<MySqlSslMode>().map(drop).map_err(|_| {
                format!("`{mode}` is not an ssl_mode\nhint: it is disabled, preferred, required, verify_ca or verify_identity")
            }),
            None => Ok(()),
        }
    }

    fn connect_options(&self) -> MySqlConnectOptions {
        // Statements are read as the server is set up to; times are in UTC.
        let mut options = MySqlConnectOptions::new()
            .host(&self.host)
            .port(self.port)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .statement_cache_capacity(1)
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
        if let Some(file) = &self.ssl_ca {
            options = options.ssl_ca(file);
        }
        options
    }
}

/// Runs a script.
pub(crate) async fn run(
    options: &Options,
    script: &Script<'_>,
    request: &Request<'_>,
    observer: Observer<'_>,
) -> Result<Answer, SqlError> {
    let mut running = Running::start(options).await?;
    let connection = running.connection.as_mut().expect("it is there until it has ended");
    let answer = in_transaction(connection, script, request, observer).await;
    if let Some(connection) = running.connection.take() {
        // Whatever was not committed is gone with the connection; that it cannot say goodbye changes nothing.
        let _ = connection.close().await;
    }
    answer
}

async fn in_transaction(
    connection: &mut MySqlConnection,
    script: &Script<'_>,
    request: &Request<'_>,
    observer: Observer<'_>,
) -> Result<Answer, SqlError> {
    if request.autocommit {
        return statements(connection, script, request, observer).await;
    }
    let lost = |error: sqlx::Error| SqlError::Refused(format!("the transaction failed: {}", chain(&error)));
    connection.execute(sqlx::raw_sql("start transaction")).await.map_err(lost)?;
    let answer = statements(connection, script, request, observer).await?;
    connection.execute(sqlx::raw_sql("commit")).await.map_err(lost)?;
    Ok(answer)
}

async fn statements(
    connection: &mut MySqlConnection,
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
    connection: &mut MySqlConnection,
    script: &Script<'_>,
    index: usize,
    statement: &Statement,
    request: &Request<'_>,
    keep: Keep,
) -> Result<Answer, SqlError> {
    let answers = match script.verb(statement).as_str() {
        "select" | "with" | "show" | "table" | "values" => Answers::One,
        _ => Answers::Several,
    };
    let rewritten = rewrite(script, statement, |index| placeholder(Dialect::MySql, index + 1));
    let answer = if rewritten.names.is_empty() {
        // Some statements cannot be prepared. Without parameters there is no need to.
        let reader = MySqlReader { is_text: true };
        collect(connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(rewritten.text))), &reader, keep, answers).await
    } else {
        let values = bound(script, statement, &rewritten.names, request.parameters)?;
        let rewritten = rewrite(script, statement, |index| values[index].placeholder());
        let mut query = sqlx::query::<MySql>(AssertSqlSafe(rewritten.text)).persistent(false);
        for value in values {
            query = match value {
                Bound::Null => query.bind(None::<String>),
                Bound::Bool(value) => query.bind(value),
                Bound::Integer(value) => query.bind(value),
                Bound::Real(value) => query.bind(value),
                Bound::Text(text) | Bound::Cast { text, .. } => query.bind(text),
            };
        }
        collect(connection.fetch_many(query), &MySqlReader { is_text: false }, keep, answers).await
    };
    answer.map_err(|error| match error {
        CollectError::Row(error) => error,
        CollectError::Database(error) => refused(script, index, None, &error, Vec::new()),
    })
}

/// A connection in use. Dropped before it has ended, it tells the server to stop.
struct Running {
    connection: Option<MySqlConnection>,
    server_thread: u64,
    options: MySqlConnectOptions,
}

impl Running {
    async fn start(options: &Options) -> Result<Self, SqlError> {
        let address = format!("{}:{}", options.host, options.port);
        let unreachable = |why: String| SqlError::Unreachable(format!("cannot connect to MySQL at {address}: {why}"));
        let options = options.connect_options();
        let connecting = async {
            let mut connection = MySqlConnection::connect_with(&options).await?;
            let server_thread = sqlx::query_scalar("select cast(connection_id() as unsigned)")
                .persistent(false)
                .fetch_one(&mut connection)
                .await?;
            Ok((connection, server_thread))
        };
        let (connection, server_thread) = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error: sqlx::Error| unreachable(chain(&error)))?,
            Err(_) => return Err(unreachable("nobody answers".to_owned())),
        };
        Ok(Running { connection: Some(connection), server_thread, options })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (options, server_thread) = (self.options.clone(), self.server_thread);
        runtime.spawn(async move {
            // Our own connection stays open until then, so the number cannot mean another one by now.
            let kill = async {
                let mut other = MySqlConnection::connect_with(&options).await?;
                let order = format!("kill query {server_thread}");
                other.execute(sqlx::raw_sql(AssertSqlSafe(order))).await?;
                other.close().await
            };
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, kill).await;
            drop(connection);
        });
    }
}

struct MySqlReader {
    /// Whether values come as text, and not in binary.
    is_text: bool,
}

impl Reader<MySql> for MySqlReader {
    fn check(&self, _: &MySqlColumn) -> Result<(), String> {
        Ok(())
    }

    fn value(&self, row: &MySqlRow, index: usize) -> Result<Value, BoxDynError> {
        decode::value(row, index, self.is_text)
    }

    fn affected(&self, result: &MySqlQueryResult) -> u64 {
        result.rows_affected()
    }
}
