//! SQLite.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteColumn, SqliteConnectOptions, SqliteConnection, SqliteQueryResult, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor, Row, Sqlite, TypeInfo, ValueRef};

use crate::answer::{Answers, CollectError, Reader, base64, collect, real};
use crate::client::{Observer, Progress, Request};
use crate::error::{chain, refused};
use crate::parameter::{Bound, bound};
use crate::rewrite::{placeholder, rewrite};
use crate::{Answer, Dialect, Keep, Script, SqlError, Statement};

/// How long a script waits for another one that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);
/// Steps of SQLite's machine between two looks at whether to stop.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Where a database is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    /// `None`: in memory, for one script.
    pub path: Option<PathBuf>,
}

/// Runs a script.
pub(crate) async fn run(
    options: &Options,
    script: &Script<'_>,
    request: &Request<'_>,
    observer: Observer<'_>,
) -> Result<Answer, SqlError> {
    let connect_options = SqliteConnectOptions::new()
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        // What people ask their databases is no business of the role's log.
        .disable_statement_logging();
    let connect_options = match &options.path {
        Some(path) => connect_options.filename(path),
        None => connect_options.filename(":memory:"),
    };
    let name = options.path.as_ref().map_or_else(|| ":memory:".to_owned(), |path| path.display().to_string());
    let unreachable = |error: sqlx::Error| {
        let hint = match options.path.as_deref().and_then(std::path::Path::parent) {
            Some(folder) if !folder.is_dir() => {
                format!("\nhint: there is no folder `{}` on this worker", folder.display())
            }
            _ => String::new(),
        };
        SqlError::Unreachable(format!("cannot open the SQLite database `{name}`: {}{hint}", chain(&error)))
    };
    let mut connection = SqliteConnection::connect_with(&connect_options).await.map_err(unreachable)?;
    let interrupt = Interrupt::default();
    let is_dropped = Arc::clone(&interrupt.is_dropped);
    let mut handle = connection.lock_handle().await.map_err(unreachable)?;
    handle.set_progress_handler(STEPS_BETWEEN_LOOKS, move || !is_dropped.load(Ordering::Relaxed));
    drop(handle);
    let answer = in_transaction(&mut connection, script, request, observer).await?;
    // Whatever was not committed is gone with the connection.
    connection.close().await.map_err(unreachable)?;
    Ok(answer)
}

/// Stops what SQLite's own thread is doing, when whoever waits for it does not wait any more.
#[derive(Default)]
struct Interrupt {
    is_dropped: Arc<AtomicBool>,
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

async fn in_transaction(
    connection: &mut SqliteConnection,
    script: &Script<'_>,
    request: &Request<'_>,
    observer: Observer<'_>,
) -> Result<Answer, SqlError> {
    if request.autocommit {
        return statements(connection, script, request, observer).await;
    }
    let lost = |error: sqlx::Error| SqlError::Refused(format!("the transaction failed: {}", chain(&error)));
    let only_reads = script.statements().iter().all(|statement| script.verb(statement) == "select");
    // One that writes says so at once: a reader that begins to write could only fail, if somebody else has written.
    connection.execute(if only_reads { "begin" } else { "begin immediate" }).await.map_err(lost)?;
    let answer = statements(connection, script, request, observer).await?;
    connection.execute("commit").await.map_err(lost)?;
    Ok(answer)
}

async fn statements(
    connection: &mut SqliteConnection,
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
    connection: &mut SqliteConnection,
    script: &Script<'_>,
    index: usize,
    statement: &Statement,
    request: &Request<'_>,
    keep: Keep,
) -> Result<Answer, SqlError> {
    let failed = |error: &sqlx::Error| refused(script, index, None, error, Vec::new());
    let rewritten = rewrite(script, statement, |index| placeholder(Dialect::Sqlite, index + 1));
    let values = bound(script, statement, &rewritten.names, request.parameters)?;
    let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(rewritten.text)).persistent(false);
    for value in values {
        query = match value {
            Bound::Null => query.bind(None::<String>),
            Bound::Bool(value) => query.bind(value),
            Bound::Integer(value) => query.bind(value),
            Bound::Real(value) => query.bind(value),
            Bound::Text(text) | Bound::Cast { text, .. } => query.bind(text),
        };
    }
    // SQLite remembers the number of changes until the next change: a statement that reads would seem to have made them.
    let changes_before = changes(connection).await.map_err(|error| failed(&error))?;
    let answer = collect(connection.fetch_many(query), &SqliteReader, keep, Answers::One).await;
    let mut answer = answer.map_err(|error| match error {
        CollectError::Row(error) => error,
        CollectError::Database(error) => failed(&error),
    })?;
    if changes(connection).await.map_err(|error| failed(&error))? == changes_before {
        answer.rows_affected = 0;
    }
    Ok(answer)
}

async fn changes(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select total_changes()").fetch_one(connection).await
}

struct SqliteReader;

impl Reader<Sqlite> for SqliteReader {
    fn check(&self, _: &SqliteColumn) -> Result<(), String> {
        Ok(())
    }

    /// By what the value is, not by what the column was declared as.
    fn value(&self, row: &SqliteRow, index: usize) -> Result<Value, BoxDynError> {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            return Ok(Value::Null);
        }
        Ok(match value.type_info().name() {
            "INTEGER" => row.try_get_unchecked::<i64, _>(index)?.into(),
            "REAL" => real(row.try_get_unchecked(index)?),
            "TEXT" => Value::String(row.try_get_unchecked(index)?),
            _ => base64(&row.try_get_unchecked::<Vec<u8>, _>(index)?),
        })
    }

    fn affected(&self, result: &SqliteQueryResult) -> u64 {
        result.rows_affected()
    }
}
