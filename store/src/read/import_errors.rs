//! Files in the DAG folder that could not be read.

use flow_model::Timestamp;
use serde_json::Value;

use crate::connect::Store;
use crate::error::Result;
use crate::read::{Page, record, records};
use crate::transaction::{step, steps};

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
        let (rows, total): (Vec<ImportErrorRow>, i64) = self
            .reading("list import errors", |tx| {
                steps(async move {
                    let rows = tx
                        .query(
                            "select file_path, dag_id, rendered, diagnostics, seen_at from import_error
                             order by file_path limit $1 offset $2",
                        )
                        .bind(page.limit())
                        .bind(page.offset())
                        .all()
                        .await?;
                    let total = tx.query("select count(*) from import_error").scalar().await?;
                    Ok((rows, total))
                })
            })
            .await?;
        Ok((records(rows)?, total))
    }

    /// How many files cannot be read at present.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_import_errors(&self) -> Result<i64> {
        self.reading("count import errors", |tx| step(tx.query("select count(*) from import_error").scalar())).await
    }
}
