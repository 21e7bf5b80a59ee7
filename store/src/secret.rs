//! Variables and connections. What is secret arrives encrypted and leaves encrypted: the store never sees a key.

use flow_model::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::connect::Store;
use crate::error::Result;
use crate::read::Page;
use crate::transaction::{reading, transaction};

/// Notes in the audit log who did what to which thing; values never.
macro_rules! note {
    ($tx:ident, $now:expr, $principal:expr, $action:literal, $object:expr) => {
        sqlx::query("insert into audit_log (at, principal, action, object) values ($1, $2, $3, $4)")
            .bind($now.as_micros())
            .bind($principal)
            .bind($action)
            .bind($object)
            .execute(&mut *$tx)
            .await?
    };
}

/// A variable as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct StoredVariable {
    /// Its name.
    pub key: String,
    /// Its encrypted value.
    pub sealed: String,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// What it is for.
    pub description: Option<String>,
    /// When it was set, in microseconds since 1970.
    pub updated_at: i64,
}

/// A connection as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct StoredConnection {
    /// Its name.
    pub conn_id: String,
    /// What it leads to.
    pub conn_type: String,
    /// All of it as encrypted JSON.
    pub sealed: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was set, in microseconds since 1970.
    pub updated_at: i64,
}

/// An encrypted value of either kind, for the change of keys.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SealedRow {
    /// `variable` or `connection`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its encrypted value.
    pub sealed: String,
}

impl Store {
    /// A variable.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stored_variable(&self, key: &str) -> Result<Option<StoredVariable>> {
        reading!(self, "read a variable", |tx| {
            sqlx::query_as("select key, sealed, is_secret, description, updated_at from variable where key = $1")
                .bind(key)
                .fetch_optional(&mut *tx)
                .await?
        })
    }

    /// Variables by name whose names contain `part`, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_variables(&self, part: &str, page: Page) -> Result<(Vec<StoredVariable>, i64)> {
        reading!(self, "list variables", |tx| {
            let rows = sqlx::query_as(
                "select key, sealed, is_secret, description, updated_at from variable
                 where lower(key) like '%' || lower($1) || '%' escape '!' order by key limit $2 offset $3",
            )
            .bind(like(part))
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(&mut *tx)
            .await?;
            let total: i64 = sqlx::query_scalar(
                "select count(*) from variable where lower(key) like '%' || lower($1) || '%' escape '!'",
            )
            .bind(like(part))
            .fetch_one(&mut *tx)
            .await?;
            (rows, total)
        })
    }

    /// Creates or replaces a variable; a description that is not given stays.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_variable(&self, now: Timestamp, variable: &StoredVariable, principal: &str) -> Result<()> {
        transaction!(self, "set a variable", |tx| {
            sqlx::query(
                "insert into variable (key, sealed, is_secret, description, updated_at) values ($1, $2, $3, $4, $5)
                 on conflict (key) do update set sealed = excluded.sealed, is_secret = excluded.is_secret,
                    description = coalesce(excluded.description, variable.description),
                    updated_at = excluded.updated_at",
            )
            .bind(&variable.key)
            .bind(&variable.sealed)
            .bind(variable.is_secret)
            .bind(&variable.description)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
            note!(tx, now, principal, "set_variable", &variable.key);
        })
    }

    /// Deletes a variable; `false`: there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_variable(&self, now: Timestamp, key: &str, principal: &str) -> Result<bool> {
        transaction!(self, "delete a variable", |tx| {
            let gone = sqlx::query("delete from variable where key = $1").bind(key).execute(&mut *tx).await?;
            if gone.rows_affected() > 0 {
                note!(tx, now, principal, "delete_variable", key);
            }
            gone.rows_affected() > 0
        })
    }

    /// A connection.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stored_connection(&self, conn_id: &str) -> Result<Option<StoredConnection>> {
        reading!(self, "read a connection", |tx| {
            sqlx::query_as(
                "select conn_id, conn_type, sealed, description, updated_at from connection where conn_id = $1",
            )
            .bind(conn_id)
            .fetch_optional(&mut *tx)
            .await?
        })
    }

    /// Connections by name whose names contain `part`, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_connections(&self, part: &str, page: Page) -> Result<(Vec<StoredConnection>, i64)> {
        reading!(self, "list connections", |tx| {
            let rows = sqlx::query_as(
                "select conn_id, conn_type, sealed, description, updated_at from connection
                 where lower(conn_id) like '%' || lower($1) || '%' escape '!' order by conn_id limit $2 offset $3",
            )
            .bind(like(part))
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(&mut *tx)
            .await?;
            let total: i64 = sqlx::query_scalar(
                "select count(*) from connection where lower(conn_id) like '%' || lower($1) || '%' escape '!'",
            )
            .bind(like(part))
            .fetch_one(&mut *tx)
            .await?;
            (rows, total)
        })
    }

    /// Creates or replaces a connection; a description that is not given stays.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_connection(&self, now: Timestamp, connection: &StoredConnection, principal: &str) -> Result<()> {
        transaction!(self, "set a connection", |tx| {
            sqlx::query(
                "insert into connection (conn_id, conn_type, sealed, description, updated_at)
                 values ($1, $2, $3, $4, $5)
                 on conflict (conn_id) do update set conn_type = excluded.conn_type, sealed = excluded.sealed,
                    description = coalesce(excluded.description, connection.description),
                    updated_at = excluded.updated_at",
            )
            .bind(&connection.conn_id)
            .bind(&connection.conn_type)
            .bind(&connection.sealed)
            .bind(&connection.description)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
            note!(tx, now, principal, "set_connection", &connection.conn_id);
        })
    }

    /// Deletes a connection; `false`: there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_connection(&self, now: Timestamp, conn_id: &str, principal: &str) -> Result<bool> {
        transaction!(self, "delete a connection", |tx| {
            let gone = sqlx::query("delete from connection where conn_id = $1").bind(conn_id).execute(&mut *tx).await?;
            if gone.rows_affected() > 0 {
                note!(tx, now, principal, "delete_connection", conn_id);
            }
            gone.rows_affected() > 0
        })
    }

    /// Everything that is encrypted, by kind and name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sealed_rows(&self) -> Result<Vec<SealedRow>> {
        reading!(self, "read what is encrypted", |tx| {
            sqlx::query_as(
                "select 'connection' as kind, conn_id as name, sealed from connection
                 union all select 'variable', key, sealed from variable order by 1, 2",
            )
            .fetch_all(&mut *tx)
            .await?
        })
    }

    /// Replaces an encrypted value by the same one under another key; `false`: somebody has set it meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reseal(&self, row: &SealedRow, sealed: &str) -> Result<bool> {
        transaction!(self, "encrypt a value anew", |tx| {
            let statement = match row.kind.as_str() {
                "connection" => "update connection set sealed = $1 where conn_id = $2 and sealed = $3",
                _ => "update variable set sealed = $1 where key = $2 and sealed = $3",
            };
            let changed =
                sqlx::query(statement).bind(sealed).bind(&row.name).bind(&row.sealed).execute(&mut *tx).await?;
            changed.rows_affected() > 0
        })
    }
}

/// What `like` takes for itself, with `!` before it.
fn like(part: &str) -> String {
    part.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}
