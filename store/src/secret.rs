//! Variables and connections. What is secret arrives encrypted and leaves encrypted: the store never sees a key.

use flow_model::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::audit_log::{self, Deed};
use crate::connect::Store;
use crate::error::Result;
use crate::read::Page;
use crate::transaction::{step, steps};

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
        self.reading("read a variable", |tx| {
            step(
                tx.query("select key, sealed, is_secret, description, updated_at from variable where key = $1")
                    .bind(key)
                    .optional(),
            )
        })
        .await
    }

    /// Variables by name whose names contain `part`, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_variables(&self, part: &str, page: Page) -> Result<(Vec<StoredVariable>, i64)> {
        self.reading("list variables", |tx| {
            steps(async move {
                let rows = tx
                    .query(
                        "select key, sealed, is_secret, description, updated_at from variable
                         where lower(key) like '%' || lower($1) || '%' escape '!' order by key limit $2 offset $3",
                    )
                    .bind(like(part))
                    .bind(page.limit())
                    .bind(page.offset())
                    .all()
                    .await?;
                let total: i64 = tx
                    .query("select count(*) from variable where lower(key) like '%' || lower($1) || '%' escape '!'")
                    .bind(like(part))
                    .scalar()
                    .await?;
                Ok((rows, total))
            })
        })
        .await
    }

    /// Creates or replaces a variable; a description that is not given stays.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_variable(&self, now: Timestamp, variable: &StoredVariable, principal: &str) -> Result<()> {
        self.transaction("set a variable", |tx| {
            steps(async move {
                tx.query(
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
                .execute()
                .await?;
                let deed = Deed { principal, action: "set_variable", object: &variable.key, detail: None };
                audit_log::record(tx, now, deed).await?;
                Ok(())
            })
        })
        .await
    }

    /// Deletes a variable; `false`: there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_variable(&self, now: Timestamp, key: &str, principal: &str) -> Result<bool> {
        self.transaction("delete a variable", |tx| {
            steps(async move {
                let gone = tx.query("delete from variable where key = $1").bind(key).execute().await?;
                if gone > 0 {
                    let deed = Deed { principal, action: "delete_variable", object: key, detail: None };
                    audit_log::record(tx, now, deed).await?;
                }
                Ok(gone > 0)
            })
        })
        .await
    }

    /// A connection.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stored_connection(&self, conn_id: &str) -> Result<Option<StoredConnection>> {
        self.reading("read a connection", |tx| {
            step(
                tx.query(
                    "select conn_id, conn_type, sealed, description, updated_at from connection where conn_id = $1",
                )
                .bind(conn_id)
                .optional(),
            )
        })
        .await
    }

    /// Connections by name whose names contain `part`, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_connections(&self, part: &str, page: Page) -> Result<(Vec<StoredConnection>, i64)> {
        self.reading("list connections", |tx| {
            steps(async move {
                let rows = tx
                    .query(
                        "select conn_id, conn_type, sealed, description, updated_at from connection
                         where lower(conn_id) like '%' || lower($1) || '%' escape '!' order by conn_id limit $2 offset $3",
                    )
                    .bind(like(part))
                    .bind(page.limit())
                    .bind(page.offset())
                    .all()
                    .await?;
                let total: i64 = tx
                    .query(
                        "select count(*) from connection where lower(conn_id) like '%' || lower($1) || '%' escape '!'",
                    )
                    .bind(like(part))
                    .scalar()
                    .await?;
                Ok((rows, total))
            })
        })
        .await
    }

    /// Creates or replaces a connection; a description that is not given stays.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_connection(&self, now: Timestamp, connection: &StoredConnection, principal: &str) -> Result<()> {
        self.transaction("set a connection", |tx| {
            steps(async move {
                tx.query(
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
                .execute()
                .await?;
                let deed = Deed { principal, action: "set_connection", object: &connection.conn_id, detail: None };
                audit_log::record(tx, now, deed).await?;
                Ok(())
            })
        })
        .await
    }

    /// Deletes a connection; `false`: there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_connection(&self, now: Timestamp, conn_id: &str, principal: &str) -> Result<bool> {
        self.transaction("delete a connection", |tx| {
            steps(async move {
                let gone = tx.query("delete from connection where conn_id = $1").bind(conn_id).execute().await?;
                if gone > 0 {
                    let deed = Deed { principal, action: "delete_connection", object: conn_id, detail: None };
                    audit_log::record(tx, now, deed).await?;
                }
                Ok(gone > 0)
            })
        })
        .await
    }

    /// Everything that is encrypted, by kind and name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sealed_rows(&self) -> Result<Vec<SealedRow>> {
        self.reading("read what is encrypted", |tx| {
            step(
                tx.query(
                    "select 'connection' as kind, conn_id as name, sealed from connection
                     union all select 'variable', key, sealed from variable order by 1, 2",
                )
                .all(),
            )
        })
        .await
    }

    /// Replaces an encrypted value by the same one under another key; `false`: somebody has set it meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reseal(&self, row: &SealedRow, sealed: &str) -> Result<bool> {
        self.transaction("encrypt a value anew", |tx| {
            steps(async move {
                let statement = match row.kind.as_str() {
                    "connection" => "update connection set sealed = $1 where conn_id = $2 and sealed = $3",
                    _ => "update variable set sealed = $1 where key = $2 and sealed = $3",
                };
                let changed = tx.query(statement).bind(sealed).bind(&row.name).bind(&row.sealed).execute().await?;
                Ok(changed > 0)
            })
        })
        .await
    }
}

/// What `like` takes for itself, with `!` before it.
fn like(part: &str) -> String {
    part.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}
