//! Task logs, shipped by workers in chunks while attempts run.

use flow_model::{ClaimId, Epoch, TaskInstanceKey};
use serde::Serialize;

use crate::connect::Store;
use crate::error::Result;
use crate::query::statement;
use crate::rows::json;
use crate::transaction::steps;

/// A piece of an attempt's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogAppend {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// The attempt's epoch.
    pub epoch: Epoch,
    /// The attempt's claim.
    pub claim: ClaimId,
    /// The try.
    pub try_number: u32,
    /// 0, 1, 2 ... within the try.
    pub seq: i64,
    /// Lines in the format of `model::log`.
    pub content: String,
}

impl Store {
    /// Appends pieces of the logs of running attempts. Pieces of attempts that have lost the right to act are dropped;
    /// a piece that was written before stays as it is.
    ///
    /// # Errors
    /// The database failed; appending again is safe.
    pub async fn append_logs(&self, pieces: &[LogAppend]) -> Result<()> {
        if pieces.is_empty() {
            return Ok(());
        }
        let rows = &json(pieces);
        self.transaction("append task logs", |tx| {
            steps(async move {
                tx.query(statement!("append_live_logs")).bind(rows).execute().await?;
                Ok(())
            })
        })
        .await
    }
}
