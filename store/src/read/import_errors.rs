//! Files in the DAG folder that could not be read.

use flow_model::Timestamp;
use serde_json::Value;

use crate::connect::Store;
use crate::error::Result;
use crate::read::{Page, record, records};
use crate::transaction::reading;

record!(
    /// What is wrong with a file.
    ImportError from ImportErrorRow {
        /// The file, relative to the DAG folder.
        file_path: String,
        /// Its DAG, where that is known.
        dag_id: Option<String>,
        /// The report as text.
        rendered: String,
        /// The report as data.
        diagnostics: Value,
        /// When it was found.
        seen_at: Timestamp,
    }
);

impl Store {
    /// Files that cannot be read at present, in order of their paths, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_import_errors(&self, page: Page) -> Result<(Vec<ImportError>, i64)> {
        let (rows, total): (Vec<ImportErrorRow>, i64) = reading!(self, "list import errors", |tx| {
            let rows = sqlx::query_as(
                "select file_path, dag_id, rendered, diagnostics, seen_at from import_error
                 order by file_path limit $1 offset $2",
            )
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(&mut *tx)
            .await?;
            let total = sqlx::query_scalar("select count(*) from import_error").fetch_one(&mut *tx).await?;
            (rows, total)
        })?;
        Ok((records(rows)?, total))
    }

    /// How many files cannot be read at present.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_import_errors(&self) -> Result<i64> {
        reading!(self, "count import errors", |tx| {
            sqlx::query_scalar("select count(*) from import_error").fetch_one(&mut *tx).await?
        })
    }
}
