//! Task logs, piece by piece.

use flow_model::TaskInstanceKey;

use crate::connect::Store;
use crate::error::Result;
use crate::read::{record, records};
use crate::transaction::step;

/// Pieces that one read returns at most.
pub const TRY_LOG_CHUNKS_MAX: i64 = 64;

record!(
    /// A piece of a try's log.
    LogChunk from LogRow {
        /// Its place: pieces are read in ascending order.
        seq: i64,
        /// Lines in the format of `model::log`.
        content: String,
    }
);

impl Store {
    /// The next pieces of a try's log after `after` (-1: from the start), at most [`TRY_LOG_CHUNKS_MAX`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_log(&self, task_instance: TaskInstanceKey, try_number: i64, after: i64) -> Result<Vec<LogChunk>> {
        let rows: Vec<LogRow> = self
            .reading("read a task log", |tx| {
                step(
                    tx.query(
                        "select seq, content from task_log
                         where task_instance_id = $1 and try_number = $2 and seq > $3 order by seq limit $4",
                    )
                    .bind(task_instance.0)
                    .bind(try_number)
                    .bind(after)
                    .bind(TRY_LOG_CHUNKS_MAX)
                    .all(),
                )
            })
            .await?;
        records(rows)
    }

    /// The last pieces of a try's log, in ascending order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_log_tail(
        &self,
        task_instance: TaskInstanceKey,
        try_number: i64,
        chunks: i64,
    ) -> Result<Vec<LogChunk>> {
        let mut rows: Vec<LogRow> = self
            .reading("read the end of a task log", |tx| {
                step(
                    tx.query(
                        "select seq, content from task_log
                         where task_instance_id = $1 and try_number = $2 order by seq desc limit $3",
                    )
                    .bind(task_instance.0)
                    .bind(try_number)
                    .bind(chunks.clamp(1, TRY_LOG_CHUNKS_MAX))
                    .all(),
                )
            })
            .await?;
        rows.reverse();
        records(rows)
    }
}
