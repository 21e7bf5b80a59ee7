//! One transaction, written once for both databases.

use std::time::Duration;

/// Conflicts (deadlock, serialization failure, busy) after which an operation gives up.
pub(crate) const CONFLICT_RETRIES_MAX: u32 = 5;

/// A pause before trying a conflicting transaction again: a little longer each time, and different for each process.
pub(crate) fn conflict_pause(attempt: u32) -> Duration {
    Duration::from_micros(500 + u64::from(rand::random::<u16>() % 2_000) * u64::from(attempt))
}

/// Runs a body in a transaction and commits. The body is expanded once for each database, with `$tx` bound to a
/// `&mut PgConnection` or `&mut SqliteConnection`; `?` in it takes `sqlx::Error` and `StoreError`. Conflicts are tried
/// again, so the body must not have effects outside the database.
macro_rules! transaction {
    ($store:expr, $doing:literal, |$tx:ident| $body:block) => {{
        let mut conflicts = 0_u32;
        loop {
            let result: std::result::Result<_, $crate::error::Abort> = match $store.pools() {
                $crate::connect::Pools::Postgres { write: pool, .. } => {
                    async {
                        let mut guard = pool.begin().await?;
                        let out = {
                            #[allow(unused_variables, reason = "not every body names its connection")]
                            let $tx = &mut *guard;
                            $body
                        };
                        guard.commit().await?;
                        Ok(out)
                    }
                    .await
                }
                $crate::connect::Pools::Sqlite { write, .. } => {
                    async {
                        // IMMEDIATE: a transaction that reads first and writes later would fail at once when another
                        // writer came in between.
                        let mut guard = write.begin_with("BEGIN IMMEDIATE").await?;
                        let out = {
                            #[allow(unused_variables, reason = "not every body names its connection")]
                            let $tx = &mut *guard;
                            $body
                        };
                        guard.commit().await?;
                        Ok(out)
                    }
                    .await
                }
            };
            match result {
                Ok(out) => break Ok(out),
                Err($crate::error::Abort::Domain(error)) => break Err(error),
                Err($crate::error::Abort::Sql(error))
                    if $crate::error::is_conflict(&error) && conflicts < $crate::transaction::CONFLICT_RETRIES_MAX =>
                {
                    conflicts += 1;
                    tokio::time::sleep($crate::transaction::conflict_pause(conflicts)).await;
                }
                Err($crate::error::Abort::Sql(source)) => {
                    break Err($crate::error::StoreError::Database { doing: $doing, source });
                }
            }
        }
    }};
}

/// Runs a body that only reads, on one connection without an explicit transaction.
macro_rules! reading {
    ($store:expr, $doing:literal, |$tx:ident| $body:block) => {{
        let result: std::result::Result<_, $crate::error::Abort> = match $store.pools() {
            $crate::connect::Pools::Postgres { read: pool, .. } => {
                async {
                    let mut guard = pool.acquire().await?;
                    let $tx = &mut *guard;
                    Ok($body)
                }
                .await
            }
            $crate::connect::Pools::Sqlite { read, .. } => {
                async {
                    let mut guard = read.acquire().await?;
                    let $tx = &mut *guard;
                    Ok($body)
                }
                .await
            }
        };
        result.map_err(|abort| match abort {
            $crate::error::Abort::Domain(error) => error,
            $crate::error::Abort::Sql(source) => $crate::error::StoreError::Database { doing: $doing, source },
        })
    }};
}

/// Runs a body that only reads, all of it in one snapshot of the database.
macro_rules! snapshot {
    ($store:expr, $doing:literal, |$tx:ident| $body:block) => {{
        let result: std::result::Result<_, $crate::error::Abort> = match $store.pools() {
            $crate::connect::Pools::Postgres { read: pool, .. } => {
                async {
                    let mut guard = pool.begin_with("begin isolation level repeatable read read only").await?;
                    let $tx = &mut *guard;
                    Ok($body)
                }
                .await
            }
            $crate::connect::Pools::Sqlite { read, .. } => {
                async {
                    let mut guard = read.begin().await?;
                    let $tx = &mut *guard;
                    Ok($body)
                }
                .await
            }
        };
        result.map_err(|abort| match abort {
            $crate::error::Abort::Domain(error) => error,
            $crate::error::Abort::Sql(source) => $crate::error::StoreError::Database { doing: $doing, source },
        })
    }};
}

pub(crate) use {reading, snapshot, transaction};
