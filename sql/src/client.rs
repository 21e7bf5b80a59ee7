//! Runs scripts on the databases that connections lead to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flow_model::Connection;
use serde_json::{Map, Value};
use sqlx::PgPool;

use crate::target::Target;
use crate::{Answer, Dialect, Keep, Script, SqlError, mysql, notices, postgres, sqlite};

/// Pools that are kept at most; beyond that, all are let go, and filled again as they are needed.
const POOLS_MAX: usize = 64;

/// Runs scripts. Connections to PostgreSQL are kept for a while after use, reset to how a new one is; those to SQLite
/// and MySQL, which have no such reset, live as long as one script. So nothing that a script sets in its session is
/// seen by another one.
#[derive(Debug, Default)]
pub struct SqlClient {
    pools: Mutex<HashMap<Arc<Target>, PgPool>>,
}

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// One or several statements with parameters as `:name`.
    pub sql: &'a str,
    /// The parameters' values. They are bound: whatever they hold, they stay values.
    pub parameters: &'a Map<String, Value>,
    /// Whether each statement is committed by itself; otherwise all of them in one transaction.
    pub autocommit: bool,
    /// What of the last statement's answer is kept.
    pub keep: Keep,
    /// How long it may take altogether, connecting included.
    pub timeout: Option<Duration>,
}

/// How a script gets on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A statement begins.
    Begins {
        /// Its number; 1 is the first.
        number: usize,
        /// How many there are.
        of: usize,
        /// The statement, as the script has it: without values.
        text: &'a str,
    },
    /// The database says something beside its answer.
    Notice {
        /// `notice`, `warning`, `info`, `debug` or `error`.
        severity: &'static str,
        /// Its words: they may hold what the statement was given.
        text: &'a str,
    },
    /// It has come to its end.
    Ended {
        /// Rows that it has returned.
        rows: u64,
        /// Rows that it has changed, or returned, as the database counts them.
        rows_affected: u64,
        /// How long it took.
        elapsed: Duration,
    },
}

/// Who is told how a script gets on.
pub type Observer<'a> = &'a (dyn for<'p> Fn(Progress<'p>) + Sync);

impl SqlClient {
    /// The database language that a connection leads to.
    ///
    /// # Errors
    /// The connection is of a type that is no database.
    pub fn dialect(connection: &Connection) -> Result<Dialect, SqlError> {
        Ok(Target::of(connection)?.dialect())
    }

    /// Runs a script, and returns what its last statement answers. If the future is dropped, the database is told to
    /// stop what it is doing, and the transaction is rolled back.
    ///
    /// # Errors
    /// The connection or the request cannot be used, nobody answers, a statement is refused, the answer is too large,
    /// or it takes too long. With `autocommit` off, nothing of the script has happened then.
    pub async fn run(
        &self,
        connection: &Connection,
        request: &Request<'_>,
        observer: Observer<'_>,
    ) -> Result<Answer, SqlError> {
        let target = Arc::new(Target::of(connection)?);
        let script = Script::read(target.dialect(), request.sql);
        refuse_faults(&script, request.parameters)?;
        if script.statements().is_empty() {
            return Err(SqlError::Request("the query has no statement".to_owned()));
        }
        let heard = notices::Heard::default();
        // What was said before comes before.
        let has_begun = AtomicBool::new(false);
        let tell = |progress: Progress<'_>| {
            has_begun.store(true, Ordering::Relaxed);
            heard.tell(observer);
            observer(progress);
        };
        let asking = Box::pin(async {
            match &*target {
                Target::Postgres(options) => {
                    let pool = self.pool(&target, options);
                    postgres::run(&pool, &script, request, &tell).await
                }
                Target::MySql(options) => mysql::run(options, &script, request, &tell).await,
                Target::Sqlite(options) => sqlite::run(options, &script, request, &tell).await,
            }
        });
        let running = notices::hear(&heard, observer, asking);
        match request.timeout {
            Some(timeout) => tokio::time::timeout(timeout, running).await.unwrap_or_else(|_| {
                let was_connecting = if has_begun.load(Ordering::Relaxed) { None } else { target.server() };
                Err(was_connecting.map_or(SqlError::TimedOut(timeout), |server| SqlError::connecting(&server, timeout)))
            }),
            None => running.await,
        }
    }

    fn pool(&self, target: &Arc<Target>, options: &postgres::Options) -> PgPool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() >= POOLS_MAX && !pools.contains_key(target) {
            // Whoever uses one of them has a share of it, and goes on.
            pools.clear();
        }
        pools.entry(Arc::clone(target)).or_insert_with(|| postgres::pool(options)).clone()
    }
}

/// Refuses parameters that are not given, and placeholders that nobody could fill.
fn refuse_faults(script: &Script<'_>, given: &Map<String, Value>) -> Result<(), SqlError> {
    let Some(fault) = script.faults(|name| given.contains_key(name)).into_iter().next() else { return Ok(()) };
    let (line, column) = script.place(fault.range.start);
    let names: Vec<&str> = given.keys().map(String::as_str).collect();
    Err(SqlError::Request(format!(
        "{} (line {line}, column {column})\nhint: {}",
        fault.message(script.text()),
        fault.hint(script.text(), &names)
    )))
}
