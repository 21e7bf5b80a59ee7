//! Opening a SQLite file.

use std::path::Path;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{OpenOptions, Pools};
use crate::error::{Result, StoreError};

pub(super) async fn open(path: &str, options: &OpenOptions) -> Result<Pools> {
    if path.is_empty() || path == ":memory:" {
        return Err(StoreError::BadUrl {
            url: format!("sqlite:{path}"),
            why: "it must name a file, such as `sqlite:flow.db`".to_owned(),
        });
    }
    if let Some(folder) = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::Database {
            doing: "create the folder of the SQLite file",
            source: sqlx::Error::Io(error),
        })?;
    }
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: a commit that was acknowledged survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(256)
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", "4000");
    let opening = |source| StoreError::Database { doing: "open the SQLite file", source };
    let write = pool()
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(connect.clone())
        .await
        .map_err(opening)?;
    let read = pool()
        .max_connections(options.connections_max.clamp(1, 4))
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(Duration::from_secs(60))
        .connect_lazy_with(connect);
    Ok(Pools::Sqlite { write, read })
}

/// A pool that takes back no connection whose transaction has not ended. SQLite ends a transaction by itself when the disk
/// is full; the driver's rollback is then refused, and it goes on believing in the transaction: each later one would fail.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new().test_before_acquire(false).after_release(|connection, _| {
        Box::pin(async move {
            if !connection.is_in_transaction() {
                return Ok(true);
            }
            // A rollback that was asked for is carried out before the answer.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}
