//! The schema and its versions.

use std::collections::HashMap;

use crate::connect::{Pools, Store};
use crate::error::{Result, StoreError};
use crate::query::Statement;
use crate::transaction::{conflict_pause, steps};

/// Attempts to migrate a SQLite file that others may be migrating.
const MIGRATE_ATTEMPTS_MAX: u32 = 10;

static POSTGRES: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/postgres");
static SQLITE: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");

/// One migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MigrationState {
    /// Its number.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Whether it has been applied.
    pub is_applied: bool,
}

/// How the database's schema stands against this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaStatus {
    /// They fit.
    Current(i64),
    /// The database is older (or empty: 0).
    Older {
        /// Version of the database.
        found: i64,
        /// Version of this binary.
        expected: i64,
    },
    /// The database was migrated by a newer flowctl.
    FromTheFuture {
        /// Version of the database.
        found: i64,
        /// Version of this binary.
        expected: i64,
    },
}

impl Store {
    /// Brings the schema up to this binary's version. Safe to run from several processes at once.
    ///
    /// # Errors
    /// The database is newer than this binary, or a migration failed; a failed migration changes nothing.
    pub async fn migrate(&self) -> Result<()> {
        if let SchemaStatus::FromTheFuture { .. } = self.schema_status().await? {
            return self.require_current_schema().await;
        }
        match self.pools() {
            Pools::Postgres { write, begin, is_pooled, .. } => {
                crate::connect::postgres::migrate(write, *begin, *is_pooled, &POSTGRES).await
            }
            Pools::Sqlite { .. } => self.migrate_sqlite().await,
        }
    }

    /// SQLite has no advisory lock: of several migrators at once all but one fail at a migration that is there already,
    /// and then find the rest done or go on with it.
    async fn migrate_sqlite(&self) -> Result<()> {
        let Pools::Sqlite { write, .. } = self.pools() else { return Ok(()) };
        let mut attempt = 0;
        loop {
            let Err(error) = SQLITE.run(write).await else { return Ok(()) };
            attempt += 1;
            if matches!(self.schema_status().await, Ok(SchemaStatus::Current(_))) {
                return Ok(());
            }
            if attempt >= MIGRATE_ATTEMPTS_MAX {
                return Err(StoreError::Migrate(error));
            }
            tokio::time::sleep(conflict_pause(attempt * 10)).await;
        }
    }

    /// Every migration that this binary knows or the database has.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn migrations(&self) -> Result<Vec<MigrationState>> {
        let applied = self.applied_migrations().await?;
        let migrator = match self.pools() {
            Pools::Postgres { .. } => &POSTGRES,
            Pools::Sqlite { .. } => &SQLITE,
        };
        let mut states: Vec<MigrationState> = migrator
            .iter()
            .map(|migration| MigrationState {
                version: migration.version,
                description: migration.description.to_string(),
                is_applied: applied.contains_key(&migration.version),
            })
            .collect();
        for (version, description) in applied {
            if !states.iter().any(|state| state.version == version) {
                states.push(MigrationState { version, description, is_applied: true });
            }
        }
        states.sort_by_key(|state| state.version);
        Ok(states)
    }

    /// Compares the database's schema with this binary's.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn schema_status(&self) -> Result<SchemaStatus> {
        let found = self.applied_migrations().await?.into_keys().max().unwrap_or(0);
        let expected = POSTGRES.iter().map(|migration| migration.version).max().unwrap_or(0);
        Ok(match found.cmp(&expected) {
            std::cmp::Ordering::Equal => SchemaStatus::Current(found),
            std::cmp::Ordering::Less => SchemaStatus::Older { found, expected },
            std::cmp::Ordering::Greater => SchemaStatus::FromTheFuture { found, expected },
        })
    }

    /// Refuses a database whose schema does not fit.
    ///
    /// # Errors
    /// [`StoreError::Schema`] with advice.
    pub async fn require_current_schema(&self) -> Result<()> {
        match self.schema_status().await? {
            SchemaStatus::Current(_) => Ok(()),
            SchemaStatus::Older { found, expected } => Err(StoreError::Schema {
                found,
                expected,
                advice: "the database is older; run `flowctl db migrate`".to_owned(),
            }),
            SchemaStatus::FromTheFuture { found, expected } => Err(StoreError::Schema {
                found,
                expected,
                advice: "a newer flowctl has migrated it; use that version or newer".to_owned(),
            }),
        }
    }

    async fn applied_migrations(&self) -> Result<HashMap<i64, String>> {
        self.reading("read the schema version", |tx| {
            steps(async move {
                let exists: i64 = tx
                    .query(Statement::Both(
                        "select count(*) from information_schema.tables
                         where table_name = '_sqlx_migrations' and table_schema = current_schema()",
                        "select count(*) from sqlite_master where name = '_sqlx_migrations'",
                    ))
                    .scalar()
                    .await?;
                Ok(if exists == 0 {
                    HashMap::new()
                } else {
                    tx.query("select version, description from _sqlx_migrations where success")
                        .all::<(i64, String)>()
                        .await?
                        .into_iter()
                        .collect()
                })
            })
        })
        .await
    }
}
