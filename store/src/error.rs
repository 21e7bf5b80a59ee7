//! What can go wrong in the store. What an error says holds its causes: wherever only its text is kept, they are told.

use flow_model::error_chain;

/// Shorthand for results of store operations.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("could not {doing}: {}", error_chain(.source))]
    Database {
        /// The operation, as in "could not claim tasks".
        doing: &'static str,
        /// What the database or its driver said.
        source: sqlx::Error,
    },
    /// The database URL cannot be used.
    #[error("cannot use the database URL `{url}`: {why}")]
    BadUrl {
        /// The URL without its password.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The schema is not the one this binary works with.
    #[error("the schema of the database is {found}, this flowctl works with {expected}: {advice}")]
    Schema {
        /// Version found.
        found: i64,
        /// Version expected.
        expected: i64,
        /// What to do.
        advice: String,
    },
    /// The migration failed.
    #[error("could not migrate the database: {}", error_chain(.0))]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Something that was named does not exist.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing, e.g. "dag".
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The request contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// Whoever asks may not do this.
    #[error("{0}")]
    Denied(String),
    /// A row does not hold what this binary understands.
    #[error("the database holds a {what} that this flowctl cannot read: {why}")]
    Corrupt {
        /// What kind of thing.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's help: the database is away, busy or restarting.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Database { source, .. } => is_transient(source),
            StoreError::BadUrl { .. }
            | StoreError::Schema { .. }
            | StoreError::Migrate(_)
            | StoreError::NotFound { .. }
            | StoreError::Conflict(_)
            | StoreError::Denied(_)
            | StoreError::Corrupt { .. } => false,
        }
    }
    /// Whether nothing can be written because the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, StoreError::Database { source, .. } if is_full(source))
    }

    /// What to do about it, where the database's own words would lead astray.
    pub fn advice(&self) -> Option<&'static str> {
        let code = match self {
            StoreError::Database { source, .. } => source.as_database_error()?.code()?,
            _ => return None,
        };
        // A prepared statement that is there already, or not any more.
        matches!(code.as_ref(), "42P05" | "26000").then_some(
            "a pooler in transaction mode seems to be between flowctl and PostgreSQL: set `database.pooling = \"transaction\"`",
        )
    }
}

/// What may end a transaction: the database's error in its body or at its commit, or a domain error that rolls it back.
pub(crate) enum Abort {
    Sql(sqlx::Error),
    /// Whether it has happened is not known.
    Commit(sqlx::Error),
    Domain(StoreError),
}

impl From<sqlx::Error> for Abort {
    fn from(error: sqlx::Error) -> Self {
        Abort::Sql(error)
    }
}

impl From<StoreError> for Abort {
    fn from(error: StoreError) -> Self {
        Abort::Domain(error)
    }
}

/// Serialization failures and deadlocks: the whole transaction may be tried again at once (airflow#41428 died of one).
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|database| database.code().map(|code| code.into_owned())).is_some_and(|code| {
        // PostgreSQL: serialization failure, deadlock. SQLite: BUSY and its snapshot variant.
        matches!(code.as_str(), "40001" | "40P01" | "5" | "517")
    })
}

/// Whether the connection is gone, and a new one may have better luck: the server was stopped or restarted, or somebody in
/// between has cut it.
pub(crate) fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => {
            let code = database.code();
            let code = code.as_deref().unwrap_or("");
            // Connection exceptions except protocol violations; the server stops, has crashed or is starting.
            (code.starts_with("08") && code != "08P01") || code.starts_with("57P0")
        }
        _ => false,
    }
}

pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => {
            let code = database.code();
            let code = code.as_deref().unwrap_or("");
            // Connection exceptions, operator intervention, resources, lock not available, read-only during a failover,
            // conflicts.
            ["08", "57P0", "53", "55P03", "25006", "40"].iter().any(|class| code.starts_with(class))
                || matches!(sqlite_class(code), Some(BUSY | LOCKED | IO | FULL | CANNOT_OPEN))
        }
        _ => false,
    }
}

/// Whether the database has no room to write: SQLite's FULL and what it says when its shared memory cannot grow, or
/// PostgreSQL's `disk_full`.
fn is_full(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::StorageFull,
        sqlx::Error::Database(database) => {
            let code = database.code();
            let code = code.as_deref().unwrap_or("");
            code == "53100" || sqlite_class(code) == Some(FULL) || code == SHARED_MEMORY_CANNOT_GROW
        }
        _ => false,
    }
}

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const IO: u32 = 10;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const SHARED_MEMORY_CANNOT_GROW: &str = "4874";

/// The class of SQLite's error code, of which the rest is detail. PostgreSQL's codes have five characters, and no class.
fn sqlite_class(code: &str) -> Option<u32> {
    if code.len() == 5 { None } else { code.parse::<u32>().ok().map(|code| code & 0xff) }
}
