//! What can go wrong in the store.

/// Shorthand for results of store operations.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("could not {doing}")]
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
    #[error("could not migrate the database")]
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
}

/// What may end a transaction's body: the database's error, or a domain error that rolls it back.
pub(crate) enum Abort {
    Sql(sqlx::Error),
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

pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => {
            let code = database.code();
            let code = code.as_deref().unwrap_or("");
            // Connection exceptions, operator intervention, resources, lock not available, read-only during a failover,
            // conflicts; SQLite's BUSY, LOCKED and FULL.
            ["08", "57P0", "53", "55P03", "25006", "40"].iter().any(|class| code.starts_with(class))
                || matches!(code, "5" | "6" | "13" | "517")
        }
        _ => false,
    }
}
